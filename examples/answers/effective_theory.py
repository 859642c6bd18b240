"""The claims of Liu et al. 2022 that rest on long runs, from measured/effective_theory_*.csv.

Here are the phase diagrams of toy addition and S_3; ``networks`` has transformers and images, ``structure`` the embeddings of
the toy model. A phase counts by both sides of the threshold, above and at least.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import pandas as pd

from answers import effective_theory_networks as networks
from answers import effective_theory_structure as structure
from answers.effective_theory_rules import (
    COUNTING,
    LEARNED,
    MUCH_FASTER,
    SIDES,
    between,
    by_choice,
    compared,
    corner,
    corner_of,
    counted,
    counts,
    decay,
    late,
    later,
    rates,
    settled,
    too_fast,
    with_ratio,
)  # fmt: skip
from answers.tables import MEASURED
from answers.waiting import waits

FILES = ("toy", "toy_published", "transformer", "mnist", "diagrams", "fractions", "p4", "embeddings")
EVIDENCE = "python examples/long_runs/evidence.py"
TOY = "examples/long_runs/effective_theory.sh toy full"
NOT_DRAWN = "The diagram was not run: an hour and a half of a core"
STEPS_OF = {"s3": [f"s3_seed{i}" for i in range(5)]}  # whose steps begin as those of another diagram do


def tables() -> dict[str, pd.DataFrame]:
    """The tables that are there, by name."""
    paths = {what: MEASURED / f"effective_theory_{what}.csv" for what in FILES}
    return {what: pd.read_csv(path) for what, path in paths.items() if path.is_file()}


def shares(table: pd.DataFrame, column: str, phases: Set[str]) -> str:
    """How many networks have some phases by both sides, by the values of a setting, in words."""
    told = (
        f"{value:g}: {' and '.join(str(counts(part, side, phases)[0]) for side in SIDES)} of {len(part)}"
        for value, part in table.groupby(column)
    )
    what, by = " or ".join(sorted(phases)), column.replace("_", " ")
    return f"{table['seed'].nunique()} train sets; {what} by {by} (above 0.9 and at least): {', '.join(told)}"


def by_ratio(table: pd.DataFrame) -> str:
    """Comprehension by how much faster the embeddings are than the decoder."""
    return shares(with_ratio(table), "ratio", {"comprehension"})


def times(table: pd.DataFrame) -> str:
    """Who generalises, and when, among embeddings that are much faster than the decoder and somewhat faster."""
    faster, told = with_ratio(table), []
    for side in SIDES:
        n = counts(faster[faster["ratio"] >= MUCH_FASTER], side, LEARNED)
        much, somewhat, chance = later(faster, side)
        told.append(
            f"{COUNTING[side]}, {n[0]} of {n[1]} generalise, at a median of {much:,.0f} steps, and at {somewhat:,.0f} "
            f"with slower embeddings (p = {chance:.2f})"
        )
    return (
        f"{table['seed'].nunique()} train sets; embeddings {MUCH_FASTER} times as fast as the decoder, or faster: "
        + "; ".join(told)
    )


@dataclass(frozen=True)
class Figure:
    """A diagram, and the rule that decides it.

    Attributes:
        told: what came out, in words.
        pooled: train sets are taken together; else each decides by itself.
        decoder_lr: networks with a faster decoder are left out.
    """

    run: str
    rule: Any
    told: Any = counted
    pooled: bool = True
    decoder_lr: float = math.inf


def by(column: str, phases: Set[str] = frozenset({"comprehension"})) -> Any:
    """Networks in some phases by a setting, in words."""
    return lambda table: shares(table, column, phases)


def four(run: str) -> Figure:
    """Figure 6b to d."""
    return Figure(run, between(), pooled=False)


def right(run: str, phase: str, largest: float) -> Figure:
    """A corner on the right of Figure 6b to d: memorization with little decay, confusion with much."""
    chosen = {"decayed": phase == "confusion", "largest": largest}
    return Figure(run, corner(phase, **chosen), lambda table: counted(corner_of(table, **chosen)), pooled=False)


def other_settings(kind: str) -> dict[str, Figure]:
    """Figures 13 to 15: regression on the left, classification on the right."""
    return {
        # Figure 13 shows the batch where the decoder is slow
        "batch": Figure(
            f"{kind}_batch", compared("batch_size", lambda b: b == 45, lambda b: b == 5), by("batch_size"),
            decoder_lr=1.1e-3,
        ),
        "scale": Figure(
            f"{kind}_scale", compared("embedding_scale", lambda s: s < 0.1, lambda s: s > 0.8), by("embedding_scale")
        ),
        "decay": Figure(f"{kind}_decay", decay, by("embedding_weight_decay", LEARNED)),
    }  # fmt: skip


OF_RUN = {"": ("toy_published", 10), "_classification": ("toy_classes", 20), "_s3": ("s3", 10)}  # and the largest decay
FIGURES = {
    "phases_published": four("toy_published"),
    "phases_classification": four("toy_classes"),
    "phases_s3": four("s3"),
    "phases_rates": Figure("toy_rates", rates, pooled=False),
    "rates_too_fast": Figure("toy_rates", too_fast, by_ratio),
    "rates_late": Figure("toy_rates", late, times),
    **{f"top_right{end}": right(run, "memorization", top) for end, (run, top) in OF_RUN.items()},
    **{f"bottom_right{end}": right(run, "confusion", top) for end, (run, top) in OF_RUN.items()},
    **{f"phases_{what}": figure for what, figure in other_settings("toy").items()},
    **{f"classes_{what}": figure for what, figure in other_settings("classes").items()},
}  # fmt: skip


def diagram(claims: Any, name: str, figure: Figure, table: pd.DataFrame | None) -> None:
    """Answer one diagram by its rule, a verdict for each side."""
    command = TOY if figure.run == "toy_published" else f"{EVIDENCE} effective_theory_diagrams"
    if table is None or table.empty:
        note = NOT_DRAWN if figure.run == "toy_published" else waits(*STEPS_OF.get(figure.run, [figure.run]))
        claims.answer(name, "", holds=None, note=note, command=command)
        return
    table = table[table["decoder_lr"] <= figure.decoder_lr]
    ran = {"steps": int(table["steps"].min()), "train_sets": table["seed"].nunique()}
    choices = by_choice(table, figure.rule, pooled=figure.pooled)
    claims.answer(name, figure.told(table), **settled(choices), command=command, ran=ran)


def threshold_side(claims: Any, published: pd.DataFrame | None) -> None:
    """What the two sides of the threshold do."""
    if published is None:
        claims.answer("threshold_side", "", holds=None, note=NOT_DRAWN)
        return
    moved = (published["above"] != published["at_least"]).mean()
    claims.answer(
        "threshold_side", f"{moved:.0%} of {len(published)} networks have another phase by each",
        holds=True if moved <= 0.05 else "in part" if moved <= 0.1 else False, command=TOY,
        ran={"steps": 100_000, "train_sets": published["seed"].nunique()},
    )  # fmt: skip


def phases_of(claims: Any, found: Mapping[str, pd.DataFrame]) -> None:
    """Figures 6, 13 to 15."""
    grids = found.get("diagrams")
    of = dict(list(grids.groupby("run"))) if grids is not None else {}
    if "toy_published" in found:
        of["toy_published"] = found["toy_published"].assign(steps=100_000)
    threshold_side(claims, of.get("toy_published"))
    for name, figure in FIGURES.items():
        diagram(claims, name, figure, of.get(figure.run))
    networks.answer(claims, of, found)


def answer(claims: Any) -> None:
    """Answer every claim that rests on a table, or say that its runs were not made and what they cost."""
    found = tables()
    phases_of(claims, found)
    structure.answer(claims, found)
