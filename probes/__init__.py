"""Probes: read-only measures of weights, activations and logits, and the analyses built on them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "basis",
    "curves",
    "feature_maps",
    "fourier",
    "genome_graph",
    "history",
    "neurons",
    "performance",
    "reduction",
    "tables",
    "weights",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'probes' has no attribute {name!r}")
    return import_module(f"probes.{name}")
