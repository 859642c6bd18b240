"""Loss and accuracy of many networks of one architecture on the same examples, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from interp.activations.batches import placed
from interp.activations.capture import capture
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked.base import HookedModel
from interp.subject import Subject, at_readout
from interp.tasks import Task

MAX_BYTES = 512 << 20  # working memory
CPU_BYTES = 64 << 20  # on a CPU larger pieces are no faster
TOGETHER = 16  # networks at once where memory allows, so that what precedes changed weights is shared


def examples_of(task: Task, part: str) -> Tensor:
    """Indices of a part of a task's examples.

    Args:
        task: any.
        part: ``"train"``, ``"test"`` or ``"all"``.

    Returns:
        ``[n]``, at least one.

    Raises:
        UnknownName: another part.
        InterpError: the task has no such examples.
    """
    parts = {"train": task.train_indices, "test": task.test_indices, "all": torch.arange(len(task.labels))}
    if not isinstance(part, str) or part not in parts:
        raise UnknownName(unknown("part", part, parts))
    if not len(parts[part]):
        others = " or ".join(repr(n) for n in parts if len(parts[n]))
        raise InterpError(f"{task.name} has no {part} examples; choose part={others}")
    return parts[part]


@dataclass(frozen=True)
class StackedScores:
    """Judges stacked weights on some of a task's examples.

    Attributes:
        model: the architecture, with the weights that do not change; computes only the position that is read.
        task: judges the outputs.
        inputs: on the model's device.
        labels: of the same examples.
        judged: whether answers are right or wrong.
        max_bytes: working memory.
    """

    model: HookedModel
    task: Task
    inputs: Any
    labels: Tensor
    judged: bool
    max_bytes: int

    @classmethod
    def of(cls, subject: Subject, part: str, max_bytes: int = MAX_BYTES) -> StackedScores:
        """For a subject with a task, in its precision, on a part of the examples; errors as in `examples_of`."""
        require_range("max_bytes", max_bytes, 1)
        task = subject.require_task()
        index = examples_of(task, part)
        model = at_readout(subject.model.cast(subject.precision), task)
        inputs, labels = placed(task.inputs[index], model), task.labels[index]
        first = task.read(model(inputs[:1]))
        judged = task.criterion.correct(first.double(), labels[:1].to(model.device)) is not None
        return cls(model, task, inputs, labels, judged, max_bytes)

    def judge(self, outputs: Tensor, rows: slice) -> Tensor:
        """Loss and accuracy ``[network, example, 2]`` of outputs ``[network, example, width]``; NaN for no accuracy."""
        loss = self.task.losses(outputs, self.labels[rows])
        right = (
            self.task.correct(outputs, self.labels[rows]).double()
            if self.judged
            else torch.full_like(loss, float("nan"))
        )
        return torch.stack([loss, right], -1).cpu()

    def of_model(self) -> Tensor:
        """Loss and accuracy of the model as it is ``[example, 2]``."""
        outputs = self.task.read(self.model(self.inputs)).unsqueeze(0)
        return self.judge(outputs, slice(0, len(self.labels)))[0]

    def at_once(self, changed_bytes: int, shared: bool = True) -> tuple[int, int]:
        """How many networks run at once, and on how many examples.

        Args:
            changed_bytes: of one network's own weights.
            shared: whether the networks have other weights in common, so that it pays to run them together on fewer examples.

        Returns:
            at least one of each.
        """
        model = self.model
        per_example = sum(t.nbytes for t in capture(model, self.inputs[:1], "*").values())
        networks = max(1, min(TOGETHER, self.max_bytes // 2 // max(1, changed_bytes)))
        most = min(self.max_bytes // 2, CPU_BYTES) if model.device.type == "cpu" else self.max_bytes // 2
        pairs = most // max(1, per_example)
        if not shared:  # a stack of large products is slower than one after the other
            networks = max(1, min(networks, pairs // (4 * len(self.labels))))
        return networks, max(1, pairs // networks)

    def of_stack(self, weights: Mapping[str, Tensor], stacked: Mapping[str, Tensor], n: int) -> Tensor:
        """Loss and accuracy of networks that differ in some parameters.

        Args:
            weights: the parameters that all share.
            stacked: the others ``[network, ...]``.
            n: examples at once, where the loss allows pieces.

        Returns:
            ``[network, example, 2]``.
        """
        axes, total = {name: 0 if name in stacked else None for name in {**weights, **stacked}}, len(self.labels)
        pieces = [slice(i, min(i + n, total)) for i in range(0, total, n)]
        judgements = []
        for rows in pieces if self.task.criterion.separable else [slice(0, total)]:
            outputs = torch.vmap(
                lambda own, rows=rows: self.task.read(functional_call(self.model, own, (self.inputs[rows],))),
                in_dims=(axes,),
            )({**weights, **stacked})  # [network, example, width]
            judgements.append(self.judge(outputs, rows))
        return torch.cat(judgements, 1)
