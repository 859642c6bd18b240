"""The claims of Liu et al. 2022 that rest on long runs, from measured/effective_theory_*.csv; ``structure`` has the others.

A phase counts by both sides of the threshold, above and at least.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from answers import effective_theory_structure as structure
from answers.spans import difference

FOLDER = Path(__file__).parents[1] / "measured"
FILES = ("toy", "toy_published", "transformer", "mnist", "diagrams", "fractions", "p4", "embeddings")
PHASES = ("comprehension", "grokking", "memorization", "confusion")
SIDES = ("above", "at_least")
LEARNED = frozenset({"comprehension", "grokking"})
EVIDENCE = "python examples/long_runs/evidence.py"
Verdict = bool | str | None


def tables() -> dict[str, pd.DataFrame]:
    """The tables that are there, by name."""
    paths = {what: FOLDER / f"effective_theory_{what}.csv" for what in FILES}
    return {what: pd.read_csv(path) for what, path in paths.items() if path.is_file()}


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


def by_choice(table: pd.DataFrame, rule: Any, pooled: bool) -> dict[str, Verdict]:
    """A verdict per side of the threshold, and per train set unless they are pooled."""
    if pooled:
        return {side.replace("_", " "): rule(table, side) for side in SIDES}
    return {f"train set {seed}, {side.replace('_', ' ')}": rule(part, side)
            for seed, part in table.groupby("seed") for side in SIDES}  # fmt: skip


def counted(table: pd.DataFrame) -> str:
    """Networks of each phase by each side, in words."""
    told = []
    for side in SIDES:
        n = table[side].value_counts()
        told.append(f"{side.replace('_', ' ')}: " + ", ".join(f"{n.get(phase, 0)} {phase}" for phase in PHASES))
    return f"{len(table)} networks of {table['seed'].nunique()} train sets; " + "; ".join(told)


def settled(choices: Mapping[str, Verdict]) -> dict[str, Any]:
    """The one verdict where all choices agree, else how many say what."""
    verdicts = pd.Series(list(choices.values()), dtype=object)
    if verdicts.map(str).nunique() == 1:
        return {"holds": verdicts.iloc[0]}
    words = {"True": "holds", "False": "does not hold"}
    told = ", ".join(f"{words.get(one, one)} {k}" for one, k in verdicts.map(str).value_counts().items())
    what = "side" if len(choices) == len(SIDES) else "train set and side"
    return {"holds": "undecided", "note": f"Of {len(choices)} choices of {what}: {told}"}


def diagram(
    claims: Any, name: str, table: pd.DataFrame | None, rule: Any, cost: str, command: str, pooled: str = ""
) -> None:
    """Answer one diagram by its rule, a verdict for each side.

    Args:
        pooled: what came out for all train sets together, in words, where the rule takes them so; else it takes each by itself.
    """
    if table is None or table.empty:
        claims.answer(name, "", holds=None, note=f"The runs were not made: {cost}", command=command)
        return
    choices = by_choice(table, rule, pooled=bool(pooled))
    ran = {"steps": int(table["steps"].min()), "train_sets": table["seed"].nunique()}
    claims.answer(name, pooled or counted(table), **settled(choices), command=command, ran=ran)


def between(x: str = "decoder_lr", y: str = "decoder_weight_decay") -> Any:
    """The rule of the diagrams with four phases."""
    return lambda table, side: four_phases(table, x, y, side, {"comprehension", "memorization"})


def share(table: pd.DataFrame, side: str, phases: Set[str]) -> float:
    """Share of a table's networks in some phases."""
    return float(table[side].isin(phases).mean())


def rates(table: pd.DataFrame, side: str) -> Verdict:
    """Figure 6a."""
    fast, slow = (
        table[table["embedding_lr"] > table["decoder_lr"]],
        table[table["embedding_lr"] < table["decoder_lr"]],
    )
    corner = table[(table["decoder_lr"] > 9e-4) & (table["embedding_lr"] < 1.1e-4)]
    parts = [
        share(fast, side, {"comprehension"}) > share(slow, side, {"comprehension"}),
        corner[side].mode().tolist() == ["memorization"],
    ]
    return True if all(parts) else "in part" if any(parts) else False


def counts(table: pd.DataFrame, side: str, phases: Set[str]) -> tuple[int, int]:
    """A table's networks in some phases, and all of them."""
    return int(table[side].isin(phases).sum()), len(table)


