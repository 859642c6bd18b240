"""What similarity arises by chance: inputs permuted or features rotated, and a value's excess over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, require_range
from probes.basis import Basis
from probes.similarity.measures import Measure, measure
from probes.similarity.permutations import permutations, permuted_products
from probes.similarity.products import Products, as_products, products, two


@dataclass(frozen=True)
class Excess:
    """A value beside what chance gives.

    A value that is one more draw from the null lies between the least and the largest of ``draws`` draws in
    ``1 - 2 / (draws + 1)`` of all cases, whatever their distribution: 95 of 100 for 39. That is the interval.

    Attributes:
        value: of the measure.
        null: mean of the draws.
        low: the least of the draws.
        high: the largest of the draws.
        draws: how many.

    >>> found = Excess.of(0.9, [0.1, 0.3])
    >>> round(found.excess, 6), found.beyond
    (0.7, True)
    """

    value: float
    null: float
    low: float
    high: float
    draws: int

    @classmethod
    def of(cls, value: float, draws: Sequence[float] | Tensor) -> Excess:
        """A value beside draws from any null, such as random networks of the architecture.

        Args:
            value: of the measure.
            draws: the same measure under the null.

        Returns:
            The excess.

        Raises:
            InterpError: no draws.
        """
        drawn = [float(one) for one in draws]
        if not drawn:
            raise InterpError("an excess needs at least one draw from the null")
        if any(math.isnan(one) for one in drawn):
            return cls(float(value), math.nan, math.nan, math.nan, len(drawn))
        return cls(float(value), sum(drawn) / len(drawn), min(drawn), max(drawn), len(drawn))

    @property
    def excess(self) -> float:
        """The value less the mean of the null: below 0 for a distance that is smaller than by chance."""
        return self.value - self.null

    @property
    def interval(self) -> tuple[float, float]:
        """The excess over the largest and over the least draw."""
        return self.value - self.high, self.value - self.low

    @property
    def beyond(self) -> bool:
        """Whether the value lies outside the draws; False where anything is NaN."""
        return self.value < self.low or self.value > self.high

    @property
    def coverage(self) -> float:
        """How often a value from the null would lie within the draws."""
        return 1 - 2 / (self.draws + 1)


def permuted(
    name: str | Measure, x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"], *, draws: int = 39, seed: int = 0
) -> Excess:
    """A measure beside its values with the inputs of Y permuted: similarity of representations that share no input.

    What the measure gives for the same two clouds of points without their pairing. It misleads where inputs come in groups
    (the tokens of one text): permute groups yourself and use `Excess.of`. It says nothing about what any two networks of the
    architecture share, trained or not: draw random networks for that.

    Args:
        name: of the measure, or the `Measure`.
        x: one input per row, ``[n, d1]``.
        y: the same inputs, ``[n, d2]``.
        draws: how many permutations.
        seed: of the permutations.

    Returns:
        The value, the null and the excess.

    Raises:
        InterpError: input that the measure refuses, products, which hold no rows to permute, or no draws.

    >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> permuted("cka", x, x).beyond
    True
    """
    chosen = measure(name)
    require_range("draws", draws, 1)
    x, y = two(x, y)
    if chosen.from_products:
        value = chosen.function(products(x, y))
        return Excess.of(value, [chosen.function(made) for made in permuted_products(x, y, draws, seed)])
    orders = permutations(len(x), draws, seed)
    if chosen.under_permutation is not None:
        under = chosen.under_permutation(x, y)
        return Excess.of(under(torch.arange(len(x))), [under(order) for order in orders])
    return Excess.of(chosen.function(x, y), [chosen.function(x, y[order]) for order in orders])


def rotated(
    name: str | Measure,
    x: Float[Tensor, "n d1"] | Products,
    y: Float[Tensor, "n d2"] | None = None,
    *,
    draws: int = 39,
    seed: int = 0,
) -> Excess:
    """A measure beside its values with the features of Y rotated at random: what the axes add to the subspace.

    For measures that look at single units. It misleads for units that are never negative (ReLU): rotation makes them so.

    Args:
        name: of the measure, or the `Measure`.
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.
        draws: how many rotations, uniformly distributed.
        seed: of the rotations.

    Returns:
        The value, the null and the excess.

    Raises:
        InterpError: a measure that no rotation changes, input that it refuses, or no draws.

    >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    >>> rotated("unit_matching", x, -x).beyond
    True
    """
    chosen = measure(name)
    if "rotation" in chosen.invariant_to:
        raise InterpError(
            f"{chosen.name} is the same after any rotation of the features, so rotations are not a null for it: take permuted()"
        )
    require_range("draws", draws, 1)
    seeds = torch.randint(2**62, (draws,), generator=torch.Generator().manual_seed(seed)).tolist()
    if chosen.from_products:
        made = as_products(x, y)
        d = len(made.mean_y)
        turned = (chosen.function(made.rotated(Basis.random(d, d, one).directions)) for one in seeds)
        return Excess.of(chosen.function(made), list(turned))
    rows, others = two(x, y)  # type: ignore[arg-type]  # refuses products and a missing y
    d = others.shape[1]
    values = [chosen.function(rows, others @ Basis.random(d, d, one).directions.to(others)) for one in seeds]
    return Excess.of(chosen.function(rows, others), values)
