"""Modular addition: answers on the discussion's recipe, with L2 and without, and with wider embeddings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from interp.phase_diagrams.confidence import share_interval

from answers.intervals import Told, generalised, least, majority, mean, median, of, said, sign, size

RECIPE = ("mlp_modes", "mlp_modes_more")  # one network from each of a hundred seeds
FREE = "mlp_free"  # the same seeds without L2
FREE_FOR = {"1,500 batches": FREE, "6,000 batches": "mlp_free_longer"}
ROOM_FOR_12 = ("mlp_embed24", "mlp_embed24_more")
SIZES = {"embedding of 12": RECIPE, "embedding of 24": ROOM_FOR_12, "embedding of 52": ("mlp_embed52",)}
ALMOST_NEVER = 0.1
PAIR = ["optimizer", "train_fraction", "lr", "seed"]  # what two networks share that differ in L2


def sizes(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The networks of the recipe by the size of the embedding."""
    return {name: of(rows, *runs) for name, runs in SIZES.items()}


def seconds(rows: pd.DataFrame) -> Told:
    own = of(rows, "mlp_modes")
    good, accuracy = len(generalised(own)), own["test_accuracy"]
    here = f"test accuracy {accuracy.min():.1%} to {accuracy.max():.1%}, above 90% in {good} of {len(own)}"
    return here, True if good == len(own) else "in part" if good / len(own) >= 0.5 else False, size(own), ""


def learnt_modes(*runs: str) -> Callable[[pd.DataFrame], Told]:
    """Whether the median network learns about five modes."""

    def told(rows: pd.DataFrame) -> Told:
        own = of(rows, *runs)
        modes = generalised(own)["modes"]
        found = median(modes)
        holds = True if found[1] >= 4 and found[2] <= 6 else "undecided" if found[1] <= 6 and found[2] >= 4 else False
        span = f"{modes.min():.0f} to {modes.max():.0f}"
        here = f"median {said(found, '{:g}')} of 26 in {len(modes)} networks that generalise; {span}"
        return here, holds, size(own), ""

    return told


def room_for_all(rows: pd.DataFrame) -> Told:
    own = of(rows, "mlp_embed52")
    modes = generalised(own)["modes"]
    few = int((modes <= 13).sum())
    middle = said(median(modes), "{:g}")
    here = f"at most 13 in {few} of {len(modes)} networks that generalise; median {middle}, most {modes.max():.0f}"
    return here, majority({True: few, False: len(modes) - few}), size(own), ""


def early(rows: pd.DataFrame) -> Told:
    by_size = sizes(rows)
    holds, words = {}, []
    for name, own in by_size.items():
        before, after = own["test_high"] <= own["train_half"], own["test_low"] >= own["train_half"]
        holds[name] = majority({True: int(before.sum()), False: int(after.sum())}, len(own))
        medians = (
            f"{own['test_low'].median():g} to {own['test_high'].median():g} against {own['train_half'].median():g}"
        )
        words.append(
            f"{name}: before in {before.sum()} of {len(own)} networks, after in {after.sum()} (medians: {medians})"
        )
    here = "test accuracy changes before train accuracy passes 50%, or after: " + "; ".join(words)
    return here, holds, least(by_size.values()), ""


def before_memorisation(rows: pd.DataFrame) -> Told:
    own = of(rows, FREE)
    good = generalised(own)
    complete = good["train_full"].fillna(np.inf)
    holds, words = {}, []
    for name, at in {"test accuracy of 90%": good["test_at"], "the change point": good["test_high"]}.items():
        before, after = int((at < complete).sum()), int((at > complete).sum())
        holds[name] = majority({True: before, False: after}, len(good))
        words.append(f"{name} at batch {at.median():g} (median), before in {before} and after in {after}")
    here = f"of {len(good)} networks, against train accuracy of 99.9% at batch {complete.median():g} (median): {'; '.join(words)}"
    return here, holds, size(own), ""


def memorisation_starts(rows: pd.DataFrame) -> Told:
    every = sizes(rows) | {"without L2": of(rows, FREE)}
    holds, words = {}, []
    for name, own in every.items():
        good = generalised(own)
        first = int((good["train_tenth"] < good["test_tenth"]).sum())
        holds[name] = majority({True: first, False: len(good) - first})
        gap = (good["test_tenth"] - good["train_tenth"]).median()
        words.append(f"{name}: in {first} of {len(good)} networks, {gap:g} batches before test accuracy (median)")
    return "train accuracy passes 10% first: " + "; ".join(words), holds, least(every.values()), ""


def no_regularisation(rows: pd.DataFrame) -> Told:
    with_l2 = of(rows, *RECIPE)
    free = {name: of(rows, run) for name, run in FREE_FOR.items()}
    holds, words = {}, []
    for level in (0.9, 0.5):
        good = with_l2.loc[with_l2["test_accuracy"] > level, "seed"]
        for name, own in free.items():
            without = own.set_index("seed")["test_accuracy"]
            needed, n = int((without[good] <= level).sum()), len(good)
            low, high = share_interval(needed, n)
            holds[f"{level:.0%} in {name}"] = (
                True if high < ALMOST_NEVER else False if low > ALMOST_NEVER else "undecided"
            )
            words.append(f"{level:.0%} of the test set in {name}: {(without > level).sum()} of {len(without)} without L2; "
                         f"necessary in {needed} of {n} pairs, {needed / n:.1%} [{low:.1%}, {high:.1%}]")  # fmt: skip
    ran = least((with_l2, *free.values()))
    return "; ".join(words), holds, ran, ""


def modes_under_l2(rows: pd.DataFrame) -> Told:
    recipe = pd.concat([of(rows, *RECIPE), of(rows, FREE)])
    parts = {"the recipe": recipe, "Adam": of(rows, "optimisers_adam"), "SGD": of(rows, "optimisers_sgd")}
    holds, words = {}, []
    for name, own in parts.items():
        both = generalised(own).pivot(index=PAIR, columns="weight_decay", values="modes").dropna()
        differences = (both[0.0] - both[both.columns.max()]).groupby("seed").mean()
        found = mean(differences) if len(differences) else (np.nan,) * 3
        holds[name] = sign(found) if len(differences) >= 5 else "undecided"
        words.append(f"{name}: {said(found)} modes ({len(both)} pairs, {len(differences)} seeds)")
    return "; ".join(words), holds, {"seeds": min(own["seed"].nunique() for own in parts.values())}, ""
