"""A hooked model from whatever holds one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from interp.errors import InterpError, kind_of
from interp.hooked.base import HookedModel


def as_model(given: Any, wanted: str = "a hooked model or a Subject") -> HookedModel:
    """A hooked model as it is, or the ``.model`` of what holds one, such as a Subject.

    Args:
        given: a `HookedModel`, or an object whose ``model`` is one.
        wanted: what the caller takes, for the message.

    Returns:
        The model itself, not a copy.

    Raises:
        InterpError: anything else; the message says how to get a hooked model from it.
    """
    if isinstance(given, HookedModel):
        return given
    held = None if isinstance(given, type) else getattr(given, "model", None)
    if isinstance(held, HookedModel):
        return held
    raise InterpError(f"{wanted} is needed, got {kind_of(given)}: {_way_on(given)}")


def _way_on(given: object) -> str:
    if isinstance(given, type):
        return "make an instance of it first"
    if isinstance(given, nn.Module):
        example = "" if type(given).__name__ == "TransformerBridge" else ", example"
        return f"give it hook points with interp.wrap(module{example}), then interp.Subject(name, model, task)"
    if isinstance(given, (str, Path)):
        return f"load it first, interp.load({str(given)!r})"
    if isinstance(given, Mapping):
        return "load weights into their module, then interp.wrap(module, example); or save them and interp.load(path)"
    if callable(getattr(given, "subject", None)):
        return "take one network of the run, run.subject(member=0)"
    return "interp.load(path) reads one from a file, interp.Subject(name, model, task) makes one of a model"
