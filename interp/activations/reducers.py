"""Streaming reducers for `interp.capture`: statistics of activations too many to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.sites import find_axis


class State(Protocol):
    """What a reducer keeps while batches pass."""

    def update(self, activation: Tensor) -> None: ...

    def result(self) -> object: ...


class Reducer(Protocol):
    """A frozen description of a statistic; `start` gives the state for one site."""

    def start(self, axes: Sequence[str]) -> State: ...


@dataclass(frozen=True)
class Mean:
    """Mean over named axes, in float64. ``over`` must contain ``batch``: that is what is streamed."""

    over: tuple[str, ...] = ("batch",)

    def start(self, axes: Sequence[str]) -> _MeanState:
        if "batch" not in self.over:
            raise InterpError(f"a streaming mean must run over the batch; over is {self.over}")
        return _MeanState([find_axis(a, axes, "the site") for a in self.over])


class _MeanState:
    def __init__(self, dims: list[int]):
        self.dims, self.count, self.total = dims, 0, torch.zeros(())

    def update(self, activation: Tensor) -> None:
        summed = activation.double().sum(self.dims)
        self.total = summed if self.count == 0 else self.total + summed
        self.count += activation.numel() // max(1, summed.numel())

    def result(self) -> Tensor:
        return self.total / self.count


class CovarianceResult(NamedTuple):
    """``mean [unit]``, ``covariance [unit, unit]`` (divided by n, not n - 1) and the number of samples."""

    mean: Tensor
    covariance: Tensor
    samples: int


@dataclass(frozen=True)
class Covariance:
    """Mean and covariance of the feature axis over all other axes, in float64, merged batch by batch (Chan et al. 1979)."""

    def start(self, axes: Sequence[str]) -> _CovarianceState:
        return _CovarianceState(find_axis("unit", axes, "the site"))


class _CovarianceState:
    def __init__(self, dim: int):
        self.dim, self.count = dim, 0
        self.mean = self.scatter = torch.zeros(())

    def update(self, activation: Tensor) -> None:
        rows = activation.double().movedim(self.dim, -1).flatten(0, -2)
        mean = rows.mean(0)
        centred = rows - mean
        scatter, n = centred.T @ centred, len(rows)
        if self.count == 0:
            self.mean, self.scatter, self.count = mean, scatter, n
            return
        delta, total = mean - self.mean, self.count + n
        self.scatter = self.scatter + scatter + torch.outer(delta, delta) * (self.count * n / total)
        self.mean = self.mean + delta * (n / total)
        self.count = total

    def result(self) -> CovarianceResult:
        return CovarianceResult(self.mean, self.scatter / self.count, self.count)


class TopKResult(NamedTuple):
    """``values [k, ...]`` and ``indices [k, ...]`` into the inputs, largest first, per entry of the other axes."""

    values: Tensor
    indices: Tensor


@dataclass(frozen=True)
class TopK:
    """The k inputs with the largest activation, for every unit (and position, head)."""

    k: int = 10

    def start(self, axes: Sequence[str]) -> _TopKState:
        return _TopKState(self.k, find_axis("batch", axes, "the site"))


class _TopKState:
    def __init__(self, k: int, dim: int):
        self.k, self.dim, self.seen = k, dim, 0
        self.values = self.indices = torch.zeros(())

    def update(self, activation: Tensor) -> None:
        batch = activation.movedim(self.dim, 0)
        index = torch.arange(self.seen, self.seen + len(batch), device=batch.device)
        indices = index.reshape(-1, *[1] * (batch.ndim - 1)).expand_as(batch)
        if self.seen:
            batch, indices = torch.cat([self.values, batch]), torch.cat([self.indices, indices])
        self.seen += activation.shape[self.dim]
        self.values, order = batch.topk(min(self.k, len(batch)), dim=0)
        self.indices = indices.gather(0, order)

    def result(self) -> TopKResult:
        return TopKResult(self.values, self.indices)


class HistogramResult(NamedTuple):
    """``counts [bins]`` between ``edges [bins + 1]``, and how many values lay below and above them."""

    counts: Tensor
    edges: Tensor
    below: int
    above: int


@dataclass(frozen=True)
class Histogram:
    """Counts of all entries in equal bins over a fixed range; what lies outside is counted, not lost."""

    low: float
    high: float
    bins: int = 100

    def start(self, axes: Sequence[str]) -> _HistogramState:
        if not self.low < self.high or self.bins < 1:
            raise InterpError(f"a histogram needs low < high and at least one bin, got {self}")
        return _HistogramState(torch.linspace(self.low, self.high, self.bins + 1, dtype=torch.float64))


class _HistogramState:
    def __init__(self, edges: Tensor):
        self.edges, self.counts = edges, torch.zeros(len(edges) + 1, dtype=torch.long)

    def update(self, activation: Tensor) -> None:
        values = activation.double().flatten()
        edges, self.counts = self.edges.to(values.device), self.counts.to(values.device)
        bins = torch.bucketize(values, edges, right=True)
        bins[values == edges[-1]] = len(edges) - 1  # the last bin holds its upper edge, as numpy's does
        self.counts = self.counts + torch.bincount(bins, minlength=len(edges) + 1)

    def result(self) -> HistogramResult:
        below, above = self.counts[[0, -1]].tolist()
        return HistogramResult(self.counts[1:-1], self.edges.to(self.counts.device), below, above)
