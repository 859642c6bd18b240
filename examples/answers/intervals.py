"""Estimates with intervals over seeds, and verdicts from them: what the modules of answers share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from interp.phase_diagrams.confidence import share_interval

from answers.spans import half_width
from answers.tables import MEASURED
from answers.waiting import NotRun

Told = tuple[str, Any, dict[str, float], str]  # in words, the verdict, what ran, a note
CHOSEN, JUDGED = (0, 1, 2), (3, 4, 5, 6, 7)  # seeds on which a setting is chosen, and on which it is judged
SETTINGS = ["optimizer", "p", "loss", "lr", "weight_decay", "train_fraction", "init_scale", "frozen"]


def read(name: str) -> pd.DataFrame:
    """A table of measured/, empty where there is none."""
    path = MEASURED / f"{name}.csv"
    return pd.read_csv(path, keep_default_na=True) if path.is_file() else pd.DataFrame({"run": []})


def mean(values: Iterable[float]) -> tuple[float, float, float]:
    """A mean with Student's 95% interval over seeds."""
    own = np.asarray(list(values), dtype=float)
    centre, half = float(own.mean()), half_width(own)
    return centre, centre - half, centre + half


def median(values: Iterable[float]) -> tuple[float, float, float]:
    """A median with its 95% interval: percentile bootstrap over seeds, 10,000 draws."""
    own = np.asarray(list(values), dtype=float)
    draws = np.median(own[np.random.default_rng(0).integers(len(own), size=(10_000, len(own)))], axis=1)
    return float(np.median(own)), *(float(q) for q in np.quantile(draws, (0.025, 0.975)))


def said(interval: tuple[float, float, float], form: str = "{:+.2f}") -> str:
    """An estimate and its interval in words."""
    centre, low, high = (form.format(v) for v in interval)
    return f"{centre} [{low}, {high}]"


def signs(intervals: Iterable[tuple[float, float, float]]) -> Any:
    """True if every interval is above 0, False if every one is below, in part if some are above and none below."""
    above, below = zip(*[(low > 0, high < 0) for _, low, high in intervals], strict=True)
    return True if all(above) else False if all(below) else "in part" if any(above) and not any(below) else "undecided"


def sign(interval: tuple[float, float, float]) -> Any:
    """True if the interval is above 0, False if it is below."""
    return True if interval[1] > 0 else False if interval[2] < 0 else "undecided"


def majority(counts: Mapping[bool, int], of: int | None = None) -> Any:
    """True or False if Jeffreys' interval of its share lies above one half, otherwise undecided.

    Args:
        counts: of networks that speak for it and against.
        of: networks in all, where some do neither.
    """
    n = counts[True] + counts[False] if of is None else of
    found = [which for which in (True, False) if n and share_interval(counts[which], n)[0] > 0.5]
    return found[0] if found else "undecided"


def apart(one: np.ndarray, two: np.ndarray) -> tuple[float, float, float]:
    """Difference of two means with Welch's 95% interval."""
    centre = float(one.mean() - two.mean())
    if np.ptp(one) == np.ptp(two) == 0:
        return centre, centre, centre
    found = ttest_ind(one, two, equal_var=False).confidence_interval()
    return centre, float(found.low), float(found.high)


def of(rows: pd.DataFrame, *runs: str) -> pd.DataFrame:
    """The networks of some runs.

    Raises:
        NotRun: if none of the runs is there.
    """
    own = rows[rows["run"].isin(runs)]
    if not len(own):
        raise NotRun(*runs)
    return own


def of_every(rows: pd.DataFrame, *runs: str) -> pd.DataFrame:
    """The networks of some runs.

    Raises:
        NotRun: if one of the runs is not there.
    """
    missing = [run for run in runs if run not in set(rows["run"])]
    if missing:
        raise NotRun(*missing)
    return of(rows, *runs)


def generalised(own: pd.DataFrame) -> pd.DataFrame:
    """The networks that end with more than 90% of the test set right."""
    return own[own["test_accuracy"] > 0.9]


def size(own: pd.DataFrame) -> dict[str, float]:
    """The fewest steps of any network, and the fewest seeds under any settings.

    A network that was stopped since it had generalised ran to its end: it counts as the longest of its run.
    """
    longest = own.groupby("run")["steps"].transform("max")
    seeds = own.groupby(SETTINGS, dropna=False)["seed"].nunique()
    return {"steps": own["steps"].where(own["test_at"].isna(), longest).min(), "seeds": seeds.min()}


def least(parts: Iterable[pd.DataFrame]) -> dict[str, float]:
    """The size of the smallest of several runs that differ in what `SETTINGS` does not name."""
    sizes = [size(part) for part in parts]
    return {what: min(each[what] for each in sizes) for what in ("steps", "seeds")}
