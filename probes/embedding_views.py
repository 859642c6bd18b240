"""Embeddings along training: on their principal components, and what the network does with the first of them alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import MissingCapability
from interp.snapshot import Snapshot
from interp.subject import table_logits
from probes.spectra import Reduction


@dataclass(frozen=True)
class Table:
    """The embeddings of a network's symbols.

    Attributes:
        name: of the parameter.
        rows: ``[symbol, d]``; other tokens, such as ``=``, are left out.
    """

    name: str
    rows: Float[Tensor, "symbol d"]


def embedding_table(snapshot: Snapshot) -> Table:
    """The one table of symbols that a network has.

    Raises:
        MissingCapability: it takes no symbols, or has a table per operand.
    """
    tables = snapshot.embeddings
    if len(tables) > 1:
        raise MissingCapability("its operands have embeddings of their own, and one table is drawn")
    name, rows = next(iter(tables.items()))
    return Table(name, rows.double())


def aligned(points: Float[Tensor, "n d"], to: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Points with the sign of each axis chosen so that they lie closest to others: components have no sign of their own.

    >>> aligned(torch.tensor([[1.0, -1.0]]), torch.tensor([[2.0, 3.0]])).tolist()
    [[1.0, 1.0]]
    """
    return points * torch.where((points * to).sum(0) < 0, -1.0, 1.0).to(points)


@dataclass(frozen=True)
class Projected:
    """A network with its embeddings on the first ``components`` principal axes alone.

    Attributes:
        loss: mean over all examples.
        accuracy: over all examples; None for a regression.
    """

    components: int
    loss: float
    accuracy: float | None


def projected(snapshot: Snapshot, axes: Reduction, counts: Sequence[int]) -> list[Projected]:
    """What the network does when its embeddings keep their mean and the first n principal components alone.

    The source's lottery-ticket view: with the axes of the end of training, how much of what generalises was there at the
    start. Source: METHODS C (Liu et al. 2022, appendix K).

    Args:
        axes: of the embeddings at this step, or at another.
        counts: how many components are kept, one result each.
    """
    table, task, found = embedding_table(snapshot), snapshot.task, []
    model = snapshot.model
    mean, whole = table.rows.mean(0), snapshot.weights[table.name]
    for n in counts:
        kept = axes.basis.directions[:n].to(table.rows)
        changed = whole.clone()
        changed[: len(table.rows)] = (mean + (table.rows - mean) @ kept.T @ kept).to(whole.dtype)
        other = type(model).from_weights(model.config, {**snapshot.weights, table.name: changed}).to(model.device)
        logits = table_logits(other, task)
        right = None if snapshot.subject.lacks(["answers"]) else float(task.correct(logits).double().mean())
        found.append(Projected(n, float(task.losses(logits).mean()), right))
    return found
