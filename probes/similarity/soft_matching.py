"""Soft matching of units: each unit's weight is spread over units of the other network, as in optimal transport."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes.similarity.products import Products, as_products
from probes.similarity.unit_matching import unit_correlations

MAX_COPIES = 2048  # units are copied up to their least common multiple; beyond that the linear program is solved


def soft_matching(
    x: Float[Tensor, "n d1"] | Products, y: Float[Tensor, "n d2"] | None = None, *, signs: bool = True
) -> float:
    """Soft matching correlation: the largest ``sum_ij P_ij |corr(x_i, y_j)|`` over transport plans P.

    P is not negative, its rows sum to 1 / d1 and its columns to 1 / d2, so that networks of different width compare and
    every unit counts. For equal widths it is the assignment of `match_units`. Khosla and Williams 2023, Soft matching
    distance: a metric on neural representations that captures single-neuron tuning, https://arxiv.org/abs/2311.09466; there
    without signs. Units that do not vary are left out. It misleads as unit matching does: compare with `permuted`. It is an
    assignment of lcm(d1, d2) copies of units, under a second up to 2,048, and beyond that a linear program of d1 x d2
    variables: half a second for 127 and 128 units, 3 s for 255 and 256.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.
        signs: whether units of opposite sign match.

    Returns:
        1 for the same units in any order and number of copies; NaN where a representation is constant.

    Raises:
        InterpError: fewer than 2 inputs, or input that `products` refuses.

    >>> import torch
    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    >>> round(soft_matching(x, torch.cat([x, x], dim=1)), 6)  # each unit twice
    1.0
    """
    table = unit_correlations(as_products(x, y))[0]
    if not table.numel():
        return math.nan
    gains = (table.abs() if signs else table).cpu().numpy()
    return float((transport_plan(-gains) * gains).sum())


def soft_matching_distance(x: Float[Tensor, "n d1"] | Products, y: Float[Tensor, "n d2"] | None = None) -> float:
    """Soft matching distance ``sqrt(min_P sum_ij P_ij |x_i - y_j|^2 / n)`` over the transport plans of `soft_matching`.

    Khosla and Williams 2023, https://arxiv.org/abs/2311.09466. A metric on units as they are: X and Y centred but not
    scaled, no signs, units that do not vary included. It misleads where networks differ in scale: divide each by its own
    first. Cost as for `soft_matching`.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.

    Returns:
        In units of the activations: root mean square over units and inputs; 0 for the same units in any order.

    Raises:
        InterpError: input that `products` refuses.

    >>> import torch
    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    >>> round(soft_matching_distance(x, x.flip(1)), 6)
    0.0
    """
    made = as_products(x, y)
    costs = made.xx.diagonal()[:, None] + made.yy.diagonal() - 2 * made.xy
    costs = (costs / made.n).clamp_min(0).cpu().numpy()
    return math.sqrt(float((transport_plan(costs) * costs).sum()))


def transport_plan(costs: np.ndarray) -> np.ndarray:
    """The cheapest transport plan with equal weights on both sides.

    Args:
        costs: of moving from i to j, ``[d1, d2]``.

    Returns:
        A plan ``[d1, d2]`` that is not negative, with rows that sum to 1 / d1 and columns that sum to 1 / d2.

    Raises:
        InterpError: the linear program has not been solved.

    >>> transport_plan(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    from scipy import optimize, sparse

    d1, d2 = costs.shape
    copies = math.lcm(d1, d2)
    if copies <= MAX_COPIES:  # Birkhoff: among the best plans is one that moves whole copies, an assignment
        wide = costs.repeat(copies // d1, axis=0).repeat(copies // d2, axis=1)
        rows, columns = optimize.linear_sum_assignment(wide)
        plan = np.zeros_like(costs)
        np.add.at(plan, (rows // (copies // d1), columns // (copies // d2)), 1 / copies)
        return plan
    sums = sparse.vstack([sparse.kron(sparse.eye(d1), np.ones((1, d2))), sparse.kron(np.ones((1, d1)), sparse.eye(d2))])
    totals = np.concatenate([np.full(d1, 1 / d1), np.full(d2, 1 / d2)])
    found = optimize.linprog(costs.ravel(), A_eq=sums.tocsr(), b_eq=totals, method="highs")
    if found.x is None:
        raise InterpError(f"soft matching of {d1} and {d2} units: scipy's linear program failed: {found.message}")
    return found.x.reshape(d1, d2)
