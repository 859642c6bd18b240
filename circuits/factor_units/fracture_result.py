"""The result of a measurement of fracture: units by factors, factors by units, and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.factor_units.effects import UnitEffects
from circuits.factor_units.groups import Group, Writing, groups_of
from circuits.findings import Findings
from circuits.weight_sweeps.change_measures import bootstrap_median
from circuits.weight_sweeps.factor_measures import factors_touched
from circuits.weight_sweeps.scored import Score
from interp.subject import Subject
from interp.tasks.factors import Factors

if TYPE_CHECKING:
    import plotly.graph_objects as go

DRAWN = 64  # factors


@dataclass(repr=False, eq=False)
class Fracture(Findings):
    """Which units of a site carry which factors of a task.

    Attributes:
        subject: the network.
        site: name of the hook point.
        names: of its units.
        factors: of the task, or the principal components of the clean outputs.
        keys: the factors that the network works with.
        power: of each unit's activation by factor ``[unit, factor]``, the constant's 0.
        effects: of each unit's mean ablation on each factor of the outputs.
        carries: whether a unit carries anything: its ablation changes the outputs by at least a hundredth of what that of
            the strongest unit does (root mean square).
        carriers: by key factor, the units that make up 95% of its drops.
        writing: by key factor, what its carriers write; None in all where what follows the site is not linear.
        notes: what a reader must know.
    """

    subject: Subject
    site: str
    names: tuple[str, ...]
    factors: Factors
    keys: tuple[int, ...]
    power: Float[Tensor, "units factor"] = field(repr=False)
    effects: UnitEffects = field(repr=False)
    carries: Tensor = field(repr=False)
    carriers: Mapping[int, tuple[int, ...]] = field(repr=False)
    writing: Mapping[int, Writing] | None = field(repr=False)
    notes: tuple[str, ...] = ()

    @cached_property
    def groups(self) -> dict[int, tuple[Group, ...]] | None:
        """By key factor, groups of its carriers that make it by themselves; None where what follows the site is not linear."""
        if self.writing is None:
            return None
        found = {}
        for k, writing in self.writing.items():
            own = self.carriers[k]
            found[k] = tuple(replace(g, units=tuple(own[i] for i in g.units)) for g in groups_of(writing))
        return found

    @cached_property
    def units(self) -> pd.DataFrame:
        """A row per unit: whether it carries anything, its size, its number of factors, its main factor, its key factors.

        ``size`` is the root mean square of what its ablation changes in the outputs, ``factors`` the effective number of
        factors of its activation (NaN where that is constant), ``share`` that of the main one, ``key factors`` those of which
        it is a carrier.
        """
        share = self.power / self.power.sum(1, keepdim=True)
        main = torch.nan_to_num(share).argmax(1)
        own = [[self.factors.names[k] for k, units in self.carriers.items() if i in units] for i in range(len(main))]
        return pd.DataFrame({
            "unit": self.names, "carries": self.carries.numpy(), "size": self.effects.size.numpy(),
            "factors": [float(factors_touched(p)) for p in self.power],
            "main": [self.factors.names[k] if p.sum() > 0 else "" for k, p in zip(main, self.power, strict=True)],
            "share": share.amax(1).numpy(), "key factors": [", ".join(names) for names in own],
            "n key factors": [len(names) for names in own],
        })  # fmt: skip

    @cached_property
    def by_factor(self) -> pd.DataFrame:
        """A row per key factor.

        ``units``: effective number of units that carry it. ``carriers``: how many make up 95% of its drops. ``mainly``: the
        main factor of most of these. ``written here``: share of the factor that the site's units write. ``purity``: the
        factor's share of all that its carriers write. ``groups``: of carriers that make it by themselves; ``sets``: the same
        before phases of one circuit are joined.
        """
        rows, nan = [], float("nan")
        for k in self.keys:
            main = self.units["main"].iloc[list(self.carriers[k])].mode()
            row = {
                "factor": self.factors.names[k], "units": float(factors_touched(self._drop(k))),
                "carriers": len(self.carriers[k]), "mainly": "" if main.empty else main.iloc[0],
                "written here": float(self.effects.amplitude[:, k].sum()), "purity": nan,
                "groups": nan, "sets": nan,
            }  # fmt: skip
            if self.writing is not None and self.groups is not None:
                row["purity"] = self.writing[k].purity(range(len(self.carriers[k])))
                row["groups"], row["sets"] = len(self.groups[k]), sum(g.parts for g in self.groups[k])
            rows.append(row)
        columns = ["factor", "units", "carriers", "mainly", "written here", "purity", "groups", "sets"]
        return pd.DataFrame(rows, columns=pd.Index(columns))

    @cached_property
    def by_group(self) -> pd.DataFrame:
        """A row per group: its factor, number of units, share of the factor that it writes, purity, and its units."""
        rows = [
            {"factor": self.factors.names[k], "group": i, "units": len(g.units), "amplitude": g.amplitude,
             "purity": g.purity, "parts": g.parts, "members": ", ".join(self.names[u] for u in g.units)}
            for k, groups in (self.groups or {}).items() for i, g in enumerate(groups)
        ]  # fmt: skip
        return pd.DataFrame(
            rows, columns=pd.Index(["factor", "group", "units", "amplitude", "purity", "parts", "members"])
        )

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """`units`."""
        return self.units

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per unit and key factor; the metric is the factor's power in the outputs, ``share`` the unit's of all drops."""
        parts = []
        for k in self.keys:
            clean, drop = float(self.effects.power[k]), self.effects.drop[:, k]
            own = self._drop(k)
            parts.append(pd.DataFrame({
                "component": self.names, "site": self.site, "index": range(len(self.names)),
                "metric": f"power of {self.factors.kind} {self.factors.names[k]}", "clean": clean,
                "changed": (clean * (1 - drop)).numpy(), "change": (-clean * drop).numpy(),
                "share": (own / own.sum()).numpy(), "amplitude": self.effects.amplitude[:, k].numpy(),
            }))  # fmt: skip
        columns = ["component", "site", "index", "metric", "clean", "changed", "change", "share", "amplitude"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=pd.Index(columns))

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """The numbers of units, factors and groups."""
        per_unit = self.factors_per_unit()
        return {
            "site": self.site, "units": len(self.names), "carrying_units": int(self.carries.sum()),
            "factors_per_unit": None if per_unit is None else str(per_unit), "factors": self.factors.n_counted,
            "key_factors": [self.factors.names[k] for k in self.keys], "units_per_key_factor": self.units_per_key_factor,
            "groups_per_key_factor": self.groups_per_key_factor,
        }  # fmt: skip

    def factors_per_unit(self, seed: int = 0) -> Score | None:
        """Median number of factors of the units that carry anything, with a bootstrap interval over units.

        Args:
            seed: of the bootstrap.

        Returns:
            None where no unit does.
        """
        own = torch.tensor(self.units.query("carries")["factors"].to_numpy(dtype=float), dtype=torch.float64)
        own = own[~own.isnan()]
        if not len(own):
            return None
        return Score(float(own.quantile(0.5)), *bootstrap_median(own, torch.arange(len(own)), seed))

    @property
    def units_per_key_factor(self) -> float | None:
        """Median effective number of units of a key factor; None where there is none."""
        known = _known(self.by_factor, "units")
        return float(np.median(known)) if len(known) else None

    @property
    def groups_per_key_factor(self) -> float | None:
        """Mean number of groups of a key factor; None where there are no key factors, or groups were not sought."""
        known = _known(self.by_factor, "groups")
        return float(known.mean()) if len(known) else None

    @property
    def sets_per_key_factor(self) -> float | None:
        """Mean number of disjoint sets of units that each make a key factor alone, phases of one circuit counted apart."""
        known = _known(self.by_factor, "sets")
        return float(known.mean()) if len(known) else None

    @override
    def figure(self) -> go.Figure:
        """Share of each factor in the activation of every unit that carries anything, sorted by main factor; key factors *."""
        from interp.report import figures

        shown = [i for i in self.carries.nonzero()[:, 0].tolist() if self.power[i].sum() > 0]
        share = self.power[shown] / self.power[shown].sum(1, keepdim=True)
        columns = [k for k in range(len(self.factors.names)) if k != self.factors.constant]
        top = sorted(sorted(columns, key=lambda k: -float(share[:, k].sum()))[:DRAWN])
        order = sorted(range(len(shown)), key=lambda i: (int(share[i].argmax()), -float(share[i].max())))
        drawn = share[order][:, top].numpy()
        return figures.heatmap(
            drawn, x=[f"{self.factors.names[k]}{' *' if k in self.keys else ''}" for k in top],
            title=f"{self.factors.kind.capitalize()} of each unit's activation (* key)", x_title=self.factors.kind,
            y_title="units, by main factor", unit="share", height=460,
        )  # fmt: skip

    def __repr__(self) -> str:
        return "\n  ".join([f"Fracture of {self.subject.name}", *(f"{k}: {v}" for k, v in self.summary.items())])

    def _drop(self, factor: int) -> Tensor:
        return torch.nan_to_num(self.effects.drop[:, factor]).clamp_min(0)


def _known(frame: pd.DataFrame, column: str) -> np.ndarray:
    """The numbers of a column that are not NaN."""
    values = frame[column].to_numpy(dtype=float)
    return values[~np.isnan(values)]
