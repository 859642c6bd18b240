"""The result of a benchmark of methods: a table, curves, and the edges that each method has wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from circuits.findings import Findings
from circuits.methods.faithfulness import Faithfulness, draw

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = ("precision", "recall", "CPR", "CMD")  # of several networks, in the figure


@dataclass(frozen=True, eq=False)
class Benchmark(Findings):
    """Methods of circuit discovery side by side.

    Attributes:
        scores: a row per network and method: ``network, method, edges`` (of the circuit), ``of`` (all edges), ``faithfulness,
            completeness, minimality`` (of the circuit), ``CPR`` (higher is better), ``CMD`` (lower is better), ``precision,
            recall, recall_needed`` (where the circuit is known; NaN elsewhere), ``stability`` (Jaccard index of the circuits
            found on two halves of the inputs), ``forward, backward`` (passes), ``seconds``, and a ``note`` where a method
            could not be run: why.
        missed: a row per known network, method and edge: ``network, method, edge, what`` (``missed`` or ``spurious``).
        curves: by network, the faithfulness over sparsity of every method.
        faithfulness: that circuits must reach.
    """

    scores: pd.DataFrame
    missed: pd.DataFrame
    curves: dict[str, list[Faithfulness]]
    faithfulness: float

    @property
    def rows(self) -> pd.DataFrame:
        """`scores`."""
        return self.scores

    @property
    def table(self) -> pd.DataFrame:
        """A row per network, method and score, as every finding has it; ``clean`` and ``change`` do not apply."""
        long = self.scores.drop(columns=["note"]).melt(["network", "method"], var_name="metric", value_name="changed")
        return pd.DataFrame({
            "component": long["method"], "site": long["network"], "index": range(len(long)), "metric": long["metric"],
            "clean": float("nan"), "changed": long["changed"].astype(float), "change": float("nan"),
        })  # fmt: skip

    @property
    def by_method(self) -> pd.DataFrame:
        """Means over the networks, a row per method."""
        numbers = self.scores.drop(columns=["network", "note"])
        return pd.DataFrame(numbers.groupby("method", sort=False).mean()).reset_index()

    @property
    def summary(self) -> dict[str, Any]:
        """The number of networks, and the method with the lowest mean CMD."""
        best = self.by_method.sort_values("CMD").iloc[0]
        return {
            "networks": len(self.curves), "faithfulness of the circuits": self.faithfulness,
            "lowest mean CMD": f"{best['method']} ({best['CMD']:.4f})",
        }  # fmt: skip

    def figure(self) -> go.Figure:
        """Faithfulness over sparsity of one network; of several the mean precision, recall and areas of every method."""
        from interp.notebook.figure import Figure
        from interp.report import figures

        if len(self.curves) == 1:
            return draw(next(iter(self.curves.values())))
        own, figure = self.by_method, Figure()
        for name in SHOWN:
            figure.add_bar(x=own["method"], y=own[name], name=name)
        title = f"Methods over {len(self.curves)} networks whose circuits are known"
        return figures.style(figure, title, "", "mean over the networks (CMD: lower is better)")

    def __repr__(self) -> str:
        return f"Benchmark of {self.scores['method'].nunique()} methods on {len(self.curves)} networks\n{self.by_method.round(3)}"
