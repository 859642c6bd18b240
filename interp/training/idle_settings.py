"""Settings that change nothing, since what they belong to is off: refused where a user gives them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from interp.errors import InterpError
from interp.training.plan import Plan
from interp.training.updates.optimizers import Optimizer

ADAMS = tuple(name for name in Optimizer.NAMES if name != "sgd")
BELONGS: dict[str, tuple[str, str]] = {  # a setting: what it belongs to, and what that must be
    "sparsity_tau": ("sparsity_penalty", "above 0"),
    "sparsity_width": ("sparsity_penalty", "above 0"),
    "complexity_share": ("complexity_penalty", "above 0"),
    "complexity_scope": ("complexity_penalty", "above 0"),
    "late_at": ("late_weight_decay", "given"),
    "retire_side": ("retire", "given"),
    "momentum": ("optimizer", "sgd"),
    "betas": ("optimizer", " or ".join(ADAMS)),
    "eps": ("optimizer", " or ".join(ADAMS)),
}


def refuse_idle(plan: Plan, given: Collection[str]) -> None:
    """Refuse settings that belong to a penalty, a schedule or an optimizer that no network has.

    A member that names both, such as a cell of a grid with a penalty of 0, is let through if another network has it on.

    Args:
        plan: of the run.
        given: the run's settings that a user gave; those of a recipe may be idle.

    Raises:
        InterpError: the message says what the setting needs.
    """
    for name in (n for n in BELONGS if n in given):
        if not any(_works(plan, own, name) for own in plan.members):
            raise InterpError(_said(name))
    for index, own in enumerate(plan.members):
        for name in (n for n in BELONGS if n in own and not _works(plan, own, n)):
            parent = BELONGS[name][0]
            if parent not in own or not any(_works(plan, other, name) for other in plan.members):
                raise InterpError(f"member {index} {dict(own)}: {_said(name)}")


def _works(plan: Plan, own: Mapping[str, Any], name: str) -> bool:
    """Whether what a setting belongs to is on for a member, or its value is one that does nothing anyway."""
    parent, wanted = BELONGS[name]
    if parent == "optimizer":
        idle = name == "momentum" and not own.get(name, plan.optimizer.momentum)
        return idle or own.get(parent, plan.optimizer.name) in wanted.split(" or ")
    value = own.get(parent, getattr(plan, parent))
    return bool(value) if wanted == "above 0" else value is not None


def _said(name: str) -> str:
    parent, wanted = BELONGS[name]
    needed = f"the optimizer {wanted}" if parent == "optimizer" else f"{parent}, which is off"
    return f"{name} changes nothing without {needed}: give that too, or leave {name} out"
