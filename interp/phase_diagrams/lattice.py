"""The lattice of a phase diagram's cells: which row of the table lies where, and where no network was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interp.phase_diagrams.axes import values_of
from interp.phase_diagrams.scale import Scale


@dataclass(frozen=True)
class Lattice:
    """Every value along one axis with every value along the other.

    Attributes:
        x: scale of the columns.
        y: scale of the rows.
        rows: of the table, by row and column of the lattice; -1: none.
        trained: whether networks were trained just there; elsewhere ``rows`` has the nearest cell.
    """

    x: Scale
    y: Scale
    rows: np.ndarray
    trained: np.ndarray

    @classmethod
    def of(
        cls, table: pd.DataFrame, axes: Sequence[str], logarithmic: Sequence[str] = (), *, fill: bool = False
    ) -> Lattice:
        """The lattice of a table of cells.

        Args:
            table: a row per cell, with a column per axis.
            axes: one setting or two.
            logarithmic: those whose values were spaced evenly in their logarithm.
            fill: a place without a cell takes the nearest one.

        Returns:
            the lattice.
        """
        across, down = axes[0], axes[1] if len(axes) > 1 else None
        places = list(zip(values_of(table, across), values_of(table, down), strict=True))
        x, y = (
            Scale.of((place[side] for place in places), log=axis in logarithmic)
            for side, axis in ((0, across), (1, down))
        )
        rows = np.full((len(y.values), len(x.values)), -1)
        for row, (a, b) in enumerate(places):
            rows[y.values.index(b), x.values.index(a)] = row
        trained = rows >= 0
        return cls(x, y, _nearest(rows, np.array(x.positions), np.array(y.positions)) if fill else rows, trained)


def _nearest(rows: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The cell that is nearest to each place, by the larger of its two distances, then by their sum."""
    down, across = np.nonzero(rows >= 0)
    filled = rows.copy()
    for i, j in zip(*np.nonzero(rows < 0), strict=True):
        distance = np.abs(np.stack([x[across] - x[j], y[down] - y[i]], 1))
        near = np.lexsort((distance.sum(1), distance.max(1)))[0]
        filled[i, j] = rows[down[near], across[near]]
    return filled
