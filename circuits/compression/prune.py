"""Pruning: a network without the parts that it does not need, with the proof that it still does what it did."""

from __future__ import annotations

from typing import overload

from circuits.compression.prune_by_task import Compacted, compacted
from circuits.compression.prune_image import Pruned, without_unused
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.subject import Subject


@overload
def prune(network: HookedCPPN, size: int | None = None) -> Pruned: ...
@overload
def prune(network: Subject, size: int | None = None, *, keep_accuracy: float | None = None) -> Pruned | Compacted: ...
def prune(
    network: HookedCPPN | Subject, size: int | None = None, *, keep_accuracy: float | None = None
) -> Pruned | Compacted:
    """Remove what a network does not need, with the proof that it still does what it did.

    Of an image network: units and links that the picture does not depend on, and the slots that this leaves empty. A unit
    goes where its value is 0 at every pixel, or where no path of links that are not 0 leads from it to the picture.
    Of an MLP or a transformer: units and heads that its task does not need (`compacted`).

    Args:
        network: an image network, or the `Subject` of any network that can be pruned.
        size: of an image network: pixels along each edge of the pictures that are compared; 256 by default.
        keep_accuracy: of an MLP or a transformer: go on as long as this accuracy is left.

    Raises:
        InterpError: another kind of network, or an option of the other kind; as `compacted`.
        MissingCapability: an MLP or a transformer without a task.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> _ = model.layer(0).b.data[:3].fill_(-100)  # three units that no input reaches
    >>> found = prune(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)))
    >>> found.units_before, found.units, found.difference < 1e-12
    (8, 5, True)
    """
    model = network.model if isinstance(network, Subject) else network
    if not isinstance(model, HookedCPPN):
        if not isinstance(network, Subject):
            raise InterpError(
                f"prune takes a Subject, or an image network alone; got a {type(model).__name__}. What a network needs "
                "depends on its task: interp.Subject(name, model, task)"
            )
        if size is not None:
            raise InterpError(f"size is of pictures; {network.name} is a {type(model).__name__}, which draws none")
        return compacted(network, keep_accuracy)
    if keep_accuracy is not None:
        raise InterpError(
            "keep_accuracy is of networks that answer; links of image networks go with circuits.drop_links"
        )
    return without_unused(model, 256 if size is None else size)
