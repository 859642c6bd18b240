"""Findings: the protocol of every experiment's result: a tidy table, a summary, a figure and a file."""

from __future__ import annotations

import html
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from typing_extensions import override

from interp._util.csv_text import csv_text
from interp.errors import InterpError
from interp.notebook import tables
from interp.notebook.show import Shown, as_html
from interp.report.data import jsonable

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS = ("component", "site", "index", "metric", "clean", "changed", "change")
SHOWN = 12  # rows of a table in a notebook
MAPPED = 60  # rows of a heat map, those with the largest effects


class Findings(Shown, ABC):
    """The result of an experiment.

    Attributes:
        table: tidy, a row per component and metric: ``component, site, index, metric, clean, changed, change``, and
            further columns of the experiment's own.
        summary: single numbers and texts: clean values, what the sign of a change means, scores of a circuit.

    A finding shows itself in a notebook as its summary, the rows of its table with the largest effects, and its figure.
    """

    @property
    @abstractmethod
    def table(self) -> pd.DataFrame:
        """A row per component and metric: ``component, site, index, metric, clean, changed, change``."""

    @property
    def rows(self) -> pd.DataFrame:
        """The experiment's own table, in its own columns; the tidy one if it has no other."""
        return self.table

    @property
    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """Single numbers and texts, by name."""

    @abstractmethod
    def figure(self) -> go.Figure:
        """One plotly figure of the result."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {'; '.join(f'{k} {v}' for k, v in _flat(self.summary) if str(v))}"

    def save(self, path: str | Path) -> Path:
        """Write the result to a file.

        Args:
            path: ending in ``.csv`` (the tidy table), ``.json`` (table and summary) or ``.html`` (figure and table, offline).

        Returns:
            the path.

        Raises:
            InterpError: another ending, or a folder that cannot be written to.
        """
        path = as_path(path)
        writers = {".csv": self._csv, ".json": self._json, ".html": self._html}
        if path.suffix not in writers:
            raise InterpError(
                f"{path} must end in .csv (the table), .json (table and summary) or .html (figure and table)"
            )
        text = writers[path.suffix]()
        try:
            path.write_text(text, encoding="utf8")
        except OSError as error:
            raise InterpError(f"{path} cannot be written: {error.strerror or error}") from None
        return path

    def _csv(self) -> str:
        return csv_text(self.table)

    def _json(self) -> str:
        return json.dumps(jsonable({"summary": self.summary, "table": self.table.to_dict("records")}), indent=1)

    def _html(self) -> str:
        page = self.figure().to_html(full_html=False, include_plotlyjs=True)
        rows = self.table.to_html(
            index=False, float_format=lambda x: f"{x + 0.0:.6g}"
        )  # neither -0.0 nor 0.000000 for 1e-7
        return f"<!doctype html><meta charset='utf8'>{page}{summary_html(self.summary)}{rows}"

    def _pieces(self) -> list[Any]:
        return [summary_html(self.summary) + tables.table(self.rows, SHOWN, largest=True), self.figure()]


class EffectTable(Findings, pd.DataFrame):
    """A wide table of effects: a pandas DataFrame that also follows the protocol of `Findings`.

    ``attrs["clean"]`` holds the unchanged network's value of every metric; a metric ``m`` has the columns ``m`` and
    ``m_change``. A query, a sorted table or a copy of it is an EffectTable too.
    """

    @property
    @override
    def _constructor(self) -> type[EffectTable]:
        return EffectTable

    @classmethod
    def of(
        cls, frame: pd.DataFrame, *, clean: Mapping[str, float], label: str = "component", **summary: Any
    ) -> EffectTable:
        """A frame with what the protocol needs in addition.

        Args:
            frame: a row per component.
            clean: the unchanged network's value of every metric that is a column of the frame.
            label: the column that names a row.
            **summary: further single values, such as ``sign``.

        Returns:
            the same rows and columns, as an EffectTable.
        """
        made = cls(frame)
        made.attrs = {"clean": dict(clean), **summary, "label": label}
        return made

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """The same as a plain DataFrame."""
        return pd.DataFrame(self)

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per component and metric: ``component, site, index, metric, clean, changed, change``."""
        plain = self.rows
        label, clean = self.attrs.get("label", "component"), self.attrs.get("clean", {})
        given = {"component": label, "site": "site", "index": "index"}
        ids = {new: plain[old] for new, old in given.items() if old in plain}
        ids.setdefault("site", pd.Series("", index=plain.index))
        ids.setdefault("index", pd.Series(range(len(plain)), index=plain.index))
        used = {*given.values(), *clean, *(f"{m}_change" for m in clean)}
        extra = {name: plain[name] for name in plain.columns if name not in used}
        parts = []
        for metric, value in clean.items():
            if metric not in plain:
                continue
            numbers = {"metric": metric, "clean": value, "changed": plain[metric], "change": plain[metric] - value}
            parts.append(pd.DataFrame({**ids, **numbers, **extra}, index=plain.index))
        if not parts:
            return pd.DataFrame(columns=pd.Index(COLUMNS))
        tidy = pd.concat(parts, ignore_index=True)
        return tidy.reindex(columns=pd.Index([*COLUMNS, *extra]))

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """Clean values by metric, and the experiment's other single values."""
        return {str(name): value for name, value in self.attrs.items() if name != "label"}

    @override
    def figure(self) -> go.Figure:
        """The first metric's change by component, largest first (grey: random directions), or by component and position."""
        from interp.report import figures

        metric = next(iter(self.attrs.get("clean", {})), "")
        rows = [row for row in self.table.to_dict("records") if row["metric"] == metric]
        if "pos" in self:
            return _by_position([row for row in rows if not row.get("baseline")], metric)
        random = [row["change"] for row in rows if row.get("baseline")]
        own = sorted((row for row in rows if not row.get("baseline")), key=lambda row: -abs(row["change"]))
        drawn = figures.bars(
            [str(row["component"]) for row in own], [row["change"] for row in own], title=f"Change of the {metric}",
            x_title="", y_title=f"{metric}, changed minus clean",
        )  # fmt: skip
        for value in random:
            drawn.add_hline(y=value, line={"color": figures.GREY, "width": 0.5})
        return drawn.update_yaxes(exponentformat="power")

    @override
    def _pieces(self) -> list[Any]:
        return [summary_html(self.summary) + tables.table(self.rows, SHOWN, largest=True)]

    __repr__ = pd.DataFrame.__repr__  # pyright: ignore[reportAssignmentType]  the class is a DataFrame, too

    @override
    def _repr_html_(self) -> str:  # pandas has one of its own
        return as_html(self._pieces())


