"""Take small neural networks apart: the host of the suite.

Names are imported on first use, so that ``import interp`` (and ``interp --help``) does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "load": "interp.checkpoints",
    "inspect": "interp.checkpoints",
    "save": "interp.checkpoints",
    "CheckpointSeries": "interp.series",
    "Subject": "interp.subject",
    "capture": "interp.activations.capture",
    "Site": "interp.sites",
    "resolve_sites": "interp.sites",
    "analyze": "interp.plugins.analysis",
    "compare": "interp.report.comparison",
    "Result": "interp.plugins.result",
    "InterpError": "interp.errors",
    "HookedTransformer": "interp.hooked",
    "TransformerConfig": "interp.hooked",
    "HookedMLP": "interp.hooked",
    "MLPConfig": "interp.hooked",
    "HookedLSTM": "interp.hooked",
    "LSTMConfig": "interp.hooked",
    "HookedCPPN": "interp.hooked",
    "CPPNConfig": "interp.hooked",
    "wrap": "interp.hooked",
    "Picture": "interp.pictures",
    "ModularArithmetic": "interp.tasks",
    "GroupComposition": "interp.tasks",
    "ToyAddition": "interp.tasks",
    "SparseParity": "interp.tasks",
    "GridDirections": "interp.tasks",
    "ImageTask": "interp.tasks",
    "Digits": "interp.tasks",
    "Reviews": "interp.tasks",
    "Examples": "interp.tasks",
    "make_task": "interp.tasks",
    "train": "interp.training",
    "resume": "interp.training",
    "Run": "interp.training",
    "Optimizer": "interp.training",
    "every": "interp.training",
    "log_spaced": "interp.training",
    "grid": "interp.training",
    "seeds": "interp.training",
}
__all__ = sorted([*_EXPORTS, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "picbreeder":
        return import_module("interp.picbreeder")
    if name not in _EXPORTS:
        raise AttributeError(f"module 'interp' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
