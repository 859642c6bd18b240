"""What two analyses say alike: losses by definition, and correct answers without frequencies or representations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from circuits.fourier.definitions import DEFINITIONS, OF_LAYER, Definition, project
from circuits.fourier.table import Loss, Table
from interp.report import figures
from interp.scores import Part, of_constant
from interp.sites import hidden_sites
from probes.claims.performance import better

REMOVED = ("key", "random")
Losses = dict[tuple[Definition, str], Loss]


def by_definition(table: Table) -> Losses:
    """Restricted and excluded loss of the key parts by every definition that applies."""
    has_hidden = bool(hidden_sites(table.subject.model))
    applies: list[Definition] = [d for d in DEFINITIONS if has_hidden or d not in OF_LAYER]
    return {
        (definition, what): project(table, table.keys, definition, keep=what == "restricted")
        for definition in applies
        for what in ("restricted", "excluded")
    }


def as_table(losses: Losses) -> pd.DataFrame:
    """A row per definition and loss."""
    return pd.DataFrame(
        {"definition": definition, "loss of": what, "all": loss.all, "train": loss.train, "test": loss.test,
         "correct": loss.correct, "of": loss.total}
        for (definition, what), loss in losses.items()
    )  # fmt: skip


def of_definition(losses: Losses, definition: Definition) -> dict[str, float]:
    """Metrics of one definition: both losses over all, train and test examples, and correct answers."""
    metrics: dict[str, float] = {}
    for what in ("restricted", "excluded"):
        loss = losses[definition, what]
        for part, suffix in (("all", ""), ("train", "_train"), ("test", "_test")):
            metrics[f"{what}_loss{suffix}"] = getattr(loss, part)
        metrics[f"{what}_correct"] = loss.correct
    return metrics


def without(sets: pd.DataFrame) -> dict[str, int | None]:
    """Correct answers without the key parts and, at the worst, without random ones, by where they are removed."""
    metrics: dict[str, int | None] = {}
    for where in dict.fromkeys(sets["where"]):
        right = {r: sets.loc[(sets["where"] == where) & (sets["removed"] == r), "correct"].to_list() for r in REMOVED}
        metrics[f"without_key_in_{where}_correct"] = right["key"][0]
        metrics[f"without_random_in_{where}_correct"] = min(right["random"], default=None)
    return metrics


def least(table: Table, clean: Loss) -> tuple[int, bool]:
    """Right answers of the commonest answer, and whether the network answers better than that."""
    constant = of_constant(table.task)
    return constant.correct or 0, better(Part(None, clean.correct, clean.total), constant.all)


def headline(metrics: dict[str, Any], clean: Loss, table: Table, plural: str) -> str:
    """Both losses, and what is right without the key parts of the logits, beside random ones."""
    worst, right = metrics["without_random_in_logits_correct"], metrics["without_key_in_logits_correct"]
    fewer = len(table.parts) < 2 * len(table.keys)
    compared = f"no other {plural} are left to compare"
    if worst is not None:
        compared = f"{worst:,} without {'all others' if fewer else 'as many random ones'}"
    losses = f"Restricted loss {metrics['restricted_loss']:.3g}, excluded loss {metrics['excluded_loss']:.3g}"
    answers = f"without the key {plural} {right:,} of {clean.total:,} answers are correct ({compared})"
    return f"{losses} (clean {clean.all:.3g}); {answers}"


def draw(single: pd.DataFrame, sets: pd.DataFrame, clean: float, keys: Sequence[object]) -> dict[str, go.Figure]:
    """Loss without each part and with each alone, and correct answers without sets of them."""
    noun, plural = single.columns[0], sets.columns[2]
    order = list(single[noun])
    figure = figures.lines(
        {}, title=f"Correct answers without a set of {plural}", x_title="removed from", y_title="correct answers"
    )
    for removed, color in zip(REMOVED, (figures.ORANGE, figures.GREY), strict=True):
        part = sets.query("removed == @removed")
        figure.add_scatter(
            x=part["where"], y=part["correct"], mode="markers", name=f"{removed} {plural}", text=part[plural],
            marker={"color": color, "size": 10 if removed == "key" else 7},
        )  # fmt: skip
    return {
        "without each": figures.bars(
            order, single["loss_without"], highlight=keys, log=True, x_title=f"{noun} removed from the logits",
            title=f"Loss without each {noun} (clean {clean:.2g})", y_title="loss (nats)",
        ),
        "each alone": figures.bars(
            order, single["loss_alone"], highlight=keys, x_title=f"{noun} kept in the logits",
            title=f"Loss with each {noun} only", y_title="loss (nats)",
        ),
        "removed sets": figure,
    }  # fmt: skip
