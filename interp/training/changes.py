"""What happens around an update, as lists of named steps in the order in which they act."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from interp.hooked import HookedModel
from interp.tasks import Task
from interp.training import masks
from interp.training.data import Examples
from interp.training.members import seed_of
from interp.training.output_penalties import LocalComplexity, OutputPenalty, SoftSparsity
from interp.training.plan import Plan
from interp.training.randomness import keys
from interp.training.updates import gradient_filters, penalties
from interp.training.updates.fixed_norm import FixedNorm
from interp.training.updates.frozen import frozen_names
from interp.training.updates.optimizers import BatchedOptimizer

Gradients = Mapping[str, Tensor]
Drawn = Callable[[int], Examples]


@dataclass
class Changes:
    """The named steps of a block.

    Attributes:
        gradient: each takes the gradients of a step, its number and what gives its examples, and changes the gradients in
            place: penalties, frozen parameters, filters, clipping.
        weights: each changes the weights after an update.
    """

    gradient: list[tuple[str, Callable[[Gradients, int, Drawn], None]]] = field(default_factory=list)
    weights: list[tuple[str, Callable[[], None]]] = field(default_factory=list)


def strengths(plan: Plan, ids: Sequence[int], name: str, device: torch.device) -> Tensor | None:
    """A setting of some members ``[member]``; None where it is 0 for all."""
    values = [float(plan.setting(i, name)) for i in ids]
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.tensor(values, device=device, dtype=dtype) if any(values) else None


def changes(
    plan: Plan, model: HookedModel, task: Task, ids: Sequence[int], optimizer: BatchedOptimizer,
    kept: Sequence[dict[str, float]] | None,
) -> Changes:  # fmt: skip
    """The steps that a plan asks for.

    Args:
        plan: of the run.
        model: the network; only its form matters.
        task: of the run, in the form that the model takes.
        ids: members of the block.
        optimizer: of the block; it has parameters and moments.
        kept: with ``fixed_norm``, the norms of these members.

    Returns:
        the steps, in their order.
    """
    found, parameters = Changes(), optimizer.parameters
    device = next(iter(parameters.values())).device
    frozen = frozen_names(model.parameter_groups(), plan.frozen)

    shapes = {n: tuple(p.shape[1:]) for n, p in parameters.items()}
    off = {n: entries.to(device) for n, entries in masks.held_at_zero(plan, ids, shapes).items()}

    def add(name: str, act: Callable[[Gradients, int, Drawn], None]) -> None:
        found.gradient.append((name, act))

    for name, penalty in PENALTIES.items():
        if (strength := strengths(plan, ids, name, device)) is not None:
            add(name, lambda g, step, drawn, act=penalty, by=strength: act(g, parameters, by))
    for penalty in _of_outputs(plan, model, task, ids, device):
        add(type(penalty).__name__, lambda g, step, drawn, by=penalty: by.add(g, parameters, drawn(step), step))
    if off:
        add("mask", lambda g, step, drawn: masks.hold(g, off))
        found.weights.append(
            ("mask", lambda: masks.hold(parameters, off))
        )  # whatever an optimizer does with a gradient of 0
    if frozen:
        add("frozen", lambda g, step, drawn: penalties.freeze(g, frozen))
    if plan.optimizer.grokfast is not None:
        alpha, lamb = plan.optimizer.grokfast
        averages = optimizer.moments["grokfast"]
        add("grokfast", lambda g, step, drawn: gradient_filters.grokfast(g, averages, step == 0, alpha, lamb))
    if plan.optimizer.perp_grad:
        add("perp_grad", lambda g, step, drawn: gradient_filters.orthogonal(g, parameters))
    if (limit := plan.clip_norm) is not None:
        add("clip_norm", lambda g, step, drawn: penalties.clip(g, limit))
    if plan.normalise:
        add("normalise", lambda g, step, drawn: penalties.normalise(g))
    if kept is not None:
        moving = {n: p.detach() for n, p in parameters.items() if n not in frozen}
        found.weights.append(("fixed_norm", FixedNorm(moving, kept)))
    return found


PENALTIES = {
    "l1": penalties.add_l1, "norm_penalty": penalties.add_norm_growth, "entropy_penalty": penalties.add_entropy,
}  # fmt: skip


def _of_outputs(
    plan: Plan, model: HookedModel, task: Task, ids: Sequence[int], device: torch.device
) -> list[OutputPenalty]:
    found: list[OutputPenalty] = []
    if (by := strengths(plan, ids, "sparsity_penalty", device)) is not None:
        found.append(SoftSparsity(model, task, by, plan.sparsity_tau, plan.sparsity_width))
    if (by := strengths(plan, ids, "complexity_penalty", device)) is not None:
        own = keys([seed_of(plan.members[i], "order") for i in ids], "complexity", device)
        found.append(LocalComplexity(model, task, by, own, plan.complexity_share, plan.complexity_scope))
    return found
