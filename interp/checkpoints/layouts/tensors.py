"""Tensors as they are, where nothing else fits: for analyses of weights alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights
from interp.hooked.base import FLOATS
from interp.hooked.tensors import HookedTensors, TensorsConfig

MAX_PARTS = 30  # of a name: a module a part


class TensorsLayout(Layout):
    """The tensors of any file. It is taken only by name: a network that can be run says more."""

    name = "tensors"
    summary = "the tensors of any file, for analyses of weights alone; the network cannot be run"
    by_hand: ClassVar[bool] = True

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        floats = [n for n, t in weights.items() if t.dtype in FLOATS]
        return Fit(bool(floats), 0.0, "" if floats else "it holds no tensors of floating-point numbers")

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        kept = {n: t for n, t in weights.items() if t.dtype in FLOATS}
        names = _parameter_names(list(kept))
        config = TensorsConfig(tuple(names.values()), tuple(t.shape for t in kept.values()))
        loaded = {names[n]: t.load() for n, t in kept.items()}
        left = tuple(n for n in weights if n not in kept)
        renamed = [f"the tensor {n!r} is called {own!r} here" for n, own in names.items() if n != own]
        warnings = ("the network is unknown, so only its weights are analysed",)
        return Converted(config, loaded, left, tuple(renamed[:10]), warnings=warnings)


def _parameter_names(names: list[str]) -> dict[str, str]:
    """Names that a module can give its parameters: no empty part, no attribute of a module, not both ``a`` and ``a.b``."""
    attributes = vars(
        HookedTensors(TensorsConfig(("w",), ((1,),)))
    )  # to set a parameter of such a name would remove it
    parts = {n: [part or "_" for part in n.split(".")] for n in names}
    short = {n: ".".join(p) if len(p) <= MAX_PARTS else "_".join(p) for n, p in parts.items()}
    folders = {n[:i] for n in short.values() for i, c in enumerate(n) if c == "."}
    made: dict[str, str] = {}
    taken = set(folders)
    for name, own in short.items():
        while own in taken or own.rpartition(".")[2] in attributes:
            own += "_"
        taken.add(own)
        made[name] = own
    return made


LAYOUT = TensorsLayout()
