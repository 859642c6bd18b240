"""The result of causal scrubbing: what a hypothesis recovers of a metric, over several draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from torch import Tensor

from circuits.findings import Findings

if TYPE_CHECKING:
    import plotly.graph_objects as go

Feature = Callable[[Tensor], Tensor] | Tensor | None  # of inputs; None: all of them


@dataclass(frozen=True, eq=False)
class Scrubbed(Findings):
    """A hypothesis tested by causal scrubbing.

    Attributes:
        draws: a row per draw: ``scrubbed``, the metric under the hypothesis, and ``random``, with all inputs resampled.
        metric: its name.
        clean: its value in the network.
        hypothesis: what was stated, by node or edge.
    """

    draws: pd.DataFrame
    metric: str
    clean: float
    hypothesis: Mapping[str, Feature]

    @property
    def scrubbed(self) -> float:
        """The metric under the hypothesis, the mean over draws."""
        return float(np.mean(self.draws["scrubbed"]))

    @property
    def random(self) -> float:
        """The metric of outputs for random inputs, the mean over draws."""
        return float(np.mean(self.draws["random"]))

    @property
    def recovered(self) -> float:
        """The share of the metric that the hypothesis explains: 0 at random inputs, 1 at the network.

        It may be below 0 or above 1; NaN where random inputs give the network's value.
        """
        return (self.scrubbed - self.random) / ((self.clean - self.random) or float("nan"))

    @property
    def table(self) -> pd.DataFrame:
        """A row per draw, under the hypothesis and with random inputs."""
        n, names = len(self.draws), ("scrubbed", "random")
        changed = pd.concat([self.draws[name] for name in names], ignore_index=True)
        return pd.DataFrame({
            "component": [name for name in names for _ in range(n)], "site": "", "index": [*range(n)] * 2,
            "metric": self.metric, "clean": self.clean, "changed": changed, "change": changed - self.clean,
        })  # fmt: skip

    @property
    def summary(self) -> dict[str, Any]:
        """The metric of the network, under the hypothesis and with random inputs, and the share recovered."""
        spread = float(np.std(self.draws["scrubbed"], ddof=1)) if len(self.draws) > 1 else float("nan")
        return {
            "metric": self.metric, "clean": self.clean, "scrubbed": self.scrubbed, "deviation between draws": spread,
            "random": self.random, "recovered": self.recovered, "hypothesis": ", ".join(self.hypothesis),
        }  # fmt: skip

    def figure(self) -> go.Figure:
        """The metric of the network, under the hypothesis and with random inputs."""
        from interp.report import figures

        heights = [self.clean, self.scrubbed, self.random]
        title = f"Causal scrubbing recovers {self.recovered:.0%} of the {self.metric}"
        return figures.bars(["network", "hypothesis", "random"], heights, title=title, x_title="", y_title=self.metric)

    def __repr__(self) -> str:
        return (
            f"Scrubbed: the hypothesis about {', '.join(self.hypothesis) or 'nothing'} recovers {self.recovered:.4f} of the "
            f"{self.metric}: {self.scrubbed:.4g} under it, {self.clean:.4g} in the network, {self.random:.4g} with random inputs "
            f"({len(self.draws)} draws)"
        )
