"""How alike are networks that give the same answers? Answers from measured/same_answers_*.csv, pair by pair."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
import pandas as pd

from probes.similarity import mantel

from answers.tables import MEASURED

COMMAND = "python examples/long_runs/evidence.py same_answers_seeds"
COMMAND_OF_SKULLS = "python examples/long_runs/evidence.py same_answers_skulls"
JOINED = 0.1  # nats: a barrier below this is none


class Seeds:
    """Every two of the seeds that solve p = 53, before and after they grok.

    Attributes:
        stages: a table of pairs, ``before`` and ``after``.
        names: of the networks.
        keys, accuracy: each network's key frequencies and test accuracy after grokking.
    """

    def __init__(self) -> None:
        pairs = pd.read_csv(MEASURED / "same_answers_p53.csv", keep_default_na=False, na_values=[""])
        pairs["stitched"] = pairs[["a_to_b_accuracy", "b_to_a_accuracy"]].mean(axis=1)
        self.stages = {stage: part.reset_index(drop=True) for stage, part in pairs.groupby("stage", sort=False)}
        after = self.stages["after"]
        self.names = sorted({*after["a"], *after["b"]}, key=lambda name: int(name.split()[1]))
        ends = [
            after[[s, f"keys_{s}", f"test_accuracy_{s}"]].set_axis(["seed", "keys", "accuracy"], axis=1) for s in "ab"
        ]
        own = pd.concat(ends).drop_duplicates("seed").set_index("seed")
        self.keys, self.accuracy = own["keys"].to_dict(), own["accuracy"].to_dict()

    def table(self, stage: str, column: str, diagonal: float = 1) -> pd.DataFrame:
        """A number for every two networks, as a square table."""
        found = pd.DataFrame(float(diagonal), index=self.names, columns=self.names)
        for _, row in self.stages[stage].iterrows():
            found.loc[row["a"], row["b"]] = found.loc[row["b"], row["a"]] = row[column]
        return found

    def goes_with(self, stage: str, one: str, other: str) -> Any:
        """Mantel's test of two numbers of every pair."""
        return mantel(self.table(stage, one), self.table(stage, other))

    def mean_interval(self, pairs: pd.DataFrame, column: str) -> tuple[float, float, float]:
        """A mean over pairs, and its 95% interval by jackknife: pairs share networks, so one network at a time is left out."""
        whole, n = pairs[column].mean(), len(self.names)
        left = [pairs.loc[(pairs["a"] != name) & (pairs["b"] != name), column].mean() for name in self.names]
        spread = 1.96 * np.sqrt((n - 1) / n * np.square(np.array(left) - np.mean(left)).sum())
        return whole, whole - spread, whole + spread


def skulls() -> pd.DataFrame:
    """Every two skulls, layer by layer: evolved, published and trained here."""
    pairs = pd.read_csv(MEASURED / "same_answers_skull.csv")
    pairs["kind"] = np.where(pairs["a"] == "evolved", "evolved and an SGD twin", "two SGD twins")
    pairs["stitch"] = pairs[["a_to_b_relative", "b_to_a_relative"]].clip(-1, 1).mean(axis=1)
    return pairs


