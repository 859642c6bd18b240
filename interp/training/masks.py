"""Given weights and masks of a plan's members: whether they fit the network, and which weights stay 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from interp.training.plan import Plan
from interp.training.starts import Shapes, Tensors


def check_fit(plan: Plan, shapes: Shapes) -> None:
    """Refuse given weights and masks of any member that do not fit the network.

    Raises:
        InterpError: the first; the message names the parameter and both shapes.
    """
    for index in range(len(plan.members)):
        init, mask = plan.setting(index, "init"), plan.setting(index, "mask")
        if init in plan.starts:
            plan.starts.tensors(init, shapes)
        if mask is not None:
            plan.starts.tensors(mask, shapes, mask=True)


def held_at_zero(plan: Plan, ids: Sequence[int], shapes: Shapes) -> Tensors:
    """Which weights stay 0.

    Args:
        plan: of the run.
        ids: members.
        shapes: of the network's parameters.

    Returns:
        by parameter, True where a weight of a member is held at 0 ``[member, ...]``; only parameters with such an entry.
    """
    masks = [plan.setting(i, "mask") for i in ids]
    found: Tensors = {}
    for place, mask in enumerate(masks):
        for name, tensor in () if mask is None else plan.starts.tensors(mask, shapes, mask=True).items():
            if bool((off := tensor == 0).any()):
                found.setdefault(name, torch.zeros(len(ids), *shapes[name], dtype=torch.bool))[place] = off
    return found


@torch.no_grad()
def hold(tensors: Mapping[str, Tensor], off: Mapping[str, Tensor]) -> None:
    """Set entries to 0, in place.

    Args:
        tensors: by parameter ``[member, ...]``.
        off: from `held_at_zero`.
    """
    for name, entries in off.items():
        tensors[name].masked_fill_(entries, 0)


def said(plan: Plan) -> Iterator[str]:
    """What a run was given, a line for each, for the terminal."""
    for name, what in plan.starts.described.items():
        used, step = " and ".join(map(str, what.get("used", ()))), what.get("step")
        at = f" at step {step:,}" if isinstance(step, int) else ""
        yield f"{used}: {name}{at}" + (f", with its {what['lent']}" if what.get("lent") else "")
    if plan.task.given is not None:
        yield "data: " + str(plan.task.given).removeprefix("given: ")
