"""SimilarityMap: the similarity of every two networks, beside what chance gives, with figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from interp._util.csv_text import csv_text
from interp.errors import InterpError, UnknownName, unknown
from interp.notebook import tables
from interp.notebook.show import Shown, escaped
from interp.report.data import jsonable
from probes.similarity import Excess, Measure
from probes.similarity_maps import drawing
from probes.similarity_maps.scaling import classical_scaling
from probes.similarity_maps.segments import RepresentationChange

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = 12  # rows of a table in a notebook


@dataclass(frozen=True, eq=False)
class SimilarityMap(Shown):
    """Similarity of every two of K networks, or checkpoints, at one or several layers.

    Attributes:
        measure: of similarity.
        values: by site a table ``[K, K]``, its rows and columns named by network, or by step; NaN where a representation is the
            same for all inputs. Of a measure that is not symmetric (PWCCA) the entry is that from the earlier network to the
            later one.
        excesses: by site and pair of row numbers, the value beside its null; empty without a null.
        null: what the null is, in words; empty without one.
        inputs: which inputs were compared, in words.
        steps: of the rows, where they are checkpoints of one run; None otherwise.
        changes: by site, where along training the representation changes; empty without steps.
        notes: what a reader must know.
    """

    measure: Measure
    values: Mapping[str, pd.DataFrame]
    excesses: Mapping[str, Mapping[tuple[int, int], Excess]] = field(default_factory=dict)
    null: str = ""
    inputs: str = ""
    steps: tuple[int, ...] | None = None
    changes: Mapping[str, Sequence[RepresentationChange]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def sites(self) -> list[str]:
        """The names of the maps: sites, ``last hidden layer``, or ``all layers``."""
        return list(self.values)

    def at(self, site: str | None = None) -> tuple[str, pd.DataFrame]:
        """One of the maps.

        Args:
            site: its name; the last by default.

        Returns:
            Its name and its values.

        Raises:
            UnknownName: no such map.
        """
        site = self.sites[-1] if site is None else site
        if site not in self.values:
            raise UnknownName(unknown("site of the map", str(site), self.values))
        return site, self.values[site]

    @property
    def table(self) -> pd.DataFrame:
        """A row per pair and site: ``a, b, site, value``, and with a null ``null, low, high, excess, beyond``.

        ``null`` is the mean of the null's draws, ``low`` and ``high`` the least and the largest, ``beyond`` whether the value
        lies outside of them.
        """
        rows = []
        for site, frame in self.values.items():
            labels, own = list(frame.index), self.excesses.get(site, {})
            for a in range(len(frame)):
                for b in range(a + 1, len(frame)):
                    row = {"a": labels[a], "b": labels[b], "site": site, "value": float(frame.iat[a, b])}
                    if (one := own.get((a, b))) is not None:
                        row |= {
                            "null": one.null,
                            "low": one.low,
                            "high": one.high,
                            "excess": one.excess,
                            "beyond": one.beyond,
                        }
                    rows.append(row)
        columns = ["a", "b", "site", "value", *(["null", "low", "high", "excess", "beyond"] if self.excesses else [])]
        return pd.DataFrame(rows, columns=pd.Index(columns))

    @property
    def change_table(self) -> pd.DataFrame:
        """A row per change and site: ``site, step, low, high, p_value, explained, drift, abrupt``; see `RepresentationChange`."""
        names = ["step", "low", "high", "p_value", "explained", "drift", "abrupt"]
        rows = [[site, *(getattr(c, n) for n in names)] for site, own in self.changes.items() for c in own]
        return pd.DataFrame(rows, columns=pd.Index(["site", *names]))

    @property
    def summary(self) -> dict[str, Any]:
        """Numbers of networks and inputs, the null, and the most alike pair of each site."""
        found: dict[str, Any] = {
            "networks" if self.steps is None else "checkpoints": len(self.at()[1]), "measure": self.measure.summary,
            "inputs": self.inputs, "null": self.null or "none",
        }  # fmt: skip
        for site in self.sites:
            if self.steps is None:
                found[f"most alike at {site}"] = describe(self.extreme(site))
            else:
                changes = [
                    f"{c.step:,.0f} [{c.low:,}, {c.high:,}]" + ("" if c.abrupt else ", no more than a steady drift")
                    for c in self.changes.get(site, ())
                ]
                found[f"changes at {site}"] = ", ".join(changes) or "none"
        return found

    def extreme(self, site: str | None = None, most: bool = True) -> dict[str, Any]:
        """The row of the table with the most, or the least, alike pair of a site; empty where no value is a number."""
        site, _ = self.at(site)
        rows = self.table
        own = rows[(rows["site"] == site) & rows["value"].notna()]
        if own.empty:
            return {}
        largest = most == self.measure.higher_is_more_alike
        return own.iloc[int(own["value"].argmax() if largest else own["value"].argmin())].to_dict()

    def distances(self, site: str | None = None) -> pd.DataFrame:
        """Distances for an embedding: ``arccos(similarity)``, the angle between kernels for CKA; a distance stays what it is.

        Args:
            site: of the map; the last by default.

        Returns:
            ``[K, K]``, symmetric; rows without a number are left out.
        """
        frame = self.at(site)[1]
        alive = np.isfinite(frame.to_numpy()).sum(1) > 1
        s = frame.to_numpy()[np.ix_(alive, alive)]
        s = np.arccos(s.clip(-1, 1)) if self.measure.higher_is_more_alike else s.copy()
        np.fill_diagonal(s, 0)
        return pd.DataFrame(s, index=frame.index[alive], columns=frame.columns[alive])

    def embedding(self, site: str | None = None, dims: int = 2) -> pd.DataFrame:
        """Networks as points: classical multidimensional scaling of `distances` (see `classical_scaling`).

        Args:
            site: of the map; the last by default.
            dims: number of coordinates.

        Returns:
            A row per network, columns 1 to ``dims``; ``attrs["share"]`` is how much of the distances they hold.
        """
        frame = self.distances(site)
        points, share = classical_scaling(frame.to_numpy(), dims)
        made = pd.DataFrame(points, index=frame.index, columns=pd.Index(range(1, dims + 1)))
        made.attrs["share"] = share
        return made

    def consecutive(self, site: str | None = None) -> pd.DataFrame:
        """Similarity of each checkpoint to the next.

        Args:
            site: of the map; the last by default.

        Returns:
            ``step, next_step, value``.

        Raises:
            InterpError: a map of networks that are not a series of checkpoints.
        """
        if self.steps is None:
            raise InterpError("these networks are not a series of checkpoints: take probes.similarity_over_training")
        values = np.diagonal(self.at(site)[1].to_numpy(), 1)
        return pd.DataFrame({"step": self.steps[:-1], "next_step": self.steps[1:], "value": values})

    def figure(self, site: str | None = None) -> go.Figure:
        """The heat map of a site (the last by default)."""
        site, frame = self.at(site)
        return drawing.heat_map(frame, site, self.measure, self.steps, self.changes.get(site, ()))

    def figures(self, site: str | None = None) -> dict[str, go.Figure]:
        """All figures of a site: the heat map, the embedding, and over training the similarity of consecutive checkpoints.

        Args:
            site: of the map; the last by default.

        Returns:
            Figures by name.
        """
        site, _ = self.at(site)
        drawn = {"map": self.figure(site), "embedding": drawing.scatter(self.embedding(site), site, self.steps)}
        if self.steps is not None:
            drawn["consecutive"] = drawing.line(self.consecutive(site), site, self.measure, self.changes.get(site, ()))
        return drawn

    def save(self, path: str | Path) -> Path:
        """Write the map to a file.

        Args:
            path: ending in ``.csv`` (the table), ``.json`` (table and summary) or ``.html`` (figures and table, offline).

        Returns:
            The path.

        Raises:
            InterpError: another ending, or a folder that cannot be written to.
        """
        if not isinstance(path, (str, Path)):
            raise InterpError(f"the path of a file is needed, got {path!r}")
        path = Path(path)
        writers = {".csv": lambda: csv_text(self.table), ".json": self._json, ".html": self._html}
        if path.suffix not in writers:
            raise InterpError(
                f"{path} must end in .csv (the table), .json (table and summary) or .html (figures and table)"
            )
        try:
            path.write_text(writers[path.suffix](), encoding="utf8")
        except OSError as error:
            raise InterpError(f"{path} cannot be written: {error.strerror or error}") from None
        return path

    def _json(self) -> str:
        return json.dumps(jsonable({"summary": self.summary, "table": self.table.to_dict("records")}), indent=1)

    def _html(self) -> str:
        pages = [one.to_html(full_html=False, include_plotlyjs=i == 0) for i, one in enumerate(self.figures().values())]
        return f"<!doctype html><meta charset='utf8'>{self._said()}{''.join(pages)}{self.table.to_html(index=False)}"

    def _said(self) -> str:
        said = [*(f"{name}: {text}" for name, text in self.summary.items()), *self.notes]
        return f"<p>{'<br>'.join(map(escaped, said))}</p>"

    def _pieces(self) -> list[Any]:
        return [self._said() + tables.table(self.table, SHOWN), *self.figures().values()]

    def __repr__(self) -> str:
        return f"SimilarityMap: {'; '.join(f'{name} {text}' for name, text in self.summary.items())}"


def describe(row: Mapping[str, Any]) -> str:
    """A row of a map's table in words.

    Args:
        row: ``a, b, value``, and with a null ``null, low, high``.

    Returns:
        such as ``a and b: 0.81 (chance 0.12 [0.05, 0.2])``.

    >>> describe({"a": "one", "b": "two", "value": 0.812, "null": 0.12, "low": 0.05, "high": 0.2})
    'one and two: 0.812 (chance 0.120 [0.050, 0.200])'
    """
    if not row:
        return "none: no value is a number"
    chance = f" (chance {row['null']:.3f} [{row['low']:.3f}, {row['high']:.3f}])" if "null" in row else ""
    return f"{row['a']} and {row['b']}: {row['value']:.3f}{chance}"
