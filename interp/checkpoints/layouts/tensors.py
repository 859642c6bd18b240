"""Tensors as they are, where nothing else fits: for analyses of weights alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights
from interp.hooked.base import FLOATS
from interp.hooked.tensors import TensorsConfig


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
        folders = {n[:i] for n in kept for i, c in enumerate(n) if c == "."}
        names = {n: f"{n}_" if n in folders else n for n in kept}  # a module cannot hold both a and a.b
        config = TensorsConfig(tuple(names.values()), tuple(t.shape for t in kept.values()))
        loaded = {names[n]: t.load() for n, t in kept.items()}
        left = tuple(n for n in weights if n not in kept)
        return Converted(config, loaded, left, warnings=("the network is unknown, so only its weights are analysed",))


LAYOUT = TensorsLayout()
