"""Embeddings on their principal components, and the network's loss with only the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, MissingCapability
from interp.scores import score
from interp.snapshot import Snapshot
from interp.subject import table_logits
from probes._tensors import as_tensor
from probes.basis import Basis, as_basis
from probes.spectra import Reduction


@dataclass(frozen=True)
class Table:
    """The embeddings of a network's symbols.

    Attributes:
        name: of the parameter.
        rows: ``[symbol, d]`` in float64; other tokens, such as ``=``, are left out.
    """

    name: str
    rows: Float[Tensor, "symbol d"]


def embedding_table(snapshot: Snapshot) -> Table:
    """The embedding table of a network that has a single one.

    Args:
        snapshot: the network at one step.

    Returns:
        The table.

    Raises:
        MissingCapability: a network without embeddings, or with one table per operand.
    """
    tables = snapshot.embeddings
    if len(tables) > 1:
        raise MissingCapability("needs one embedding table for both operands; its operands have one each")
    name, rows = next(iter(tables.items()))
    return Table(name, rows.double())


def aligned(points: Float[Tensor, "n d"], to: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Points with the sign of each axis chosen so that they lie closest to other points: the sign of a PC is arbitrary.

    Args:
        points: ``[n, d]``.
        to: the other points, ``[n, d]``.

    Returns:
        ``[n, d]``.

    >>> aligned(torch.tensor([[1.0, -1.0]]), torch.tensor([[2.0, 3.0]])).tolist()
    [[1.0, 1.0]]
    """
    points, to = as_tensor(points, "points"), as_tensor(to, "to")
    return points * torch.where((points * to).sum(0) < 0, -1.0, 1.0).to(points)


@dataclass(frozen=True)
class Projected:
    """The score of a network whose embeddings are projected onto the first principal axes.

    Attributes:
        components: number of axes kept.
        loss: mean over all examples.
        accuracy: share of correct answers over all examples; None for a regression.
    """

    components: int
    loss: float
    accuracy: float | None


def projected(snapshot: Snapshot, axes: Reduction | Basis, counts: Sequence[int]) -> list[Projected]:
    """Loss and accuracy with the embeddings projected onto their mean and the first n principal axes.

    The lottery-ticket view of Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation
    Learning, https://arxiv.org/abs/2205.10343, appendix K: with the axes of the end of training, how much of the
    generalising representation was present at the start.

    Args:
        snapshot: the network at one step.
        axes: principal components of the embeddings at this step or another; a Basis will do.
        counts: numbers of axes to keep.

    Returns:
        One score per count.

    Raises:
        InterpError: axes of another dimension, or a count that is not a whole number from 0 to that of the axes.
    """
    table, task, found = embedding_table(snapshot), snapshot.task, []
    model = snapshot.model
    directions = as_basis(axes).directions
    if directions.shape[1] != table.rows.shape[1]:
        raise InterpError(f"axes of {directions.shape[1]} dimensions, embeddings of {table.rows.shape[1]}")
    if not isinstance(counts, Iterable) or not all(isinstance(n, int) and 0 <= n <= len(directions) for n in counts):
        raise InterpError(f"counts are whole numbers from 0 to {len(directions)}, the number of axes, got {counts!r}")
    mean, whole = table.rows.mean(0), snapshot.weights[table.name]
    for n in counts:
        kept = directions[:n].to(table.rows)
        changed = whole.clone()
        changed[: len(table.rows)] = (mean + (table.rows - mean) @ kept.T @ kept).to(whole.dtype)
        other = type(model).from_weights(model.config, {**snapshot.weights, table.name: changed}).to(model.device)
        scores = score(task, table_logits(other, task))
        found.append(Projected(n, scores.loss, scores.accuracy))
    return found
