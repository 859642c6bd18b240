"""Fourier modes under the knife: restricted and excluded loss, and the removal of single frequencies.

Restricted loss keeps the key frequencies of a network and throws the rest away; excluded loss does the opposite. Three
definitions are in use, and their numbers differ:

- ``nanda2d`` (Nanda et al. 2023): logits over the input table, per output; kept or removed are cos and sin of
  w_k (a + b). The constant stays in both.
- ``logit`` (Chughtai et al. 2023): the one coefficient of cos(w_k (a + b - c)) over inputs and outputs together. No
  constant is kept.
- ``hidden``: the last hidden layer over the input table, projected on cos and sin of w_k a, w_k b and w_k (a + b), then
  decoded by the rest of the network, whose other paths stay as they are. The mean stays in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from circuits.effects import reading
from interp import figures
from interp.activations import capture
from interp.analysis import Result, analysis
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.subject import Subject, table_logits
from probes import fourier, tables

Definition = Literal["nanda2d", "logit", "hidden"]
DEFINITIONS: tuple[Definition, ...] = get_args(Definition)
REMOVED = ("key", "random")


@dataclass(frozen=True)
class Loss:
    """Mean cross-entropy over everything and over both parts of the split, and the count of right answers.

    ``train`` or ``test`` is NaN where that part is empty.
    """

    all: float
    train: float
    test: float
    correct: int
    total: int


@dataclass(frozen=True)
class Hidden:
    """The last hidden layer over the table, and the way from it to the logits.

    Attributes:
        grid: activations at the readout, float64.
        stream: the site where changes of the layer arrive, by ``matrix`` (None: as they are); ``clean`` is its activation.
    """

    grid: Float[Tensor, "n n units"]
    model: HookedModel
    stream: str
    clean: Tensor
    matrix: Tensor | None


class Table:
    """A subject over the part of its input table that is a cyclic group, and what is needed to score changes of it.

    Attributes:
        logits: ``[n, n, outputs]`` in exponent order of the operands, float64.
        columns: which outputs have exponents 0..n-1.
    """

    def __init__(self, subject: Subject):
        self.subject, self.n, self.task = subject, subject.require_cyclic().order, subject.require_task()
        self.rows = tables.rows(self.task)
        logits = subject.logits()
        self.logits = logits[self.rows.to(logits.device)]
        self.columns = tables.columns(self.task).to(logits.device)
        self.labels = self.task.labels[self.rows].flatten().to(logits.device)
        in_train = torch.zeros(len(self.task.labels), dtype=torch.bool)
        in_train[self.task.train_indices] = True
        self.train = in_train[self.rows].flatten().to(logits.device)

    @cached_property
    def keys(self) -> list[int]:
        """The network's key frequencies."""
        return fourier.logit_frequencies(self.cube)

    @cached_property
    def hidden(self) -> Hidden:
        model = reading(self.subject.model, self.task)
        sites = tables.neuron_sites(model)
        if not sites:
            raise InterpError(f"{self.subject.name} has no hidden units, so definition='hidden' does not apply")
        stream, matrix = model.writes(sites[-1])
        acts = capture(model, self.task.inputs[self.rows.flatten()], [sites[-1], stream], batch_size=4096)
        values = acts[sites[-1]].double().unflatten(0, (self.n, self.n))
        return Hidden(
            values, model, stream, acts[stream].double(), None if matrix is None else matrix.detach().double()
        )

    @cached_property
    def cube(self) -> Float[Tensor, "n n n"]:
        """The logits with the outputs, too, in exponent order."""
        return self.logits[..., self.columns]

    def with_cube(self, cube: Float[Tensor, "n n n"], *, rest: Literal["keep", "mean"]) -> Float[Tensor, "n n outputs"]:
        """The logits with the cyclic outputs replaced; other outputs stay, or are held at their mean."""
        if torch.equal(self.columns, torch.arange(self.logits.shape[-1], device=cube.device)):
            return cube  # nothing lies outside, as in addition
        changed = self.logits.clone() if rest == "keep" else self.logits.mean((0, 1)).expand_as(self.logits).clone()
        changed[..., self.columns] = cube
        return changed

    def score(self, logits: Float[Tensor, "n n outputs"]) -> Loss:
        flat = logits.reshape(self.n**2, -1)
        losses, right = self.task.losses(flat, self.labels), self.task.correct(flat, self.labels)
        n_train, n_test = int(self.train.sum()), int((~self.train).sum())
        train, test = float(losses[self.train].sum()), float(losses[~self.train].sum())
        return Loss(
            (train + test) / self.n**2, train / n_train if n_train else math.nan, test / n_test if n_test else math.nan,
            int(right.sum()), self.n**2,
        )  # fmt: skip


