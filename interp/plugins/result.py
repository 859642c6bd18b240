"""Result: what an analysis found, ready for a report, a notebook or a file."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp._util.counted import counted
from interp.notebook import tables
from interp.notebook.show import Shown, fold
from interp.pictures import Picture
from interp.plugins.claim import Claim, check_claim, claims_table

FEW = 12  # metrics that a notebook shows unfolded


@dataclass
class Result(Shown):
    """What an analysis found.

    Attributes:
        metrics: plain numbers, strings, lists and None, by name. The names are part of an analysis' contract.
        tables: pandas DataFrames by name; each becomes a CSV file.
        figures: plotly figures by name.
        notes: sentences for the reader: definitions used, what may mislead, what was left out.
        headline: one sentence that states the finding, with its number.
        lead: name of the figure or picture that belongs at the top of a report, if any.
        context: filled in by the host: options, dtype, device, seed, seconds, checkpoint hash, versions.
        pictures: `Picture`s by name; each becomes a PNG file.
        verdict: pairs of label and text, such as ``("test loss", "3.2e-07")``: the few numbers that a reader wants first.
            They stand at the top of the report and on the terminal, in the order of the report. Write numbers with
            `format_metric` or `format_share`, which name what is not a number.
        claims: what it says of the network, each `Claim` with its test and verdict: the argument at the top of a report.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, go.Figure] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    headline: str = ""
    lead: str | None = None
    context: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    verdict: list[tuple[str, str]] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    def _pieces(self) -> list[str | go.Figure]:
        """For a notebook: the finding, its claims and numbers; figures, the lead first; tables and notes, folded."""
        names = sorted(self.figures, key=lambda name: name != self.lead)
        first = f"<p><b>{html.escape(self.headline)}</b></p>" if self.headline else ""
        first += claims_table(self.claims) + self._numbers()
        first += "".join(f"<p>{html.escape(name)}<br>{one.html(name)}</p>" for name, one in self.pictures.items())
        return [first, *(self.figures[name] for name in names), *filter(None, [self._details()])]

    def _numbers(self) -> str:
        metrics = {name: format_metric(value) for name, value in self.metrics.items()}
        table = tables.pairs(metrics)
        return table if len(metrics) <= FEW else fold(f"{len(metrics)} metrics", table)

    def _details(self) -> str:
        """Tables and notes, each behind a line of its own."""
        parts = [fold(f"Table {name}: {_size(t)}", tables.table(t, bars=())) for name, t in self.tables.items()]
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return "".join(parts) + fold("Notes", notes and f"<ul>{notes}</ul>")

    def folded(self) -> str:
        """Claims, metrics, tables and notes as HTML without figures and pictures, which are named."""
        drawn = [f"{len(named)} {kind}: {', '.join(named)}" for kind, named in
                 (("figures", self.figures), ("pictures", self.pictures)) if named]  # fmt: skip
        drawn = [f"<p>{html.escape(text)}</p>" for text in drawn]
        return claims_table(self.claims) + self._numbers() + self._details() + "".join(drawn)

    def __repr__(self) -> str:
        lines = [self.headline] if self.headline else []
        lines += [f"  {name}: {format_metric(value)}" for name, value in self.metrics.items()]
        lines += [f"  table {name} {list(t.shape)}" for name, t in self.tables.items()]
        lines += [f"  figure {name}" for name in self.figures]
        lines += [f"  picture {name}" for name in self.pictures]
        return "\n".join(lines)


def format_metric(value: Any) -> str:
    """A metric as text for a reader: four digits, thousands separated, NaN in words.

    Args:
        value: a number, text, None, or a list of them.

    Returns:
        The text; ``n/a`` for None, ``not a number`` for NaN, ``none`` for an empty list.

    >>> format_metric(3.5197e-07), format_metric(12769), format_metric([23, 6]), format_metric(None)
    ('3.520e-07', '12,769', '23, 6', 'n/a')
    >>> format_metric(float("nan")), format_metric(-float("inf"))
    ('not a number', '-infinite')
    """
    if value is None:
        return "n/a"
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _not_finite(value) or (f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.3e}")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(format_metric, value)) or "none"
    return str(value)


