"""Fourier modes under the knife: restricted and excluded loss, and the removal of single frequencies.

The definitions stand in `circuits.fourier.definitions`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from circuits.fourier.definitions import DEFINITIONS, Definition, Loss, Table, project
from interp.errors import InterpError, require_range
from interp.hooked.base import HookedModel
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.sites import hidden_sites
from interp.subject import Subject, table_logits
from probes import fourier

REMOVED = ("key", "random")


def restricted_loss(
    subject: Subject, frequencies: Sequence[int] | None = None, definition: Definition = "nanda2d"
) -> Loss:
    """Loss when the frequencies alone are kept (see `circuits.fourier.definitions` for the definitions).

    Args:
        frequencies: the network's key frequencies by default.

    Raises:
        MissingCapability: the task is no addition modulo n.
        InterpError: a frequency outside 1..n // 2, or ``hidden`` on a network without hidden units.
    """
    return project(Table(subject), frequencies, definition, keep=True)


def excluded_loss(
    subject: Subject, frequencies: Sequence[int] | None = None, definition: Definition = "nanda2d"
) -> Loss:
    """Loss when the frequencies are removed and the rest is kept; arguments and errors as `restricted_loss`.

    High where the network works by these frequencies; on the training part it tells what memorisation still does.
    """
    return project(Table(subject), frequencies, definition, keep=False)


def without_in_embedding(subject: Subject, frequencies: Sequence[int]) -> HookedModel:
    """The model with some frequencies taken out of the embeddings of its operands (their other rows stay)."""
    structure, model = subject.require_cyclic(), subject.model
    modes = fourier.frequency_basis(structure.order, list(frequencies))
    embedding = next(n for n, _ in model.named_parameters() if n.endswith("W_E"))
    weights = dict(model.state_dict())
    stacked = weights[embedding].unsqueeze(0) if weights[embedding].ndim == 2 else weights[embedding]
    stacked = stacked.clone()
    for i, exponents in zip(range(len(stacked)), (structure.left, structure.right), strict=False):
        rows = torch.nonzero(exponents >= 0).squeeze(1)
        rows = rows[exponents[rows].argsort()].to(stacked.device)
        stacked[i, rows] = modes.remove(stacked[i, rows].T).T
    weights[embedding] = stacked.reshape(weights[embedding].shape)
    return type(model).from_weights(model.config, weights).to(model.device)


def by_frequency(table: Table) -> pd.DataFrame:
    """For every frequency: the loss without it in the logits, and with it alone (``nanda2d``).

    Returns:
        ``frequency, key, loss_without, correct_without, loss_alone, correct_alone``, a row per frequency.
    """
    rows = []
    for k in range(1, table.n // 2 + 1):
        without, alone = (project(table, [k], "nanda2d", keep=keep) for keep in (False, True))
        rows.append(
            {"frequency": k, "key": k in table.keys, "loss_without": without.all, "correct_without": without.correct,
             "loss_alone": alone.all, "correct_alone": alone.correct}
        )  # fmt: skip
    return pd.DataFrame(rows)


def remove_everywhere(table: Table, frequencies: Sequence[int], n_random: int = 8, seed: int = 0) -> pd.DataFrame:
    """Take a set of frequencies out of the embedding, the neurons and the logits; then random sets of the same size.

    Random sets are drawn from the frequencies that are not in the set; of equal draws one is kept.

    Returns:
        ``where, removed, frequencies, loss, correct``: a row per place and set; ``removed`` is ``key`` or ``random``.
    """
    fourier.check_frequencies(frequencies, table.n)
    others = [k for k in range(1, table.n // 2 + 1) if k not in frequencies]
    generator = torch.Generator().manual_seed(seed)
    sets = [("key", list(frequencies))]
    if len(others) >= len(frequencies) > 0:
        draws = (torch.randperm(len(others), generator=generator)[: len(frequencies)] for _ in range(n_random))
        different = dict.fromkeys(tuple(sorted(others[i] for i in draw.tolist())) for draw in draws)
        sets += [("random", list(draw)) for draw in different]
    has_hidden = bool(hidden_sites(table.subject.model))
    rows = []
    for label, chosen in sets:
        model = without_in_embedding(table.subject, chosen)
        logits = table_logits(model, table.task).double()
        scores = {"embedding": table.score(logits[table.rows.to(logits.device)])}
        if has_hidden:
            scores["neurons"] = project(table, chosen, "hidden", keep=False)
        scores["logits"] = project(table, chosen, "nanda2d", keep=False)
        rows += [
            {"where": where, "removed": label, "frequencies": " ".join(map(str, chosen)), "loss": s.all, "correct": s.correct}
            for where, s in scores.items()
        ]  # fmt: skip
    return pd.DataFrame(rows)


@analysis(
    "frequencies",
    needs=("cyclic", "input_table"),
    summary="Restricted and excluded loss; frequencies removed",
    order=50,
)
def frequencies(subject: Subject, *, definition: Definition = "nanda2d", random_sets: int = 8) -> Result:
    """What the key frequencies do: losses with them alone and without them, beside random frequencies.

    Args:
        definition: of ``restricted_loss`` and ``excluded_loss``; the table lists all three.
        random_sets: sets of other frequencies, as many as the key ones, that are removed for comparison.
    """
    require_range("random_sets", random_sets, 0)
    table = Table(subject)
    keys = table.keys
    if not keys:
        return Result(
            {"key_frequencies": [], "restricted_loss": None, "excluded_loss": None},
            headline="no frequency stands out in the logits, so there is none to keep or remove",
        )
    clean = table.score(table.logits)
    rows = []
    for name in DEFINITIONS:
        if name == "hidden" and not hidden_sites(subject.model):
            continue
        kept, removed = (project(table, keys, name, keep=keep) for keep in (True, False))
        for what, loss in (("restricted", kept), ("excluded", removed)):
            rows.append({"definition": name, "loss of": what, "all": loss.all, "train": loss.train, "test": loss.test,
                         "correct": loss.correct, "of": loss.total})  # fmt: skip
    losses = pd.DataFrame(rows)
    single = by_frequency(table)
    sets = remove_everywhere(table, keys, random_sets)
    result = Result(tables={"definitions": losses, "by frequency": single, "removed": sets})
    result.metrics = {"key_frequencies": keys, "definition": definition, "clean_loss": clean.all}
    for what in ("restricted", "excluded"):
        row = next((r for r in rows if r["definition"] == definition and r["loss of"] == what), None)
        if row is None:
            raise InterpError(f"definition={definition!r} does not apply to a network without hidden units")
        for part, suffix in (("all", ""), ("train", "_train"), ("test", "_test")):
            result.metrics[f"{what}_loss{suffix}"] = row[part]
        result.metrics[f"{what}_correct"] = row["correct"]
    for where in dict.fromkeys(sets["where"]):
        right = {r: sets.loc[(sets["where"] == where) & (sets["removed"] == r), "correct"].to_list() for r in REMOVED}
        result.metrics[f"without_key_in_{where}_correct"] = right["key"][0]
        result.metrics[f"without_random_in_{where}_correct"] = min(right["random"], default=None)
    result.notes = [
        f"restricted_loss and excluded_loss are of definition {definition!r}, over all inputs unless they say train or test. "
        "The definitions differ (a coefficient per output, one for all outputs, or the hidden layer): see the table.",
        "For random frequencies the worst of the sets is given.",
    ]
    _draw(result, single, sets, clean.all, keys)
    worst_random = result.metrics.get("without_random_in_logits_correct")
    compared = (
        f"{worst_random:,} without as many random ones" if worst_random is not None else "no other frequencies are left"
    )
    result.headline = (
        f"restricted loss {result.metrics['restricted_loss']:.3g}, excluded loss {result.metrics['excluded_loss']:.3g} (clean "
        f"{clean.all:.3g}); without the key frequencies {result.metrics['without_key_in_logits_correct']:,} of "
        f"{clean.total:,} are right, {compared}"
    )
    return result


def _draw(result: Result, single: pd.DataFrame, sets: pd.DataFrame, clean: float, keys: Sequence[int]) -> None:
    order = list(single["frequency"])
    result.figures["without each"] = figures.bars(
        order, single["loss_without"], highlight=keys, log=True, x_title="frequency removed from the logits",
        title=f"Loss without each frequency (clean {clean:.2g})", y_title="loss (log)",
    )  # fmt: skip
    result.figures["each alone"] = figures.bars(
        order, single["loss_alone"], highlight=keys, x_title="frequency kept in the logits",
        title="Loss with each frequency alone", y_title="loss",
    )  # fmt: skip
    figure = figures.lines(
        {},
        title="Right answers without a set of frequencies",
        x_title="removed from",
        y_title="right answers",
    )
    for removed, color in zip(REMOVED, (figures.ORANGE, figures.GREY), strict=True):
        part = sets.query("removed == @removed")
        figure.add_scatter(
            x=part["where"], y=part["correct"], mode="markers", name=f"{removed} frequencies", text=part["frequencies"],
            marker={"color": color, "size": 10 if removed == "key" else 7},
        )  # fmt: skip
    result.figures["removed sets"] = figure
