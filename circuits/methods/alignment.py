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
    def _size(self) -> str:
        return f"{len(self.basis)} of {self.basis.dim} dimensions"

    def _verdict(self) -> str:
        """Whether the subspace does better than no interchange and than every random subspace, with their accuracies."""
        own, clean = self.accuracy, self._of("nothing")
        others = self.accuracies.loc[self.accuracies["interchange"] == "random", "accuracy"]
        beside = f"{clean:.0%} without interchange"
        if len(others):
            beside += f", random subspaces up to {others.max():.0%}"
        # without a random subspace nothing says what any other would do
        carries = len(others) > 0 and own > max(clean, float(others.max()))
        return f"{'carry the variable in' if carries else 'counterfactual answer in'} {own:.0%} ({beside})"

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
        title = f"{self._size} of {self.site.name}: {self._verdict()}"
        return figures.bars(
            names, [self._of(n) for n in names], title=title, x_title="", y_title="interchange accuracy"
        )

    def __repr__(self) -> str:
        return (
            f"Alignment of {self._size} of {self.site}: {self._verdict()} of held-out pairs; {self._of('train'):.0%} of those it "
            f"was trained on, {self._of('whole site'):.0%} with the whole site"
        )
