"""Inputs that several networks have in common, so that their activations can be compared row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from interp.activations.batches import model_for
from interp.errors import InterpError, MissingCapability, require_range
from interp.hooked import HookedCPPN
from interp.hooked.cppn.plane import coordinates
from interp.hooked.foreign.several import Inputs, InputsLike, as_inputs, form_of, same_inputs, shown_inputs
from interp.subject import Subject
from interp.tasks import BinaryOperation, Task

MOST = 2048  # inputs by default
GIVE = "give some that all of them take with inputs="


@dataclass(frozen=True)
class CommonInputs:
    """The same examples for several networks, each in the form that the network takes.

    Attributes:
        of: by network: its inputs ``[n, ...]``; row i is the same example for all.
        examples: by network: which of its task's examples the rows are ``[n]``; None where they are not its task's.
        note: what they are, for a reader.
    """

    of: Mapping[str, Tensor | Inputs]
    examples: Mapping[str, Tensor | None]
    note: str

    def __len__(self) -> int:
        return len(next(iter(self.of.values())))


def common_inputs(
    subjects: Mapping[str, Subject],
    inputs: InputsLike | None = None,
    *,
    n_inputs: int | None = MOST,
    seed: int = 0,
) -> CommonInputs:
    """Inputs on which several networks can be compared.

    Those that are given; else the pixels of the plane, where all networks draw pictures; else the examples of their tasks:
    of operations on two symbols the pairs that all have, whatever the form in which a network sees them; of other tasks the
    examples, where all have the same.

    Args:
        subjects: by name.
        inputs: ``[n, ...]``, for all networks.
        n_inputs: at most so many, drawn at random by ``seed``; of pixels a coarser lattice. None: all.
        seed: of the draw.

    Returns:
        The inputs.

    Raises:
        MissingCapability: networks whose inputs do not agree, or none are known; the message says how to give some.
        InterpError: no networks, or fewer than 4 inputs.
    """
    if not subjects:
        raise InterpError("no networks were given")
    if n_inputs is not None:
        require_range("n_inputs", n_inputs, 4)
    given: Any = as_inputs(inputs)
    if given is not None:
        for subject in subjects.values():
            model_for(subject, given)
        chosen = _chosen(len(given), n_inputs, seed)
        note = f"{_counted(len(given), n_inputs)} of the inputs given"
        return CommonInputs({name: _rows(given, chosen) for name in subjects}, dict.fromkeys(subjects, None), note)
    tasks = {name: s.task for name, s in subjects.items() if s.task is not None}
    drawing = [isinstance(s.model, HookedCPPN) for s in subjects.values()]
    if all(drawing):
        return _pixels(subjects, n_inputs)
    if len(tasks) < len(subjects):
        missing = ", ".join(name for name in subjects if name not in tasks)
        raise MissingCapability(f"no inputs are known for {missing}: give its task, or {GIVE}")
    found = _pairs(tasks) or _same(tasks)
    if found is None:
        shapes = "; ".join(f"{name}: {shown_inputs(t.inputs)}, of {t.title()}" for name, t in tasks.items())
        raise MissingCapability(f"the networks' inputs do not agree ({shapes}); {GIVE}")
    n = len(next(iter(found.values())))
    if n < 4:
        raise InterpError(f"the networks have {n} inputs in common, and a comparison needs 4; {GIVE}")
    chosen = _chosen(n, n_inputs, seed)
    asked = list(dict.fromkeys(t.purpose for t in tasks.values()))
    differ = f"; what is asked of them differs: one {', another '.join(asked)}" if len(asked) > 1 else ""
    examples = {name: index[chosen] for name, index in found.items()}
    return CommonInputs(
        {name: tasks[name].inputs[index] for name, index in examples.items()}, dict(examples),
        f"{_counted(n, n_inputs)} of the examples that all have{differ}",
    )  # fmt: skip


def _pixels(subjects: Mapping[str, Subject], n_inputs: int | None) -> CommonInputs:
    """The plane's pixels; the networks need no task, and pixels are not looked up in one."""
    edge = 64 if n_inputs is None else max(2, isqrt(n_inputs))
    plane = coordinates(edge, edge)
    for subject in subjects.values():
        model_for(subject, plane)
    return CommonInputs(
        dict.fromkeys(subjects, plane), dict.fromkeys(subjects, None), f"{edge} x {edge} pixels of the plane"
    )


def _pairs(tasks: Mapping[str, Task]) -> dict[str, Tensor] | None:
    """Which examples of each task are the pairs of symbols that all have, in the first one's order; None: not such tasks."""
    own = [t for t in tasks.values() if isinstance(t, BinaryOperation)]
    if len(own) < len(tasks) or len({t.n_symbols for t in own}) > 1:
        return None
    places = [{tuple(pair): i for i, pair in enumerate(t.pairs.tolist())} for t in own]
    shared = [pair for pair in places[0] if all(pair in others for others in places[1:])]
    return {name: torch.tensor([place[pair] for pair in shared]) for name, place in zip(tasks, places, strict=True)}


def _same(tasks: Mapping[str, Task]) -> dict[str, Tensor] | None:
    first, *others = (t.inputs for t in tasks.values())
    if not all(form_of(first) == form_of(o) and same_inputs(first, o) for o in others):
        return None
    return dict.fromkeys(tasks, torch.arange(len(first)))


def _chosen(n: int, most: int | None, seed: int) -> Tensor:
    if most is None or n <= most:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:most].sort().values


def _counted(n: int, most: int | None) -> str:
    return f"all {n:,}" if most is None or n <= most else f"{most:,} of {n:,}, drawn at random,"


def _rows(inputs: Tensor | Inputs, chosen: Tensor) -> Tensor | Inputs:
    return inputs if len(chosen) == len(inputs) else inputs[chosen]
