"""Snapshot: a network at one step, run over its examples once for everything that is measured there."""

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
from interp.subject import Subject, at_readout
from interp.tasks import Task
from interp.tasks.binary import BinaryOperation

BATCH = 4096
T = TypeVar("T")


class Snapshot:
    """What measures take: a subject, and its activations from one forward pass that they share.

    Nothing is computed before it is asked for. Everything is in the subject's precision, on its device.

    Attributes:
        subject: the network at this step.
    """

    def __init__(self, subject: Subject):
        subject.refuse_hooks()  # a copy in another dtype would be without them
        self.subject = subject.cast()
        self._shared: dict[str, Any] = {}

    @property
    def model(self) -> HookedModel:
        return self.subject.model

    @property
    def task(self) -> Task:
        return self.subject.require_task()

    @property
    def step(self) -> int:
        return self.subject.step

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Every parameter by name, detached."""
        return {name: p.detach() for name, p in self.model.named_parameters()}

    @cached_property
    def finite(self) -> bool:
        """Whether all weights are finite; one transfer from the device."""
        return bool(torch.stack([w.isfinite().all() for w in self.weights.values()]).all())

    @cached_property
    def matrices(self) -> dict[str, Tensor]:
        """Every weight matrix ``[in, out]`` by name; stacks, such as a weight per head, one by one."""
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
        """Make the shared forward pass now, so that ``subject.logits()`` is known too."""
        _ = self._pass

    @property
    def logits(self) -> Tensor:
        """What the task reads of the outputs, for all examples ``[n, width]``."""
        outputs = self._pass.outputs
        assert outputs is not None
        return outputs

    @cached_property
    def hidden(self) -> dict[str, Tensor]:
        """Activations of every hidden layer where the answer is read, for all examples ``[n, units]``, by site.

        Raises:
            MissingCapability: the network has no units behind an activation function.
        """
        sites = hidden_sites(self.model)
        if not sites:
            raise MissingCapability(f"a {type(self.model).__name__} has no hidden units behind an activation function")
        return {name: _at_readout(self._pass[name], self.model.axes_of(name), self.task) for name in sites}

    def before(self, parameter: str) -> tuple[str, Tensor] | None:
        """The site and activation from which all that a parameter takes part in is computed again by `resume`.

        None where that is the whole pass. The model to resume is ``at_readout(model, task)``.
        """
        site = self.model.reads(parameter)
        return None if site is None else (site, self._pass[site])

    @cached_property
    def losses(self) -> Tensor:
        """The task's loss of every example ``[n]``, in float64."""
        return self.task.losses(self.logits)

    @cached_property
    def correct(self) -> Tensor:
        """Whether every example is answered rightly ``[n]``.

        Raises:
            MissingCapability: answers are not right or wrong, as in a regression.
        """
        if missing := self.subject.lacks(["answers"]):
            raise MissingCapability(missing[0])
        return self.task.correct(self.logits)

    @cached_property
    def parts(self) -> dict[str, Tensor]:
        """Indices of the train and test examples, where there are any."""
        index = {"train": self.task.train_indices, "test": self.task.test_indices}
        return {name: part.to(self.model.device) for name, part in index.items() if len(part)}

    def part(self, name: str) -> Tensor:
        """Indices of a part of the split.

        Raises:
            InterpError: no such part.
            MissingCapability: it is empty.
        """
        if name not in ("train", "test"):
            raise InterpError(f"part must be train, test or all, got {name!r}")
        if name not in self.parts:
            raise MissingCapability(f"its task has no {name} examples")
        return self.parts[name]

    @property
    def embeddings(self) -> dict[str, Tensor]:
        """Embedding tables ``[symbol, d]`` by name; one per operand where they have their own.

        Where the task says which tokens are operands, the others (``=``) are left out.

        Raises:
            MissingCapability: the network takes no symbols.
        """
        tables = {name: table for name, table in self.matrices.items() if name.split(".")[-1].startswith("W_E")}
        if not tables:
            raise MissingCapability(f"a {type(self.model).__name__} without an embedding: its inputs are no symbols")
        task = self.subject.task
        n = task.n_symbols if isinstance(task, BinaryOperation) else None
        return {name: table[:n] for name, table in tables.items()}

    def share(self, name: str, make: Callable[[], T]) -> T:
        """What ``make()`` gives, computed once for all measures of this snapshot."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]


def _at_readout(activation: Tensor, axes: tuple[str, ...], task: Task) -> Tensor:
    """What stands where the answer is read; a block that computes that position alone has no other."""
    if "pos" not in axes:
        return activation
    dim, readout = axes.index("pos"), task.readout
    assert readout is not None  # tasks for models with positions say which is read
    return activation.select(dim, readout if activation.shape[dim] > 1 else 0)


def is_matrix(name: str, weight: Tensor) -> bool:
    """Whether a parameter is a weight matrix, or a stack of some; biases of heads, ``b_Q [head, d_head]``, are not."""
    return weight.ndim > 1 and not name.rpartition(".")[2].startswith("b_")


def matrices(weights: Mapping[str, Tensor]) -> Iterable[tuple[str, Tensor]]:
    """Weight matrices by name; stacks (heads, operands) one by one, as ``name[i]``. Biases of heads are no matrices.

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
