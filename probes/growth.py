"""How a curve rises: in a jump from one level to another, or as a sigmoid, with the steps that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interp.errors import InterpError
from probes.change_points import change_point

SIGMOID, JUMP, NEITHER = "sigmoid", "jump", "neither"
EXPLAINED = 0.8  # share of the variance that a shape has to explain; a straight slope is explained by a jump to 0.75
RISE = 2 * math.log(9)  # from 10% to 90%, in units of the logistic function's width
CENTRES, WIDTHS = 41, 25  # of the search, three times, each within two cells of the last


@dataclass(frozen=True)
class Growth:
    """The shape of a change of level.

    Attributes:
        kind: ``sigmoid``, ``jump`` or ``neither``.
        step: middle of the sigmoid.
        duration: steps from 10% to 90% of the sigmoid.
        before: its level before.
        after: its level after.
        sigmoid: share of the variance that the sigmoid explains.
        jump: share that the best single step explains.
        evidence: difference of Akaike's criterion, jump minus sigmoid: above 0 the sigmoid is better, after its fourth parameter.
    """

    kind: str
    step: float
    duration: float
    before: float
    after: float
    sigmoid: float
    jump: float
    evidence: float


def growth(steps: Sequence[int], values: Sequence[float]) -> Growth | None:
    """Least-squares fit of a logistic function, beside that of a single step (`probes.change_points.change_point`).

    ``y = a + (b - a) / (1 + exp(-(t - c) / w))``: a circuit that grows in proportion to what there is of it until it is
    saturated; a circuit that is found by chance and then complete would jump (the question of Vaintrob and Kaarel 2023, Grokking,
    memorization, and generalization). The kind is that of the smaller Akaike criterion ``n ln RSS + 2 k`` with k = 4 and 3, if it
    explains at least 0.8 of the variance; a sigmoid that takes less than two checkpoints from 10% to 90% is called a jump, since
    between two checkpoints the shape is not seen. It misleads for curves that rise and fall, or in several stages; a steady slope
    counts as a sigmoid, whose ``duration`` is then longer than the curve.

    Args:
        steps: training steps, ascending.
        values: the curve, one value per step, on a linear scale.

    Returns:
        The better shape and both fits; None for fewer than six finite values, or a constant curve.

    Raises:
        InterpError: steps and values of different lengths.

    >>> steps = range(0, 1000, 50)
    >>> found = growth(steps, [1 / (1 + math.exp(-(t - 400) / 60)) for t in steps])
    >>> found.kind, round(found.step), round(found.duration, -1), round(60 * RISE, -1)
    ('sigmoid', 400, 260.0, 260.0)
    >>> growth(steps, [float(t > 400) for t in steps]).kind
    'jump'
    """
    x, y = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    if x.shape != y.shape:
        raise InterpError(f"a curve needs one value per step, got {len(x)} steps and {len(y)} values")
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if len(y) < 6 or (size := np.abs(y).max()) == 0 or np.ptp(y / size) <= 1e-12:
        return None
    y = y / size
    total = float(((y - y.mean()) ** 2).sum())
    centre, width, slope, level, rest = _fit(x, y)
    jump = _jump(x, y)
    gap = float(np.median(np.diff(x)))
    share = 1 - rest / total
    evidence = len(y) * math.log(max(1 - jump, 1e-12) / max(1 - share, 1e-12)) - 2
    better = SIGMOID if evidence > 0 and RISE * width >= 2 * gap else JUMP
    kind = better if max(share, jump) >= EXPLAINED else NEITHER
    before, after = level * size, (level + slope) * size
    return Growth(kind, centre, RISE * width, before, after, share, jump, evidence)


def _jump(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the variance that the best single step on a linear scale explains."""
    change = change_point(x.astype(int).tolist(), (y - y.mean()).tolist())
    return 0.0 if change is None else change.explained


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float, float]:
    """Centre, width, height, first level, residual sum of squares: for each centre and width the levels are a regression."""
    span, gap = x[-1] - x[0], float(np.median(np.diff(x)))
    centres, widths = np.linspace(x[0], x[-1], CENTRES), np.geomspace(gap / 20, span / 2, WIDTHS)
    best = (0.0, 1.0, 0.0, 0.0, math.inf)
    for _ in range(3):
        c, w = (grid.ravel() for grid in np.meshgrid(centres, widths, indexing="ij"))
        z = 1 / (1 + np.exp(-np.clip((x - c[:, None]) / w[:, None], -500, 500)))
        own = z - z.mean(1, keepdims=True)
        spread = (own**2).sum(1)
        slope = own @ (y - y.mean()) / np.maximum(spread, 1e-300)
        rest = ((y - y.mean()) ** 2).sum() - slope**2 * spread
        i = int(rest.argmin())
        if rest[i] < best[-1]:
            best = (
                float(c[i]),
                float(w[i]),
                float(slope[i]),
                float(y.mean() - slope[i] * z[i].mean()),
                float(max(rest[i], 0)),
            )
        step, ratio = centres[1] - centres[0], widths[1] / widths[0]
        centres = np.linspace(best[0] - 2 * step, best[0] + 2 * step, CENTRES)
        widths = np.geomspace(best[1] / ratio**2, best[1] * ratio**2, WIDTHS)
    return best
