"""Scores of nodes: heads, neurons and other components, each with the change of the metric that a method finds for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from circuits.findings import Findings

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False)
class NodeScores(Findings):
    """How much each node of a network matters, by one method.

    Attributes:
        nodes: a row per node (and position, where these are told apart): ``component``, ``site``, ``pos``, ``effect``: the
            change of the metric, changed minus clean, when the node is replaced; and the method's further columns.
        method: its name.
        metric: the name of the metric.
        clean: its value in the unchanged network.
        value: what replaces a node.
        forward: forward passes over all inputs that the method took.
        backward: backward passes over all inputs.
        by: the column that ranks nodes.
    """

    nodes: pd.DataFrame
    method: str
    metric: str
    clean: float
    value: str
    forward: int
    backward: int
    by: str = "effect"

    @property
    def rows(self) -> pd.DataFrame:
        """`nodes`."""
        return self.nodes

    @property
    def table(self) -> pd.DataFrame:
        """A row per node: ``component, site, index, metric, clean, changed, change``, and the method's own columns."""
        own = self.nodes
        first = {
            "component": own["component"], "site": own["site"], "index": range(len(own)), "metric": self.metric,
            "clean": self.clean, "changed": self.clean + own["effect"], "change": own["effect"],
        }  # fmt: skip
        rest = {str(n): own[n] for n in own.columns if n not in ("component", "site", "effect")}
        return pd.DataFrame({**first, **rest})

    @property
    def summary(self) -> dict[str, Any]:
        """The method, its cost, and the metric of the unchanged network."""
        names = ("method", "metric", "clean", "value", "forward", "backward")
        return {name: getattr(self, name) for name in names} | {"nodes": len(self.nodes)}

    def top(self, n: int) -> pd.DataFrame:
        """The rows of the n nodes that rank first, by size, whatever the sign.

        Args:
            n: how many.

        Returns:
            rows of `nodes`.
        """
        order = np.argsort(-self.nodes[self.by].abs().to_numpy(), kind="stable")
        return self.nodes.iloc[order[:n]]

    def figure(self) -> go.Figure:
        """The nodes that rank first, without those of 0."""
        from circuits.methods.ranked import ranked

        own = self.nodes
        what = "changed minus clean" if self.by == "effect" else self.by.replace("_", " ")
        return ranked(
            _names(own), own[self.by].to_numpy(), method=self.method, of="nodes", value_title=f"{self.metric}, {what}"
        )

    def __repr__(self) -> str:
        own = self.top(3)
        largest = ", ".join(f"{name} {value:.4g}" for name, value in zip(_names(own), own[self.by], strict=True))
        return (
            f"{type(self).__name__} of {len(self.nodes)} nodes by {self.method}: {self.metric} {self.clean:.4g} in the unchanged "
            f"network; the largest in {self.by} are {largest}; {self.forward} forward and {self.backward} backward passes"
        )


def _names(nodes: pd.DataFrame) -> list[str]:
    """Components, with their positions where these are told apart."""
    return [
        f"{row['component']} @ {row['pos']:.0f}" if row.get("pos", float("nan")) >= 0 else str(row["component"])
        for row in nodes.to_dict("records")
    ]
