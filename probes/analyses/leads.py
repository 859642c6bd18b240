"""Which measures change before test accuracy: the step of every curve's change, and the order of these steps."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from probes.change_points import Change
from probes.leads import FOLLOWS, LEADS, UNDECIDED, change_of, order

MAIN = ("test", "all", "", "train")  # which curve of a measure stands for it, the first that there is
WORDS = {LEADS: "yes", UNDECIDED: "open", FOLLOWS: "no"}
LEAD_COLUMNS = (
    "measure", "where", "window", "changes_at", "low", "high", "before", "after", "explained",
    "after_memorisation", "before_generalisation", "leads_test_accuracy",
)  # fmt: skip


def by_curve(frame: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The curves of a table of measures: (measure, where, rows in the order of the steps)."""
    for (name, where), rows in frame.groupby(["measure", "where"], sort=False):  # pyright: ignore[reportGeneralTypeIssues]
        yield str(name), str(where), rows


def is_companion(where: str) -> bool:
    """Whether a value only accompanies another value of its measure: its spread, its mean per example, its square."""
    return where.startswith(("std of ", "mean of ")) or where.endswith(" squared")


def lead_table(frame: pd.DataFrame, memorised: int | None, generalised: int | None) -> pd.DataFrame:
    """The change of every curve (`probes.change_points.change_point`), over the whole run and after memorisation.

    Args:
        frame: all values, with columns measure, where, step, value.
        memorised: step of memorisation, or None.
        generalised: step of generalisation, or None.

    Returns:
        A row per curve and window. ``after_memorisation`` and ``before_generalisation`` are steps since and until these
        events; ``leads_test_accuracy`` is yes if the change's whole interval lies before that of test accuracy in the same
        window, no if it lies after it, and open if they overlap.
    """
    rows = []
    for window, begin in (("whole run", None), ("after memorisation", memorised)):
        if window != "whole run" and begin is None:
            continue
        changes = {}
        for name, where, curve in by_curve(frame if begin is None else frame.query("step >= @begin")):
            change = None if is_companion(where) else change_of(name, curve["step"].tolist(), curve["value"].tolist())
            if change is not None:
                changes[name, where] = change
        reference = changes.get(("accuracy", "test"))
        rows += [
            (name, where, window, c.step, c.low, c.high, c.before, c.after, c.explained,
             None if memorised is None else c.step - memorised, None if generalised is None else generalised - c.step,
             _leads(c, reference))
            for (name, where), c in changes.items()
        ]  # fmt: skip
    table = pd.DataFrame(rows, columns=pd.Index(LEAD_COLUMNS))
    return table.sort_values(["window", "changes_at"], ascending=[False, True], ignore_index=True)


def _leads(change: Change, reference: Change | None) -> str:
    return "" if reference is None else WORDS[order(change, reference)]


def main_curves(leads: pd.DataFrame) -> pd.DataFrame:
    """One row per measure and window: the curve that represents it, or the one whose change explains most."""
    rank = [MAIN.index(where) if where in MAIN else len(MAIN) for where in leads["where"]]
    ordered = leads.assign(rank=rank).sort_values(["rank", "explained"], ascending=[True, False])
    return ordered.drop_duplicates(["window", "measure"]).sort_values("changes_at").drop(columns="rank")


def last_window(leads: pd.DataFrame) -> str:
    """The window to report: after memorisation if the run has memorised, otherwise the whole run."""
    return "after memorisation" if "after memorisation" in set(leads["window"]) else "whole run"


def leading(leads: pd.DataFrame, window: str) -> list[str]:
    """The measures that lead test accuracy with a change that explains at least half of their variance, earliest first.

    Args:
        leads: from `lead_table`.
        window: ``whole run`` or ``after memorisation``.

    Returns:
        Names of measures. A measure leads if the curve that represents it does; for a measure with values per layer only,
        any layer counts and is named.
    """
    leads = leads.query(f"window == {window!r}")
    main = main_curves(leads).to_dict("records")
    standing = {row["measure"]: row["where"] for row in main if row["where"] in MAIN}
    found: dict[str, str] = {}
    for row in leads.sort_values("changes_at").to_dict("records"):
        name, where = row["measure"], row["where"]
        leads_test = row["leads_test_accuracy"] == "yes" and row["explained"] >= 0.5
        if leads_test and standing.get(name, where) == where:
            found.setdefault(name, name if name in standing else f"{name} ({where})")
    return list(found.values())
