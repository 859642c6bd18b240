"""Circuits: interventions as values, one context manager that applies them, and the experiments built of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    **dict.fromkeys(
        ("Ablate", "Patch", "Freeze", "Scale", "Add", "Keep", "Remove"),
        "circuits.interventions.kinds",
    ),
    **dict.fromkeys(("Zero", "Mean", "Resample", "Fixed"), "circuits.interventions.values"),
    "applied": "circuits.interventions.apply",
    "freeze": "circuits.interventions.apply",
    "ablate": "circuits.experiments.ablation",
    "patch": "circuits.experiments.patching",
    "path_patch": "circuits.experiments.path_patching",
    "attribute": "circuits.experiments.attribution",
    "discover": "circuits.discovery.discover",
    "Experiment": "circuits.experiments.record",
    "Outcome": "circuits.experiments.record",
    "intervene": "circuits.experiments.record",
    "necessity": "circuits.discovery.over_training",
    "necessary_from": "circuits.discovery.over_training",
    "LogitDiff": "circuits.metrics",
    "single_entries": "circuits.weight_sweeps.directions",
    "random_directions": "circuits.weight_sweeps.directions",
    "sweep": "circuits.weight_sweeps.image_sweep",
    "matched_steps": "circuits.weight_sweeps.image_sweep",
    "loss_sweep": "circuits.weight_sweeps.loss_sweep",
    "reduce": "circuits.compression.low_rank",
    "rank_curve": "circuits.compression.low_rank",
    "project": "circuits.compression.projection",
    "component_curve": "circuits.compression.projection",
    "prune": "circuits.compression.prune",
    "drop_links": "circuits.compression.prune",
    "restricted_loss": "circuits.fourier.losses",
    "excluded_loss": "circuits.fourier.losses",
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
