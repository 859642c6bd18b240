"""Measures: softmax collapse, and the norm of the gradient."""

from __future__ import annotations

import torch

from interp.activations.batches import placed
from interp.errors import MissingCapability
from interp.plugins.measure import measure
from interp.snapshot import BATCH, Snapshot
from interp.subject import at_readout
from probes.stability import softmax_collapse


@measure(
    "softmax_collapse",
    order=31,
    needs=("answers",),
    summary="share of train examples with a float32 cross-entropy of exactly 0",
)
def collapse(snapshot: Snapshot) -> float:
    """`probes.stability.softmax_collapse` over the train set.

    Args:
        snapshot: the network at one step.

    Returns:
        A share from 0 to 1.

    Raises:
        MissingCapability: a loss other than the cross-entropy.
    """
    task, index = snapshot.task, snapshot.part("train")
    if task.loss != "cross_entropy":
        raise MissingCapability(f"softmax collapse needs the cross-entropy loss; its loss is {task.loss}")
    return float(softmax_collapse(snapshot.logits[index], task.labels.to(index.device)[index]))


@measure(
    "gradient_norm", order=30, needs=("gradients",), summary="norm of the gradient of the mean train loss", log=True
)
def gradient_norm(snapshot: Snapshot) -> float:
    """Gradient norm ``|grad L|_2`` over all parameters, L the task's mean train loss without penalties.

    Args:
        snapshot: the network at one step.

    Returns:
        The Euclidean norm, in the loss's unit per unit of weight.
    """
    model, task, index = at_readout(snapshot.model, snapshot.task), snapshot.task, snapshot.part("train")
    parameters = list(model.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    # a loss that pairs examples needs them all at once
    for part in index.split(BATCH if task.criterion.separable else len(index)):
        outputs = task.read(model(placed(task.inputs[part.cpu()], model)))
        loss = task.losses(outputs, task.labels[part.cpu()]).sum() / len(index)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for running, gradient in zip(total, gradients, strict=True):
            if gradient is not None:
                running += gradient
    return float(torch.stack([g.double().square().sum() for g in total]).sum().sqrt())
