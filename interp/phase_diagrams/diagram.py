"""The phase diagram: a row per cell, with the phase of the majority of its networks."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from interp.errors import InterpError
from interp.phase_diagrams.axes import values_of
from interp.phase_diagrams.confidence import majority_confidence, share_interval
from interp.phase_diagrams.order import UNDECIDED, phase_order

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class PhaseDiagram:
    """The phases of learning over one or two settings, with several networks a cell.

    Attributes:
        table: a row per cell: its settings, ``phase`` (of the majority; undecided where two are equally common), ``networks``,
            how many are of each phase, ``share`` of the majority with Jeffreys' 95% interval ``low`` to ``high``, and
            ``confidence``, the posterior probability that more than half of all networks there are of that phase.
        axes: the settings along the horizontal and the vertical axis.
        networks: a row per network: its settings, when it memorised and generalised, its phase.
        logarithmic: axes whose values were spaced so; others are drawn so where their values are.
        refined: cells are closer where phases meet, and each stands for its neighbourhood.
    """

    table: pd.DataFrame
    axes: tuple[str, ...]
    networks: pd.DataFrame
    logarithmic: tuple[str, ...] = ()
    refined: bool = False

    @property
    def summary(self) -> str:
        """How many cells are of each phase.

        Returns:
            one line.
        """
        counts = Counter(self.table["phase"].tolist())
        cells = ", ".join(f"{counts[p]} {p}" for p in phase_order(counts))
        told = self.table[self.table["phase"] != UNDECIDED]
        sure = sum(confidence >= 0.95 for confidence in told["confidence"].tolist())
        said = f"{len(self.table)} cells, {len(self.networks)} networks: {cells}; {sure} cells have a confidence of at least 0.95"
        short = sum(why == "short" for why in self.networks["why"].tolist()) if "why" in self.networks else 0
        return (
            said if not short else f"{said}; {short} networks were trained too short to tell (more steps, or a limit)"
        )

    def figure(self) -> go.Figure:
        """A heat map to scale: colour is the phase, opacity the confidence; hatched where no network was trained.

        Returns:
            A plotly figure.
        """
        from interp.phase_diagrams.figure import draw

        return draw(self.table, self.axes, self.networks, self.logarithmic, refined=self.refined)

    def save(self, folder: str | Path) -> Path:
        """Write ``cells.csv``, ``networks.csv`` and ``phase_diagram.html``.

        Args:
            folder: where; made if needed.

        Returns:
            The folder.

        Raises:
            InterpError: it cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.table.to_csv(folder / "cells.csv", index=False)
            self.networks.to_csv(folder / "networks.csv", index=False)
            self.figure().write_html(folder / "phase_diagram.html")
        except OSError as error:
            raise InterpError(f"cannot write {folder}: {error.strerror or error}") from None
        return folder

    def __repr__(self) -> str:
        return f"Phase diagram over {' and '.join(self.axes)}: {self.summary}"

    def _repr_html_(self) -> str:
        figure: Any = self.figure()
        return f"<p>{html.escape(repr(self))}</p>{figure._repr_html_()}{self.table.to_html(max_rows=12)}"


def diagram_of(
    networks: pd.DataFrame, axes: Sequence[str], *, logarithmic: Sequence[str] = (), refined: bool = False
) -> PhaseDiagram:
    """The cells of a phase diagram.

    Args:
        networks: a row per network, with ``phase`` and a column per axis.
        axes: one setting or two.
        logarithmic: those whose values were spaced evenly in their logarithm.
        refined: cells are closer where phases meet.

    Returns:
        The diagram.

    >>> table = pd.DataFrame({"lr": [1, 1, 1, 2, 2], "phase": ["grokking", "grokking", "confusion", "grokking", "confusion"]})
    >>> diagram_of(table, ["lr"]).table[["lr", "phase", "networks", "share"]].values.tolist()
    [[1, 'grokking', 3, 0.6666666666666666], [2, 'undecided', 2, 0.5]]
    """
    cells: dict[tuple[Any, ...], list[str]] = {}
    for place, phase in zip(
        zip(*(values_of(networks, a) for a in axes), strict=True), networks["phase"].tolist(), strict=True
    ):
        cells.setdefault(place, []).append(str(phase))
    seen = phase_order(networks["phase"].tolist())
    rows = [{**dict(zip(axes, place, strict=True)), **_cell(found, seen)} for place, found in cells.items()]
    return PhaseDiagram(pd.DataFrame(rows), tuple(axes), networks, tuple(logarithmic), refined)


def _cell(found: Sequence[str], seen: Sequence[str]) -> dict[str, Any]:
    counts, n = Counter(found), len(found)
    (phase, most), *others = counts.most_common()
    tied = bool(others) and others[0][1] == most
    low, high = share_interval(most, n)
    numbers = {"share": most / n, "low": low, "high": high, "confidence": majority_confidence(most, n)}
    return {"phase": UNDECIDED if tied else phase, "networks": n, **{p: counts[p] for p in seen}, **numbers}
