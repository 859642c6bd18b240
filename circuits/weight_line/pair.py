"""Two networks whose weights a straight line can join."""

from __future__ import annotations

from typing import Any

import torch

from interp.errors import InterpError, MissingCapability
from interp.hooked import HookedCPPN
from interp.hooked.base import HookedModel
from interp.hooked.cppn.plane import coordinates
from interp.subject import Subject, as_subject
from interp.tasks import Examples, Task

SIZE = 128  # pixels along each edge of a picture that is the target
ELSE = (
    "so their weights cannot be added. Compare what they compute in place of their weights: the similarity of their "
    "representations, or stitching one's layer to the other's"
)


def pair_of(a: Subject | HookedModel, b: Subject | HookedModel) -> tuple[Subject, Subject]:
    """Both as Subjects, once it is known that the line between them exists.

    Args:
        a: where the line begins.
        b: where it ends.

    Returns:
        both.

    Raises:
        InterpError: another architecture, another width, weights that are not finite, or running statistics that differ.
    """
    one, other = as_subject(a), as_subject(b)
    for subject in (one, other):
        if not subject.model.runs:
            raise InterpError(f"{subject.name}: {subject.model.unserved}")
    first, second = one.model, other.model
    between = f"there is no straight line between {one.name} and {other.name}"
    if difference := architectures_differ(first, second):
        raise InterpError(f"{between}: {difference}, {ELSE}")
    for subject in (one, other):
        if not all(p.isfinite().all() for p in subject.model.parameters()):
            raise InterpError(f"{between}: {subject.name} has weights that are NaN or infinite")
    statistics = dict(second.named_buffers())
    for name, buffer in first.named_buffers():
        if buffer.is_floating_point() and not torch.equal(buffer, statistics[name].to(buffer)):
            raise InterpError(
                f"{between}: their buffers {name} differ. Running statistics such as a batch norm's belong to one network's "
                "weights and cannot be read off the line; fold them into the weights first"
            )
    return one, other


def judged_by(a: Subject, b: Subject, size: int = SIZE) -> tuple[Task, str]:
    """The task that judges networks on the line, and a sentence about it.

    Args:
        a: where the line begins: its task and its split count.
        b: where it ends: its task counts where the other's is not known.
        size: pixels along each edge, where a's own picture is the target.

    Returns:
        the task and which it is.

    Raises:
        MissingCapability: neither has a task, and they draw no picture.
    """
    if a.task is not None or b.task is not None:
        task, owner = (a.task, a) if a.task is not None else (b.task, b)
        assert task is not None
        differs = a.task is not None and b.task is not None and str(a.task) != str(b.task)
        also = f"; that of {b.name} is {b.task}" if differs else ""
        return task, f"{task}, of {owner.name}{also}"
    if not isinstance(a.model, HookedCPPN):
        raise MissingCapability(f"{a.name}: {a.lacks(['task'])[0]}")
    model = a.model.cast(a.precision)
    points = coordinates(size, size, dtype=a.precision)
    with torch.no_grad():
        picture = model(points.to(model.device)).cpu()
    return Examples(points, picture, loss="regression"), f"the picture that {a.name} draws, {size} x {size} pixels"


def architectures_differ(first: HookedModel, second: HookedModel) -> str:
    """In what the architectures of two networks differ, in words; empty where their weights can be added."""
    if type(first) is not type(second):
        return f"one is a {type(first).__name__}, the other a {type(second).__name__}"
    fields, others = _function(first), _function(second)
    differing = [f"{name} {fields[name]} and {others[name]}" for name in fields if fields[name] != others[name]]
    shapes = [{n: list(p.shape) for n, p in model.named_parameters()} for model in (first, second)]
    if not differing and shapes[0] != shapes[1]:
        names = sorted(n for n in {*shapes[0], *shapes[1]} if shapes[0].get(n) != shapes[1].get(n))
        differing = [f"{n} {shapes[0].get(n, 'absent')} and {shapes[1].get(n, 'absent')}" for n in names[:4]]
    return f"they differ in {', '.join(differing)}" if differing else ""


def _function(model: HookedModel) -> dict[str, Any]:
    """A config but for what changes no weight's meaning."""
    return {name: value for name, value in model.config.to_dict().items() if name not in ("dropout", "readout")}
