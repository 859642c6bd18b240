"""The result of distributed alignment search: a subspace, and how often its interchange gives the counterfactual answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from circuits.findings import Findings
from interp.sites import Site
from probes.basis import Basis

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False)
class Alignment(Findings):
    """A subspace found by distributed alignment search.

    Attributes:
        basis: of the subspace, usable wherever a `Basis` is: ``Site(name, basis=...)``, `circuits.ablate`.
        site: where it lies.
        accuracies: the share of pairs that get the counterfactual answer: ``interchange`` of the subspace on ``held out`` and
            ``train`` pairs, of the ``whole site``, and of ``nothing``; and of ``random`` subspaces of the same size. The last
            three on held-out pairs.
        losses: the cross-entropy of the counterfactual answer in nats, step by step.
    """

    basis: Basis
    site: Site
    accuracies: pd.DataFrame
    losses: tuple[float, ...]

    def _of(self, name: str) -> float:
        return float(self.accuracies.loc[self.accuracies["interchange"] == name, "accuracy"].mean())

    @property
    def accuracy(self) -> float:
        """Interchange intervention accuracy on held-out pairs."""
        return self._of("held out")

    @property
    def table(self) -> pd.DataFrame:
        """A row per kind of interchange; ``clean`` is the share that has the counterfactual answer without any."""
        own, clean = self.accuracies, self._of("nothing")
        return pd.DataFrame({
            "component": own["interchange"], "site": self.site.name, "index": range(len(own)), "metric": "accuracy",
            "clean": clean, "changed": own["accuracy"], "change": own["accuracy"] - clean,
        })  # fmt: skip

    @property
    def summary(self) -> dict[str, Any]:
        """The interchange accuracies, and the size of the subspace."""
        names = ("held out", "train", "whole site", "nothing", "random")
        return {"site": str(self.site), "dimensions": len(self.basis)} | {n: self._of(n) for n in names}

    def figure(self) -> go.Figure:
        """Interchange accuracies."""
        from interp.report import figures

        names = list(dict.fromkeys(self.accuracies["interchange"]))
        title = f"{len(self.basis)} of {self.basis.dim} dimensions of {self.site.name} carry the variable in {self.accuracy:.0%}"
        return figures.bars(
            names, [self._of(n) for n in names], title=title, x_title="", y_title="interchange accuracy"
        )
