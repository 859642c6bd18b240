"""The result of a weight sweep of an image network: measures of every change, scores over all, and films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from circuits.findings import Findings
from circuits.weight_sweeps import change_measures
from circuits.weight_sweeps.change_measures import SMALL
from circuits.weight_sweeps.directions import Direction
from circuits.weight_sweeps.render import Renderer
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.pictures import Picture, sheet

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Score:
    """A measure over many changes, with its 95% interval.

    Attributes:
        value: the median, or the rank as a share.
        low: end of the interval.
        high: end of the interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass
class Sweep(Findings):
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

    cppn: HookedCPPN
    directions: Sequence[Direction]
    steps: Tensor
    measured: pd.DataFrame
    settled: int
    size: int
    _changes: Tensor = field(repr=False)  # [change, features] of the rows of `_kept`
    _kept: Tensor = field(repr=False)

    @property
    def rows(self) -> pd.DataFrame:
        """`measured`."""
        return self.measured

    @property
    def table(self) -> pd.DataFrame:
        """A row per direction and step: ``component, site, index, metric, clean, changed, change``, and all of ``measured``.

        The metric is the mean squared change of the picture.
        """
        own, size = self.measured, self.measured["mean_square"]
        first = {
            "component": own["name"], "site": own["name"].str.replace(r"\[.*\]$", "", regex=True), "index": own["direction"],
            "metric": "mean_square", "clean": 0.0, "changed": size, "change": size,
        }  # fmt: skip
        return pd.DataFrame({**first, **own})

    @property
    def summary(self) -> dict[str, Any]:
        """Numbers of directions and changes, and all scores with their intervals."""
        counts = {"directions": len(self.directions), "changes": len(self.measured), "counted": len(self.counted())}
        return counts | {name: str(score) for name, score in self.scores().items()}

    def figure(self) -> go.Figure:
        """Every counted change: its size, and its antisymmetric share (0: fully symmetric; 0.5: unrelated halves)."""
        from interp.report import figures

        own = self.counted()
        drawn = figures.lines(
            {}, title="Changes of the picture", x_title="root mean square of the change", y_title="antisymmetric share"
        )
        drawn.add_scatter(
            x=own["mean_square"].to_numpy() ** 0.5, y=own["antisymmetric_share"], mode="markers", marker={"size": 5},
            text=[f"{n} {s:+g}" for n, s in zip(own["name"], own["step"], strict=True)], showlegend=False,
        )  # fmt: skip
        return drawn.update_xaxes(type="log")

    def counted(self) -> pd.DataFrame:
        """The rows of ``measured`` whose change is not small (mean square of at least 1e-4)."""
        return self.measured.query(f"mean_square >= {SMALL}")

    def scores(self, n: int | None = None, seed: int = 0) -> dict[str, Score]:
        """Medians of the measures over the counted changes, and the rank of the changes as a share of their number.

        Args:
            n: of at most this many changes, those of whole directions drawn at random; the rank's share compares only at
                equal numbers.
            seed: of the choice and of the bootstrap.

        Returns:
            by name: the measures of `circuits.weight_sweeps.change_measures.MEASURES`, and ``change_rank_share``; empty where
            nothing changed.
        """
        rows = self.counted()
        rows = rows.loc[rows.index.intersection(self._kept.tolist())]
        if n is not None and n < len(rows):
            rows = _whole_directions(rows, n, seed)
        if rows.empty:
            return {}
        groups = torch.tensor(rows["direction"].to_numpy())
        found = {}
        for name in change_measures.MEASURES:
            values = torch.tensor(rows[name].to_numpy(), dtype=torch.float64)
            found[name] = Score(float(values.quantile(0.5)), *change_measures.bootstrap_median(values, groups, seed))
        place = {int(row): i for i, row in enumerate(self._kept.tolist())}
        inner = change_measures.gram(self._changes[[place[int(i)] for i in rows.index]])
        interval = change_measures.jackknife_rank(inner, groups)
        found["change_rank_share"] = Score(change_measures.rank_of(inner), *interval)
        return found

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

    def by_effect(self, share: float) -> int:
        """The direction at a place when the counted ones are ordered by the size of their change.

        Args:
            share: the place, from 0 (the smallest change) to 1 (the largest).

        Returns:
            its index in ``directions``.

        Raises:
            InterpError: nothing changed, so there is none.
        """
        order = pd.Series(self.counted().groupby("direction")["mean_square"].max()).sort_values()
        if order.empty:
            raise InterpError("no direction of the sweep changes the picture by a mean square of 1e-4 or more")
        return int(order.index[round(share * (len(order) - 1))])

    def __repr__(self) -> str:
        lines = [f"{name}: {score}" for name, score in self.scores().items()]
        head = (
            f"Sweep of {len(self.directions)} directions, {len(self.counted())} of {len(self.measured)} changes counted"
        )
        return "\n  ".join([head, *lines])


def _whole_directions(rows: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """The changes of randomly drawn directions, at most ``n`` changes."""
    counts = pd.Series(rows.groupby("direction").size()).sample(frac=1, random_state=seed)
    within = counts.cumsum().to_numpy() <= n
    chosen = counts.index.to_numpy()[within].tolist()
    return rows.loc[[index for index, direction in rows["direction"].items() if direction in set(chosen)]]


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
