"""Resampled inputs: bootstrap weights drawn input by input, and tests of many changes at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from interp.errors import UnknownName, unknown

Correction = Literal["max", "holm", "bh"]
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)
DRAWN = 64  # inputs whose weights are drawn at once, whatever the memory
ROUNDING = 1e-13  # of the metric (of 1 if that is larger): a change below it is none


class Weights:
    """How often each input is drawn in each of many samples with replacement, a few inputs after another.

    Multinomial weights, drawn as a chain of binomials, so that no more inputs are in memory than are asked for, and the same
    whatever the pieces.

    Args:
        n: number of inputs.
        n_boot: number of samples.
        seed: of the draws.

    >>> weights = Weights(100, 5, seed=0)
    >>> torch.cat([weights.take(30), weights.take(70)]).sum(0).tolist()
    [100.0, 100.0, 100.0, 100.0, 100.0]
    """

    def __init__(self, n: int, n_boot: int, seed: int):
        self._random, self._n, self._done = np.random.default_rng(seed), n, 0
        self._left = np.full(n_boot, n)  # draws of each sample that fall on later inputs
        self._drawn = np.zeros((n_boot, 0))

    def take(self, n: int) -> Float[Tensor, "n n_boot"]:
        """The weights of the next n inputs."""
        pieces = [self._drawn]
        while (short := n - sum(p.shape[1] for p in pieces)) > 0:
            assert self._done < self._n, short
            pieces.append(self._draw())
        drawn = np.concatenate(pieces, 1)
        self._drawn = drawn[:, n:]
        return torch.from_numpy(drawn[:, :n].T.astype(np.float64))

    def _draw(self) -> np.ndarray:
        size = min(DRAWN, self._n - self._done)
        here = self._random.binomial(self._left, size / (self._n - self._done))
        self._left, self._done = self._left - here, self._done + size
        return self._random.multinomial(here, np.full(size, 1 / size))


@dataclass(frozen=True)
class Moments:
    """Sums over the inputs of k paired changes, of their squares and of their cubes.

    Attributes:
        first: of the changes, over the inputs themselves and over each resampled set of them.
        second: of their squares, likewise.
        third: of their cubes, over the inputs.
        n: number of inputs.
    """

    first: Float[Tensor, "k n_boot_1"]
    second: Float[Tensor, "k n_boot_1"]
    third: Float[Tensor, " k"]
    n: int

    def __add__(self, other: Moments) -> Moments:
        sums = (self.first + other.first, self.second + other.second, self.third + other.third)
        return Moments(*sums, self.n + other.n)


@dataclass(frozen=True)
class Changes:
    """Mean changes of a metric, with what resampling the inputs makes of them.

    Attributes:
        change: over the inputs.
        low: end of each interval.
        high: end of each interval.
        p: of no change, or of none for the worse.
        t: of each change; larger is less likely where nothing changes.
        drawn: the same of every resampled set, around the change itself.
    """

    change: Float[Tensor, " k"]
    low: Float[Tensor, " k"]
    high: Float[Tensor, " k"]
    p: Float[Tensor, " k"]
    t: Float[Tensor, " k"]
    drawn: Float[Tensor, "k n_boot"]


def judged(moments: Moments, confidence: float, side: int, scale: float) -> Changes:
    """Intervals and p values of mean changes, both right to second order where changes are skewed.

    Intervals are those of the studentised bootstrap (bootstrap-t): every resampled mean is divided by its own standard error.
    p is that of a t test whose statistic is corrected for the skewness (Hall 1992, On the Removal of Skewness by
    Transformation, https://doi.org/10.1111/j.2517-6161.1992.tb01876.x), and never below what flipping the signs of n changes
    could give.

    Args:
        moments: of the changes.
        confidence: of the intervals.
        side: 1 or -1: whether only a positive or a negative change counts; 0: either.
        scale: of the metric; changes below `ROUNDING` of it count as none.

    Returns:
        a value for each change.
    """
    n = moments.n
    means = moments.first / n
    errors = ((moments.second / n - means.square()).clamp_min(0) / n).sqrt()
    size = ROUNDING * max(1.0, abs(scale))
    change, error = means[:, 0], errors[:, 0].where(errors[:, 0] > size, 0)
    # a draw in which all inputs change alike has no error of its own
    own = errors[:, 1:].where(errors[:, 1:] > size, error[:, None])
    drawn = torch.nan_to_num((means[:, 1:] - change[:, None]) / own, posinf=0, neginf=0)
    ends = np.quantile(drawn.cpu().numpy(), [(1 + confidence) / 2, (1 - confidence) / 2], axis=1)
    low, high = change - torch.from_numpy(ends).to(error) * error
    t = (change / error).where(change.abs() > size, 0)
    third = moments.third / n - 3 * change * (moments.second[:, 0] / n) + 2 * change**3
    skew = torch.nan_to_num(third / (error * n**0.5) ** 3, posinf=0, neginf=0)
    sided = side or 1
    p = _tail(_unskewed(t, skew, n) * sided, n, two=side == 0).where(t.isfinite(), _tail(t * sided, n, two=side == 0))
    p = p.masked_fill(t == 0, 1.0)
    if not side:
        return Changes(change, low, high, p, t.abs(), drawn.abs().float())
    return Changes(change, low, high, p, t * side, drawn.float() * side)


def _unskewed(t: Float[Tensor, " k"], skew: Float[Tensor, " k"], n: int) -> Float[Tensor, " k"]:
    """Hall's transformation of a t statistic."""
    x = t / n**0.5
    return n**0.5 * (x + skew * x**2 / 3 + skew**2 * x**3 / 27 + skew / (6 * n))


def _tail(t: Float[Tensor, " k"], n: int, *, two: bool) -> Float[Tensor, " k"]:
    found = stats.t.sf(t.abs().cpu().numpy() if two else t.cpu().numpy(), n - 1) * (1 + two)
    return torch.from_numpy(found).clamp(min=2.0 ** (two - n), max=1).to(t.device)


def step_down(t: Float[Tensor, " k"], drawn: Float[Tensor, "k n_boot"]) -> Float[Tensor, " k"]:
    """P values of k questions at once, from how large the largest statistic of each draw is (step-down max-T).

    Questions that depend on each other cost no more than they must, and skewed changes keep the rate. Romano and Wolf 2005,
    https://doi.org/10.1111/j.1468-0262.2005.00615.x.

    Args:
        t: statistics; larger is less likely.
        drawn: of every draw, around the change itself.

    Returns:
        adjusted values, at least ``1 / (n_boot + 1)``.

    >>> step_down(torch.tensor([3.0, 1.0]), torch.tensor([[0.5, 0.2, 4.0], [2.0, 0.1, 0.2]])).tolist()
    [0.5, 0.5]
    """
    order = t.argsort(stable=True)  # the least first: each is compared with itself and all that are smaller
    largest = drawn[order].cummax(0).values
    above = (largest >= t[order, None].to(largest)).double().sum(1)
    p = (above + 1) / (drawn.shape[1] + 1)
    p = p.flip(0).cummax(0).values.flip(0)
    return torch.empty_like(p).index_copy(0, order, p)


def corrected(changes: Changes, correction: Correction) -> Float[Tensor, " k"]:
    """P values corrected for asking many questions.

    Args:
        changes: one for each question.
        correction: ``"max"``: `step_down`, the rate of any false answer; ``"holm"``: the same whatever the dependence (Holm
            1979, https://www.jstor.org/stable/4615733); ``"bh"``: the share of false ones among the positive answers
            (Benjamini and Hochberg 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x).

    Returns:
        adjusted values, none smaller than the uncorrected one.
    """
    if correction == "max":
        return torch.maximum(changes.p, step_down(changes.t, changes.drawn))
    return (holm if correction == "holm" else benjamini_hochberg)(changes.p)


def holm(p: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Holm's adjusted p values.

    Args:
        p: of each question.

    Returns:
        adjusted values.

    >>> holm(torch.tensor([0.01, 0.04, 0.03], dtype=torch.float64)).tolist()
    [0.03, 0.06, 0.06]
    """
    least, order = p.sort(stable=True)
    steps = (least * torch.arange(len(p), 0, -1, device=p.device)).cummax(0).values.clamp(max=1)
    return torch.empty_like(steps).index_copy(0, order, steps)


def benjamini_hochberg(p: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Benjamini and Hochberg's adjusted p values."""
    return torch.from_numpy(stats.false_discovery_control(p.cpu().numpy())).to(p.device)


def require_correction(given: object) -> None:
    """Refuse a correction that does not exist, naming the nearest."""
    if given not in CORRECTIONS:
        raise UnknownName(unknown("correction", given, CORRECTIONS))