def compared(column: str, better: Any, worse: Any) -> Any:
    """Comprehension among ``better`` values of a setting against that among ``worse`` ones (Figures 13 and 14)."""

    def rule(table: pd.DataFrame, side: str) -> Verdict:
        sides = [counts(table[chosen(table[column])], side, {"comprehension"}) for chosen in (better, worse)]
        low, high = difference(*sides[0], *sides[1])
        return True if low > 0 else False if high < 0 else "undecided"

    return rule


def decay(table: pd.DataFrame, side: str) -> Verdict:
    """Figure 15."""
    hits = {d: counts(part, side, LEARNED) for d, part in table.groupby("embedding_weight_decay")}
    apart = [difference(*own, *hits[0.0]) for d, own in hits.items() if d]
    if any(low > 0 or high < 0 for low, high in apart):
        return False
    return True if all(low >= -0.2 and high <= 0.2 for low, high in apart) else "undecided"


def shares(table: pd.DataFrame, column: str, phases: Set[str]) -> str:
    """How many networks have some phases by both sides, by the values of a setting, in words."""
    told = (
        f"{value:g}: {' and '.join(str(counts(part, side, phases)[0]) for side in SIDES)} of {len(part)}"
        for value, part in table.groupby(column)
    )
    what, by = " or ".join(sorted(phases)), column.replace("_", " ")
    return f"{table['seed'].nunique()} train sets; {what} by {by} (above 0.9 and at least): {', '.join(told)}"


@dataclass(frozen=True)
class Figure:
    """A diagram, and the rule that decides it.

    Attributes:
        minutes: that its runs take on a core.
        by, phases: train sets are pooled, and networks in these phases counted by this setting; else each train set by itself.
        decoder_lr: networks with a faster decoder are left out.
    """

    run: str
    rule: Any
    minutes: int
    by: str = ""
    phases: frozenset[str] = frozenset({"comprehension"})
    decoder_lr: float = math.inf


FIGURES = {
    "phases_classification": Figure("toy_classes", between(), 115),
    "phases_s3": Figure("s3", between(), 105),
    "phases_rates": Figure("toy_rates", rates, 36),
    # Figure 13 shows the batch where the decoder is slow
    "phases_batch": Figure(
        "toy_batch", compared("batch_size", lambda b: b == 45, lambda b: b == 5), 22, "batch_size", decoder_lr=1.1e-3
    ),
    "phases_scale": Figure(
        "toy_scale", compared("embedding_scale", lambda s: s < 0.1, lambda s: s > 0.8), 24, "embedding_scale"
    ),
    "phases_decay": Figure("toy_decay", decay, 24, "embedding_weight_decay", LEARNED),
}


def phases_of(claims: Any, found: Mapping[str, pd.DataFrame]) -> None:
    """Figures 6, 13 to 15, and what the two sides of the threshold do."""
    grids = found.get("diagrams")
    of = dict(list(grids.groupby("run"))) if grids is not None else {}
    published = found.get("toy_published")
    if published is not None:
        published = published.assign(steps=100_000)
        moved = (published["above"] != published["at_least"]).mean()
        claims.answer(
            "threshold_side", f"{moved:.0%} of {len(published)} networks have another phase by each",
            holds=True if moved <= 0.05 else "in part" if moved <= 0.1 else False,
            command="examples/long_runs/effective_theory.sh toy full",
            ran={"steps": 100_000, "train_sets": published["seed"].nunique()},
        )  # fmt: skip
    else:
        claims.answer("threshold_side", "", holds=None, note="The diagram was not run: an hour and a half on a core")
    toy = "examples/long_runs/effective_theory.sh toy full"
    diagram(claims, "phases_published", published, between(), "an hour and a half on a core", toy)
    for name, figure in FIGURES.items():
        table = of.get(figure.run)
        if table is not None:
            table = table[table["decoder_lr"] <= figure.decoder_lr]
        pooled = shares(table, figure.by, figure.phases) if figure.by and table is not None else ""
        cost = f"{figure.minutes} minutes of a core"
        diagram(claims, name, table, figure.rule, cost, f"{EVIDENCE} effective_theory_diagrams", pooled)
    transformers(claims, of, found)
    images(claims, of)