def _by_position(rows: Sequence[Mapping[str, Any]], metric: str) -> go.Figure:
    from interp.report import figures

    across = sorted({row["pos"] for row in rows})
    grid: dict[Any, list[float]] = {}
    for row in rows:
        grid.setdefault(row["component"], [float("nan")] * len(across))[across.index(row["pos"])] = row["change"]
    ranked = sorted(grid, key=lambda name: -max(abs(value) for value in grid[name]))[:MAPPED]
    shown = [name for name in grid if name in ranked]
    return figures.heatmap(
        [grid[name] for name in shown], x=[str(pos) for pos in across], y=[str(name) for name in shown], x_title="position",
        y_title="", title=f"Change of the {metric} by component and position", unit=f"{metric}, changed minus clean",
        diverging=True,
    )  # fmt: skip


def as_path(given: str | Path) -> Path:
    """The path of a file.

    Args:
        given: a text or a path.

    Returns:
        the path.

    Raises:
        InterpError: something else.
    """
    if not isinstance(given, (str, PathLike)):
        raise InterpError(f"the path of a file is needed, got {given!r}")
    return Path(given)


def summary_html(summary: Mapping[str, Any]) -> str:
    """Single values as one escaped paragraph."""
    return f"<p>{html.escape('; '.join(f'{k}: {v}' for k, v in _flat(summary) if str(v)))}</p>"


def _flat(summary: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in summary.items():
        if isinstance(value, Mapping):
            yield from ((f"{name} {k}", f"{v:.4g}" if isinstance(v, float) else v) for k, v in value.items())
        else:
            yield name, f"{value:.4g}" if isinstance(value, float) else value
