"""The result of a weight sweep of an image network, with films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.weight_sweeps import change_measures
from circuits.weight_sweeps.change_measures import SMALL
from circuits.weight_sweeps.directions import Direction
from circuits.weight_sweeps.render import Renderer
from circuits.weight_sweeps.scored import ScoredSweep
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.pictures import Picture, sheet


@dataclass(repr=False)
class Sweep(ScoredSweep):
    """How the picture changed along each direction. No pictures are kept: `film` draws them again.

    Attributes:
        cppn: the network, unchanged.
        directions: what its weights were moved along.
        steps: how far, ``[direction, step]``.
        measured: one row per direction and step: ``direction``, ``name``, ``layer``, ``step``, ``mean_square`` of the change,
            and each of `circuits.weight_sweeps.change_measures.MEASURES`.
        settled: number of directions that needed no rendering, since the picture does not depend on them.
        size: pixels along each edge at which the changes were measured.
    """

    MEASURES: ClassVar[Sequence[str]] = tuple(change_measures.MEASURES)
    WHAT: ClassVar[str] = "picture"

    cppn: HookedCPPN
    directions: Sequence[Direction]
    steps: Tensor
    measured: pd.DataFrame
    settled: int
    size: int
    _changes: Tensor = field(repr=False)  # [change, features] of the rows of `_kept`
    _kept: Tensor = field(repr=False)

    @property
    @override
    def smallest(self) -> float:
        """A mean square of 1e-4."""
        return SMALL

    @override
    def kept_rows(self) -> Tensor:
        return self._kept

    @override
    def inner_products(self, rows: Sequence[int]) -> Float[Tensor, "m m"]:
        place = {int(row): i for i, row in enumerate(self._kept.tolist())}
        return change_measures.gram(self._changes[[place[i] for i in rows]])

    def film(self, i: int, steps: Sequence[float] | None = None, size: int = 128) -> Picture:
        """The pictures along direction ``i``, from left to right, with the steps under them.

        Args:
            i: which direction.
            steps: by default seven, from the furthest step back to the furthest forward.
            size: pixels along each edge of a picture.

        Returns:
            one picture.

        Raises:
            InterpError: no such direction.
        """
        if not -len(self.directions) <= i < len(self.directions):
            raise InterpError(
                f"the sweep has {len(self.directions)} directions, 0 to {len(self.directions) - 1}, got {i}"
            )
        far = float(self.steps[i].abs().max())
        steps = [far * k / 3 for k in range(-3, 4)] if steps is None else list(steps)
        return film(Renderer(self.cppn, size), self.directions[i], steps)


def film(renderer: Renderer, direction: Direction, steps: Sequence[float]) -> Picture:
    """The pictures along one direction in a row, with the steps under them.

    Args:
        renderer: of the network.
        direction: along which its weights move.
        steps: how far.

    Returns:
        one picture.
    """
    (block,) = renderer.pictures([direction], torch.tensor(list(steps), dtype=torch.float64))
    drawn = block.pictures if block.pictures is not None else renderer.base.expand(1, len(steps), *renderer.base.shape)
    tiles = [Picture(p.permute(1, 2, 0)) for p in drawn[0]]
    return sheet([tiles], [[f"{s:+.3g}" if s else "0" for s in steps]])
