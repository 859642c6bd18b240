"""Circuits: interventions as values, one context manager that applies them, and the experiments built of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    **dict.fromkeys(
        ("Ablate", "Patch", "Freeze", "Scale", "Add", "Keep", "Remove"),
        "circuits.interventions",
    ),
    **dict.fromkeys(("Zero", "Mean", "Resample", "Fixed"), "circuits.values"),
    "applied": "circuits.apply",
    "freeze": "circuits.apply",
    "ablate": "circuits.ablation",
    "patch": "circuits.patching",
    "path_patch": "circuits.paths",
    "attribute": "circuits.attribution",
    "discover": "circuits.discovery",
    "Experiment": "circuits.experiments",
    "Outcome": "circuits.experiments",
    "intervene": "circuits.experiments",
    "necessity": "circuits.necessity",
    "necessary_from": "circuits.necessity",
    "LogitDiff": "circuits.metrics",
    "single_entries": "circuits.directions",
    "random_directions": "circuits.directions",
    "sweep": "circuits.sweeps",
    "matched_steps": "circuits.sweeps",
    "loss_sweep": "circuits.loss_sweeps",
    "reduce": "circuits.low_rank",
    "rank_curve": "circuits.low_rank",
    "project": "circuits.projection",
    "component_curve": "circuits.projection",
    "prune": "circuits.pruning",
    "drop_links": "circuits.pruning",
    "restricted_loss": "circuits.frequencies",
    "excluded_loss": "circuits.frequencies",
}
MODULES = (
    "ablation", "apply", "attribution", "components", "directions", "discovery", "effects", "experiments", "frequencies",
    "interventions", "low_rank", "metrics", "modes", "necessity", "nulls", "patching", "paths", "projection", "pruning",
    "reduction", "rendering", "scores", "search", "sweep_scores", "sweeps", "values",
)  # fmt: skip
__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name in MODULES:
        return import_module(f"circuits.{name}")
    raise AttributeError(f"module 'circuits' has no attribute {name!r}")
