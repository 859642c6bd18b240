"""Streaming reducers: statistics of activations that are too many to keep.

Pass one to `interp.capture`, which then keeps its result for each site instead of the activations::

    acts = interp.capture(model, inputs, "blocks.*.mlp.hook_post", batch_size=4096, reduce=interp.reducers.Mean())
    acts["blocks.0.mlp.hook_post"]       # [pos, unit]

`Mean` and `Covariance` work in float64; `TopK` finds the inputs that activate a unit most (max-activating examples);
`Histogram` counts values in fixed bins. A reducer of your own is a frozen object with a ``start`` method (`Reducer`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.sites import find_axis


class State(Protocol):
    """What a reducer keeps of one site while batches pass."""

    def update(self, activation: Tensor) -> None:
        """Take in one batch's activation, with the axes given to `Reducer.start`."""
        ...

    def result(self) -> object:
        """The statistic of all batches so far."""
        ...


class Reducer(Protocol):
    """A frozen description of a statistic."""

    def start(self, axes: Sequence[str]) -> State:
        """The state for one site, whose activations have these axes."""
        ...


@dataclass(frozen=True)
class Mean:
    """Mean over named axes, in float64; the result is a tensor with the other axes.

    Args:
        over: names of the axes to average over; must include ``batch``.

    >>> from interp import HookedMLP, MLPConfig, capture
    >>> model = HookedMLP(MLPConfig((4,), 3, d_in=2)).init_weights(seed=0)
    >>> capture(model, torch.ones(5, 2), "layers.0.hook_post", reduce=Mean())["layers.0.hook_post"].shape
    torch.Size([4])
    """

    over: tuple[str, ...] = ("batch",)

    def start(self, axes: Sequence[str]) -> _MeanState:
        """The state for one site, whose activations have these axes.

        Args:
            axes: names of the site's axes.

        Returns:
            a running sum.

        Raises:
            InterpError: ``over`` lacks ``batch``, or names an axis that the site lacks.
        """
        if isinstance(self.over, str):
            raise InterpError(f"over is a tuple of axis names, such as ({self.over!r},), got the string {self.over!r}")
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
    """Mean and covariance of the feature axis.

    Attributes:
        mean: ``[unit]``.
        covariance: ``[unit, unit]``, divided by n, not n - 1.
        samples: n, the number of feature vectors.
    """

    mean: Tensor
    covariance: Tensor
    samples: int


@dataclass(frozen=True)
class Covariance:
    """Mean and covariance of the feature axis over all other axes, in float64; the result is a `CovarianceResult`.

    Batches are merged by the pairwise update of Chan, Golub and LeVeque 1979, Updating Formulae and a Pairwise Algorithm
    for Computing Sample Variances.
    """

    def start(self, axes: Sequence[str]) -> _CovarianceState:
        """The state for one site, whose activations have these axes (one of them ``unit``)."""
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
    """The largest activations and the inputs that they belong to, for every entry of the other axes.

    Attributes:
        values: ``[k, ...]``, largest first; NaN counts as the largest, and of equal ones the first inputs are kept.
        indices: ``[k, ...]``, into the inputs.
    """

    values: Tensor
    indices: Tensor


@dataclass(frozen=True)
class TopK:
    """The k inputs with the largest activation, for every unit (and position, head); the result is a `TopKResult`.

    Args:
        k: how many inputs to keep.
    """

    k: int = 10

    def start(self, axes: Sequence[str]) -> _TopKState:
        """The state for one site, whose activations have these axes.

        Args:
            axes: names of the site's axes, one of them ``batch``.

        Returns:
            the best inputs so far.

        Raises:
            InterpError: a k below 1, or a site without a batch axis.
        """
        if not isinstance(self.k, int) or self.k < 1:
            raise InterpError(f"TopK needs k of at least 1, got {self.k!r}")
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
        order = _largest(batch, min(self.k, len(batch)))
        self.values, self.indices = batch.gather(0, order), indices.gather(0, order)

    def result(self) -> TopKResult:
        return TopKResult(self.values, self.indices)


def _largest(batch: Tensor, k: int) -> Tensor:
    """Where the k largest are along the first axis, largest first; of equal ones, which topk takes at will, the first."""
    last = batch.topk(k, dim=0).values[-1]
    above = (batch > last) | (batch.isnan() & ~last.isnan())
    tied = (batch == last) | (batch.isnan() & last.isnan())
    chosen = above | (tied & (tied.cumsum(0, dtype=torch.int32) <= k - above.sum(0)))
    index = chosen.movedim(0, -1).nonzero()[:, -1].reshape(*batch.shape[1:], k).movedim(-1, 0)
    return index.gather(0, batch.gather(0, index).sort(dim=0, descending=True, stable=True).indices)


class HistogramResult(NamedTuple):
    """Counts of values in bins.

    Attributes:
        counts: ``[bins]``; a bin includes its lower edge, the last bin its upper edge too.
        edges: ``[bins + 1]``.
        below: number of values below the first edge.
        above: number of values above the last edge.
        nan: number of values that are NaN.
    """

    counts: Tensor
    edges: Tensor
    below: int
    above: int
    nan: int = 0


@dataclass(frozen=True)
class Histogram:
    """Counts of all entries in equal bins over a fixed range; the result is a `HistogramResult`.

    Args:
        low: lower end of the range.
        high: upper end of the range.
        bins: number of bins.
    """

    low: float
    high: float
    bins: int = 100

    def start(self, axes: Sequence[str]) -> _HistogramState:
        """The state for one site.

        Args:
            axes: names of the site's axes; all entries are counted, whatever their axes.

        Returns:
            counts of zero.

        Raises:
            InterpError: an empty range or no bins.
        """
        ends = [self.low, self.high]
        finite = all(isinstance(end, (int, float)) and math.isfinite(end) for end in ends)
        if not finite or not self.low < self.high or not isinstance(self.bins, int) or self.bins < 1:
            raise InterpError(f"a histogram needs finite numbers low < high and at least one bin, got {self}")
        return _HistogramState(torch.linspace(self.low, self.high, self.bins + 1, dtype=torch.float64))


class _HistogramState:
    def __init__(self, edges: Tensor):
        self.edges, self.counts = edges, torch.zeros(len(edges) + 2, dtype=torch.long)  # the last counts NaN

    def update(self, activation: Tensor) -> None:
        values = activation.double().flatten()
        edges, self.counts = self.edges.to(values.device), self.counts.to(values.device)
        bins = torch.bucketize(values, edges, right=True)
        bins[values == edges[-1]] = len(edges) - 1  # the last bin holds its upper edge, as numpy's does
        bins[values.isnan()] = len(edges) + 1
        self.counts = self.counts + torch.bincount(bins, minlength=len(edges) + 2)

    def result(self) -> HistogramResult:
        below, above, nan = self.counts[[0, -2, -1]].tolist()
        return HistogramResult(self.counts[1:-2], self.edges.to(self.counts.device), below, above, nan)
