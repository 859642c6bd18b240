"""The result of a measurement of circuits by factor: what each component does for each factor, at each checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from circuits.discovery.over_training import necessary_from
from circuits.factor_units.fracture import carriers_of
from circuits.findings import Findings

if TYPE_CHECKING:
    import plotly.graph_objects as go

DRAWN = 36  # components in the figure, over all factors


@dataclass(frozen=True, eq=False, repr=False)
class FactorCircuits(Findings):
    """What each component does for each factor of a task, at each checkpoint.

    Attributes:
        effects: a row per checkpoint, factor and component: ``step, factor, component, site, power_share`` (of the factor in
            the variance of the outputs), ``drop`` (what the component's ablation takes of the factor's power, as a share of
            it) and ``worth`` (their product: the share of the variance of the outputs that is lost).
        kind: what a factor is: ``"frequency"``.
        notes: what a reader must know.
    """

    effects: pd.DataFrame
    kind: str
    notes: tuple[str, ...] = ()

    @property
    def factors(self) -> list[str]:
        """The factors that are followed."""
        return list(dict.fromkeys(self.effects["factor"]))

    @property
    def last(self) -> pd.DataFrame:
        """The effects at the last checkpoint."""
        if self._alone:
            return self.effects
        return self.effects.query("step == @last", local_dict={"last": self.effects["step"].iloc[-1]})

    @property
    def _alone(self) -> bool:
        """Whether there is but one checkpoint, which does not say since when."""
        return len(set(self.effects["step"])) < 2

    @property
    def since(self) -> pd.DataFrame:
        """A row per factor and component that serves it at the end, and since when.

        ``factor, component, site, drop, worth`` (both at the end) and ``step``: from there on the component is worth at least
        half of its worth at the end; missing of a single network. A component serves a factor if it is one of the fewest of
        its site that make up 95% of what single ablations take of the factor.
        """
        found = []
        for _, own in self.last.groupby(["factor", "site"], sort=False):
            serving = own.iloc[list(carriers_of(torch.tensor(own["drop"].to_numpy(dtype=float))))]
            given = {"factor": own["factor"].iloc[0], "names": serving["component"].to_list()}
            every = self.effects.query("factor == @factor and component in @names", local_dict=given)
            steps = {} if self._alone else necessary_from(every).set_index("component")["step"].to_dict()
            found.append(serving.assign(step=[steps.get(name) for name in given["names"]]))
        columns = ["factor", "component", "site", "drop", "worth", "step"]
        return pd.concat(found, ignore_index=True).reindex(columns=columns).astype({"step": "Int64"})

    def matrix(self, column: str = "drop") -> pd.DataFrame:
        """One column at the last checkpoint, component by factor.

        Args:
            column: ``"drop"`` or ``"worth"``.

        Returns:
            a matrix.
        """
        rows = list(dict.fromkeys(self.last["component"]))
        return self.last.pivot(index="component", columns="factor", values=column).reindex(
            index=rows, columns=self.factors
        )

    @property
    def rows(self) -> pd.DataFrame:
        """`since`, the largest first."""
        return self.since.sort_values(["worth"], ascending=False, ignore_index=True, kind="stable")

    @property
    def table(self) -> pd.DataFrame:
        """A row per checkpoint, factor and component; the metric is the factor's share of the variance of the outputs."""
        own = self.effects
        index = own.groupby(["step", "factor", "site"], sort=False, dropna=False).cumcount()
        return pd.DataFrame({
            "component": own["component"], "site": own["site"], "index": index,
            "metric": f"share of {self.kind} " + own["factor"], "clean": own["power_share"],
            "changed": own["power_share"] - own["worth"], "change": -own["worth"], "step": own["step"], "drop": own["drop"],
        })  # fmt: skip

    @property
    def summary(self) -> dict[str, Any]:
        """The factors, and of each how many components serve it at the end, and since which step half of them do."""
        since, found = self.since, {}
        for factor, own in since.groupby("factor", sort=False):
            half = own["step"].dropna().astype(float).median()
            since_when = "" if np.isnan(half) else f", half of them since step {half:g}"
            found[f"{self.kind} {factor}"] = f"{len(own)} components{since_when}"
        last = self.last.drop_duplicates("factor").set_index("factor")["power_share"]
        notes = {"notes": " ".join(self.notes)} if self.notes else {}
        return {
            "checkpoints": self.effects["step"].nunique(dropna=False),
            **found,
            "share of the outputs": last.to_dict(),
            **notes,
        }

    def figure(self) -> go.Figure:
        """Worth of the components that serve each factor, over the run, as a share of the largest that each reaches."""
        from interp.report import figures

        each = max(1, DRAWN // len(self.factors))
        order = self.since.sort_values(["worth"], ascending=False, kind="stable").groupby("factor").head(each)
        shown = order.assign(place=order["factor"].map(self.factors.index)).sort_values(
            ["place", "step"], kind="stable"
        )
        curves = self.effects.pivot(index=["factor", "component"], columns="step", values="worth")
        grid = curves.loc[[(f, c) for f, c in zip(shown["factor"], shown["component"], strict=True)]].clip(lower=0)
        share = grid.to_numpy(float) / grid.max(axis=1).clip(lower=np.finfo(float).tiny).to_numpy(float)[:, None]
        return figures.heatmap(
            share, x=[str(step) for step in grid.columns], y=[f"{f}: {c}" for f, c in grid.index], x_title="step",
            y_title=f"{self.kind}: component", title=f"Which components serve each {self.kind}, since when",
            unit="worth, share of its largest", height=max(340, 16 * len(grid) + 120),
        )  # fmt: skip
