"""The result of matching features: a table of features with their status and worth, and of ablations of what only one has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from typing_extensions import override

from circuits.findings import Findings, summary_html
from interp.notebook import tables
from interp.report import figures

if TYPE_CHECKING:
    import plotly.graph_objects as go

STATUS = ("both", "duplicated", "alone", "spurious")


@dataclass(frozen=True, eq=False, repr=False)
class SharedFeatures(Findings):
    """The features of two networks, and what happens without those that only one has.

    Attributes:
        features: a row per network and feature: ``status`` (``both``, ``duplicated``, ``alone``, ``spurious``), its ``match``
            in the other network with the ``correlation``, what is ``explained`` of it beside the ``null``; how many features of
            this network (``here``) and of the other (``there``) are like the match; ``variance``: its share of the activation's;
            ``worth``: the share of the output's variance over the inputs that is lost where it is mean-ablated, beside
            ``random_worth``, the least of random directions; ``loss, accuracy`` without it.
        ablations: a row per network and set that is mean-ablated together: ``only here``, ``both``, and random sets of as
            many features and of as much of the activation's variance: means over draws, with ``_low`` and ``_high``; ``lost``:
            share of the output's variance.
        kind: of feature.
        sites: by network.
        answers: whether there is an accuracy.
        notes: which inputs, and what is left out.
    """

    features: pd.DataFrame
    ablations: pd.DataFrame
    kind: str
    sites: Mapping[str, str]
    answers: bool
    notes: tuple[str, ...]

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """`features`."""
        return self.features

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per feature, as every finding has it: ``changed`` is its worth."""
        own = self.features
        return pd.DataFrame({
            "component": own["network"] + ": " + own["feature"], "site": [self.sites[name] for name in own["network"]],
            "index": own["index"], "metric": "worth", "clean": 0.0, "changed": own["worth"], "change": own["worth"],
            "status": own["status"],
        })  # fmt: skip

    @property
    def counts(self) -> pd.DataFrame:
        """Number of features of each status by network, and the sum of what they are worth one by one."""
        rows = []
        for name in self.sites:
            own = self.features[self.features["network"] == name]
            row: dict[str, Any] = {"network": name, "site": self.sites[name], "features": len(own)}
            for status in STATUS:
                some = own[own["status"] == status]
                row |= {status: len(some), f"worth_{status}": float(np.sum(np.asarray(some["worth"], dtype=float)))}
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def headline(self) -> str:
        """What each network shares with the other, and what it costs to take away what only it has."""
        return "; ".join(str(self.summary[name]) for name in self.sites)

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """By network: the counts in words, and the ablation of what only it has."""
        said: dict[str, Any] = {}
        metric, text = ("accuracy", "{:.1%}") if self.answers else ("loss", "{:.3g}")
        for row in self.counts.to_dict("records"):
            own = self.ablations[self.ablations["network"] == row["network"]].set_index("ablated")
            found = row["both"] + row["duplicated"]
            words = f"{row['network']}: {found} of {row['features']} {self.kind} also in the other"
            extra = [f"{row[s]} {s}" for s in ("duplicated", "spurious") if row[s]]
            words += f" ({', '.join(extra)})" if extra else ""
            if row["alone"] + row["spurious"]:
                value = own.loc["only here"]
                words += f"; without what only it has, {metric} {text.format(value[metric])}"
                words += f" (clean {text.format(value[f'clean_{metric}'])}"
                if "as many at random" in own.index:
                    words += f", as many at random {text.format(own.loc['as many at random'][metric])}"
                words += ")"
            said[str(row["network"])] = words
        return {**said, "notes": "; ".join(self.notes)}

    @override
    def figure(self) -> go.Figure:
        """Worth of every feature against what the other network explains of it (of factors: bars by factor), by status."""
        from interp.notebook.figure import Figure

        figure, own = Figure(), self.features
        if bool(np.isnan(own["explained"].to_numpy(dtype=float)).all()):
            for i, name in enumerate(self.sites):
                some = own[own["network"] == name]
                figure.add_bar(x=some["feature"], y=some["worth"], name=name, marker_color=figures.look(i)[0])
            return figures.style(figure, f"Worth of {self.kind}", "", "share of output variance lost without it")
        marks = dict(zip(self.sites, ("circle", "x"), strict=True))
        for i, status in enumerate(STATUS):
            for name, symbol in marks.items():
                some = own[(own["status"] == status) & (own["network"] == name)]
                if len(some):
                    figure.add_scatter(
                        x=some["explained"], y=some["worth"], mode="markers", name=f"{status}, {name}", text=some["feature"],
                        marker={"symbol": symbol, "color": figures.look(i)[0], "size": 6},
                    )  # fmt: skip
        figures.style(
            figure, f"{self.kind.capitalize()} of both networks", "share of its variance found in the other network",
            "share of output variance lost without it", 420,
        )  # fmt: skip
        return figure

    @override
    def _pieces(self) -> list[Any]:
        return [
            summary_html(self.summary) + tables.table(self.counts) + tables.table(self.ablations),
            self.figure(),
            tables.table(self.features.sort_values("worth", ascending=False), 12),
        ]
