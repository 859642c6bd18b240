"""Modular addition: answers that rest on a row per network."""

from __future__ import annotations

import numpy as np
import pandas as pd

from interp.phase_diagrams.confidence import share_interval

from answers.intervals import NOTHING, Told, apart, majority, mean, of, said, signs, size
from answers.spans import several

P113 = ("p113_seed0", "p113_seed1", "p113_seed2")
CHOSEN, JUDGED = (0, 1, 2), (3, 4, 5, 6, 7)  # seeds on which a setting is chosen, and on which it is judged


def late_generalisation(rows: pd.DataFrame) -> Told:
    own = of(rows, *P113)
    if not len(own):
        return NOTHING
    late = (own["test_at"] - own["train_at"]) >= 1_000
    steps = ", ".join(f"{a:,.0f} and {b:,.0f}" for a, b in zip(own["train_at"], own["test_at"], strict=True))
    holds = True if late.all() else "in part" if late.mean() > 0.5 else False
    return f"train and test accuracy 90% at steps {steps}", holds, {"steps": own["steps"].min(), "seeds": len(own)}, ""


def few_frequencies(rows: pd.DataFrame) -> Told:
    own = of(rows, *P113)
    if not len(own):
        return NOTHING
    modes = own["modes"]
    holds = True if modes.between(4, 6).all() else "in part" if modes.between(2, 10).all() else False
    return (
        f"{', '.join(f'{m:.0f}' for m in modes)} key frequencies of 56",
        holds,
        {"steps": own["steps"].min(), "seeds": len(own)},
        "",
    )


def span(accuracy: pd.Series) -> str:
    """Lowest and highest test accuracy, and how many networks generalise."""
    return f"test accuracy {accuracy.min():.1%} to {accuracy.max():.1%}, above 90% in {(accuracy > 0.9).sum()} of {len(accuracy)}"


def seconds(rows: pd.DataFrame) -> Told:
    own = of(rows, "mlp_modes")
    if not len(own):
        return NOTHING
    good = own["test_accuracy"] > 0.9
    here = span(own["test_accuracy"])
    return here, True if good.all() else "in part" if good.mean() >= 0.5 else False, size(own), ""


def learnt_modes(rows: pd.DataFrame) -> Told:
    own = of(rows, "mlp_modes", "mlp_modes_more")
    if not len(own):
        return NOTHING
    modes = own.loc[own["test_accuracy"] > 0.9, "modes"]
    found = mean(modes, np.median)
    holds = True if found[1] >= 4 and found[2] <= 6 else "undecided" if found[1] <= 6 and found[2] >= 4 else False
    here = f"median {said(found, '{:g}')} of 26 in {len(modes)} networks that generalise; {modes.min():.0f} to {modes.max():.0f}"
    return here, holds, size(own), ""


def early(rows: pd.DataFrame) -> Told:
    own = of(rows, "mlp_modes")
    if not len(own):
        return NOTHING
    counts = {
        True: int((own["test_high"] <= own["train_half"]).sum()),
        False: int((own["test_low"] >= own["train_half"]).sum()),
    }
    open_ones = len(own) - sum(counts.values())
    share = {which: share_interval(counts[which], len(own))[0] > 0.5 for which in (True, False)}
    holds = True if share[True] else False if share[False] else "undecided"
    here = (f"test accuracy changes before train accuracy passes 50% in {counts[True]} of {len(own)} networks, after it in "
            f"{counts[False]}, open in {open_ones}; medians: {own['test_low'].median():g} to {own['test_high'].median():g} "
            f"against {own['train_half'].median():g}")  # fmt: skip
    return here, holds, size(own), ""


OPTIMISERS = ("optimisers_adam", "optimisers_sgd")


def settings(rows: pd.DataFrame) -> pd.DataFrame:
    """The networks of both optimisers; empty unless both are there."""
    own = of(rows, *OPTIMISERS)
    return own if own["run"].nunique() == 2 else own.iloc[:0]


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
    own = settings(rows)
    if not len(own):
        return NOTHING
    found, words = [], []
    for (fraction, decay), part in own.groupby(["train_fraction", "weight_decay"]):
        by = {name: (best_rate(each), each) for name, each in part.groupby("optimizer")}
        difference = judged(by["adam"][1], by["adam"][0]) - judged(by["sgd"][1], by["sgd"][0])
        found.append(mean(difference))
        words.append(f"{fraction:.0%}, L2 {decay:g}: {said(found[-1])} (rates {by['adam'][0]:g} and {by['sgd'][0]:g})")
    return "; ".join(words), signs(found), {"seeds": own["seed"].nunique()}, ""


def large_rate(rows: pd.DataFrame) -> Told:
    own = settings(rows)
    if not len(own):
        return NOTHING
    above: dict[str, list[bool]] = {}
    words = []
    for (name, fraction, decay), part in own.groupby(["optimizer", "train_fraction", "weight_decay"]):
        best, least = best_rate(part), float(part["lr"].min())
        found = (0.0, 0.0, 0.0) if best == least else mean(judged(part, best) - judged(part, least))
        above.setdefault(str(name), []).append(found[1] > 0)
        words.append(f"{name}, {fraction:.0%}, L2 {decay:g}: {said(found)} at {best:g}")
    holds = several([better for each in above.values() for better in each])
    counts = ", ".join(f"{name} {sum(each)} of {len(each)}" for name, each in above.items())
    return f"Above 0: {counts}. " + "; ".join(words), holds, {"seeds": own["seed"].nunique()}, ""


