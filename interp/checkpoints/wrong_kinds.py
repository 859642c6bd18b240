"""Arguments of another kind than a path: the message says which kind was given, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from interp.errors import InterpError, kind_of
from interp.hooked import HookedModel
from interp.subject import Subject


def require_path(given: object, function: str) -> Path:
    """A path, from a text or a `Path`.

    Args:
        given: what a user passed as the source.
        function: of ours, for the message.

    Returns:
        The path.

    Raises:
        InterpError: something else; the message says how to get on from there.
    """
    if isinstance(given, (str, Path)):
        return Path(given)
    raise InterpError(f"{function} takes the path of a checkpoint, got {kind_of(given)}: {_way_on(given)}")


def _way_on(given: object) -> str:
    if isinstance(given, Subject):
        return "it is loaded already; use it as it is"
    if isinstance(given, HookedModel):
        return "it is loaded already; interp.Subject(name, model, task) ties it to a task"
    if isinstance(given, nn.Module):
        return "interp.wrap(module, example) gives it hook points, interp.Subject(name, model, task) ties it to a task"
    if isinstance(given, Mapping):
        return "write it to a file, torch.save(state_dict, path), or load it into its module and interp.wrap(module, example)"
    if callable(getattr(given, "subject", None)):
        return "take one network of the run, run.subject(member=0)"
    return "give a text or a pathlib.Path"
