"""Measures: representation quality index and predicted accuracy, of the embeddings and of the ideal model."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.errors import MissingCapability
from interp.hooked import HookedMLP, HookedModel
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes.deduction import ideal_of_products
from probes.parallelograms import (
    Found,
    Samples,
    equations,
    ideal,
    normalised,
    nullity,
    parallelograms,
    samples_of,
)
from probes.rqi_criteria import Criterion, code_scale


@measure(
    "rqi",
    order=50,
    needs=("weights", "task"),
    summary="representation quality index: share of the operation's parallelograms",
)
def rqi(snapshot: Snapshot, *, delta: float | None = None, criterion: Criterion = "paper") -> dict[str, float]:
    """Representation quality index (`probes.parallelograms.parallelograms`) of the embeddings.

    Args:
        snapshot: the network at one step.
        delta: largest distance that counts as equal, after `representation_of`; that of the criterion.
        criterion: ``"paper"``, or ``"code"`` for that of the authors' code, which is laxer; see `probes.rqi_criteria`.

    Returns:
        A share from 0 to 1; under the name ``code`` where that is the criterion.
    """
    return {_place(criterion): _found(snapshot, delta, criterion).rqi}


@measure(
    "predicted_accuracy",
    order=51,
    needs=("weights", "task"),
    summary="accuracy over all samples that the parallelograms explain",
)
def predicted_accuracy(
    snapshot: Snapshot, *, delta: float | None = None, criterion: Criterion = "paper"
) -> dict[str, float]:
    """Accuracy over all samples that the embeddings' parallelograms predict (`probes.parallelograms.parallelograms`).

    Args:
        snapshot: the network at one step.
        delta: largest distance that counts as equal, after `representation_of`; that of the criterion.
        criterion: ``"paper"``, or ``"code"`` for that of the authors' code, which is laxer; see `probes.rqi_criteria`.

    Returns:
        A share from 0 to 1; under the name ``code`` where that is the criterion.
    """
    return {_place(criterion): _found(snapshot, delta, criterion).accuracy}


@measure("ideal_rqi", order=52, needs=("weights", "task"), summary="the largest RQI that the train set allows")
def ideal_rqi(snapshot: Snapshot) -> float:
    """RQI of the ideal model (`probes.parallelograms.ideal`, for matrices `probes.deduction`); the train set decides it."""
    return _ideal(snapshot).rqi


@measure(
    "ideal_accuracy",
    order=53,
    needs=("weights", "task"),
    summary="the largest predicted accuracy that the train set allows",
)
def ideal_accuracy(snapshot: Snapshot) -> float:
    """Accuracy of the ideal model (`probes.parallelograms.ideal`, for matrices `probes.deduction`); the train set decides it."""
    return _ideal(snapshot).accuracy


def operation_of(snapshot: Snapshot) -> tuple[Float[Tensor, "symbol dim"], Samples, Bool[Tensor, "sample"]]:
    """A network's embeddings of the operands, the samples of its operation, and the train mask.

    Args:
        snapshot: of a network with one embedding table, on an operation on two symbols.

    Returns:
        Embeddings ``[symbol, dim]``, samples, and ``[sample]``.

    Raises:
        MissingCapability: an embedding table per operand, or a task that is not such an operation.
    """
    tables = snapshot.embeddings
    if len(tables) > 1:
        raise MissingCapability("sums of embeddings need one table for both operands; its operands have one each")
    task, table = snapshot.task, next(iter(tables.values()))
    samples, trained = samples_of(task, _multiplies(snapshot.model))
    return table, samples, trained


def _multiplies(model: HookedModel) -> bool:
    return isinstance(model, HookedMLP) and model.config.combine == "product"


def representation_of(snapshot: Snapshot, criterion: Criterion = "paper") -> Float[Tensor, "symbol dim"]:
    """Embeddings in the scale in which parallelograms are counted: `normalised` vectors, matrices with ``mean |E|_F^2 = 1``.

    Centring would destroy the structure of products; without a scale, small matrices would have every parallelogram.

    Args:
        snapshot: as for `operation_of`.
        criterion: ``"code"``: `probes.rqi_criteria.code_scale` instead.

    Returns:
        ``[symbol, dim]`` in float64.
    """
    table, samples, _ = operation_of(snapshot)
    if criterion == "code":
        return code_scale(table, samples.product)
    if not samples.product:
        return normalised(table)
    scale = table.double().square().sum(1).mean().sqrt()
    return table.double() / scale.where(scale > 0, torch.ones_like(scale))


def _found(snapshot: Snapshot, delta: float | None, criterion: Criterion) -> Found:
    _, samples, trained = operation_of(snapshot)

    def count() -> Found:
        return parallelograms(representation_of(snapshot, criterion), samples, trained, delta, criterion=criterion)

    return snapshot.share(f"parallelograms {delta} {criterion}", count)


def _place(criterion: Criterion) -> str:
    """Where a value stands: the criterion is part of the result, unless it is the paper's."""
    return "" if criterion == "paper" else criterion


def _ideal(snapshot: Snapshot) -> Found:
    _, samples, trained = operation_of(snapshot)
    if samples.product:
        return _ideal_of_products(samples, trained)
    if not _is_linear(samples):
        raise MissingCapability(
            "the ideal model needs an operation that a line E_k = a + k b solves, such as addition; here answers wrap around"
        )
    return _ideal_of(samples, trained)


@lru_cache(maxsize=64)
def _is_linear(samples: Samples) -> bool:
    """Whether E_k = a + k b solves the operation, as it does for addition without a modulus."""
    everything = torch.ones(len(samples.labels), dtype=torch.bool)
    return int(nullity(equations(samples, everything))) >= 2


@lru_cache(maxsize=64)
def _ideal_of(samples: Samples, trained: Tensor) -> Found:
    return ideal(samples, trained)


@lru_cache(maxsize=64)
def _ideal_of_products(samples: Samples, trained: Tensor) -> Found:
    return ideal_of_products(samples, trained)
