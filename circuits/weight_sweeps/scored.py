"""What every weight sweep gives: measures of each change, and scores over all changes with intervals."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.findings import Findings
from circuits.weight_sweeps import change_measures
from circuits.weight_sweeps.directions import Direction
from interp.errors import InterpError, require_range
from interp.notebook import tables
from interp.notebook.show import escaped
from probes.wilson_interval import wilson

if TYPE_CHECKING:
    import plotly.graph_objects as go

SCORE = ("median, or rank as a share", "value", "95% from", "to")


@dataclass(frozen=True)
class Score:
    """A measure over many changes, with its 95% interval.

    Attributes:
        value: the median, the rank as a share, or the share of dead directions.
        low: end of the interval.
        high: end of the interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


class ScoredSweep(Findings):
    """How a network's output changed along each direction, and scores over all changes.

    Attributes:
        MEASURES: of a change, columns of ``measured``; scores are their medians.
        WHAT: what changes, in words.
        directions: what the weights were moved along.
        steps: how far, ``[direction, step]``.
        measured: one row per direction and step: ``direction``, ``name``, ``layer``, ``step``, ``mean_square`` of the change,
            and each of ``MEASURES``.
    """

    MEASURES: ClassVar[Sequence[str]]
    WHAT: ClassVar[str]

    directions: Sequence[Direction]
    steps: Tensor
    measured: pd.DataFrame

    @property
    @abstractmethod
    def smallest(self) -> float:
        """The mean square below which a change is left out."""

    @abstractmethod
    def kept_rows(self) -> Tensor:
        """Rows of ``measured`` whose changes were kept for their rank."""

    @abstractmethod
    def inner_products(self, rows: Sequence[int]) -> Float[Tensor, "m m"]:
        """Inner products of some kept changes, each scaled to length 1; ``rows`` of ``measured``."""

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """`measured`."""
        return self.measured

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per direction and step: ``component, site, index, metric, clean, changed, change``, and all of ``measured``.

        The metric is the mean squared change of the output.
        """
        own, size = self.measured, self.measured["mean_square"]
        first = {
            "component": own["name"], "site": own["name"].str.replace(r"\[.*\]$", "", regex=True), "index": own["direction"],
            "metric": "mean_square", "clean": 0.0, "changed": size, "change": size,
        }  # fmt: skip
        return pd.DataFrame({**first, **own})

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """Numbers of directions and changes, and all scores with their intervals."""
        counts = {"directions": len(self.directions), "changes": len(self.measured), "counted": len(self.counted())}
        return counts | {name: str(score) for name, score in self.scores().items()}

    @override
    def figure(self) -> go.Figure:
        """Every counted change: its size, and the first of ``MEASURES`` that applies."""
        from interp.report import figures

        own = self.counted()
        shown = next((m for m in self.MEASURES if np.isfinite(own[m].to_numpy(dtype=float)).any()), self.MEASURES[0])
        drawn = figures.lines(
            {}, title=f"Changes of the {self.WHAT}", x_title="root mean square of the change",
            y_title=shown.replace("_", " "),
        )  # fmt: skip
        drawn.add_scatter(
            x=own["mean_square"].to_numpy() ** 0.5, y=own[shown], mode="markers", marker={"size": 5},
            text=[f"{n} {s:+g}" for n, s in zip(own["name"], own["step"], strict=True)], showlegend=False,
        )  # fmt: skip
        return drawn.update_xaxes(type="log")

    def counted(self) -> pd.DataFrame:
        """The rows of ``measured`` whose change is not small (mean square of at least ``smallest``)."""
        return self.measured.query(f"mean_square >= {self.smallest}")

    def scores(self, n: int | None = None, seed: int = 0) -> dict[str, Score]:
        """Medians of the measures over the counted changes, and the rank of the changes as a share of their number.

        Args:
            n: of at most this many changes, those of whole directions drawn at random; the rank's share compares only at
                equal numbers.
            seed: of the choice and of the bootstrap.

        Returns:
            by name: the measures that apply, and ``change_rank_share``; empty where nothing changed.
        """
        rows = self.counted()
        rows = rows.loc[rows.index.intersection(self.kept_rows().tolist())]
        if n is not None and n < len(rows):
            rows = _whole_directions(rows, n, seed)
        if rows.empty:
            return {}
        groups = torch.tensor(rows["direction"].to_numpy())
        found = {}
        for name in self.MEASURES:
            values = torch.tensor(rows[name].to_numpy(), dtype=torch.float64)
            known = ~values.isnan()
            if known.any():
                values, own = values[known], groups[known]
                found[name] = Score(float(values.quantile(0.5)), *change_measures.bootstrap_median(values, own, seed))
        inner = self.inner_products([int(i) for i in rows.index])
        interval = change_measures.jackknife_rank(inner, groups)
        found["change_rank_share"] = Score(change_measures.rank_of(inner), *interval)
        return found

    def dead_share(self, smallest: float | None = None) -> Score:
        """Share of the directions along which nothing changes: no step changes the output by a mean square of ``smallest``.

        Many dead directions say that much of a network is not in use (Mikovic 2025 sees them in wide networks). How far a step
        of 1 goes depends on the size of the weights; compare at several thresholds.

        Args:
            smallest: mean square; that of the sweep (`smallest`) by default.

        Returns:
            The share with its Wilson interval (`probes.wilson_interval`).

        Raises:
            InterpError: a bound that is not above 0.
        """
        least = self.smallest if smallest is None else smallest
        require_range("smallest", least, 1e-300)
        largest = pd.Series(self.measured.groupby("direction")["mean_square"].max()).to_numpy(dtype=float)
        count = int((largest < least).sum())
        return Score(count / len(largest), *wilson(count, len(largest)))

    def by_effect(self, share: float) -> int:
        """The direction at a place when the counted ones are ordered by the size of their change.

        Args:
            share: the place, from 0 (the smallest change) to 1 (the largest).

        Returns:
            its index in ``directions``.

        Raises:
            InterpError: nothing changed, so there is none; or a share that is none.
        """
        require_range("share", share, 0, 1)
        order = pd.Series(self.counted().groupby("direction")["mean_square"].max()).sort_values()
        if order.empty:
            raise InterpError(
                f"no direction of the sweep changes the {self.WHAT} by a mean square of {self.smallest:.0e} or more"
            )
        return int(order.index[round(share * (len(order) - 1))])

    @override
    def _pieces(self) -> list[Any]:
        scores = {name.replace("_", " "): [s.value, s.low, s.high] for name, s in self.scores().items()}
        frame = pd.DataFrame([[name, *values] for name, values in scores.items()], columns=pd.Index(SCORE))
        notes = "".join(f"<p>{escaped(note)}</p>" for note in getattr(self, "notes", ()))
        return [f"<p><b>{escaped(self._head())}</b></p>{tables.table(frame, rows=len(frame))}{notes}", self.figure()]

    def _head(self) -> str:
        counted = f"{len(self.counted()):,} of {len(self.measured):,} changes counted"
        return f"{type(self).__name__} of {len(self.directions):,} directions, {counted}"

    def __repr__(self) -> str:
        return "\n  ".join([self._head(), *(f"{name}: {score}" for name, score in self.scores().items())])


def frame_of(
    directions: Sequence[Direction], steps: Tensor, layers: dict[str, int], columns: dict[str, Tensor]
) -> pd.DataFrame:
    """The table of a sweep: a row per direction and step.

    Args:
        directions: in their order.
        steps: ``[direction, step]``.
        layers: place of each parameter.
        columns: measures ``[direction, step]`` by name.

    Returns:
        ``direction``, ``name``, ``layer`` (-1 for the whole network), ``step`` and the measures.
    """
    k = steps.shape[1]
    return pd.DataFrame(
        {
            "direction": [i for i in range(len(directions)) for _ in range(k)],
            "name": [str(d) for d in directions for _ in range(k)],
            "layer": [layers[d.parameter] if d.parameter else -1 for d in directions for _ in range(k)],
            "step": steps.flatten().numpy(),
            **{name: values.flatten().numpy() for name, values in columns.items()},
        }
    )


def _whole_directions(rows: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """The changes of randomly drawn directions, at most ``n`` changes."""
    counts = pd.Series(rows.groupby("direction").size()).sample(frac=1, random_state=seed)
    within = counts.cumsum().to_numpy() <= n
    chosen = counts.index.to_numpy()[within].tolist()
    return rows.loc[[index for index, direction in rows["direction"].items() if direction in set(chosen)]]
