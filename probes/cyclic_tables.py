"""A subject's logits, embeddings and activations in the order in which its task is addition modulo n.

Everything that has a Fourier basis goes through here, so that addition, subtraction, multiplication and cyclic
groups with shuffled names are one case.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import MissingCapability
from interp.subject import Subject, as_subject
from interp.tasks import CyclicStructure, Task
from probes import group_tables


def rows(task: Task) -> Int[Tensor, "n n"]:
    """Which input pair has exponents (i, j).

    Args:
        task: addition modulo n, perhaps in disguise.

    Returns:
        ``[n, n]``; entry (i, j) indexes ``task.pairs``.
    """
    return group_tables.rows(task, _structure(task))


def columns(task: Task) -> Int[Tensor, "n"]:
    """Which answer has exponent k, as an index of the logits: ``[n]``."""
    return group_tables.columns(task, _structure(task))


def _structure(task: Task) -> CyclicStructure:
    structure = task.cyclic()
    if isinstance(structure, str):
        raise MissingCapability(structure)
    return structure


def logit_table(subject: Subject) -> Float[Tensor, "n n n"]:
    """Logits over the input table, in the order of the exponents.

    Args:
        subject: a network on a task that is addition modulo n.

    Returns:
        ``[a, b, c]`` in the subject's precision; answers outside the cyclic structure are left out.
    """
    return group_tables.logit_table(subject, as_subject(subject).require_cyclic())


def answered(logits: Float[Tensor, "n n n"]) -> float:
    """Share of the input table whose largest logit is a + b.

    Args:
        logits: ``[a, b, c]``, as `logit_table` returns them.

    Returns:
        A share from 0 to 1.
    """
    index = torch.arange(len(logits), device=logits.device)
    return float((logits.argmax(-1) == (index[:, None] + index) % len(logits)).double().mean())


def embedding_tables(subject: Subject) -> dict[str, Float[Tensor, "n d"]]:
    """Embeddings of the operands and the unembedding, in the order of the exponents.

    Args:
        subject: a network on a task that is addition modulo n.

    Returns:
        ``[n, d]`` in float64 by name, as `probes.group_tables.embedding_tables` gives them.
    """
    return group_tables.embedding_tables(subject, as_subject(subject).require_cyclic())


def neuron_table(subject: Subject, site: str) -> Float[Tensor, "n n units"]:
    """Activations of a hidden layer over the input table, at the readout position, in the order of the exponents.

    Args:
        subject: a network on a task that is addition modulo n.
        site: hook point of the layer.

    Returns:
        ``[n, n, units]`` in float64.
    """
    return group_tables.neuron_table(subject, site, as_subject(subject).require_cyclic())
