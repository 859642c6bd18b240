"""Modular addition: answers on optimisers and their rates, epochs adjusted to the rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from answers.intervals import CHOSEN, JUDGED, Told, apart, generalised, mean, of, of_every, said, signs

OPTIMISERS = ("optimisers_adam", "optimisers_sgd")


def best_rate(own: pd.DataFrame) -> float:
    """The rate with the best mean test accuracy on the seeds for choosing; of equals the one that was trained for fewer steps."""
    chosen = (
        own[own["seed"].isin(CHOSEN)].groupby("lr").agg(accuracy=("test_accuracy", "mean"), steps=("steps", "mean"))
    )
    return float(chosen.sort_values(["accuracy", "steps"], ascending=[False, True]).index[0])


def judged(own: pd.DataFrame, rate: float) -> pd.Series:
    """Test accuracy by seed at a rate, on the seeds for judging."""
    return own[own["seed"].isin(JUDGED) & (own["lr"] == rate)].set_index("seed")["test_accuracy"].sort_index()


def adam_over_sgd(rows: pd.DataFrame) -> Told:
    own = of_every(rows, *OPTIMISERS)
    found, words = [], []
    for (fraction, decay), part in own.groupby(["train_fraction", "weight_decay"]):
        by = {name: (best_rate(each), each) for name, each in part.groupby("optimizer")}
        difference = judged(by["adam"][1], by["adam"][0]) - judged(by["sgd"][1], by["sgd"][0])
        found.append(mean(difference))
        words.append(f"{fraction:.0%}, L2 {decay:g}: {said(found[-1])} (rates {by['adam'][0]:g} and {by['sgd'][0]:g})")
    return "; ".join(words), signs(found), {"seeds": own["seed"].nunique()}, ""


def large_rate(*runs: str) -> Callable[[pd.DataFrame], Told]:
    """Whether one optimiser generalises better at the best of its larger rates than at its smallest."""

    def told(rows: pd.DataFrame) -> Told:
        own = of(rows, *runs)
        intervals, words = [], []
        for (fraction, decay), part in own.groupby(["train_fraction", "weight_decay"]):
            smallest = float(part["lr"].min())
            best = best_rate(part[part["lr"] > smallest])
            found = mean(judged(part, best) - judged(part, smallest))
            intervals.append(found)
            words.append(f"{fraction:.0%}, L2 {decay:g}: {said(found)} at {best:g} over {smallest:g}")
        return "; ".join(words), signs(intervals), {"seeds": own["seed"].nunique(), "rates": own["lr"].nunique()}, ""

    return told


def modes_by_optimiser(rows: pd.DataFrame) -> Told:
    own = of_every(rows, *OPTIMISERS)
    good = pd.concat([
        generalised(part[part["lr"] == best_rate(part)])
        for _, part in own.groupby(["optimizer", "train_fraction", "weight_decay"])
    ])  # fmt: skip
    ways, words = [], []
    for fraction, part in good.groupby("train_fraction"):
        by_seed = part.groupby(["optimizer", "seed"])["modes"].mean()  # with L2 and without
        adam, sgd = (by_seed[name].to_numpy(float) if name in by_seed else np.empty(0) for name in ("adam", "sgd"))
        if min(len(adam), len(sgd)) < 5:
            continue
        found = apart(adam, sgd)
        ways.append(int(found[1] > 0) - int(found[2] < 0))
        words.append(f"Adam minus SGD, {fraction:.0%}: {said(found)} ({len(adam)} and {len(sgd)} seeds)")
    holds = True if len(ways) == 2 and ways[0] == ways[1] != 0 else "undecided"
    return "; ".join(words), holds, {"seeds": own["seed"].nunique()}, ""
