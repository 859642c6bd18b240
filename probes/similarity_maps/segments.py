"""Change points of a sequence of representations: kernel segmentation with a permutation test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from interp.errors import InterpError, require_range
from probes.change_points import LIMIT

LEAST = 2  # checkpoints in a segment: one alone is not a phase


@dataclass(frozen=True)
class RepresentationChange:
    """A step between two phases in which representations are alike.

    Attributes:
        step: halfway between the last checkpoint before the change and the first after it.
        low: lower end of the interval, in steps.
        high: upper end of the interval, in steps.
        p_value: of the permutation tests by which so many changes were accepted, the largest.
        explained: share of the scatter of the phase before and the phase after together that the change explains.
        drift: what the best change would explain if the representation moved at a steady pace in one direction instead.
    """

    step: float
    low: int
    high: int
    p_value: float
    explained: float
    drift: float

    @property
    def abrupt(self) -> bool:
        """Whether it explains clearly more, by 0.05, than a steady drift would."""
        return self.explained > self.drift + 0.05


def representation_changes(
    similarity: Float[np.ndarray, "k k"], steps: Sequence[int], *, most: int = 4, permutations: int = 199, level: float = 0.05,
    seed: int = 0,
) -> list[RepresentationChange]:  # fmt: skip
    """Where a sequence of representations changes, from their similarity to each other.

    Kernel change-point detection (Arlot, Celisse & Harchaoui 2019, https://jmlr.org/papers/v20/16-155.html): the segments
    with the least scatter ``sum_i K_ii - sum_ij K_ij / length`` within them, by dynamic programming. How many: one more as
    long as the largest gain of a further change is larger than in all but 5% of sequences whose checkpoints are permuted within
    the segments found so far. So if the order of the checkpoints means nothing, no change is found in 95 of 100 cases. A
    steady drift has an order too: compare ``explained`` with ``drift``. The interval holds the places of a change, the others
    held, with ``n ln(scatter / least scatter) <= 7.35``, as in `probes.change_points.change_point`. Every checkpoint counts
    once, however far apart they are. Misleads where checkpoints are dense only in one part of training.

    Args:
        similarity: a kernel between checkpoints, such as CKA: symmetric, higher is more alike.
        steps: of the checkpoints, ascending.
        most: changes at most.
        permutations: of the test.
        level: of the test.
        seed: of the permutations.

    Returns:
        The changes, by step; none of fewer than 4 checkpoints, or where all are the same.

    Raises:
        InterpError: steps and similarities of different lengths, or a similarity that is not a number.

    >>> block = np.kron(np.eye(2), np.ones((4, 4)))
    >>> [(c.step, c.low, c.high, c.explained) for c in representation_changes(block, range(0, 80, 10))]
    [(35.0, 30, 40, 1.0)]
    """
    kernel = np.asarray(similarity, dtype=float)
    require_range("most", most, 0)
    require_range("permutations", permutations, 1)
    if kernel.shape != (len(steps), len(steps)) or not np.isfinite(kernel).all():
        raise InterpError(
            f"{len(steps)} checkpoints need finite similarities [{len(steps)}, {len(steps)}], got {list(kernel.shape)}"
        )
    k = len(kernel)
    cost = _costs(kernel)
    if k < 2 * LEAST or cost[0, k] <= 1e-9 * max(1.0, np.trace(kernel)):
        return []
    best = _segmentations(cost, min(most, k // LEAST - 1))
    rng, bounds, p_values = np.random.default_rng(seed), [0, k], []
    for wanted in best[1:]:
        p = _p_value(kernel, bounds, permutations, rng)
        if p > level:
            break
        bounds, p_values = wanted, [*p_values, p]
    found = []
    for i, m, j in zip(bounds, bounds[1:], bounds[2:], strict=False):
        places = np.arange(i + 1, j)
        rest = np.maximum(cost[i, places] + cost[places, j], 1e-12 * cost[i, j])
        allowed = places[(j - i) * np.log(rest / rest[m - i - 1]) <= LIMIT]
        n = j - i
        found.append(RepresentationChange(
            step=float(steps[m - 1] + steps[m]) / 2,
            low=int(steps[allowed[0] - 1]),
            high=int(steps[allowed[-1]]),
            p_value=max(p_values),
            explained=round(float(1 - (cost[i, m] + cost[m, j]) / cost[i, j]), 9),
            drift=0.75 * n * n / (n * n - 1) if n % 2 == 0 else 0.75,
        ))  # fmt: skip
    return found


def _costs(kernel: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "bounds bounds"]:
    """Scatter within the segment from i up to j, not included, ``[k + 1, k + 1]`` for i < j."""
    k = len(kernel)
    sums, diagonal = np.zeros((k + 1, k + 1)), np.zeros(k + 1)
    sums[1:, 1:] = kernel.cumsum(0).cumsum(1)
    diagonal[1:] = np.diagonal(kernel).cumsum()
    own = np.diagonal(sums)
    inside = own[None, :] - sums - sums.T + own[:, None]
    length = np.maximum(np.arange(k + 1) - np.arange(k + 1)[:, None], 1)
    return np.maximum(diagonal - diagonal[:, None] - inside / length, 0)


def _segmentations(cost: np.ndarray, most: int) -> list[list[int]]:
    """The bounds of the best segmentation with 0, 1, ... changes."""
    k = len(cost) - 1
    least, came = [cost[0].copy()], []
    least[0][:LEAST] = math.inf
    for _ in range(most):
        row, origin = np.full(k + 1, math.inf), np.zeros(k + 1, dtype=int)
        for j in range(2 * LEAST, k + 1):
            through = least[-1][: j - LEAST + 1] + cost[: j - LEAST + 1, j]
            origin[j] = int(through.argmin())
            row[j] = through[origin[j]]
        least.append(row)
        came.append(origin)
    found = []
    for count in range(most + 1):
        bounds = [k]
        for origin in reversed(came[:count]):
            bounds.append(int(origin[bounds[-1]]))
        found.append([0, *reversed(bounds)])
    return found


def _p_value(kernel: np.ndarray, bounds: Sequence[int], permutations: int, rng: np.random.Generator) -> float:
    """How often permuting the checkpoints within segments gives as large a gain by one more change."""
    segments = [kernel[i:j, i:j] for i, j in pairwise(bounds) if j - i >= 2 * LEAST]
    if not segments:
        return 1.0
    observed = max(_gain(part) for part in segments)
    above = 0
    for _ in range(permutations):
        orders = [rng.permutation(len(part)) for part in segments]
        drawn = max(_gain(part[np.ix_(order, order)]) for part, order in zip(segments, orders, strict=True))
        above += drawn >= observed - 1e-12 * abs(observed)
    return (1 + above) / (1 + permutations)


def _gain(kernel: np.ndarray) -> float:
    """How much less scatter the best split leaves: ``|sum of one part - its share of all|^2`` over the lengths."""
    n = len(kernel)
    first = np.diagonal(kernel.cumsum(0).cumsum(1))[:-1]  # sums within the first m
    across = kernel.sum(0).cumsum()[:-1]  # of the first m with all
    total = kernel.sum()
    m = np.arange(1, n)
    gains = first / m + (total - 2 * across + first) / (n - m) - total / n
    return float(gains[LEAST - 1 : n - LEAST].max())
