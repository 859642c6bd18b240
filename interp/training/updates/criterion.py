"""The loss that a run minimises, where it is not quite its task's: smoothed labels, another precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.tasks import Task
from interp.tasks.probabilities import Probabilities, label_entry, precise


def training_loss(task: Task, smoothing: Tensor | None, softmax_dtype: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of every example, of outputs ``[member, n, width]`` and labels, as a run minimises it.

    With label smoothing e it is ``(1 - e) (-ln p_label) - e mean over answers of ln p``, as torch's ``cross_entropy`` has it:
    Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, https://arxiv.org/abs/1512.00567

    Args:
        task: of the run.
        smoothing: per member ``[member]``; None smooths nothing.
        softmax_dtype: ``"float64"`` or ``"float32"``, the precision of the probabilities. In float32 a loss and its gradient
            become exactly 0 once the label leads by about 17 (softmax collapse: Prieto et al. 2025, Grokking at the Edge of
            Numerical Stability, https://arxiv.org/abs/2501.04697).

    Returns:
        the task's own criterion where nothing is changed.

    Raises:
        InterpError: a loss without probabilities of answers.
    """
    criterion, dtype = task.criterion, {"float64": None, "float32": torch.float32}[softmax_dtype]
    if smoothing is None and dtype is None:
        return criterion
    if not isinstance(criterion, Probabilities):
        what = "label_smoothing" if smoothing is not None else f"softmax_dtype={softmax_dtype}"
        raise InterpError(
            f"{what} needs a loss with probabilities of answers, such as cross_entropy; this is {task.loss}"
        )

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        log_p = criterion.log_probabilities(precise(outputs) if dtype is None else outputs.to(dtype))
        own = 0 - label_entry(log_p, labels)
        if smoothing is None:
            return own
        share = smoothing.to(own.dtype).unsqueeze(-1)
        return (1 - share) * own - share * log_p.mean(-1)

    return loss
