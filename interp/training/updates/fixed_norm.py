"""Training on a sphere: after every update the weights are brought back to their initial norm."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from interp.errors import UnknownName, unknown
from interp.training.updates.penalties import norms, per_member

FORMS = ("network", "parameter")
Radii = dict[int, dict[str, float]]  # by member, and by parameter or ""


def as_form(given: Any) -> str | None:
    """What keeps its norm, as a user gave it.

    Args:
        given: one of `FORMS`; True is the first of them, False or None none.

    Returns:
        ``"network"``, ``"parameter"`` or None.

    Raises:
        UnknownName: anything else.

    >>> as_form(True), as_form(None)
    ('network', None)
    """
    if given is None or given is False:
        return None
    form = FORMS[0] if given is True else given
    if form not in FORMS:
        raise UnknownName(unknown("form of fixed_norm", str(form), FORMS))
    return form


def radii(start: Mapping[str, Tensor], ids: Sequence[int], form: str, frozen: Collection[str]) -> Radii:
    """The norms that members keep, each of its own initial weights: the same alone, in any company, and when resumed.

    Args:
        start: initial weights, stacked ``[member, ...]`` in the order of ``ids``.
        ids: numbers of the members.
        form: ``"network"`` or ``"parameter"``.
        frozen: parameters that do not count, since they do not move.

    Returns:
        by member and parameter its norm; under the name ``""`` that of all together.
    """
    own = {name: stack.detach().cpu() for name, stack in start.items() if name not in frozen}
    found: Radii = {}
    for place, i in enumerate(ids):
        alone = {name: stack[place : place + 1] for name, stack in own.items()}
        parts = {"": alone} if form == "network" else {name: {name: one} for name, one in alone.items()}
        found[i] = {name: float(norms(part)) for name, part in parts.items()}
    return found


class FixedNorm:
    """Brings members back to their norms.

    Liu et al. 2023, Omnigrok: Grokking Beyond Algorithmic Data, https://arxiv.org/abs/2210.01117, train at a fixed norm of the
    whole network.

    Args:
        parameters: those that move, stacked ``[member, ...]``; changed in place.
        kept: by member in their order, as `radii` gives them.
    """

    def __init__(self, parameters: Mapping[str, Tensor], kept: Sequence[Mapping[str, float]]):
        first = next(iter(parameters.values()))
        self.parameters = dict(parameters)
        self.kept = {n: torch.tensor([k[n] for k in kept], dtype=first.dtype, device=first.device) for n in kept[0]}

    @torch.no_grad()
    def __call__(self) -> None:
        """Rescale every member; weights whose norm is 0 stay 0."""
        for name, kept in self.kept.items():
            part = {name: self.parameters[name]} if name else self.parameters
            now = norms(part)
            factor = torch.where(now > 0, kept / now, now)
            for parameter in part.values():
                parameter.mul_(per_member(factor, parameter))
