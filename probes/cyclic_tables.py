"""A subject's numbers arranged over the input table, in the order in which the task is addition modulo n.

Everything that has a Fourier basis goes through here, so that addition, subtraction, multiplication and cyclic
groups with shuffled names are one case.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.activations.capture import capture
from interp.hooked import HookedMLP, HookedTransformer
from interp.sites import Site
from interp.subject import Subject
from interp.tasks import BinaryOperation, Task


def rows(task: Task) -> Int[Tensor, "n n"]:
    """Which input pair has exponents (i, j): ``rows[i, j]`` indexes ``task.pairs``."""
    structure = task.cyclic()
    assert not isinstance(structure, str)  # callers ask Subject.require_cyclic first
    assert isinstance(task, BinaryOperation)
    a, b = task.pairs.T
    i, j = structure.left[a], structure.right[b]
    inside = (i >= 0) & (j >= 0)
    table = torch.empty(structure.order, structure.order, dtype=torch.long)
    table[i[inside], j[inside]] = torch.nonzero(inside).squeeze(1)
    return table


def columns(task: Task) -> Int[Tensor, "n"]:
    """Which answer has exponent k: ``columns[k]`` indexes the logits."""
    structure = task.cyclic()
    assert not isinstance(structure, str)
    return _inverse(structure.out, structure.order)


def _inverse(exponents: Int[Tensor, "symbols"], n: int) -> Int[Tensor, "n"]:
    inverse = torch.empty(n, dtype=torch.long)
    inside = exponents >= 0
    inverse[exponents[inside]] = torch.nonzero(inside).squeeze(1)
    return inverse


def logit_table(subject: Subject) -> Float[Tensor, "n n n"]:
    """Logits ``[a, b, c]`` in the order of the exponents, in float64; answers outside the structure are left out."""
    subject.require_cyclic()
    task = subject.require_task()
    logits = subject.logits()
    return logits[rows(task).to(logits.device)][..., columns(task).to(logits.device)]


def embedding_tables(subject: Subject) -> dict[str, Float[Tensor, "n d"]]:
    """The embeddings of the operands (one table where they share it) and the unembedding, in exponent order."""
    structure, model = subject.require_cyclic(), subject.model
    left, right = _inverse(structure.left, structure.order), _inverse(structure.right, structure.order)
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
    """Activations of a hidden layer over the input table, at the position that is read, in exponent order."""
    subject.require_cyclic()
    task = subject.require_task()
    pos = task.readout if "pos" in subject.model.axes_of(site) else None
    acts = capture(subject.cast().model, task.inputs, Site(site, pos=pos), batch_size=4096)
    values = next(iter(acts.values())).double()
    return values[rows(task).to(values.device)]
