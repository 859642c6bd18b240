"""Snapshot: a network at one step, with one forward pass over its examples that all measures share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from interp.activations.capture import Activations, capture
from interp.errors import InterpError, MissingCapability
from interp.hooked import HookedModel
from interp.sites import hidden_sites
from interp.subject import Subject, as_subject, at_readout
from interp.tasks import Task
from interp.tasks.binary import BinaryOperation
from interp.tasks.shapes import position_read

BATCH = 4096
T = TypeVar("T")


class Snapshot:
    """The argument of every measure: a subject, and its activations from one shared forward pass.

    Nothing is computed before it is needed. Everything is in the subject's precision, on its device.

    Args:
        subject: the network at this step; a model has no task.

    Attributes:
        subject: the same, in the precision that measures use.

    Raises:
        InterpError: hooks are installed on the model, or ``subject`` is something else.
    """

    def __init__(self, subject: Subject | HookedModel):
        subject = as_subject(subject)
        subject.refuse_hooks()  # a copy in another dtype would not have them
        self.subject = subject.cast()
        self._shared: dict[str, Any] = {}

    @property
    def model(self) -> HookedModel:
        """The network, in the subject's precision."""
        return self.subject.model

    @property
    def task(self) -> Task:
        """The subject's task; MissingCapability if it has none."""
        return self.subject.require_task()

    @property
    def step(self) -> int:
        """The training step; 0 where it is not known."""
        return self.subject.step or 0

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Every parameter by name, detached."""
        return {name: p.detach() for name, p in self.model.named_parameters()}

    @cached_property
    def finite(self) -> bool:
        """Whether all weights are finite (one transfer from the device)."""
        return bool(torch.stack([w.isfinite().all() for w in self.weights.values()]).all())

    @cached_property
    def matrices(self) -> dict[str, Tensor]:
        """Every weight matrix ``[in, out]`` by name; stacks, such as one matrix per head, are split up."""
        return dict(matrices(self.weights))

    @cached_property
    def _pass(self) -> Activations:
        self.subject.refuse_hooks()
        reader, task = at_readout(self.model, self.task), self.task
        names = dict.fromkeys([*hidden_sites(reader), *filter(None, map(reader.reads, self.weights))])
        if not names:
            return Activations({}, {}, self.subject.logits())
        acts = capture(reader, task.inputs, list(names), batch_size=BATCH, outputs=task.read)
        assert acts.outputs is not None
        self.subject.keep_logits(acts.outputs)
        return acts

    def forward(self) -> None:
        """Run the shared forward pass now; ``subject.logits()`` needs none of its own then."""
        _ = self._pass

    @property
    def logits(self) -> Tensor:
        """The outputs that the task reads, for all examples ``[n, width]``."""
        outputs = self._pass.outputs
        assert outputs is not None
        return outputs

    @cached_property
    def hidden(self) -> dict[str, Tensor]:
        """Activations of every hidden layer at the readout position, for all examples ``[n, units]``, by site.

        Raises:
            MissingCapability: the network has no hidden units with an activation function.
        """
        sites = hidden_sites(self.model)
        if not sites:
            raise MissingCapability(f"a {type(self.model).__name__} has no hidden units with an activation function")
        return {name: activation_at_readout(self._pass[name], self.model.axes_of(name), self.task) for name in sites}

    def before(self, parameter: str) -> tuple[str, Tensor] | None:
        """The activation that a parameter reads: everything downstream of a change of it follows by `HookedModel.resume`.

        Args:
            parameter: name of a parameter.

        Returns:
            The site and its activation for all examples, to resume ``at_readout(model, task)`` from; None where the parameter
            reads the inputs, so that the whole pass must be computed again.
        """
        site = self.model.reads(parameter)
        return None if site is None else (site, self._pass[site])

    @cached_property
    def losses(self) -> Tensor:
        """The task's loss for every example ``[n]``, in float64."""
        return self.task.losses(self.logits)

    @cached_property
    def correct(self) -> Tensor:
        """Whether every example is answered correctly: boolean ``[n]``.

        Raises:
            MissingCapability: the task's loss knows no correct answers, as in a regression.
        """
        if not self.task.criterion.answers:
            raise MissingCapability(f"needs answers that are correct or wrong; the loss {self.task.loss} has none")
        return self.task.correct(self.logits)

    @cached_property
    def parts(self) -> dict[str, Tensor]:
        """Indices of the train and test examples, by part; an empty part is left out."""
        index = {"train": self.task.train_indices, "test": self.task.test_indices}
        return {name: part.to(self.model.device) for name, part in index.items() if len(part)}

    def part(self, name: str) -> Tensor:
        """Indices of a part of the split.

        Args:
            name: ``train`` or ``test``.

        Returns:
            Indices into the examples, on the model's device.

        Raises:
            InterpError: no such part.
            MissingCapability: the part is empty.
        """
        if name not in ("train", "test"):
            raise InterpError(f"part must be train, test or all, got {name!r}")
        if name not in self.parts:
            raise MissingCapability(f"its task has no {name} examples")
        return self.parts[name]

    @property
    def embeddings(self) -> dict[str, Tensor]:
        """Embedding tables ``[symbol, d]`` by name; one per operand if operands have their own.

        Where the task says which tokens are operands, the others (``=``) are left out.

        Raises:
            MissingCapability: the network has no embedding.
        """
        tables = {name: table for name, table in self.matrices.items() if name.split(".")[-1].startswith("W_E")}
        if not tables:
            raise MissingCapability(f"a {type(self.model).__name__} without an embedding: its inputs are not tokens")
        task = self.subject.task
        n = task.n_symbols if isinstance(task, BinaryOperation) else None
        return {name: table[:n] for name, table in tables.items()}

    def share(self, name: str, make: Callable[[], T]) -> T:
        """Compute something once for all measures of this snapshot.

        Args:
            name: under which it is shared.
            make: computes it.

        Returns:
            What ``make()`` returned the first time.
        """
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]


