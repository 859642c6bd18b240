"""Circuits: interventions as values, one context manager that applies them, and the experiments built of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    **dict.fromkeys(
        ("Ablate", "Patch", "Scale", "Keep", "Remove", "Zero", "Mean", "Resample", "Fixed"),
        "circuits.interventions",
    ),
    "applied": "circuits.apply",
    "ablate": "circuits.ablation",
    "restricted_loss": "circuits.frequencies",
    "excluded_loss": "circuits.frequencies",
}
__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name in ("ablation", "apply", "effects", "frequencies", "interventions", "modes"):
        return import_module(f"circuits.{name}")
    raise AttributeError(f"module 'circuits' has no attribute {name!r}")
