"""Weights and states of finished shards, regrouped into the cohorts of the whole run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from interp.checkpoints.formats.header import place_of, read_header
from interp.training.cohorts import prefix
from interp.training.state import State

Tensors = dict[str, Tensor]
Groups = Sequence[Sequence[int]]


def merged_weights(files: Sequence[tuple[int, Path]], cohorts: Groups) -> Tensors:
    """The tensors of a checkpoint of the whole run.

    Args:
        files: of every shard, its first member and its checkpoint.
        cohorts: the members of each cohort of the run.

    Returns:
        stacks by name; with several cohorts a name begins with its cohort's.
    """
    own: dict[int, Tensors] = {}
    for first, path in files:
        for i, tensors in _members(path):
            own[first + i] = tensors
    return _named({n: torch.stack([own[i][n] for i in ids]) for n in own[ids[0]]} for ids in cohorts)


def _members(path: Path) -> Iterator[tuple[int, Tensors]]:
    """Every member in a checkpoint, with its weights: rows of the file's tensors."""
    with safe_open(path, "pt") as file:
        header = read_header(file.metadata() or {})
    tensors = load_file(path)
    for i in range(header["members"]):
        place = place_of(header, i)
        assert place is not None  # we wrote it
        yield i, {n.removeprefix(place.prefix): t[place.row] for n, t in tensors.items() if n.startswith(place.prefix)}


def merged_states(
    states: Sequence[tuple[int, Path, State]], cohorts: Groups, metrics_bytes: int
) -> tuple[State, Tensors]:
    """The state of the whole run.

    Args:
        states: of every shard, its first member, its state file and the counters in it.
        cohorts: the members of each cohort of the run.
        metrics_bytes: length of the run's ``metrics.jsonl``.

    Returns:
        the counters and the tensors.
    """
    own: dict[int, Tensors] = {}
    ids, retired, statuses, sizes = [], [], [], dict[int, int]()
    for first, path, state in states:
        for i, tensors in _rows(load_file(path), state):
            own[first + i] = tensors
        ids += [first + i for i in state.ids]
        retired += [first + i for i in state.retired]
        statuses += state.statuses
        for cohort in _cohorts(state):
            sizes |= {first + i: cohort["size"] for i in cohort["members"]}
    ordered = [i for members in cohorts for i in ids if i in set(members)]
    stacks = []
    for members in cohorts:
        places = ([i for i in some if i in set(members)] for some in (ordered, retired))
        stacks.append({n: torch.stack([own[i][n] for i in some]) for some in places if some for n in own[some[0]]})
    several = [{"members": list(m), "size": max(sizes[i] for i in m)} for m in cohorts] if len(cohorts) > 1 else []
    step, size = max(state.step for *_, state in states), max(sizes.values())
    return State(step, ordered, retired, statuses, metrics_bytes, size, several), _named(stacks)


def _rows(tensors: Mapping[str, Tensor], state: State) -> Iterator[tuple[int, Tensors]]:
    """Every member of a state, with its rows of the tensors."""
    for k, cohort in enumerate(_cohorts(state)):
        start = prefix(k) if state.cohorts else ""
        own = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
        for some, final in ((state.ids, False), (state.retired, True)):
            names = [n for n in own if n.startswith("final/") is final]
            for place, i in enumerate(i for i in some if i in cohort["members"]):
                yield i, {n: own[n][place] for n in names}


def _cohorts(state: State) -> Sequence[Mapping[str, Any]]:
    return state.cohorts or [{"members": range(len(state.statuses)), "size": state.size}]


def _named(stacks: Any) -> Tensors:
    stacks = list(stacks)
    if len(stacks) == 1:
        return stacks[0]
    return {prefix(k) + n: t for k, own in enumerate(stacks) for n, t in own.items()}
