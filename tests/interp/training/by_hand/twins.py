"""Gradients by autograd, member after member: what those written out must equal."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import functional_call

from interp.hooked import HookedModel, build
from interp.hooked.config import Config
from interp.tasks import Task
from interp.training.by_hand import by_hand

Gradients = Mapping[str, Tensor]


def stacked(config: Config, members: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Weights of some members, normal around 0, biases too."""
    model = build(config).to(dtype)
    draw = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(members, *p.shape, generator=draw, dtype=torch.float64).to(dtype)
        * (model.init_std(name, p) or 0.3)
        for name, p in model.named_parameters()
    }


def by_autograd(
    model: HookedModel,
    task: Task,
    weights: Mapping[str, Tensor],
    inputs: Tensor,
    labels: Tensor,
    share: Tensor | None = None,
) -> dict[str, Tensor]:
    """The gradient of each member's mean loss, or of the loss weighted by ``share [member, n]``, by autograd."""
    found: dict[str, list[Tensor]] = {name: [] for name in weights}
    for i in range(len(next(iter(weights.values())))):
        own = {name: w[i].clone().requires_grad_() for name, w in weights.items()}
        shared = labels.ndim == task.labels.ndim
        x, y = (inputs, labels) if shared else (inputs[i], labels[i])
        losses = task.criterion(task.read(functional_call(model, own, (x,))), y)
        loss = losses.mean() if share is None else (losses * share[i]).sum()
        for name, gradient in zip(own, torch.autograd.grad(loss, list(own.values())), strict=True):
            found[name].append(gradient)
    return {name: torch.stack(parts) for name, parts in found.items()}


def written_out(
    model: HookedModel, task: Task, weights: Mapping[str, Tensor], *batches: tuple[Tensor, Tensor, Tensor | None]
) -> Gradients:
    """What the gradients written out are on the last of some batches (inputs, labels, weights of the examples)."""
    make = by_hand(model, task)
    assert make is not None
    gradients, found = make(len(next(iter(weights.values())))), {}
    for inputs, labels, share in batches:
        found = gradients(weights, inputs, labels, share)
    return found


def furthest(found: Gradients, expected: Gradients) -> float:
    """The largest distance of a member's gradient of one parameter, relative to its norm.

    A parameter whose gradient is 0 but for rounding, such as a bias of all keys, counts relative to the others.
    """
    assert found.keys() == expected.keys()
    whole = torch.stack([e.double().flatten(1).norm(dim=1) for e in expected.values()]).norm(dim=0)
    far = [
        (found[name].double() - e.double()).flatten(1).norm(dim=1)
        / e.double().flatten(1).norm(dim=1).maximum(whole / 1000)
        for name, e in expected.items()
    ]
    return float(torch.stack(far).max())


def same_bits(model: HookedModel, task: Task, weights: Mapping[str, Tensor], inputs: Tensor, labels: Tensor) -> None:
    """Assert that neither the number of threads nor the other members change a bit of a member's gradient."""
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)  # the tests of training set it back
        for members in (slice(0, 3), slice(1, 2)):
            own = {name: w[members].clone() for name, w in weights.items()}
            gradients = written_out(model, task, own, (inputs, labels, None))
            found.append({name: g[1 - members.start].clone() for name, g in gradients.items()})
            assert torch.get_num_threads() == threads
    assert all(torch.equal(found[0][name], other[name]) for other in found[1:] for name in weights)