def activation_at_readout(activation: Tensor, axes: tuple[str, ...], task: Task) -> Tensor:
    """An activation at the readout position; a block that computes only that position has a single one.

    Args:
        activation: for all examples.
        axes: their names.
        task: reads one position.

    Returns:
        without the axis ``pos``, if there is one.
    """
    if "pos" not in axes:
        return activation
    dim, readout = axes.index("pos"), task.readout
    assert readout is not None  # tasks for models with positions name the one that is read
    return activation.select(dim, position_read(readout, activation.shape[dim]))


def is_matrix(name: str, weight: Tensor) -> bool:
    """Whether a parameter is a weight matrix or a stack of them; biases of heads, ``b_Q [head, d_head]``, are not."""
    return weight.ndim > 1 and not name.rpartition(".")[2].startswith("b_")


def matrices(weights: Mapping[str, Tensor]) -> Iterable[tuple[str, Tensor]]:
    """Split weights into single matrices.

    Args:
        weights: by name.

    Yields:
        Name and matrix ``[in, out]``; matrices of a stack (heads, operands) as ``name[i]``. Biases are left out.

    >>> import torch
    >>> [name for name, _ in matrices({"W": torch.ones(2, 3), "b": torch.ones(3), "W_Q": torch.ones(2, 4, 3)})]
    ['W', 'W_Q[0]', 'W_Q[1]']
    """
    for name, weight in weights.items():
        if not is_matrix(name, weight):
            continue
        stack = weight.flatten(0, -3) if weight.ndim > 3 else weight
        if stack.ndim == 2 or len(stack) == 1:
            yield name, stack.reshape(stack.shape[-2:])
        else:
            yield from ((f"{name}[{i}]", matrix) for i, matrix in enumerate(stack))
