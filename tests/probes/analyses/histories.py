"""Models in memory as the checkpoints of a run, for tests of analyses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from interp import CheckpointSeries, Subject
from interp.hooked import HookedModel
from interp.series import Entry


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclass(frozen=True)
class Made(CheckpointSeries):
    """Models of memory as a series: any step, without a file."""

    def at(self, step: int) -> HookedModel:
        return self._open(next(e for e in self.entries if e.step == step))


def history(one: Subject, models: dict[int, HookedModel]) -> Subject:
    series = Made(tuple(Entry(s, Path()) for s in models), lambda entry: models[entry.step])
    last = max(models)
    return replace(one, model=models[last], series=series, step=last)


def filled(one: Subject, value: float, where: slice = slice(None)) -> HookedModel:
    """The network with some entries of its first matrix set."""
    model = type(one.model).from_weights(one.model.config, {k: v.clone() for k, v in one.model.state_dict().items()})
    with torch.no_grad():
        first(model).view(-1)[where] = value
    return model


def first(model: HookedModel) -> Tensor:
    return next(p for p in model.parameters() if p.ndim > 1)
