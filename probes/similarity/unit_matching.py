"""Matching of units: which unit of one network is which of another, one to one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError
from probes.similarity.cca import mean_or_nan
from probes.similarity.products import Products, as_products

MAX_BYTES = 2**31


@dataclass(frozen=True, eq=False)
class UnitMatching:
    """Units of X and Y in pairs.

    Attributes:
        pairs: unit of X and unit of Y, in the order of X's units, ``[k, 2]``.
        correlations: over inputs, with their signs, ``[k]``.
        signs: 1, or -1 where the unit of Y has to be flipped, ``[k]``.
        dead_x: units of X that are the same for all inputs; they are not matched.
        dead_y: the same of Y.
        unmatched_x: units of X that vary but have no partner, since Y has fewer.
        unmatched_y: units of Y that vary but have no partner.
    """

    pairs: Int[Tensor, "k 2"]
    correlations: Float[Tensor, "k"]
    signs: Float[Tensor, "k"]
    dead_x: tuple[int, ...]
    dead_y: tuple[int, ...]
    unmatched_x: tuple[int, ...]
    unmatched_y: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Mean correlation of the pairs after flipping; NaN if there are none."""
        return mean_or_nan(self.correlations * self.signs)

    def aligned(self, y: Float[Tensor, "... d2"]) -> Float[Tensor, "... k"]:
        """Y's units in the order of the units of X that they are matched with, flipped where needed.

        Args:
            y: activations of Y, ``[..., d2]``.

        Returns:
            The matched ones, ``[..., k]``.
        """
        return y[..., self.pairs[:, 1].to(y.device)] * self.signs.to(y)


def match_units(
    x: Float[Tensor, "n d1"] | Products,
    y: Float[Tensor, "n d2"] | None = None,
    *,
    signs: bool = True,
    max_bytes: int = MAX_BYTES,
) -> UnitMatching:
    """Match units one to one so that the sum of their absolute correlations is largest, by the assignment problem.

    Li et al. 2016, Convergent learning: do different neural networks learn the same representations?,
    https://arxiv.org/abs/1511.07543, section 3. The narrower network has all its units matched. It costs O(d^3) at worst
    (a second at d = 2,000). It misleads because something is always matched: the best of many random correlations is far
    from 0 with few inputs, so compare `matched_correlation` with `permuted` and `rotated`.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.
        signs: whether a unit may match one of opposite sign, as tanh and other odd units allow.
        max_bytes: memory that the table of correlations may take.

    Returns:
        The pairs, with what was left out.

    Raises:
        InterpError: fewer than 2 inputs, too many units for `max_bytes`, or input that `products` refuses.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    >>> found = match_units(x, torch.stack([x[:, 1], -x[:, 0]], dim=1))
    >>> found.pairs.tolist(), found.signs.tolist(), round(found.mean, 6)
    ([[0, 1], [1, 0]], [-1.0, 1.0], 1.0)
    """
    from scipy.optimize import linear_sum_assignment

    table, alive_x, alive_y = unit_correlations(as_products(x, y), max_bytes)
    gains = table.abs() if signs else table
    rows, columns = (torch.as_tensor(i) for i in linear_sum_assignment(gains.cpu().numpy(), maximize=True))
    alive_x, alive_y, found = alive_x.cpu(), alive_y.cpu(), table.cpu()[rows, columns]
    units_x, units_y = alive_x.nonzero()[:, 0], alive_y.nonzero()[:, 0]
    pairs = torch.stack([units_x[rows], units_y[columns]], dim=1)
    flips = torch.where(found < 0, -1.0, 1.0).to(found) if signs else torch.ones_like(found)
    return UnitMatching(
        pairs, found, flips, _where(~alive_x), _where(~alive_y), _left(units_x, pairs[:, 0]), _left(units_y, pairs[:, 1])
    )  # fmt: skip


def matched_correlation(
    x: Float[Tensor, "n d1"] | Products, y: Float[Tensor, "n d2"] | None = None, *, signs: bool = True
) -> float:
    """Mean correlation of the units that `match_units` pairs.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.
        signs: whether a unit may match one of opposite sign.

    Returns:
        1 for the same units in any order; NaN where a representation is constant.

    Raises:
        InterpError: as `match_units`.
    """
    return match_units(x, y, signs=signs).mean


def unit_correlations(made: Products, max_bytes: int = MAX_BYTES) -> tuple[Tensor, Tensor, Tensor]:
    """Correlations of the units that vary, and which they are.

    Args:
        made: products of two representations.
        max_bytes: memory that the table and its copies may take.

    Returns:
        ``[alive units of X, alive units of Y]``, and the masks ``[d1]`` and ``[d2]``.

    Raises:
        InterpError: fewer than 2 inputs, or a table that is too large.
    """
    if made.n < 2:
        raise InterpError("correlations of units need at least 2 inputs, got 1")
    if (needed := 4 * 8 * made.xy.numel()) > max_bytes:
        raise InterpError(
            f"matching {made.xy.shape[0]} with {made.xy.shape[1]} units takes {needed:,} bytes, more than max_bytes={max_bytes:,}"
        )
    alive_x, alive_y = made.alive_x, made.alive_y
    scale_x, scale_y = made.xx.diagonal()[alive_x].sqrt(), made.yy.diagonal()[alive_y].sqrt()
    return (made.xy[alive_x][:, alive_y] / scale_x[:, None] / scale_y).clamp(-1, 1), alive_x, alive_y


def _where(mask: Tensor) -> tuple[int, ...]:
    return tuple(mask.nonzero()[:, 0].tolist())


def _left(units: Tensor, matched: Tensor) -> tuple[int, ...]:
    return tuple(sorted(set(units.tolist()) - set(matched.tolist())))
