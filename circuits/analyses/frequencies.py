"""The analysis ``frequencies``: restricted and excluded loss, and key frequencies removed, against random frequencies."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from circuits.fourier.definitions import DEFINITIONS, OF_LAYER, Definition, project
from circuits.fourier.losses import by_frequency
from circuits.fourier.removal import remove_everywhere
from circuits.fourier.table import Loss, Table
from interp.errors import InterpError, require_range
from interp.plugins.analysis import Result, analysis
from interp.plugins.result import format_metric
from interp.report import figures
from interp.sites import hidden_sites
from interp.subject import Subject

REMOVED = ("key", "random")


@analysis(
    "frequencies",
    needs=("cyclic", "input_table"),
    summary="Restricted and excluded loss; key frequencies removed",
    order=50,
    renamed={"random_sets": "n_random"},
)
def frequencies(subject: Subject, *, definition: Definition = "nanda2d", n_random: int = 8) -> Result:
    """Restricted and excluded loss (Nanda et al. 2023), and key frequencies removed layer by layer, against random ones.

    https://arxiv.org/abs/2301.05217

    Args:
        subject: of a task that is addition modulo n, perhaps in disguise.
        definition: of ``restricted_loss`` and ``excluded_loss``; the table lists all four.
        n_random: random sets of other frequencies, as many as the key ones, that are removed for comparison.

    Returns:
        losses by definition, by frequency and by where the frequencies are removed.

    Raises:
        InterpError: ``hidden`` or ``neurons`` on a network without hidden units; a negative ``n_random``.
    """
    require_range("n_random", n_random, 0)
    table = Table(subject)
    keys = table.keys
    if not keys:
        return Result(
            {"key_frequencies": [], "restricted_loss": None, "excluded_loss": None},
            headline="No frequency stands out in the logits, so there is none to keep or remove",
        )
    if definition in OF_LAYER and not hidden_sites(subject.model):
        raise InterpError(f"definition={definition!r} does not apply to a network without hidden units")
    clean, losses = table.score(table.logits), _by_definition(table)
    single, sets = by_frequency(table), remove_everywhere(table, keys, n_random)
    result = Result(tables={"definitions": _as_table(losses), "by frequency": single, "removed": sets})
    result.metrics = {
        "key_frequencies": keys, "definition": definition, "clean_loss": clean.all, **_of_definition(losses, definition),
        **_without(sets),
    }  # fmt: skip
    result.notes = [
        f"restricted_loss and excluded_loss use definition {definition!r}, over all inputs unless marked train or test. The "
        "definitions differ (one coefficient per output, one for all outputs, the hidden layer alone, or in its place): see the "
        "table.",
        "Of the random sets of frequencies, the worst is given.",
    ]
    _draw(result, single, sets, clean.all, keys)
    result.headline = _headline(result, clean)
    result.verdict = [
        (label, format_metric(result.metrics[name]))
        for label, name in (("restricted loss", "restricted_loss"), ("excluded loss", "excluded_loss"))
    ]
    return result


def _by_definition(table: Table) -> dict[tuple[Definition, str], Loss]:
    """Restricted and excluded loss by every definition that applies."""
    has_hidden = bool(hidden_sites(table.subject.model))
    applies: list[Definition] = [d for d in DEFINITIONS if has_hidden or d not in OF_LAYER]
    return {
        (definition, what): project(table, table.keys, definition, keep=what == "restricted")
        for definition in applies
        for what in ("restricted", "excluded")
    }


def _as_table(losses: dict[tuple[Definition, str], Loss]) -> pd.DataFrame:
    return pd.DataFrame(
        {"definition": definition, "loss of": what, "all": loss.all, "train": loss.train, "test": loss.test,
         "correct": loss.correct, "of": loss.total}
        for (definition, what), loss in losses.items()
    )  # fmt: skip


def _of_definition(losses: dict[tuple[Definition, str], Loss], definition: Definition) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for what in ("restricted", "excluded"):
        loss = losses[definition, what]
        for part, suffix in (("all", ""), ("train", "_train"), ("test", "_test")):
            metrics[f"{what}_loss{suffix}"] = getattr(loss, part)
        metrics[f"{what}_correct"] = loss.correct
    return metrics


def _without(sets: pd.DataFrame) -> dict[str, int | None]:
    """Correct answers without the key frequencies and, at the worst, without random ones, by where they are removed."""
    metrics: dict[str, int | None] = {}
    for where in dict.fromkeys(sets["where"]):
        right = {r: sets.loc[(sets["where"] == where) & (sets["removed"] == r), "correct"].to_list() for r in REMOVED}
        metrics[f"without_key_in_{where}_correct"] = right["key"][0]
        metrics[f"without_random_in_{where}_correct"] = min(right["random"], default=None)
    return metrics


def _headline(result: Result, clean: Loss) -> str:
    m = result.metrics
    worst = m["without_random_in_logits_correct"]
    compared = "no other frequencies are left to compare" if worst is None else f"{worst:,} without as many random ones"
    return (
        f"Restricted loss {m['restricted_loss']:.3g}, excluded loss {m['excluded_loss']:.3g} (clean {clean.all:.3g}); without "
        f"the key frequencies {m['without_key_in_logits_correct']:,} of {clean.total:,} answers are correct ({compared})"
    )


def _draw(result: Result, single: pd.DataFrame, sets: pd.DataFrame, clean: float, keys: Sequence[int]) -> None:
    order = list(single["frequency"])
    result.figures["without each"] = figures.bars(
        order, single["loss_without"], highlight=keys, log=True, x_title="frequency removed from the logits",
        title=f"Loss without each frequency (clean {clean:.2g})", y_title="loss (log)",
    )  # fmt: skip
    result.figures["each alone"] = figures.bars(
        order, single["loss_alone"], highlight=keys, x_title="frequency kept in the logits",
        title="Loss with each frequency only", y_title="loss",
    )  # fmt: skip
    figure = figures.lines(
        {}, title="Correct answers without a set of frequencies", x_title="removed from", y_title="correct answers"
    )
    for removed, color in zip(REMOVED, (figures.ORANGE, figures.GREY), strict=True):
        part = sets.query("removed == @removed")
        figure.add_scatter(
            x=part["where"], y=part["correct"], mode="markers", name=f"{removed} frequencies", text=part["frequencies"],
            marker={"color": color, "size": 10 if removed == "key" else 7},
        )  # fmt: skip
    result.figures["removed sets"] = figure
