"""The examples of an ensemble: one set that all members share, or one set per member, stacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.tasks import Task


@dataclass(frozen=True)
class Examples:
    """Inputs ``[(member,) n, ...]`` and labels ``[(member,) n, ...]``; the member axis is missing where all share them.

    Attributes:
        inputs: as the model takes them.
        labels: as the loss takes them.
        sizes: number of examples of each member; the rest of its row is padding.
        shared: all members have the same examples.
        weights: ``[member, n]``, 1/size or 0, where sizes differ; None where they are equal.
    """

    inputs: Tensor
    labels: Tensor
    sizes: tuple[int, ...]
    shared: bool
    weights: Tensor | None = None

    def __len__(self) -> int:
        return self.labels.shape[0 if self.shared else 1]

    def of(self, members: Sequence[int]) -> Examples:
        """The examples of some members."""
        sizes = tuple(self.sizes[m] for m in members)
        if self.shared or list(members) == list(range(len(self.sizes))):
            return Examples(self.inputs, self.labels, sizes, self.shared, self.weights)
        index = torch.tensor(members, device=self.labels.device)
        weights = None if self.weights is None else self.weights[index]
        return Examples(self.inputs[index], self.labels[index], sizes, False, weights)

    def rows(self, index: Tensor) -> Tensor:
        """The rows of the examples ``index [member, n]`` where the examples of all members are one long table."""
        if self.shared:
            return index
        return index + torch.arange(len(index), device=index.device).unsqueeze(-1) * len(self)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and labels ``[member, batch, ...]`` of the examples at ``rows [member, batch]``."""
        inputs, labels = (
            (self.inputs, self.labels) if self.shared else (self.inputs.flatten(0, 1), self.labels.flatten(0, 1))
        )
        flat = rows.flatten()  # whole rows are copied faster than through two indices
        return inputs.index_select(0, flat).unflatten(0, rows.shape), labels.index_select(0, flat).unflatten(
            0, rows.shape
        )

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the examples of each member ``[member]``, of values ``[member, n]``."""
        return values.mean(-1) if self.weights is None else (values * self.weights).sum(-1)


def examples(tasks: Sequence[Task], part: str, device: torch.device, dtype: torch.dtype) -> Examples:
    """The train or test examples of every member.

    Args:
        tasks: one per member.
        part: ``"train"`` or ``"test"``.
        device: where they go.
        dtype: of inputs and labels that are not whole numbers.

    Returns:
        shared examples where all members have the same, else stacked ones.

    Raises:
        InterpError: members whose examples do not have the same shape.
    """
    first = tasks[0]
    indices = [getattr(task, f"{part}_indices") for task in tasks]
    sizes = tuple(len(index) for index in indices)
    if all(_same(task, first, index, indices[0]) for task, index in zip(tasks, indices, strict=True)):
        inputs, labels = first.inputs[indices[0]], first.labels[indices[0]]
        return Examples(_place(inputs, device, dtype), _place(labels, device, dtype), sizes, True)
    shape = first.inputs.shape[1:]
    for number, task in enumerate(tasks):
        if task.inputs.shape[1:] != shape:
            raise InterpError(
                f"member {number}: its inputs have the shape {list(task.inputs.shape[1:])}, those of member 0 {list(shape)}: "
                "in one block they need the same shape"
            )
    longest = max(sizes)
    padded = [torch.cat([i, i.new_zeros(longest - len(i))]) for i in indices]
    weights = None
    if min(sizes) < longest:
        counts = torch.tensor(sizes, device=device).unsqueeze(-1)
        weights = (torch.arange(longest, device=device) < counts).to(torch.float64) / counts.clamp(min=1)
    inputs = torch.stack([task.inputs[i] for task, i in zip(tasks, padded, strict=True)])
    labels = torch.stack([task.labels[i] for task, i in zip(tasks, padded, strict=True)])
    return Examples(_place(inputs, device, dtype), _place(labels, device, dtype), sizes, False, weights)


def _same(task: Task, other: Task, index: Tensor, other_index: Tensor) -> bool:
    """Whether two tasks have the same examples: equal tasks, or seeds without effect (data in a file's order)."""
    if task is other or task == other:
        return True
    same = task.inputs is other.inputs and task.labels is other.labels
    return same and torch.equal(index, other_index)


def _place(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    return tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
