"""What goes wrong in float32 training: softmax collapse, slingshots; and the norm of the gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.activations.capture import placed
from interp.errors import MissingCapability
from interp.plugins.measure import measure
from interp.snapshot import BATCH, Snapshot
from interp.subject import at_readout


def softmax_collapse(logits: Float[Tensor, "n width"], labels: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    """Share of examples whose cross-entropy is exactly 0 in float32: their gradient is gone, though the loss is not.

    ``sum_j exp(z_j - max z)`` rounds to 1 and the label is the largest. Source: Prieto et al. 2025, "Grokking at the edge
    of numerical stability" (softmax collapse). In float64 the same network still learns.

    >>> softmax_collapse(torch.tensor([[0.0, 30.0], [0.0, 1.0]]), torch.tensor([1, 1])).item()
    0.5
    """
    log_p = logits.detach().float().log_softmax(-1)
    return (log_p.gather(-1, labels[:, None])[:, 0] == 0).double().mean()


@measure(
    "softmax_collapse",
    order=31,
    needs=("answers",),
    summary="share of train examples with a float32 cross-entropy of exactly 0",
)
def collapse(snapshot: Snapshot) -> float:
    """`softmax_collapse` over the train set."""
    task, index = snapshot.task, snapshot.part("train")
    if task.loss != "cross_entropy":
        raise MissingCapability(f"its loss is {task.loss}: softmax collapse is of the cross-entropy")
    return float(softmax_collapse(snapshot.logits[index], task.labels.to(index.device)[index]))


@measure(
    "gradient_norm", order=30, needs=("gradients",), summary="norm of the gradient of the mean train loss", log=True
)
def gradient_norm(snapshot: Snapshot) -> float:
    """``|grad L|_2`` over all parameters, of the task's loss, a mean over the train set, without penalties."""
    model, task, index = at_readout(snapshot.model, snapshot.task), snapshot.task, snapshot.part("train")
    parameters = list(model.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    # a loss that pairs examples (effective) needs them all at once
    for part in index.split(len(index) if task.loss == "effective" else BATCH):
        outputs = task.read(model(placed(task.inputs[part.cpu()], model)))
        loss = task.losses(outputs, task.labels[part.cpu()]).sum() / len(index)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for running, gradient in zip(total, gradients, strict=True):
            if gradient is not None:
                running += gradient
    return float(torch.stack([g.double().square().sum() for g in total]).sum().sqrt())


def slingshots(
    steps: Sequence[int], losses: Sequence[float], *, factor: float = 10.0, floor: float = 1e-3
) -> list[int]:
    """Steps at which a train loss jumps to ``factor`` times the lowest it had before, once per excursion.

    An excursion ends when the loss is back within ``factor`` of its lowest. What lies below ``floor`` times the first loss counts
    as that much: what moves down there is noise, and no slingshot. Source: the instability of Thilak et al. 2022 ("The
    slingshot mechanism"): spikes of the train loss late in training with an adaptive optimizer, each with a jump of the last
    layer's norm. A coarse series of losses misses spikes.

    >>> slingshots([0, 1, 2, 3, 4, 5], [1.0, 0.01, 0.001, 0.5, 0.4, 0.001])
    [3]
    """
    lowest, least, high, found = float("inf"), None, False, []
    for step, loss in zip(steps, losses, strict=True):
        if loss != loss:  # NaN
            continue
        least = floor * loss if least is None else least
        value = max(loss, least)
        if value >= factor * lowest and not high:
            found.append(step)
        high = value >= factor * lowest
        lowest = min(lowest, value)
    return found
