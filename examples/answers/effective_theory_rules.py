"""The rules by which phase diagrams decide the claims of Liu et al. 2022, by a table of networks and a side of the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import pandas as pd
from scipy.stats import mannwhitneyu

from answers.intervals import mean
from answers.spans import difference, several
from claims import Verdict

PHASES = ("comprehension", "grokking", "memorization", "confusion")
SIDES = ("above", "at_least")
COUNTING = {"above": "counting above the threshold", "at_least": "counting the threshold itself, too"}
LEARNED = frozenset({"comprehension", "grokking"})
MUCH_FASTER = 300  # embedding rate over decoder rate
FAST = 2e-3  # decoder rates from here on are the right edge of a diagram


def neighbours(table: pd.DataFrame, x: str, y: str, phase: str) -> set[str]:
    """The phases that lie beside a grokking cell in the grid of two settings."""
    grid = table.pivot(index=y, columns=x, values=phase).to_numpy()
    pairs = [*zip(grid[1:].flat, grid[:-1].flat, strict=True), *zip(grid[:, 1:].flat, grid[:, :-1].flat, strict=True)]
    return {other for pair in pairs if "grokking" in pair for other in set(pair) - {"grokking"}}


def four_phases(table: pd.DataFrame, x: str, y: str, phase: str, beside: set[str]) -> Verdict:
    """All four, grokking beside those of ``beside``: holds; grokking and two others: in part."""
    found = {one for one in table[phase] if one in PHASES}
    if len(found) == len(PHASES) and beside <= neighbours(table, x, y, phase):
        return True
    return "in part" if "grokking" in found and len(found) >= 3 else False


def between(x: str = "decoder_lr", y: str = "decoder_weight_decay") -> Any:
    """The rule of the diagrams with four phases."""
    return lambda table, side: four_phases(table, x, y, side, {"comprehension", "memorization"})


def corner(phase: str, *, decayed: bool, largest: float) -> Any:
    """The commonest phase of a corner on the right (section 4.1, ii and iii): fast decoders with little decay, or with much.

    Args:
        largest: decay of the source's diagram; little is up to a fifth of it, much from four fifths on.
    """

    def rule(table: pd.DataFrame, side: str) -> Verdict:
        own = corner_of(table, decayed=decayed, largest=largest)
        return bool(own[side].mode().tolist() == [phase])

    return rule


def corner_of(table: pd.DataFrame, *, decayed: bool, largest: float) -> pd.DataFrame:
    """The networks of a corner on the right."""
    decay = table["decoder_weight_decay"]
    return table[(table["decoder_lr"] >= FAST) & (decay >= 0.8 * largest if decayed else decay <= 0.2 * largest)]


def share(table: pd.DataFrame, side: str, phases: Set[str]) -> float:
    """Share of a table's networks in some phases."""
    return float(table[side].isin(phases).mean())


def rates(table: pd.DataFrame, side: str) -> Verdict:
    """Figure 6a."""
    fast, slow = (
        table[table["embedding_lr"] > table["decoder_lr"]],
        table[table["embedding_lr"] < table["decoder_lr"]],
    )
    fast_decoder = table[(table["decoder_lr"] > 9e-4) & (table["embedding_lr"] < 1.1e-4)]
    return several([
        share(fast, side, {"comprehension"}) > share(slow, side, {"comprehension"}),
        fast_decoder[side].mode().tolist() == ["memorization"],
    ])  # fmt: skip


def with_ratio(table: pd.DataFrame) -> pd.DataFrame:
    """The networks whose embeddings are faster than their decoders, with a column ``ratio`` of the rates."""
    ratio = (table["embedding_lr"] / table["decoder_lr"]).round(2)
    return table.assign(ratio=ratio)[ratio > 1]


