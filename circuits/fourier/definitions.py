"""A network's logits over a cyclic input table, taken apart by frequency.

Restricted loss keeps the key frequencies of a network and throws the rest away; excluded loss does the opposite. Three
definitions are in use, and their numbers differ:

- ``nanda2d`` (Nanda et al. 2023): logits over the input table, per output; kept or removed are cos and sin of
  w_k (a + b). The constant stays in both.
- ``logit`` (Chughtai et al. 2023): the one coefficient of cos(w_k (a + b - c)) over inputs and outputs together. No
  constant is kept; outputs outside the group (0, in multiplication) keep their mean, less that of the others.
- ``hidden``: the last hidden layer over the input table, projected on cos and sin of w_k a, w_k b and w_k (a + b), then
  decoded by the rest of the network, whose other paths stay as they are. The mean stays in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.sites import hidden_sites
from interp.subject import Subject, at_readout
from interp.tasks import Task
from probes import cyclic_tables as tables
from probes import fourier

Definition = Literal["nanda2d", "logit", "hidden"]
DEFINITIONS: tuple[Definition, ...] = get_args(Definition)


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

    grid: Float[Tensor, "n n ... units"]
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
        subject = subject.cast()  # logits and hidden units in one dtype
        self.subject, self.n, self.task = subject, subject.require_cyclic().order, subject.require_task()
        self.rows = tables.rows(self.task)
        logits = subject.logits().double()
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
        model = at_readout(self.subject.model, self.task)
        sites = hidden_sites(model)
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

    def with_cube(
        self, cube: Float[Tensor, "n n n"], *, rest: Literal["keep", "mean", "centred"]
    ) -> Float[Tensor, "n n outputs"]:
        """The logits with the cyclic outputs replaced. Other outputs stay, or are held at their mean (``centred``: less the
        mean of the cyclic ones, so that a constant added to all logits changes nothing)."""
        if torch.equal(self.columns, torch.arange(self.logits.shape[-1], device=cube.device)):
            return cube  # nothing lies outside, as in addition
        changed = self.logits.clone()
        if rest != "keep":
            held = self.logits.mean((0, 1)) - (self.cube.mean() if rest == "centred" else 0)
            changed = held.expand_as(self.logits).clone()
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


def project(table: Table, frequencies: Sequence[int] | None, definition: Definition, *, keep: bool) -> Loss:
    """The loss with some frequencies alone (``keep``) or without them; a table serves many calls."""
    if definition not in DEFINITIONS:
        raise InterpError(f"definition must be one of {', '.join(DEFINITIONS)}, got {definition!r}")
    chosen = list(frequencies) if frequencies is not None else table.keys
    fourier.check_frequencies(chosen, table.n)
    if definition == "hidden":
        return table.score(_decode(table, chosen, keep=keep))
    if definition == "nanda2d":
        mean = table.cube.mean((0, 1))
        part = sum_component(table.cube, chosen)
        return table.score(
            table.with_cube(mean + part, rest="mean") if keep else table.with_cube(table.cube - part, rest="keep")
        )
    part = trilinear_component(table.cube, chosen)
    return table.score(
        table.with_cube(part, rest="centred") if keep else table.with_cube(table.cube - part, rest="keep")
    )


SAFE_RANGE = 300.0  # of logits in one row: the product of two exponentials stays within float64


def mode_losses(table: Table, sets: Sequence[Sequence[int]], *, keep: bool) -> Float[Tensor, "sets 3"]:
    """`project` by ``nanda2d`` for many sets of frequencies at once: mean loss over all, train and test.

    What is kept or removed depends on a + b alone. Kept alone, there are n different rows of logits in place of n^2; removed
    from a cross-entropy, ``exp(L - part)`` is a product, so that all sets are one matrix product.
    """
    if not sets:
        return table.logits.new_zeros(0, 3)
    for chosen in sets:
        fourier.check_frequencies(chosen, table.n)
    n, device = table.n, table.logits.device
    index = torch.arange(n, device=device)
    order = ((index[:, None] + index) % n).flatten().argsort(stable=True)  # pairs by their sum
    by_sum = table.logits.flatten(0, 1)[order].unflatten(0, (n, n))  # [sum, pair, outputs]
    labels = table.labels[order].view(n, n)[:, 0]  # a sum has one answer
    means = by_sum.mean(1)
    modes = [fourier.frequency_basis(n, list(s)).directions.to(means) if s else means.new_zeros(0, n) for s in sets]
    parts = torch.zeros(len(sets), *means.shape, dtype=means.dtype, device=device)
    parts[..., table.columns] = torch.stack([m.T @ (m @ means[:, table.columns]) for m in modes])
    if keep:
        losses = table.task.losses(means.mean(0) + parts, labels)[..., None].expand(-1, n, n)  # [set, sum, pair]
    else:
        losses = _losses_without(table.task, by_sum, parts, labels)
    train = table.train[order].view(n, n).double()
    weights = torch.stack([torch.ones_like(train), train, 1 - train])
    counts = weights.sum((1, 2))
    return torch.einsum("fsp,wsp->fw", losses, weights) / counts.where(counts > 0, torch.nan)


def _losses_without(
    task: Task, logits: Float[Tensor, "sum pair out"], parts: Float[Tensor, "sets sum out"], labels: Tensor
) -> Float[Tensor, "sets sum pair"]:
    """Losses of ``logits - parts``; ``labels [sum]``."""
    n = len(logits)
    own = labels[:, None, None]
    rivals = logits - logits.gather(-1, own.expand(n, n, 1))  # log odds against the right answer
    gains = parts.gather(-1, labels[None, :, None].expand(len(parts), n, 1)) - parts
    if task.loss != "cross_entropy" or not max(_spread(rivals), _spread(gains)) < SAFE_RANGE:
        flat = labels[:, None].expand(n, n).flatten()
        return torch.stack([task.losses((logits - p[:, None]).flatten(0, 1), flat) for p in parts]).unflatten(1, (n, n))
    rivals.scatter_(-1, own.expand(n, n, 1), -torch.inf)
    top, most = rivals.amax(-1, keepdim=True), gains.amax(-1, keepdim=True)
    odds = torch.einsum("spo,fso->fsp", (rivals - top).exp(), (gains - most).exp())
    # log(1 + sum of the odds of the others), without the cancellation of logsumexp - own
    return torch.nn.functional.softplus(odds.log() + top[..., 0] + most, threshold=60)


def _spread(values: Tensor) -> float:
    return float((values.amax(-1) - values.amin(-1)).max())


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
