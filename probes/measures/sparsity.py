"""Measures: activation sparsity and the number of active units, by hidden layer."""

from __future__ import annotations

from typing import Literal

from interp.errors import require_range
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes.neurons import ACTIVE, active
from probes.sparsity import activation_sparsity

Form = Literal["auto", "published", "absolute"]
Part = Literal["train", "test", "all"]


@measure(
    "activation_sparsity", order=20, needs=("activations",), summary="share of hidden activations below tau, by layer"
)
def sparsity(snapshot: Snapshot, *, tau: float = 0.01, form: Form = "auto", part: Part = "train") -> dict[str, float]:
    """`probes.sparsity.activation_sparsity` of every hidden layer, at the position where the answer is read.

    Args:
        snapshot: the network at one step.
        tau: the threshold; the paper does not state its own.
        form: ``published`` (a < tau) or ``absolute`` (abs(a) < tau), which agree for ReLU; ``auto`` is absolute.
        part: examples to average over: train, test or all.

    Returns:
        The share by hook point.
    """
    require_range("tau", tau, 0)
    index = None if part == "all" else snapshot.part(part)
    found = {}
    for site, values in snapshot.hidden.items():
        chosen = values if index is None else values[index]
        found[site] = float(activation_sparsity(chosen, tau, absolute=form != "published"))
    return found


@measure(
    "active_units",
    order=21,
    needs=("activations",),
    summary="hidden units that vary over the inputs, by layer and in all",
)
def active_units(snapshot: Snapshot, *, tolerance: float = ACTIVE) -> dict[str, int]:
    """Number of `probes.neurons.active` units: standard deviation over all inputs above a share of the layer's largest.

    Args:
        snapshot: the network at one step.
        tolerance: the share.

    Returns:
        The number by hook point, and ``all``.
    """
    require_range("tolerance", tolerance, 0)
    found = {site: int(active(values, tolerance).sum()) for site, values in snapshot.hidden.items()}
    return {"all": sum(found.values()), **found}
