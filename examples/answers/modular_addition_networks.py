"""Modular addition: answers that rest on a row per network."""

from __future__ import annotations

import numpy as np
import pandas as pd

from answers.intervals import CHOSEN, JUDGED, Told, apart, generalised, majority, mean, of, said, sign, size
from long_runs.what_leads import CASES

P113 = CASES["p113"].folders


def late_generalisation(rows: pd.DataFrame) -> Told:
    own = of(rows, *P113)
    late = (own["test_at"] - own["train_at"]) >= 1_000
    steps = ", ".join(f"{a:,.0f} and {b:,.0f}" for a, b in zip(own["train_at"], own["test_at"], strict=True))
    holds = True if late.all() else "in part" if late.mean() > 0.5 else False
    return f"train and test accuracy 90% at steps {steps}", holds, {"steps": own["steps"].min(), "seeds": len(own)}, ""


def few_frequencies(rows: pd.DataFrame) -> Told:
    own = of(rows, *P113)
    modes = own["modes"]
    holds = True if modes.between(4, 6).all() else "in part" if modes.between(2, 10).all() else False
    return (
        f"{', '.join(f'{m:.0f}' for m in modes)} key frequencies of 56",
        holds,
        {"steps": own["steps"].min(), "seeds": len(own)},
        "",
    )


def small_init(rows: pd.DataFrame) -> Told:
    own = of(rows, "init_scale")
    free = own[own["weight_decay"] == 0]
    small = free[(free["init_scale"] < 1) & free["seed"].isin(CHOSEN)].groupby("init_scale")["test_accuracy"].mean()
    scale = small.idxmax()

    def at(part: pd.DataFrame, which: float) -> pd.Series:
        return part[(part["init_scale"] == which) & part["seed"].isin(JUDGED)].set_index("seed")["test_accuracy"]

    gain = mean(at(free, scale) - at(free, 1.0))
    beside = mean(at(free, scale) - at(own[own["weight_decay"] > 0], 1.0))
    holds = (True if beside[1] > -0.02 else "in part") if gain[1] > 0 else False if gain[2] <= 0 else "undecided"
    here = f"scale {scale:g} without L2: {said(gain)} over scale 1 without, {said(beside)} over scale 1 with L2"
    return here, holds, size(own), ""


def frozen_layers(rows: pd.DataFrame) -> Told:
    own = of(rows, "frozen")
    found, none = {}, []
    for name, part in own.assign(frozen=own["frozen"].fillna("nothing")).groupby("frozen"):
        table = part.pivot(index="seed", columns="weight_decay", values="test_accuracy")
        found[str(name)] = mean(table[0.0] - table[table.columns.max()])
        if part["test_accuracy"].max() < 0.1:
            none.append(f"{name} frozen: at most {part['test_accuracy'].max():.1%}")
    layers = [interval for name, interval in found.items() if name != "nothing"]
    holds = (
        True if any(low > 0 for _, low, _ in layers) else False if all(high < 0 for *_, high in layers) else "undecided"
    )
    here = "; ".join(f"{name} frozen: {said(interval)}" for name, interval in found.items())
    note = f"With or without L2 nothing is learned of the test set with {', '.join(none)}" if none else ""
    return here, holds, size(own), note


def mse_modes(rows: pd.DataFrame) -> Told:
    own = of(rows, "losses")
    holds, words = {}, []
    for (rate, decay), part in generalised(own).groupby(["lr", "weight_decay"]):
        sides = {str(name): side["modes"].to_numpy(float) for name, side in part.groupby("loss")}
        counts = f"{len(sides.get('mse', ()))} and {len(sides.get('cross_entropy', ()))} networks"
        setting = f"rate {rate:g}, L2 {decay:g}"
        if len(sides) < 2 or min(map(len, sides.values())) < 5:
            words.append(f"{setting}: {counts} generalise")
            continue
        found = apart(sides["mse"], sides["cross_entropy"])
        holds[setting] = sign(found)
        means = f"{sides['mse'].mean():.1f} modes against {sides['cross_entropy'].mean():.1f}"
        words.append(f"{setting}: {said(found)}, {means} ({counts})")
    return "; ".join(words), holds or "undecided", size(own), "" if holds else "At no setting do five a side generalise"


def superexponential(rows: pd.DataFrame) -> Told:
    own = of(rows, "fractions")
    steps = own.pivot(index="seed", columns="train_fraction", values="test_at").dropna(axis=1)
    if steps.shape[1] < 4:
        return (
            f"all seeds generalise at {steps.shape[1]} shares",
            "undecided",
            {**size(own), "shares": steps.shape[1]},
            "",
        )
    middle = steps.median()
    steep = steps.loc[
        :, middle > 1.5 * middle.min()
    ]  # away from the floor: no network generalises before it has learnt at all
    bends, better, verdicts = [], [], []
    for part in (steps, steep):
        x, y = part.columns.to_numpy(float), np.log(part.to_numpy(float))
        if len(x) < 4:
            verdicts.append("undecided")
            continue
        bends.append(mean([np.polyfit(x - x.mean(), each, 2)[0] for each in y]))
        better.append(mean([rest(x, each) - rest(1 / x, each) for each in y]))
        found = bends[-1], better[-1]
        verdicts.append(
            True if all(f[1] > 0 for f in found) else False if all(f[2] < 0 for f in found) else "undecided"
        )
    medians = ", ".join(f"{share:.0%}: {middle[share]:,.0f}" for share in steps.columns)
    bend, less = (
        ", ".join(said(each, form) for each in found) for found, form in ((bends, "{:+.1f}"), (better, "{:+.2f}"))
    )
    here = f"median batches to 90%: {medians}; over all shares, and over the steep ones: quadratic coefficient {bend}; "
    here += f"squared residuals of a line less those of 1 / share {less}"
    holds = dict(zip(("all shares", "those that take over 1.5 times the shortest"), verdicts, strict=True))
    return here, holds, {**size(own), "shares": steps.shape[1]}, ""


def rest(x: np.ndarray, y: np.ndarray) -> float:
    """Residual sum of squares of a straight line."""
    return float(((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2).sum())


def slingshot(rows: pd.DataFrame) -> Told:
    own = of(rows, "slingshots")
    late = own[own["test_at"] > own["train_at"]]
    spikes = [[int(s) for s in str(text).split()] if isinstance(text, str) else [] for text in late["slingshots"]]
    between = [
        any(a < s <= b for s in each) for each, a, b in zip(spikes, late["train_at"], late["test_at"], strict=True)
    ]
    counts = {True: sum(between), False: len(between) - sum(between)}
    here = f"{len(late)} of {len(own)} networks generalise after memorising; {counts[True]} with a slingshot in between"
    return here, majority(counts), size(own), ""
