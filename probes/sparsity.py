"""Activation sparsity and active units: how much of a layer is off."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import require_range
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes.neurons import ACTIVE, active

Form = Literal["auto", "published", "absolute"]
Part = Literal["train", "test", "all"]


def activation_sparsity(
    activations: Float[Tensor, "inputs units"], tau: float, *, absolute: bool = False
) -> Float[Tensor, ""]:
    """``S(tau) = mean over inputs and units of [a < tau]``; with ``absolute``, of ``[|a| < tau]``.

    Source: METHODS B (Golechha 2024), which means it for ReLU. Misleads on units with a sign, where ``a < tau`` counts
    strongly negative ones as off: take ``absolute`` there. NaN where an activation is NaN.

    >>> round(activation_sparsity(torch.tensor([[0.0, 2.0], [-3.0, 1.0]]), 0.5).item(), 4)
    0.5
    >>> activation_sparsity(torch.tensor([[0.0, 2.0], [-3.0, 1.0]]), 0.5, absolute=True).item()
    0.25
    """
    off = (activations.abs() if absolute else activations) < tau
    return off.double().where(~activations.isnan(), torch.nan).mean()


@measure(
    "activation_sparsity", order=20, needs=("activations",), summary="share of hidden activations below tau, by layer"
)
def sparsity(snapshot: Snapshot, *, tau: float = 0.01, form: Form = "auto", part: Part = "train") -> dict[str, float]:
    r"""`activation_sparsity` of every hidden layer where the answer is read.

    Args:
        tau: the threshold. The source does not give its own.
        form: ``published`` (a < tau) or ``absolute`` (abs(a) < tau), the same for ReLU; ``auto`` is absolute.
        part: of the split, over whose inputs the mean is taken: train, test, or all.
    """
    require_range("tau", tau, 0)
    found = {}
    for site, values in rows_of(snapshot, part).items():
        found[site] = float(activation_sparsity(values, tau, absolute=form != "published"))
    return found


def rows_of(snapshot: Snapshot, part: Part) -> dict[str, Tensor]:
    """The hidden activations over a part of the split, by site."""
    if part == "all":
        return snapshot.hidden
    index = snapshot.part(part)
    return {site: values[index] for site, values in snapshot.hidden.items()}


@measure(
    "active_units",
    order=21,
    needs=("activations",),
    summary="hidden units that vary over the inputs, by layer and in all",
)
def active_units(snapshot: Snapshot, *, tolerance: float = ACTIVE) -> dict[str, int]:
    """Number of units whose standard deviation over all inputs exceeds ``tolerance`` times the layer's largest."""
    require_range("tolerance", tolerance, 0)
    found = {site: int(active(values, tolerance).sum()) for site, values in snapshot.hidden.items()}
    return {"all": sum(found.values()), **found}
