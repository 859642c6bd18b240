"""Pruning: a network without the parts that it does not need, with the proof that it still does what it did."""

from __future__ import annotations

from typing import overload

from circuits.compression.prune_by_task import Compacted, compacted
from circuits.compression.prune_image import Pruned, without_unused
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.hooked.coerce import as_model
from interp.subject import Subject


@overload
def prune(network: HookedCPPN, size: int | None = None) -> Pruned: ...
@overload
def prune(network: Subject, size: int | None = None, *, keep_accuracy: float | None = None) -> Pruned | Compacted: ...
def prune(
    network: HookedCPPN | Subject, size: int | None = None, *, keep_accuracy: float | None = None
) -> Pruned | Compacted:
    """Remove what a network does not need, with the proof that it still does what it did.

    From an image network: units and links on which the picture does not depend, and the slots that this leaves empty. A unit
    is removed where its value is 0 at every pixel, or where no path of links that are not 0 leads from it to the picture.
    From an MLP or a transformer: units and heads that its task does not need
    (`circuits.compression.prune_by_task.compacted`).

    Args:
        network: an image network, or the `Subject` of an image network, an MLP or a transformer.
        size: for an image network: pixels along each edge of the pictures that are compared; 256 by default.
        keep_accuracy: for an MLP or a transformer: remove further parts as long as this accuracy over all examples is left.

    Returns:
        `Pruned` for an image network, `Compacted` for others: the smaller network and its size beside the whole one's.

    Raises:
        InterpError: another kind of network, an option that does not apply, or a network that cannot be pruned.
        MissingCapability: an MLP or a transformer without a task.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> _ = model.layer(0).b.data[:3].fill_(-100)  # three units that no input reaches
    >>> found = prune(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)))
    >>> found.units_before, found.units, found.difference < 1e-12
    (8, 5, True)
    """
    model = as_model(network, "a Subject or an image network")
    if isinstance(model, HookedCPPN):
        if keep_accuracy is not None:
            raise InterpError(
                "keep_accuracy needs a network with answers; circuits.drop_links(network, max_error=) removes links of an image "
                "network"
            )
        return without_unused(model, 256 if size is None else size)
    if not isinstance(network, Subject):
        raise InterpError(
            f"prune takes a Subject, or an image network; got a {type(model).__name__}. What a network needs depends on its "
            "task: give interp.Subject(name, model, task)"
        )
    if size is not None:
        raise InterpError(f"size applies to image networks only; {network.name} is a {type(model).__name__}")
    return compacted(network, keep_accuracy)
