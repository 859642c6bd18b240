"""The result of stitching: a row per pair of layers, its matrix and its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from typing_extensions import override

from circuits.findings import Findings
from circuits.two_networks.affine_map import AffineMap
from circuits.two_networks.grouped_rows import grouped
from interp.errors import UnknownName, unknown
from interp.report import figures
from interp.sites import short_name

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class Stitching(Findings):
    """Layers of one network in another.

    Attributes:
        found: what `rows` shows, a dict each.
        maps: the fitted maps by (sender, its site, receiver, its site).
        losses: by network, what its loss is.
        notes: which inputs, which split, and what to be careful about.
        answers: whether there is an accuracy.
    """

    found: Sequence[Mapping[str, Any]]
    maps: Mapping[tuple[str, str, str, str], AffineMap] = field(repr=False)
    losses: Mapping[str, str]
    notes: tuple[str, ...]
    answers: bool

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """A row per sender, receiver and pair of sites, all on inputs that no map was fitted to.

        ``explained``: share of the receiver's variance that the map explains; ``loss, accuracy`` of the stitched network;
        ``clean_*`` of the receiver, ``sender_*`` of the sender, ``constant_*`` with the mean activation; ``random_*`` with layers
        of random networks: mean, ``_low`` and ``_high``; ``relative``: 0 as good as those, 1 as good as the clean receiver (by
        accuracy where there is one, otherwise by loss; NaN where both are alike); ``beyond_random``: better than all of them.
        """
        return pd.DataFrame(list(self.found))

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per stitch and metric, as every finding has it: ``component`` is the sender's layer, ``site`` the receiver's."""
        rows = []
        for i, one in enumerate(self.found):
            label = f"{one['sender']} {one['site_from']} in {one['receiver']}"
            for metric in ("loss", "accuracy") if self.answers else ("loss",):
                rows.append({
                    "component": label, "site": one["site_to"], "index": i, "metric": metric,
                    "clean": one[f"clean_{metric}"], "changed": one[metric],
                    "change": one[metric] - one[f"clean_{metric}"], "random": one[f"random_{metric}"],
                    "constant": one[f"constant_{metric}"],
                })  # fmt: skip
        return pd.DataFrame(rows)

    def matrix(self, column: str | None = None, *, sender: str | None = None) -> pd.DataFrame:
        """One column by the layers of the sender (rows) and of the receiver (columns).

        Args:
            column: of `rows`; the stitched accuracy by default, the loss where there is none.
            sender: which network sends; the first by default.

        Returns:
            a number per pair of layers.

        Raises:
            UnknownName: there is no such column.
        """
        rows, column = self.rows, column or self.metric
        if column not in rows:
            raise UnknownName(unknown("column of a stitching", column, list(rows)))
        own = rows[rows["sender"] == (sender or rows["sender"].iloc[0])]
        return own.pivot_table(column, "site_from", "site_to", sort=False)

    @property
    def metric(self) -> str:
        """What stitches are judged by first."""
        return "accuracy" if self.answers else "loss"

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """The best stitch in each direction, in words, and notes."""
        said = {}
        for (sender, receiver), own in grouped(self.rows, ["sender", "receiver"]):
            best = own.loc[own[self.metric].idxmax() if self.answers else own[self.metric].idxmin()]
            said[f"{sender} in {receiver}"] = in_words(best.to_dict(), self.metric)
        return {**said, "notes": "; ".join(self.notes)}

    @override
    def figure(self) -> go.Figure:
        """Stitched, clean, random and constant side by side; layer by layer, or as a heat map of the first direction."""
        rows, name = self.rows, self.metric
        title = "Stitched " + ("accuracy" if self.answers else "loss")
        if len(rows) > 4 and not rows.duplicated(["sender", "site_from"]).any():
            return self._by_layer(title)
        if len(rows) > 4:
            grid = self.matrix()
            first = rows.iloc[0]
            return figures.heatmap(
                grid.to_numpy(), x=list(grid.columns), y=list(grid.index), title=title, unit=name,
                x_title=f"layer of {first['receiver']}", y_title=f"layer of {first['sender']}",
            )  # fmt: skip
        from interp.notebook.figure import Figure

        figure = Figure()
        labels = [f"{r['sender']} in {r['receiver']}" for _, r in rows.iterrows()]
        for i, (column, shown) in enumerate(
            ((name, "stitched"), (f"clean_{name}", "clean receiver"), (f"random_{name}", "random network's layer"),
             (f"constant_{name}", "mean activation"))
        ):  # fmt: skip
            spread = None
            if column.startswith("random"):
                up, down = rows[f"{column}_high"] - rows[column], rows[column] - rows[f"{column}_low"]
                spread = {"type": "data", "array": up, "arrayminus": down}
            figure.add_bar(x=labels, y=rows[column], name=shown, marker_color=figures.look(i)[0], error_y=spread)
        figures.style(figure, title, "", f"{name} on judged inputs")
        return figure

    def _by_layer(self, title: str) -> go.Figure:
        """A curve per direction, and the random networks'."""
        curves = {}
        for (sender, receiver), own in grouped(self.rows, ["sender", "receiver"]):
            place = [short_name(site) for site in own["site_to"]]
            curves[f"{sender} in {receiver}"] = (place, np.asarray(own[self.metric], dtype=float))
            curves[f"random in {receiver}"] = (place, np.asarray(own[f"random_{self.metric}"], dtype=float))
        drawn = figures.lines(
            curves, title=title, x_title="layer", y_title=f"{self.metric} on judged inputs", markers=True
        )
        return drawn.update_layout(height=420, legend_y=-0.35)


def in_words(row: Mapping[Any, Any], metric: str) -> str:
    """A stitch as a phrase: its metric beside the clean receiver's and the random networks'."""
    text = "{:.1%}" if metric == "accuracy" else "{:.3g}"
    own, clean, random = (text.format(row[name]) for name in (metric, f"clean_{metric}", f"random_{metric}"))
    beside = "" if np.isnan(float(row[f"random_{metric}"])) else f", random networks {random}"
    return f"{metric} {own} (clean {clean}{beside})"
