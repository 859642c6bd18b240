"""Weights, states and metrics of finished shards, put together piece by piece: never more than one shard is in memory."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open

from interp.checkpoints.formats.header import read_header
from interp.checkpoints.rows import CHUNK, Rows, Shapes, runs
from interp.checkpoints.run_files import read_lines
from interp.training.cohorts import prefix
from interp.training.state import State

Groups = Sequence[Sequence[int]]


class Stack(NamedTuple):
    """Tensors of one file that have the same members along their first axis.

    Attributes:
        path: of the file.
        start: what their names begin with.
        kinds: and then with one of these; empty: with anything.
        members: along their first axis, by their numbers in the whole run.
    """

    path: Path
    start: str
    kinds: tuple[str, ...]
    members: Sequence[int]


def merged_weights(files: Sequence[tuple[int, Path]], cohorts: Groups) -> tuple[Shapes, Rows]:
    """The tensors of a checkpoint of the whole run, read as they are asked for.

    Args:
        files: of every shard, its first member and its checkpoint.
        cohorts: the members of each cohort of the run.

    Returns:
        shapes by name, and rows as `write_rows` takes them; with several cohorts a name begins with its cohort's.
    """
    stacks = [stack for first, path in files for stack in _of_checkpoint(first, path)]
    return _joined(stacks, {"": cohorts})


def _of_checkpoint(first: int, path: Path) -> Iterator[Stack]:
    with safe_open(path, "pt") as file:
        header = read_header(file.metadata() or {})
    whole = [{"prefix": "", "members": range(header["members"])}]
    for cohort in header.get("cohorts") or whole:
        yield Stack(path, cohort["prefix"], (), [first + i for i in cohort["members"]])


def merged_states(
    states: Sequence[tuple[int, Path, State]], cohorts: Groups, metrics_bytes: int
) -> tuple[State, Shapes, Rows]:
    """The state of the whole run.

    Args:
        states: of every shard, its first member, its state file and the counters in it.
        cohorts: the members of each cohort of the run.
        metrics_bytes: length of the run's ``metrics.jsonl``.

    Returns:
        the counters; shapes by name, and rows as `write_rows` takes them.
    """
    stacks: list[Stack] = []
    ids, retired, statuses, sizes = [], [], [], dict[int, int]()
    for first, path, state in states:
        stacks += _of_state(first, path, state)
        ids += [first + i for i in state.ids]
        retired += [first + i for i in state.retired]
        statuses += state.statuses
        for cohort in _cohorts(state):
            sizes |= {first + i: cohort["size"] for i in cohort["members"]}
    place = {i: k for k, members in enumerate(cohorts) for i in members}
    training, final = ([[i for i in some if place[i] == k] for k in range(len(cohorts))] for some in (ids, retired))
    several = [{"members": list(m), "size": max(sizes[i] for i in m)} for m in cohorts] if len(cohorts) > 1 else []
    counters = State(
        max(state.step for *_, state in states), [i for own in training for i in own], retired, statuses, metrics_bytes,
        max(sizes.values()), several,
    )  # fmt: skip
    return counters, *_joined(stacks, {"parameters/": training, "moments/": training, "final/": final})


def _of_state(first: int, path: Path, state: State) -> Iterator[Stack]:
    for k, cohort in enumerate(_cohorts(state)):
        start, own = prefix(k) if state.cohorts else "", set(cohort["members"])
        for some, kinds in ((state.ids, ("parameters/", "moments/")), (state.retired, ("final/",))):
            members = [first + i for i in some if i in own]
            if members:
                yield Stack(path, start, kinds, members)


def _cohorts(state: State) -> Sequence[Mapping[str, Any]]:
    return state.cohorts or [{"members": range(len(state.statuses)), "size": state.size}]


def _joined(stacks: Sequence[Stack], orders: Mapping[str, Groups]) -> tuple[Shapes, Rows]:
    """Stacks of all shards as those of the whole run, whose cohorts have their members in the order of ``orders``.

    Args:
        stacks: of all shards.
        orders: by what the names of tensors begin with, the members of each cohort.

    Returns:
        shapes by name, and rows as `write_rows` takes them.
    """
    places = {
        kind: {i: (k, row) for k, members in enumerate(groups) for row, i in enumerate(members)}
        for kind, groups in orders.items()
    }
    several = len(next(iter(orders.values()))) > 1
    shapes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
    copies: list[tuple[Stack, str, str, list[tuple[int, int, int]]]] = []
    for stack in stacks:
        for name, shape, dtype in _listed(stack):
            kind = next(kind for kind in orders if name.startswith(kind))
            to = [places[kind][i] for i in stack.members]
            for k in dict.fromkeys(k for k, _ in to):
                whole = f"{prefix(k)}{name}" if several else name
                shapes[whole] = (len(orders[kind][k]), *shape[1:]), dtype
                own = [(source, row) for source, (group, row) in enumerate(to) if group == k]
                copies.append((stack, name, whole, list(runs(*zip(*own, strict=True)))))
    return shapes, _copied(copies)


def _listed(stack: Stack) -> list[tuple[str, tuple[int, ...], torch.dtype]]:
    """Name, shape and dtype of the tensors of a stack."""
    with safe_open(stack.path, "pt") as file:
        names = [n.removeprefix(stack.start) for n in file.keys() if n.startswith(stack.start)]  # noqa: SIM118  not a dict
        names = [n for n in names if not stack.kinds or n.startswith(stack.kinds)]
        found = {n: file.get_slice(stack.start + n) for n in names}
        return [(n, tuple(part.get_shape()), part[:0].dtype) for n, part in found.items()]


def _copied(copies: Iterable[tuple[Stack, str, str, list[tuple[int, int, int]]]]) -> Rows:
    """The rows of all stacks; a file is opened for its own alone."""
    for stack, group in itertools.groupby(copies, key=itemgetter(0)):
        with safe_open(stack.path, "pt") as file:
            for _, name, whole, pieces in group:
                part = file.get_slice(stack.start + name)
                width = max(1, part[:1].nbytes)
                for source, target, count in pieces:
                    for k in range(0, count, step := max(1, CHUNK // width)):
                        n = min(step, count - k)
                        yield whole, range(target + k, target + k + n), part[source + k : source + k + n]


def merged_metrics(files: Sequence[tuple[int, Path]]) -> Iterator[str]:
    """The lines of ``metrics.jsonl`` of the whole run, by step and member.

    Args:
        files: of every shard, its first member and its metrics.

    Yields:
        a line for every row of a shard.
    """
    for *_, line in heapq.merge(*(_in_order(*file) for file in files), key=itemgetter(0, 1)):
        yield line


def _in_order(first: int, path: Path) -> Iterator[tuple[int, int, str]]:
    """Step, member and line of a shard's rows, by step and member; it has written them by step."""
    for _, group in itertools.groupby(_numbered(first, path), key=itemgetter(0)):
        yield from sorted(group, key=itemgetter(1))


def _numbered(first: int, path: Path) -> Iterator[tuple[int, int, str]]:
    """Step, member and line of a shard's rows, with the members' numbers in the whole run."""
    for line in read_lines(path):
        if isinstance(line, dict):
            row = {**line, "member": line["member"] + first}
            yield row["step"], row["member"], json.dumps(row) + "\n"
        else:
            step, member = int(line[1]), int(line[2]) + first
            yield step, member, f'{{"step": {step}, "member": {member}{line[3]}'