def steps_by(table: pd.DataFrame, setting: str, side: str) -> pd.DataFrame:
    """Steps to the test threshold, a row per seed and a column per setting; never counts as the end of the run."""
    filled = table.assign(at=table[f"test_{side}"].fillna(table["steps"]))
    return filled.pivot(index="seed", columns=setting, values="at")


def transformers(claims: Any, of: Mapping[str, pd.DataFrame], found: Mapping[str, pd.DataFrame]) -> None:
    """Figure 7: the diagram, decay, dropout."""
    coarse, command = found.get("transformer"), "examples/long_runs/effective_theory.sh transformer coarse"
    if coarse is None:
        claims.answer("phases_transformer", "", holds=None, note="256 dimensions: 430 core-hours", command=command)
    else:
        n = coarse["phase"].value_counts()
        holds = four_phases(coarse, "decoder_lr", "decoder_weight_decay", "phase", {"memorization"})
        here = ", ".join(f"{n.get(phase, 0)} {phase}" for phase in PHASES)
        claims.answer(
            "phases_transformer", here, holds=holds, command=command, ran={"steps": 2_000, "dimensions": 48},
            note="256 dimensions, 110 networks and 100,000 steps cost 430 core-hours",
        )  # fmt: skip
    command = f"{EVIDENCE} effective_theory_diagrams"
    for name, run, setting in (
        ("transformer_decay", "transformer_decay", "decoder_weight_decay"),
        ("transformer_dropout", "transformer_dropout", "dropout"),
    ):  # fmt: skip
        table = of.get(run)
        if table is None:
            claims.answer(
                name, "", holds=None, note="The runs were not made: 22 to 26 minutes of a core a seed", command=command
            )
            continue
        choices, told = {}, []
        for side in SIDES:
            at = steps_by(table, setting, side)
            rest = at.drop(columns=0.0).min(axis=1)
            if setting == "dropout":
                early, late = bool((rest < 1_000).all()), bool((at[0.0] >= 1_000).all())
                choices[side.replace("_", " ")] = (True if late else "in part") if early else False
            else:
                choices[side.replace("_", " ")] = bool((rest <= at[0.0] / 2).all())
            told.append(f"{side.replace('_', ' ')}: " + ", ".join(f"{k:g}: {v:,.0f}" for k, v in at.median().items()))
        here = (
            f"{at.shape[0]} seeds; median steps to 0.9 by {setting} (end of the run: {table['steps'].max():,}); "
            + "; ".join(told)
        )
        claims.answer(name, here, holds=choices, command=command, ran={"seeds": len(at), "dimensions": 256})


def images(claims: Any, of: Mapping[str, pd.DataFrame]) -> None:
    """Figures 8b and 20."""
    command, table = f"{EVIDENCE} effective_theory_diagrams", of.get("mnist_rate")
    if table is None:
        claims.answer(
            "phases_mnist", "", holds=None, note="The runs were not made: 92 minutes of a core", command=command
        )
    else:
        choices = {side.replace("_", " "): four_phases(table, "last_lr", "weight_decay", side, set()) for side in SIDES}
        ran = {"steps": int(table["steps"].min()), "networks": len(table)}
        claims.answer("phases_mnist", counted(table), holds=choices, command=command, ran=ran)
    table = of.get("mnist_sizes")
    if table is None:
        claims.answer(
            "mnist_sizes", "", holds=None, note="The runs were not made: 75 minutes of a core", command=command
        )
        return
    at = steps_by(table, "n_train", "at_least")
    falls = [at.loc[seed].rank().corr(pd.Series(at.columns, index=at.columns)) <= -0.9 for seed in at.index]
    reached = table.dropna(subset="test_at_least")
    ratio = [part.set_index("n_train")["test_at_least"].sort_index() for _, part in reached.groupby("seed")]
    fast = len(ratio) == len(at) and all(len(one) > 1 and one.iloc[0] >= 3 * one.iloc[-1] for one in ratio)
    told = ", ".join(f"{n:,.0f}: {steps:,.0f}" for n, steps in at.median().items())
    claims.answer(
        "mnist_sizes", f"median steps to 0.6 by images (100,000: never): {told}", command=command,
        holds=True if all(falls) and fast else "in part" if all(falls) else False,
        ran={"steps": int(table["steps"].min()), "seeds": len(at)},
    )  # fmt: skip


def answer(claims: Any) -> None:
    """Answer every claim that rests on a table, or say that its runs were not made and what they cost."""
    found = tables()
    phases_of(claims, found)
    structure.answer(claims, found)