def restricted_loss(
    subject: Subject, frequencies: Sequence[int] | None = None, definition: Definition = "nanda2d"
) -> Loss:
    """Loss when the frequencies alone are kept (see the module's docstring for the definitions).

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


def project(table: Table, frequencies: Sequence[int] | None, definition: Definition, *, keep: bool) -> Loss:
    """The loss with some frequencies alone (``keep``) or without them; a table serves many calls."""
    if definition not in DEFINITIONS:
        raise InterpError(f"definition must be one of {', '.join(DEFINITIONS)}, got {definition!r}")
    chosen = list(frequencies) if frequencies is not None else table.keys
    _check(chosen, table.n)
    if definition == "hidden":
        return table.score(_decode(table, chosen, keep=keep))
    if definition == "nanda2d":
        mean = table.cube.mean((0, 1))
        part = sum_component(table.cube, chosen)
        return table.score(
            table.with_cube(mean + part, rest="mean") if keep else table.with_cube(table.cube - part, rest="keep")
        )
    part = trilinear_component(table.cube, chosen)
    return table.score(table.with_cube(part, rest="mean") if keep else table.with_cube(table.cube - part, rest="keep"))


def _check(frequencies: Sequence[int], n: int) -> None:
    wrong = [k for k in frequencies if not 1 <= k <= n // 2]
    if wrong:
        raise InterpError(f"frequencies of Z_{n} are 1 to {n // 2}; got {wrong}")


def sum_component(values: Float[Tensor, "n n ..."], frequencies: Sequence[int]) -> Float[Tensor, "n n ..."]:
    """The part of a table on cos and sin of w_k (a + b), per further entry.

    >>> a = torch.arange(5, dtype=torch.float64)
    >>> wave = torch.cos(2 * math.pi * 2 * (a[:, None] + a) / 5)
    >>> bool((sum_component(wave, [2]) - wave).abs().max() < 1e-12), bool(sum_component(wave, [1]).abs().max() < 1e-12)
    (True, True)
    """
    n = values.shape[0]
    index = torch.arange(n, device=values.device)
    return _function_of((index[:, None] + index) % n, values, frequencies)


def _function_of(argument: Tensor, values: Tensor, frequencies: Sequence[int]) -> Tensor:
    """Projection of ``values [n, n, ...]`` on cos and sin of w_k times an integer argument ``[n, n]`` modulo n."""
    n = values.shape[0]
    modes = (
        fourier.frequency_basis(n, list(frequencies)).directions.to(values) if frequencies else values.new_zeros(0, n)
    )
    flat = values.reshape(n * n, -1)
    means = torch.zeros(n, flat.shape[1], dtype=values.dtype, device=values.device)
    means.index_add_(0, argument.flatten(), flat)
    means /= n  # every residue occurs n times
    return (modes.T @ (modes @ means))[argument].reshape(values.shape)


def trilinear_component(logits: Float[Tensor, "n n n"], frequencies: Sequence[int]) -> Float[Tensor, "n n n"]:
    """The part of logits ``[a, b, c]`` on cos(w_k (a + b - c)): one coefficient per frequency."""
    n = logits.shape[0]
    index = torch.arange(n, device=logits.device)
    argument = (index[:, None, None] + index[:, None] - index) % n
    means = torch.zeros(n, dtype=logits.dtype, device=logits.device)
    means.index_add_(0, argument.flatten(), logits.flatten())
    means /= n * n
    cosines = fourier.basis(n).select([f"cos {k}" for k in frequencies]).directions.to(logits)
    return (cosines.T @ (cosines @ means))[argument]


@torch.no_grad()
def _decode(table: Table, frequencies: Sequence[int], *, keep: bool) -> Tensor:
    """Logits ``[n, n, outputs]`` after the hidden layer was projected."""
    hidden, n = table.hidden, table.n
    mean = hidden.grid.mean((0, 1))
    index = torch.arange(n, device=hidden.grid.device)
    a, b = index[:, None].expand(n, n), index.expand(n, n)
    part = torch.zeros_like(hidden.grid)
    for argument in (a, b, (a + b) % n):
        part += _function_of(argument, hidden.grid, frequencies)
    change = (mean + part - hidden.grid if keep else -part).flatten(0, 1)
    moved = hidden.clean + (change if hidden.matrix is None else change @ hidden.matrix)
    logits = table.task.read(hidden.model.resume(hidden.stream, moved.to(hidden.model.dtype))).double()
    return logits.unflatten(0, (n, n))


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
    mean, cube = table.cube.mean((0, 1)), table.cube
    rows = []
    for k in range(1, table.n // 2 + 1):
        part = sum_component(cube, [k])
        without = table.score(table.with_cube(cube - part, rest="keep"))
        alone = table.score(table.with_cube(mean + part, rest="mean"))
        rows.append(
            {"frequency": k, "key": k in table.keys, "loss_without": without.all, "correct_without": without.correct,
             "loss_alone": alone.all, "correct_alone": alone.correct}
        )  # fmt: skip
    return pd.DataFrame(rows)


def remove_everywhere(table: Table, frequencies: Sequence[int], n_random: int = 8, seed: int = 0) -> pd.DataFrame:
    """Take a set of frequencies out of the embedding, the neurons and the logits; then random sets of the same size.

    Random sets are drawn from the frequencies that are not in the set.

    Returns:
        ``where, removed, frequencies, loss, correct``: a row per place and set; ``removed`` is ``key`` or ``random``.
    """
    _check(frequencies, table.n)
    others = [k for k in range(1, table.n // 2 + 1) if k not in frequencies]
    generator = torch.Generator().manual_seed(seed)
    sets = [("key", list(frequencies))]
    if len(others) >= len(frequencies) > 0:
        draws = (torch.randperm(len(others), generator=generator)[: len(frequencies)] for _ in range(n_random))
        sets += [("random", sorted(others[i] for i in draw.tolist())) for draw in draws]
    has_hidden = bool(tables.neuron_sites(table.subject.model))
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
        if name == "hidden" and not tables.neuron_sites(subject.model):
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
