"""Measures: the effective loss of the embeddings, and the grokking rate of the train set."""

from __future__ import annotations

import math

from interp.errors import MissingCapability
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from interp.tasks import ToyAddition
from probes.effective_theory import effective_loss, grokking_rate
from probes.measures.parallelograms import operation_of


@measure(
    "effective_loss",
    order=54,
    needs=("weights", "task"),
    summary="effective loss l0 / Z0 of the embeddings on the train set",
    log=True,
)
def effective(snapshot: Snapshot) -> float:
    """`probes.effective_theory.effective_loss` of the embeddings as they are (not centred)."""
    table, samples, trained = operation_of(snapshot)
    return float(effective_loss(table.double(), samples, trained))


@measure(
    "lambda_3",
    order=55,
    needs=("weights", "task"),
    summary="grokking rate of the train set, at Z0 of normalised embeddings and their own",
)
def lambda_3(snapshot: Snapshot) -> dict[str, float]:
    """`probes.effective_theory.grokking_rate` of the train set.

    Args:
        snapshot: the network at one step, trained on addition without a modulus.

    Returns:
        The rate with Z0 of ``normalised`` embeddings, and of the network's ``own`` embeddings, centred.

    Raises:
        MissingCapability: any other task.
    """
    table, samples, trained = operation_of(snapshot)
    if not isinstance(snapshot.task, ToyAddition):
        raise MissingCapability(
            f"the effective theory needs addition that is not reduced modulo p (task addition), not {snapshot.task.name}"
        )
    centred = table.double() - table.double().mean(0)
    rate, z0 = grokking_rate(samples, trained), float(centred.square().sum())
    return {"normalised": rate, "own": rate * samples.n_symbols / z0 if z0 else math.nan}