def later(faster: pd.DataFrame, side: str) -> tuple[float, float, float]:
    """Median steps to the test threshold of much faster embeddings and of somewhat faster ones, and Mann and Whitney's p.

    Args:
        faster: from `with_ratio`; networks that never get there count as the end of the run.
    """
    at, much = faster[f"test_{side}"].fillna(faster["steps"]), faster["ratio"] >= MUCH_FASTER
    test = mannwhitneyu(at[much], at[~much], alternative="greater")
    return float(at[much].median()), float(at[~much].median()), float(test.pvalue)


def late(table: pd.DataFrame, side: str) -> Verdict:
    """Section 4.1, top left of Figure 6a: much faster embeddings generalise, all of them, and late."""
    faster = with_ratio(table)
    every = faster.loc[faster["ratio"] >= MUCH_FASTER, side].isin(LEARNED).all()
    return several([bool(every), later(faster, side)[2] < 0.05])


def too_fast(table: pd.DataFrame, side: str) -> Verdict:
    """Section 4.1, "not too much": comprehension among embeddings somewhat faster than the decoder against much faster ones."""
    rule = compared("ratio", lambda ratio: ratio < MUCH_FASTER, lambda ratio: ratio >= MUCH_FASTER)
    return rule(with_ratio(table), side)


def counts(table: pd.DataFrame, side: str, phases: Set[str]) -> tuple[int, int]:
    """A table's networks in some phases, and all of them."""
    return int(table[side].isin(phases).sum()), len(table)


def compared(column: str, better: Any, worse: Any) -> Any:
    """Comprehension among ``better`` values of a setting against that among ``worse`` ones, by the interval of the difference."""

    def rule(table: pd.DataFrame, side: str) -> Verdict:
        sides = [counts(table[chosen(table[column])], side, {"comprehension"}) for chosen in (better, worse)]
        low, high = difference(*sides[0], *sides[1])
        return True if low > 0 else False if high < 0 else "undecided"

    return rule


def decay(table: pd.DataFrame, side: str) -> Verdict:
    """Figure 15: networks with one train set and decoder rate are compared."""
    own = table.assign(hit=table[side].isin(LEARNED).astype(float))
    hits = own.pivot(index=["seed", "decoder_lr"], columns="embedding_weight_decay", values="hit")
    apart = [mean(hits[d] - hits[0.0]) for d in hits if d]
    if any(low > 0 or high < 0 for _, low, high in apart):
        return False
    return True if all(low >= -0.2 and high <= 0.2 for _, low, high in apart) else "undecided"


def by_choice(table: pd.DataFrame, rule: Any, pooled: bool) -> dict[str, Verdict]:
    """A verdict per side of the threshold, and per train set unless they are pooled."""
    if pooled:
        return {side.replace("_", " "): rule(table, side) for side in SIDES}
    return {f"train set {seed}, {side.replace('_', ' ')}": rule(part, side)
            for seed, part in table.groupby("seed") for side in SIDES}  # fmt: skip


def settled(choices: Mapping[str, Verdict]) -> dict[str, Any]:
    """The one verdict where all choices agree, else how many say what."""
    verdicts = pd.Series(list(choices.values()), dtype=object)
    if verdicts.map(str).nunique() == 1:
        return {"holds": verdicts.iloc[0]}
    words = {"True": "holds", "False": "does not hold"}
    told = ", ".join(f"{words.get(one, one)} {k}" for one, k in verdicts.map(str).value_counts().items())
    what = "side" if len(choices) == len(SIDES) else "train set and side"
    return {"holds": "undecided", "note": f"Of {len(choices)} choices of {what}: {told}"}


def counted(table: pd.DataFrame) -> str:
    """Networks of each phase by each side, in words."""
    told = []
    for side in SIDES:
        n = table[side].value_counts()
        told.append(f"{COUNTING[side]}: " + ", ".join(f"{n.get(phase, 0)} {phase}" for phase in PHASES))
    sets = table["seed"].nunique()
    return f"{len(table)} networks of {sets} train set{'s' * (sets > 1)}; " + "; ".join(told)