def _size(table: pd.DataFrame) -> str:
    return f"{counted(len(table), 'row')}, {len(table.columns)} columns"


def format_share(value: float | None) -> str:
    """A share between 0 and 1 as a percentage for a reader.

    Args:
        value: the share, or None where it is not known.

    Returns:
        The text; ``n/a`` for None, ``not a number`` for NaN.

    >>> format_share(0.97312), format_share(None), format_share(float("nan"))
    ('97.3%', 'n/a', 'not a number')
    """
    return "n/a" if value is None else _not_finite(value) or f"{value:.1%}"


def _not_finite(value: float) -> str:
    """NaN and infinity in words; empty for a finite number."""
    if math.isnan(value):
        return "not a number"
    return "" if math.isfinite(value) else "infinite" if value > 0 else "-infinite"


def table_file(label: str) -> str:
    """The part of a file's name that comes from a table's or picture's.

    Args:
        label: name of the table or picture.

    Returns:
        The label with every character but letters, digits, - and _ replaced by _.

    >>> table_file("by frequency")
    'by_frequency'
    """
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in label)


def check_result(result: Any) -> None:
    """Refuse what a report could not show, before anything is written.

    Args:
        result: what an analysis returned.

    Raises:
        TypeError: not a Result, or a metric, table, figure, picture, headline, note, verdict line or claim of another type.
        ValueError: a lead that names no figure or picture, two tables that would share one file, or a claim as in
            `check_claim`.
    """
    if not isinstance(result, Result):
        raise TypeError(f"an analysis returns a Result, this one returned {type(result).__name__}")
    for kind, expected in (("tables", pd.DataFrame), ("figures", go.Figure), ("pictures", Picture)):
        for name, item in getattr(result, kind).items():
            if not isinstance(item, expected):
                raise TypeError(f"{kind}[{name!r}] must be a {expected.__name__}, got {type(item).__name__}")
    for name, value in result.metrics.items():
        if not _plain(value):
            raise TypeError(
                f"metrics[{name!r}] must be a plain number, text, None or a list of them, got {type(value).__name__}"
                + ("; .tolist() makes it plain" if hasattr(value, "tolist") else "")
            )
    if not isinstance(result.headline, str):
        raise TypeError(f"the headline must be a text, got {type(result.headline).__name__}")
    if not isinstance(result.notes, (list, tuple)) or not all(isinstance(note, str) for note in result.notes):
        raise TypeError(f"notes must be a list of texts, got {result.notes!r}")
    for line in result.verdict:
        if not (isinstance(line, (tuple, list)) and len(line) == 2 and all(isinstance(part, str) for part in line)):
            raise TypeError(f"a verdict line is a pair of texts, (label, text), got {line!r}")
    shown = [*result.figures, *result.pictures]
    for claim in result.claims:
        check_claim(claim, shown)
    if result.lead is not None and result.lead not in shown:
        raise ValueError(
            f"lead {result.lead!r} names no figure or picture of the result: {', '.join(shown) or 'there are none'}"
        )
    for kind in ("tables", "pictures"):
        files: dict[str, str] = {}
        for name in getattr(result, kind):
            other = files.setdefault(table_file(name), name)
            if other != name:
                raise ValueError(f"{kind} {other!r} and {name!r} would share one file; rename one")


def _plain(value: Any) -> bool:
    """Whether a metric is what JSON and a reader can have: a number (numpy's, too), a text, None, or several of these."""
    if isinstance(value, Mapping):
        return all(_plain(v) for v in value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(_plain, value))
    return value is None or isinstance(value, (str, bool, Number, np.generic))
