"""Verdicts on the label noise that grokking survives in parity networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from answers.parity_tables import COMMAND, absent, table
from answers.spans import several
from claims import Claims, Verdict

CRITERIA = (0.95, 0.97, 0.98)  # mean test accuracy that counts as survived; the source has none
PUBLISHED = {30: (0.02, 0.12, 0.20), 50: (0.03, 0.06, 0.12), 70: (0.01, 0.03, 0.05)}  # label noise, by n
RISES = 0.01  # the weight decay at which the source's threshold rises from n = 30 to n = 50
NOISE = ["n", "weight_decay", "label_noise"]


def thresholds(measured: pd.DataFrame, criterion: float) -> pd.DataFrame:
    """The largest label noise up to which all noise is survived, a row per n, a column per weight decay; 0 where none is."""
    good = measured.groupby(NOISE).test_accuracy.mean().unstack() >= criterion
    held = good.astype(int).cummin(axis=1).astype(bool)
    return held.apply(lambda row: max(row.index[row], default=0.0), axis=1).unstack()


def noise(claims: Claims) -> None:
    measured = table("noise")
    reached = {c: thresholds(measured, c) for c in CRITERIA} if "n" in measured else {}
    levels = sorted(measured.label_noise.unique()) if reached else []
    for n, source in PUBLISHED.items():
        own = measured[measured["n"] == n] if reached else measured
        if not len(own):
            absent(claims, (f"noise_{n}",), f"parity_noise_{n}")
            continue
        found: dict[str, Verdict] = {}
        for c, ours in reached.items():
            theirs = [max(i for i, p in enumerate(levels) if p <= level) for level in source]
            places = zip(map(levels.index, ours.loc[n]), theirs, strict=True)
            found[f"{c:g}"] = all(abs(a - b) <= 1 for a, b in places)
        text = "; ".join(f"at {c:g}: {slashed(ours.loc[n])}" for c, ours in reached.items())
        claims.answer(f"noise_{n}", text, holds=found, command=COMMAND, ran=seeds_of_cells(own))
    orders(claims, measured, reached)
    slows(claims, measured)


def seeds_of_cells(own: pd.DataFrame) -> dict[str, float]:
    return {"epochs": int(own["epochs"].min()), "seeds": int(own.groupby(NOISE).size().min())}


def slashed(values: Iterable[float]) -> str:
    return " / ".join(f"{v:g}" for v in values)


def orders(claims: Claims, measured: pd.DataFrame, reached: Mapping[float, pd.DataFrame]) -> None:
    """Whether thresholds rise with weight decay and fall with n, and the source's exception, by each criterion."""
    rules = {"noise_order_decay": rises_with_decay, "noise_order_bits": falls_with_bits, "noise_exception": excepted}
    if not reached or len(reached[CRITERIA[0]]) < len(PUBLISHED):
        absent(claims, list(rules), *(f"parity_noise_{n}" for n in PUBLISHED))
        return
    text = "At weight decay .01 / .05 / .1, " + "; ".join(
        f"by {c:g}: " + ", ".join(f"{slashed(row)} (n = {n})" for n, row in ours.iterrows())
        for c, ours in reached.items()
    )
    for name, rule in rules.items():
        found: dict[str, Verdict] = {f"{c:g}": rule(ours) for c, ours in reached.items()}
        claims.answer(name, text, holds=found, command=COMMAND, ran=seeds_of_cells(measured))


def rises_with_decay(ours: pd.DataFrame) -> bool:
    """Whether at each n the surviving noise never falls with weight decay, and rises from the first to the last."""
    rises = (ours.diff(axis=1).iloc[:, 1:] >= 0).all(axis=1) & (ours.iloc[:, -1] > ours.iloc[:, 0])
    return bool(rises.all())


def falls_with_bits(ours: pd.DataFrame) -> bool:
    """Whether the surviving noise never rises with n and falls from the first to the last, but for the source's exception."""
    columns = [ours[decay].loc[50:] if decay == RISES else ours[decay] for decay in ours]
    return all(bool((own.diff().iloc[1:] <= 0).all()) and own.iloc[-1] < own.iloc[0] for own in columns)


def excepted(ours: pd.DataFrame) -> bool:
    """Whether the surviving noise rises from n = 30 to n = 50 at weight decay 0.01."""
    return bool(ours.loc[50, RISES] > ours.loc[30, RISES])


def slows(claims: Claims, measured: pd.DataFrame) -> None:
    if "reached" not in measured or not (measured["n"] == 50).any():
        absent(claims, ("noise_slows",), "parity_noise_50")
        return
    own, checks, texts = measured[measured["n"] == 50], [], []
    for decay, rows in own.groupby("weight_decay"):
        groups = rows.groupby("label_noise").reached
        most = groups.agg(lambda s: s.notna().mean()) > 0.5
        median = groups.median()[most]
        places = pd.Series(median.index).rank(), pd.Series(median.to_numpy()).rank()
        rank = places[0].corr(places[1]) if len(median) > 2 else float("nan")
        checks.append(bool(rank >= 0.8 and not most.iloc[-1]))
        worst = f"{median.iloc[-1]:.0f} at {median.index[-1]:g}"
        texts.append(f"decay {decay:g}: epoch {median.iloc[0]:.0f} without noise, {worst}, rank correlation {rank:.2f}")
    claims.answer("noise_slows", "; ".join(texts), holds=several(checks), command=COMMAND, ran=seeds_of_cells(own))
