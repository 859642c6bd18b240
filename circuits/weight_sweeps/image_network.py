"""Image networks at the door: a CPPN, or a Subject of one."""

from __future__ import annotations

from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.hooked.base import HookedModel
from interp.hooked.coerce import as_model
from interp.subject import Subject


def as_cppn(given: HookedModel | Subject) -> HookedCPPN:
    """An image network as it is, or that of a Subject.

    Args:
        given: an image network, or a Subject of one.

    Returns:
        the image network.

    Raises:
        InterpError: anything else, such as a network that does not draw an image.

    >>> import interp
    >>> as_cppn(interp.HookedMLP(interp.MLPConfig((8,), 5, d_in=4)))
    Traceback (most recent call last):
    ...
    interp.errors.InterpError: an image network (HookedCPPN) is needed, got a HookedMLP: it maps coordinates to colours
    """
    model = as_model(given, "an image network (HookedCPPN) or its Subject")
    if not isinstance(model, HookedCPPN):
        raise InterpError(
            f"an image network (HookedCPPN) is needed, got a {type(model).__name__}: it maps coordinates to colours"
        )
    return model
