"""The effect of many ablations at once: the engine under `ablate` and the frequency experiments.

All components of one site form a **bank**: what an ablation adds to each of its directions, the rows along which those
directions write into a later site (the stream), and the groups of directions that are ablated together. The part of the
network before the stream runs once. Where the rest is linear, the ablated logits are exact algebra; elsewhere the
rest alone runs again, on the batch tiled by components. Either way the numbers are those of one forward pass per
component.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.interventions import Value
from interp.activations import capture
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.subject import Subject, reading
from interp.tasks import Task
from probes.basis import Basis

DEFAULT_BYTES = 512 << 20  # working memory besides the captured activations
CACHE_ELEMENTS = 1 << 17  # elementwise work goes in pieces that stay in a core's cache (1 MiB of float64)
SAFE_EXPONENT = 600.0  # exp of more overflows float64 when summed over many outputs

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Effects:
    """Losses and right answers after each ablation, over both parts of the input table.

    Attributes:
        loss_sums: summed over the train and the test part.
        correct: counts.
        sizes: inputs in the train and the test part.
    """

    loss_sums: Float[Tensor, "groups 2"]
    correct: Int[Tensor, "groups 2"]
    sizes: tuple[int, int]

    def loss(self, part: int | None = None) -> list[float]:
        """Mean losses over train (0), test (1) or everything (None); NaN where the part is empty."""
        sums = self.loss_sums.sum(1) if part is None else self.loss_sums[:, part]
        size = sum(self.sizes) if part is None else self.sizes[part]
        return (sums / size).tolist() if size else [math.nan] * len(sums)


@dataclass(frozen=True)
class Bank:
    """Directions at a site, ready to be ablated in groups of equal size.

    Attributes:
        stream: the site where the changes arrive, and ``clean`` its activation over the whole input table.
        moves: what an ablation adds to each coordinate.
        rows: along what each coordinate writes into the stream.
        groups: which directions go together.
    """

    stream: str
    clean: Float[Tensor, "inputs ... d"]
    moves: Float[Tensor, "inputs ... directions"]
    rows: Float[Tensor, "directions d"]
    groups: Int[Tensor, "groups size"]


def make_bank(
    subject: Subject, site: str, basis: Basis | None, groups: Sequence[Sequence[int]] | Tensor, value: Value
) -> Bank:
    """Capture a site over the whole input table and prepare directions of it.

    Args:
        basis: directions in the site's feature space, heads and units flattened; None means its single units.
        groups: indices of the directions that are ablated together, all groups of the same size.
        value: what the coordinates along the directions become.
    """
    averaged = {"unit", "head"} & set(getattr(value, "over", ()))
    if averaged:
        raise InterpError(f"{value} averages over {', '.join(averaged)}, which components are told apart by")
    task, model = subject.require_task(), subject.model
    reader, axes = reading(model, task), model.axes_of(site)
    stream, matrix = reader.writes(site)
    acts = capture(reader, task.inputs, [site, stream], batch_size=4096)
    coordinates = _coordinates(acts[site], axes, basis)
    if value.needs_all_positions and reader is not model:
        everywhere = capture(model, task.inputs, site, batch_size=4096)[site]
        replacement = _replacement(everywhere, axes, basis, value)
        if "pos" in axes and replacement.shape[1] != coordinates.shape[1]:
            replacement = replacement[:, [task.readout]]
    else:
        replacement = _replacement(acts[site], axes, basis, value)
    rows = matrix if matrix is not None else torch.eye(acts[stream].shape[-1], dtype=acts[stream].dtype)
    rows = rows.detach().to(acts[stream])
    if basis is not None:
        rows = basis.directions.to(rows) @ rows
    indices = torch.as_tensor(groups, device=rows.device)
    return Bank(stream, acts[stream], replacement - coordinates, rows, indices)


def _flatten(activation: Tensor, axes: Sequence[str]) -> Tensor:
    return activation.flatten(-2) if "head" in axes else activation


def _coordinates(activation: Tensor, axes: Sequence[str], basis: Basis | None) -> Tensor:
    flat = _flatten(activation, axes)
    return flat if basis is None else basis.coordinates(flat)


def _replacement(activation: Tensor, axes: Sequence[str], basis: Basis | None, value: Value) -> Tensor:
    if basis is None:
        return _flatten(value.of(activation, axes).expand_as(activation), axes)
    coordinates = basis.coordinates(_flatten(activation, axes))
    flat_axes = [a for a in axes if a != "head"]
    return value.of(coordinates, flat_axes).expand_as(coordinates)


@torch.no_grad()
def measure(
    subject: Subject, bank: Bank, *, max_bytes: int = DEFAULT_BYTES, progress: Progress | None = None
) -> Effects:
    """Loss and accuracy after the ablation of each group of a bank."""
    task = subject.require_task()
    reader = reading(subject.model, task)
    device = bank.moves.device
    part = torch.zeros(len(task.labels), 2, dtype=torch.float64, device=device)
    part[task.train_indices.to(device), 0] = 1
    part[task.test_indices.to(device), 1] = 1
    rest = reader.linear_rest(bank.stream) if task.loss == "cross_entropy" else None
    pieces = (
        _linear(task, reader, bank, rest, max_bytes) if rest is not None else _resumed(task, reader, bank, max_bytes)
    )
    n_groups = len(bank.groups)
    loss_sums = torch.zeros(n_groups, 2, dtype=torch.float64, device=device)
    correct = torch.zeros(n_groups, 2, dtype=torch.float64, device=device)
    for groups, inputs, losses, right in pieces:
        loss_sums[groups] += losses.T @ part[inputs]
        correct[groups] += right.double().T @ part[inputs]
        if progress is not None:
            progress(groups.stop, n_groups)
    sizes = (len(task.train_indices), len(task.test_indices))
    return Effects(loss_sums, correct.round().long(), sizes)


Piece = tuple[slice, slice, Tensor, Tensor]  # groups, inputs, losses [inputs, groups], right [inputs, groups]


def _linear(task: Task, reader: HookedModel, bank: Bank, rest: Tensor, max_bytes: int) -> Iterator[Piece]:
    """Ablated logits are the clean ones plus moves times ``rows @ rest``: nothing runs again.

    Logits are taken relative to the right answer's, so that the loss is ``log sum exp`` of them, and an answer whose loss
    is below ln 2 is right without a look at the others.
    """
    clean = task.read(reader.resume(bank.stream, bank.clean)).double()
    labels = task.labels.to(clean.device)
    reach = (bank.rows @ rest[:, : clean.shape[-1]]).double()  # [directions, outputs]
    reach = reach - reach.mean(1, keepdim=True)  # what all outputs gain alike moves no loss, and would only overflow
    relative = clean - clean.gather(1, labels[:, None])
    moves = bank.moves.reshape(len(clean), -1).double()
    shift = reach.T[labels]  # what the right answer's own logit gains, per unit of move [inputs, directions]
    spread = moves.abs().amax() * reach.abs().amax() * bank.groups.shape[1]
    stable = not bool(relative.amax() + spread < SAFE_EXPONENT)
    # a CPU wants pieces that stay in its cache, a GPU pieces that fill it
    elements = CACHE_ELEMENTS if clean.device.type == "cpu" else max_bytes // 32
    per_group = max(1, elements // clean.shape[-1])
    n_inputs = min(len(clean), per_group)
    n_groups = max(1, per_group // n_inputs)
    for g in _slices(len(bank.groups), n_groups):
        index = bank.groups[g]
        for n in _slices(len(clean), n_inputs):
            move = moves[n][:, index]  # [inputs, groups, size]
            if index.shape[1] == 1:
                logits = torch.addcmul(relative[n][:, None], move, reach[index[:, 0]])
            else:
                logits = relative[n][:, None] + torch.einsum("ngk,gkv->ngv", move, reach[index])
            own = (move * shift[n][:, index]).sum(-1)
            total = logits.logsumexp(-1) if stable else logits.exp().sum(-1).log()
            losses = total - own
            right = losses < math.log(2)
            unsure = (~right).nonzero(as_tuple=True)
            right[unsure] = task.correct(logits[unsure], labels[n][unsure[0]])
            yield g, n, losses, right


def _resumed(task: Task, reader: HookedModel, bank: Bank, max_bytes: int) -> Iterator[Piece]:
    """The rest of the network runs again on the batch, tiled by groups."""
    one = capture(reader, task.inputs[:1], "*")
    per_example = sum(t.nbytes for t in one.values())  # every activation, though few live at once
    budget = max(1, max_bytes // per_example)
    n_inputs = min(len(bank.clean), budget)
    n_groups = max(1, budget // n_inputs)
    for g in _slices(len(bank.groups), n_groups):
        index = bank.groups[g]
        rows = bank.rows[index]
        for n in _slices(len(bank.clean), n_inputs):
            change = torch.einsum("n...gk,gkd->gn...d", bank.moves[n][..., index], rows)
            tiled = (bank.clean[n] + change).flatten(0, 1)
            logits = task.read(reader.resume(bank.stream, tiled)).unflatten(0, change.shape[:2])
            labels = task.labels[n].to(logits.device)
            yield g, n, task.losses(logits, labels).T, task.correct(logits, labels).T


def _slices(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
