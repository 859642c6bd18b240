"""Which networks have their gradients written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from interp.hooked import HookedModel
from interp.tasks import Task
from interp.training.by_hand.cppn import CPPNGradients
from interp.training.by_hand.mlp import MLPGradients
from interp.training.by_hand.transformer import TransformerGradients


class ByHand(Protocol):
    """The gradient of each member's own mean loss, without autograd."""

    def __call__(
        self,
        parameters: Mapping[str, Tensor],
        inputs: Tensor,
        labels: Tensor,
        weights: Tensor | None,
        noise: Tensor | None = None,
    ) -> Mapping[str, Tensor]:
        """Compute the gradients.

        Args:
            parameters: by name ``[member, ...]``.
            inputs: ``[(member,) n, ...]``; without a member axis all members share them.
            labels: ``[(member,) n, ...]``.
            weights: of the examples in each member's loss ``[member, n]``; None: 1/n each.
            noise: keys of the step's dropout ``[member]``; for networks with dropout.

        Returns:
            by parameter name ``[member, ...]``; the next call overwrites them.
        """
        ...


def by_hand(model: HookedModel, task: Task, batch_size: int | None = None) -> Callable[[int], ByHand] | None:
    """The gradient of a task's loss, if it is written out for a network.

    Args:
        model: the network; only its form matters.
        task: what it is trained on.
        batch_size: examples of a step; None: all.

    Returns:
        a function from the number of members of a block to their gradient, with memory of its own, so that blocks can be
        computed side by side; None where autograd has to do it.
    """
    n = len(task.train_indices)
    if MLPGradients.applies(model, task):
        return lambda members: MLPGradients(model, task, members)
    if TransformerGradients.applies(model, task, min(batch_size or n, n)):
        return lambda members: TransformerGradients(model, task, members)
    if CPPNGradients.applies(model, task):
        return lambda members: CPPNGradients(model, task, members)
    return None
