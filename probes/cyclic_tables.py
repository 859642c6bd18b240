"""A subject's logits, embeddings and activations in the order in which its task is addition modulo n.

Everything that has a Fourier basis goes through here, so that addition, subtraction, multiplication and cyclic
groups with shuffled names are one case.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import MissingCapability
from interp.hooked import HookedMLP, HookedTransformer
from interp.sites import Site
from interp.subject import Subject, as_subject
from interp.tasks import BinaryOperation, CyclicStructure, Task
from interp.tasks.cyclic import symbols_by_exponent


def rows(task: Task) -> Int[Tensor, "n n"]:
    """Which input pair has exponents (i, j).

    Args:
        task: addition modulo n, perhaps in disguise.

    Returns:
        ``[n, n]``; entry (i, j) indexes ``task.pairs``.

    Raises:
        MissingCapability: a task that is not cyclic.
    """
    structure = _structure(task)
    if not isinstance(task, BinaryOperation):
        raise MissingCapability(f"{task.name}: an input table needs an operation on two symbols")
    return structure.rows(task.pairs)


def columns(task: Task) -> Int[Tensor, "n"]:
    """Which answer has exponent k, as an index of the logits: ``[n]``."""
    return _structure(task).columns


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
    subject = as_subject(subject)
    subject.require_cyclic()
    task = subject.require_task()
    logits = subject.logits()
    return logits[rows(task).to(logits.device)][..., columns(task).to(logits.device)]


def embedding_tables(subject: Subject) -> dict[str, Float[Tensor, "n d"]]:
    """Embeddings of the operands and the unembedding, in the order of the exponents.

    Args:
        subject: a network on a task that is addition modulo n.

    Returns:
        ``[n, d]`` in float64 by name: ``W_E`` (``W_E left`` and ``W_E right`` if each operand has its own), ``W_U``
        (transposed); empty for other architectures.
    """
    subject = as_subject(subject)
    structure, model = subject.require_cyclic(), subject.model
    left, right = (symbols_by_exponent(e, structure.order) for e in (structure.left, structure.right))
    tables: dict[str, Tensor] = {}
    if isinstance(model, HookedTransformer) or (isinstance(model, HookedMLP) and model.W_E.ndim == 2):
        tables["W_E"] = model.W_E[left.to(model.device)]
    elif isinstance(model, HookedMLP):
        tables["W_E left"] = model.W_E[0][left.to(model.device)]
        tables["W_E right"] = model.W_E[1][right.to(model.device)]
    if isinstance(model, (HookedMLP, HookedTransformer)):
        tables["W_U"] = model.W_U.T[columns(subject.require_task()).to(model.device)]
    return {name: table.detach().double() for name, table in tables.items()}


def neuron_table(subject: Subject, site: str) -> Float[Tensor, "n n units"]:
    """Activations of a hidden layer over the input table, at the readout position, in the order of the exponents.

    Args:
        subject: a network on a task that is addition modulo n.
        site: hook point of the layer.

    Returns:
        ``[n, n, units]`` in float64.
    """
    subject = as_subject(subject)
    subject.require_cyclic()
    task = subject.require_task()
    pos = task.readout if "pos" in subject.model.axes_of(site) else None
    acts = capture(subject.cast().model, task.inputs, Site(site, pos=pos), batch_size=4096)
    values = next(iter(acts.values())).double()
    return values[rows(task).to(values.device)]
