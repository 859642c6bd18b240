"""A hooked model from whatever holds one."""

from __future__ import annotations

from typing import Any

from torch import nn

from interp.errors import InterpError
from interp.hooked.base import HookedModel


def as_hooked(given: Any) -> HookedModel:
    """A hooked model as it is, or the ``.model`` of what holds one, such as a Subject.

    Args:
        given: a `HookedModel`, or an object whose ``model`` is one.

    Returns:
        the model itself, not a copy.

    Raises:
        InterpError: anything else; the message says how to get a hooked model from it.
    """
    if isinstance(given, HookedModel):
        return given
    held = getattr(given, "model", None)
    if isinstance(held, HookedModel):
        return held
    kind = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
    if isinstance(given, type):
        way = "make an instance of it from a config"
    elif isinstance(given, nn.Module):
        way = "interp.wrap(module, example) gives a module hook points"
    else:
        way = "interp.load(path) reads one from a checkpoint, interp.wrap(module, example) makes one of a module"
    raise InterpError(f"a hooked model or a Subject is needed, got {kind}: {way}")