def modes_by_setting(rows: pd.DataFrame) -> Told:
    own = settings(rows)
    if not len(own):
        return NOTHING
    good = pd.concat([
        part[(part["lr"] == best_rate(part)) & (part["test_accuracy"] > 0.9)]
        for _, part in own.groupby(["optimizer", "train_fraction", "weight_decay"])
    ])  # fmt: skip
    verdicts, words = [], []
    for name, sides in (("optimizer", "Adam minus SGD"), ("weight_decay", "without L2 minus with")):
        ways = []
        for fraction, part in good.groupby("train_fraction"):
            one, two = (
                side["modes"].to_numpy(float) for _, side in sorted(part.groupby(name), key=lambda kv: str(kv[0]))
            )
            if min(len(one), len(two)) < 5:
                continue
            found = apart(one, two)
            ways.append(int(found[1] > 0) - int(found[2] < 0))
            words.append(f"{sides}, {fraction:.0%}: {said(found)}")
        verdicts.append(len(ways) == 2 and ways[0] == ways[1] != 0)
    holds = True if all(verdicts) else "in part" if any(verdicts) else "undecided"
    return "; ".join(words) + f"; {len(good)} networks", holds, {"seeds": own["seed"].nunique()}, ""


def no_regularisation(rows: pd.DataFrame) -> Told:
    own = of(rows, "optimisers_adam")
    own = own.query("lr == 0.005 and weight_decay == 0 and train_fraction == 0.95") if len(own) else own
    if not len(own):
        return NOTHING
    good = own["test_accuracy"] > 0.9
    here = span(own["test_accuracy"])
    return here, True if good.all() else "in part" if good.mean() >= 0.5 else False, {"seeds": len(own)}, ""


def small_init(rows: pd.DataFrame) -> Told:
    own = of(rows, "init_scale")
    if not len(own):
        return NOTHING
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
    if not len(own):
        return NOTHING
    found = {}
    for name, part in own.assign(frozen=own["frozen"].fillna("nothing")).groupby("frozen"):
        table = part.pivot(index="seed", columns="weight_decay", values="test_accuracy")
        found[str(name)] = mean(table[0.0] - table[table.columns.max()])
    layers = [interval for name, interval in found.items() if name != "nothing"]
    holds = (
        True if any(low > 0 for _, low, _ in layers) else False if all(high < 0 for *_, high in layers) else "undecided"
    )
    return "; ".join(f"{name} frozen: {said(interval)}" for name, interval in found.items()), holds, size(own), ""


def mse_modes(rows: pd.DataFrame) -> Told:
    own = of(rows, "losses")
    if not len(own):
        return NOTHING
    sides, words = {}, []
    for name, part in own.groupby("loss"):
        good = part[part["test_accuracy"] > 0.9]
        if len(good):
            good = good[good["lr"] == good["lr"].mode().iloc[0]]
        sides[str(name)] = good["modes"].to_numpy(float)
        at = f" at rate {good['lr'].iloc[0]:g}, {(good['weight_decay'] > 0).sum()} with L2, {good['modes'].mean():.1f} modes"
        words.append(f"{name}: {len(good)} networks" + (at if len(good) else ""))
    if min(map(len, sides.values())) < 5:
        return "; ".join(words), "undecided", size(own), "too few generalise"
    found = apart(sides["mse"], sides["cross_entropy"])
    holds = True if found[1] > 0 else False if found[2] < 0 else "undecided"
    return "; ".join(words) + f"; difference {said(found)}", holds, size(own), ""


def superexponential(rows: pd.DataFrame) -> Told:
    own = of(rows, "fractions")
    if not len(own):
        return NOTHING
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
    bends, verdicts = [], []
    for part in (steps, steep):
        x, y = part.columns.to_numpy(float), np.log(part.to_numpy(float))
        if len(x) < 4:
            verdicts.append("undecided")
            continue
        bends.append(mean([np.polyfit(x - x.mean(), each, 2)[0] for each in y]))
        found = bends[-1], mean([rest(x, each) - rest(1 / x, each) for each in y])
        verdicts.append(
            True if all(f[1] > 0 for f in found) else False if all(f[2] < 0 for f in found) else "undecided"
        )
    medians = ", ".join(f"{share:.0%}: {middle[share]:,.0f}" for share in steps.columns)
    bend = ", ".join(said(each, "{:+.1f}") for each in bends)
    here = f"median batches to 90%: {medians}; quadratic coefficient over all shares, and over the steep ones: {bend}"
    holds = dict(zip(("all shares", "those that take over 1.5 times the shortest"), verdicts, strict=True))
    return here, holds, {**size(own), "shares": steps.shape[1]}, ""


def rest(x: np.ndarray, y: np.ndarray) -> float:
    """Residual sum of squares of a straight line."""
    return float(((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2).sum())


def slingshot(rows: pd.DataFrame) -> Told:
    own = of(rows, "slingshots")
    if not len(own):
        return NOTHING
    late = own[own["test_at"] > own["train_at"]]
    spikes = [[int(s) for s in str(text).split()] if isinstance(text, str) else [] for text in late["slingshots"]]
    between = [
        any(a < s <= b for s in each) for each, a, b in zip(spikes, late["train_at"], late["test_at"], strict=True)
    ]
    counts = {True: sum(between), False: len(between) - sum(between)}
    here = f"{len(late)} of {len(own)} networks generalise after memorising; {counts[True]} with a slingshot in between"
    return here, majority(counts), size(own), ""