def answer(claims: Any) -> None:
    """Answer every claim of the notebook: all rest on measured/same_answers_*.csv."""
    seeds = Seeds()
    after, before = seeds.stages["after"], seeds.stages["before"]
    ran = {"seeds": len(seeds.names)}
    sets = {name: frozenset(keys.split()) for name, keys in seeds.keys.items()}
    least = floor(1000 * min(seeds.accuracy.values())) / 1000
    same = sum(sets[a] == sets[b] for a, b in zip(after["a"], after["b"], strict=True))
    claims.answer(
        "seeds_choose_keys",
        f"step {after['step'].iloc[0]:,}, test accuracy {least:.1%} or more: {len(set(sets.values()))} "
        f"different sets of key frequencies in {len(sets)} seeds; {same} of {len(after)} pairs have the same set, "
        f"{int((after['shared_keys'] == 0).sum())} none in common",
        holds=bool(same < len(after) / 2),
        command=COMMAND,
        ran=ran,
    )
    chance = after[["cka_null", "cka_low", "cka_high"]].iloc[0]
    above, below = (
        int(part.sum()) for part in (after["cka_value"] > after["cka_high"], after["cka_value"] < after["cka_low"])
    )
    claims.answer(
        "alike_beyond_random",
        f"mean CKA {after['cka_value'].mean():.2f}; 39 pairs of random networks {chance['cka_null']:.2f} "
        f"[{chance['cka_low']:.2f}, {chance['cka_high']:.2f}]: {above} of {len(after)} pairs lie above, {below} below",
        holds=_all_or_most(above, len(after)),
        note="networks with other keys use orthogonal functions of the input, and are less alike than random ones"
        if below
        else "",
        command=COMMAND,
        ran=ran,
    )
    for name, one, other, words in (
        ("shared_keys_alike", "jaccard", "cka_value", "keys in common (Jaccard) and CKA"),
        ("shared_keys_stitch", "jaccard", "stitched", "keys in common and stitched accuracy"),
        ("similarity_agrees", "cka_value", "stitched", "CKA and stitched accuracy"),
    ):
        found = seeds.goes_with("after", one, other)
        claims.answer(
            name,
            f"{words}: Spearman {found.correlation:+.2f} over {found.pairs} pairs of {found.networks}, Mantel p = {found.p:.2g}",
            holds=bool(found.correlation > 0) if found.p < 0.05 else "undecided",
            command=COMMAND,
            ran=ran,
        )
    gap = after[["a", "b"]].assign(gap=after["cka_value"].to_numpy() - before["cka_value"].to_numpy())
    mean, low, high = seeds.mean_interval(gap, "gap")
    claims.answer(
        "grokking_parts_them",
        f"mean CKA {before['cka_value'].mean():.2f} before, {after['cka_value'].mean():.2f} after: {mean:+.2f} "
        f"[{low:+.2f}, {high:+.2f}]",
        holds="undecided" if low <= 0 <= high else bool(high < 0),
        command=COMMAND,
        ran=ran,
    )
    joined = int((after["barrier_matched"] < JOINED).sum())
    claims.answer(
        "matching_joins_seeds",
        f"barrier on test sums {after['barrier'].mean():.2f} nats before matching, {after['barrier_matched'].mean():.2f} "
        f"after (mean of {len(after)} pairs); below {JOINED} after matching in {joined}, lower than before in "
        f"{int((after['barrier_matched'] < after['barrier']).sum())}",
        holds=_all_or_most(joined, len(after)),
        command=COMMAND,
        ran=ran,
    )
    _odd_one_out(claims, "evolved_apart", "cka_value", "CKA")
    _odd_one_out(claims, "evolved_stitches", "stitch", "stitching (relative)")


def _all_or_most(count: int, n: int) -> bool | str:
    return True if count == n else "in part" if count > n / 2 else False


def _odd_one_out(claims: Any, name: str, column: str, words: str) -> None:
    """Every skull's mean over layers and over the other skulls: is the evolved one's the least?"""
    pairs = skulls()
    networks = dict.fromkeys([*pairs["a"], *pairs["b"]])
    own = {one: pairs.loc[(pairs["a"] == one) | (pairs["b"] == one), column].mean() for one in networks}
    least = sorted(own, key=own.__getitem__)
    others = [value for one, value in own.items() if one != "evolved"]
    claims.answer(
        name,
        f"mean {words} to the others: evolved {own['evolved']:.2f}, {len(others)} SGD twins {min(others):.2f} to "
        f"{max(others):.2f}: place {least.index('evolved') + 1} of {len(own)} from below",
        holds=least[0] == "evolved",
        note=f"Of {len(own)} networks one is the least with probability 1 / {len(own)}; twins of 64 pixels and 20,000 steps, and "
        "the published one",
        command=COMMAND_OF_SKULLS,
        ran={"twins": len(others)},
    )
