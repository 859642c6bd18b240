"""Probes: read-only measures of weights, activations and logits, and the analyses built on them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {"progress": "interp.history.progress"}
MODULES = (
    "basis", "change_points", "complexity", "curves", "dimension", "effective_theory", "entropy", "feature_maps", "fourier",
    "genome_graph", "neurons", "norms", "parallelograms", "performance", "reduction", "sparsity", "stability", "tables",
    "weights",
)  # fmt: skip
__all__ = sorted([*_EXPORTS, *MODULES])


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name in MODULES:
        return import_module(f"probes.{name}")
    raise AttributeError(f"module 'probes' has no attribute {name!r}")
