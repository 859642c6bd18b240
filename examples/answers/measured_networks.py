"""Networks of the long runs on images and reviews: their events, and their measures by step, from measured/."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from probes.change_points import Change, change_point, first_step_above
from probes.leads import FOLLOWS, LEADS, UNDECIDED, order

from answers.spans import several
from answers.tables import MEASURED
from claims import Verdict

TEST = "accuracy test"
LEVELS = (0.6, 0.8)  # test accuracies that count as generalised: 0.6 of Liu et al. 2022, App. J, and 0.8, asked here
EVENTS = {"memorised": ("train", 0.99), "train_06": ("train", 0.6), "generalised": ("test", 0.6)}
ORDERS = {LEADS: "before", UNDECIDED: "overlapping", FOLLOWS: "after"}


@dataclass(frozen=True)
class Network:
    """One network of a long run: its settings and events, and its measures by step."""

    told: pd.Series
    table: pd.DataFrame

    @cached_property
    def since(self) -> pd.DataFrame:
        """From memorisation on; the whole run where the network never memorises."""
        begin = self.told["memorised"]
        return self.table if pd.isna(begin) else self.table.loc[begin:]

    @cached_property
    def stretches(self) -> tuple[int, int, int, int]:
        """Steps of memorisation, of a quarter and of three quarters of the rise of test accuracy, and the last."""
        test = self.since[TEST]
        way = (test - test.iloc[0]) / max(test.max() - test.iloc[0], 1e-12)
        return test.index[0], (way >= 0.25).idxmax(), (way >= 0.75).idxmax(), test.index[-1]

    def reached(self, part: str, level: float) -> tuple[float, float]:
        """The step from which an accuracy stays at a level: the earliest and the latest that the tables allow.

        The levels of `EVENTS` are known to the step, others from checkpoints: after the last one below, at the next one at the
        latest (a dip between two later checkpoints is not seen). NaN where it never stays there.
        """
        for event, known in EVENTS.items():
            if known == (part, level):
                return float(self.told[event]), float(self.told[event])
        after = first_step_above(list(self.table[f"accuracy {part}"].items()), level)
        if after is None:
            return float("nan"), float("nan")
        before = self.table.index[self.table.index < after]
        return float(before[-1] if len(before) else after), float(after)

    def paces(self, curve: str) -> tuple[float, float]:
        """Before and during generalisation; negative where the curve falls. A steady change has a pace of 1."""
        first, quarter, most, _ = self.stretches
        return self._pace(curve, first, quarter), self._pace(curve, quarter, most)

    def pace_until(self, curve: str, level: float) -> float:
        """Right before generalisation: from a quarter of the rise of test accuracy to the step from which it stays at a level."""
        _, quarter, most, _ = self.stretches
        end = self.reached("test", level)[1]
        return self._pace(
            curve, quarter, most if np.isnan(end) else int(self.since.index[self.since.index <= end].max())
        )

    def _pace(self, curve: str, a: int, b: int) -> float:
        values, (first, _, most, _) = self.since[curve], self.stretches
        whole = np.ptp(values.loc[first:most]) / max(most - first, 1) or 1.0
        return float((values[b] - values[a]) / max(b - a, 1) / whole)

    def change(self, curve: str, whole: bool = False) -> Change | None:
        """Where a curve changes, from memorisation on or over the whole run."""
        own = (self.table if whole else self.since)[curve].dropna()
        return change_point(own.index.tolist(), own.tolist())

    def order(self, curve: str, whole: bool = False) -> str:
        """When a curve changes beside test accuracy: before, after, overlapping, or never."""
        own, test = self.change(curve, whole), self.change(TEST, whole)
        if own is None or test is None:
            return "never"
        return ORDERS[order(own, test)]

    def grokked(self, level: float) -> bool | str:
        """Whether it generalised 1,000 steps or more after it memorised; undecided where the tables allow both."""
        least, most = (step - self.told["memorised"] for step in self.reached("test", level))
        return settled(bool(least >= 1_000), bool(most >= 1_000))  # NaN where one never came


def settled(worst: bool | str, best: bool | str) -> bool | str:
    """A verdict that the least and the most favourable reading share, else undecided."""
    return worst if worst == best else "undecided"


def leads(orders: Sequence[str]) -> Verdict:
    """Whether a curve changes before test accuracy in every network; an overlap decides nothing."""
    readings: dict[str, bool | str] = {"before": True, "overlapping": "undecided"}
    return several([readings.get(order, False) for order in orders])


def networks(kind: str = "") -> dict[str, list[Network]]:
    """Every network by the name of its run, without the seed that a name may end with."""
    curves, told = (MEASURED / f"progress_measures{kind}_{name}.csv" for name in ("curves", "networks"))
    found: dict[str, list[Network]] = {}
    if curves.is_file():
        by_network = dict(iter(pd.read_csv(curves).groupby(["run", "member"])))
        for _, row in pd.read_csv(told).iterrows():
            table = by_network[row["run"], row["member"]].set_index("step").dropna(axis=1, how="all")
            found.setdefault(str(row["run"]).partition("_seed")[0], []).append(Network(row, table))
    return found


def of_curves(table: pd.DataFrame) -> Network:
    """A network known by its curves alone."""
    told = {
        name: first_step_above(list(table[f"accuracy {part}"].items()), level) for name, (part, level) in EVENTS.items()
    }
    events = {name: float("nan") if step is None else step for name, step in told.items()}
    return Network(pd.Series({"seed": 0, "steps": table.index[-1], **events}), table)
