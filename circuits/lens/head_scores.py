"""Scores of attention heads: numbers per head, each beside what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.findings import Findings
from interp.report import figures

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(repr=False, eq=False)
class HeadScores(Findings):
    """Numbers per head.

    Attributes:
        scores: by name, ``[layer, head]``.
        baseline: what each is compared with, by name.
        site: hook point in a layer that the scores are of.
        notes: single values that a reader must know.
        eigenvalues: of every head's circuit ``[layer, head, d_head]``, where the scores come from these; otherwise None.
        unit: of the scores.
    """

    scores: Mapping[str, Float[Tensor, "layer head"]]
    baseline: Mapping[str, float]
    site: str
    notes: Mapping[str, Any] = field(default_factory=dict)
    eigenvalues: Tensor | None = field(default=None, repr=False)
    unit: str = "score"

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """A row per head, a column per score."""
        first = next(iter(self.scores.values()))
        heads = [(layer, head) for layer in range(first.shape[0]) for head in range(first.shape[1])]
        frame = pd.DataFrame({"head": [f"L{layer}H{head}" for layer, head in heads]})
        for name, values in self.scores.items():
            frame[name] = values.flatten().cpu().numpy()
        return frame

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per head and score; ``clean`` is what it is compared with."""
        rows = []
        for name, values in self.scores.items():
            clean = self.baseline[name]
            for layer, of_layer in enumerate(values.tolist()):
                for head, value in enumerate(of_layer):
                    rows.append({
                        "component": f"L{layer}H{head}", "site": f"blocks.{layer}.{self.site}", "index": head, "metric": name,
                        "clean": clean, "changed": value, "change": value - clean,
                    })  # fmt: skip
        return pd.DataFrame(rows)

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """The head with the largest value of each score, and what it is compared with."""
        found: dict[str, Any] = {}
        for name, values in self.scores.items():
            layer, head = divmod(int(values.nan_to_num(-float("inf")).argmax()), values.shape[1])
            found[name] = f"L{layer}H{head} {float(values[layer, head]):.3f} (against {self.baseline[name]:.3f})"
        return {**found, **self.notes}

    @override
    def figure(self) -> go.Figure:
        """Heads down, scores across."""
        rows = self.rows
        figure = figures.heatmap(
            rows[list(self.scores)].to_numpy(), title="Scores of heads", x_title="", y_title="", x=list(self.scores),
            y=list(rows["head"]), diverging=self.eigenvalues is not None, unit=self.unit,
        )  # fmt: skip
        if self.eigenvalues is None:  # shares: on a scale of their own a head that is uniform would stand out
            figure.update_traces(zmin=0, zmax=1).update_yaxes(autorange="reversed")
        return figure
