"""A subject's logits, embeddings and activations in the order of the elements of its task's group.

Everything that has representations goes through here, so that groups by their tables, cyclic groups with shuffled names and
modular arithmetic are one case. `probes.cyclic_tables` is the same in the order in which a task is addition modulo n.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import MissingCapability
from interp.hooked import HookedMLP, HookedTransformer
from interp.snapshot import activation_at_readout
from interp.subject import Subject, as_subject, at_readout
from interp.tasks import BinaryOperation, CyclicStructure, GroupStructure, Task
from interp.tasks.cyclic import symbols_of

Structure = CyclicStructure | GroupStructure


def rows(task: Task, structure: Structure | None = None) -> Int[Tensor, "n n"]:
    """Which input pair is the elements (x, y).

    Args:
        task: composition in a finite group, perhaps in disguise.
        structure: how it is that; by default as the task says.

    Returns:
        ``[n, n]``; entry (x, y) indexes ``task.pairs``.

    Raises:
        MissingCapability: a task that is not composition in a group.
    """
    structure = structure or _structure(task)
    if not isinstance(task, BinaryOperation):
        raise MissingCapability(f"{task.name}: an input table needs an operation on two symbols")
    return structure.rows(task.pairs)


def columns(task: Task, structure: Structure | None = None) -> Int[Tensor, "n"]:
    """Which answer is which element, as an index of the logits: ``[n]``."""
    return (structure or _structure(task)).columns


def _structure(task: Task) -> GroupStructure:
    structure = task.group()
    if isinstance(structure, str):
        raise MissingCapability(structure)
    return structure


def logit_table(subject: Subject, structure: Structure | None = None) -> Float[Tensor, "n n n"]:
    """Logits over the input table, in the order of the elements.

    Args:
        subject: a network on a task that is composition in a group.
        structure: how the task is that; by default as it says.

    Returns:
        ``[x, y, z]`` in the subject's precision; answers outside the group are left out.

    Raises:
        MissingCapability: a task that is not composition in a group.
    """
    subject = as_subject(subject)
    structure, task = structure or subject.require_group(), subject.require_task()
    logits = subject.logits()
    return logits[rows(task, structure).to(logits.device)][..., columns(task, structure).to(logits.device)]


def embedding_tables(subject: Subject, structure: Structure | None = None) -> dict[str, Float[Tensor, "n d"]]:
    """Embeddings of the operands and the unembedding, in the order of the elements.

    Args:
        subject: a network on a task that is composition in a group.
        structure: how the task is that; by default as it says.

    Returns:
        ``[n, d]`` in float64 by name: ``W_E`` (``W_E left`` and ``W_E right`` if each operand has its own), ``W_U``
        (transposed). Of an MLP that takes one-hot vectors, its first matrix is the embedding: ``W_in left`` and
        ``W_in right``, or ``W_in`` if the vectors are added. Empty for other architectures.

    Raises:
        MissingCapability: a task that is not composition in a group.
    """
    subject = as_subject(subject)
    structure, model, task = structure or subject.require_group(), subject.model, subject.require_task()
    left, right = symbols_of(structure.left, structure.order), symbols_of(structure.right, structure.order)
    tables: dict[str, Tensor] = {}
    if isinstance(model, HookedMLP) and model.config.d_vocab is None:
        tables = _first_matrix(model, task, left, right)
    elif isinstance(model, HookedTransformer) or (isinstance(model, HookedMLP) and model.W_E.ndim == 2):
        tables["W_E"] = model.W_E[left.to(model.device)]
    elif isinstance(model, HookedMLP):
        tables["W_E left"] = model.W_E[0][left.to(model.device)]
        tables["W_E right"] = model.W_E[1][right.to(model.device)]
    if isinstance(model, (HookedMLP, HookedTransformer)):
        tables["W_U"] = model.W_U.T[columns(task, structure).to(model.device)]
    return {name: table.detach().double() for name, table in tables.items()}


def _first_matrix(model: HookedMLP, task: Task, left: Tensor, right: Tensor) -> dict[str, Tensor]:
    """Rows of the first matrix that one-hot operands pick."""
    if not isinstance(task, BinaryOperation) or task.encoding == "tokens":
        return {}
    matrix = next(w for name, w in model.named_parameters() if name.endswith((".W", "W_U")))
    if task.encoding == "sum":
        return {"W_in": matrix[left.to(matrix.device)]}
    first = task.n_symbols * torch.tensor([task.items.index("a"), task.items.index("b")])
    return {
        "W_in left": matrix[(first[0] + left).to(matrix.device)],
        "W_in right": matrix[(first[1] + right).to(matrix.device)],
    }


def neuron_table(subject: Subject, site: str, structure: Structure | None = None) -> Float[Tensor, "n n units"]:
    """Activations of a hidden layer over the input table, at the readout position, in the order of the elements.

    Args:
        subject: a network on a task that is composition in a group.
        site: hook point of the layer.
        structure: how the task is that; by default as it says.

    Returns:
        ``[n, n, units]`` in float64.

    Raises:
        MissingCapability: a task that is not composition in a group.
    """
    subject = as_subject(subject)
    structure, task = structure or subject.require_group(), subject.require_task()
    reader = at_readout(subject.cast().model, task)
    acts = capture(reader, task.inputs, site, batch_size=4096)
    values = activation_at_readout(next(iter(acts.values())), reader.axes_of(site), task).double()
    return values[rows(task, structure).to(values.device)]
