"""The saved state of a run: weights, moments and counters to go on from, checked before anything is done with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from interp._util.schema import fits, kinds, parse_json, require_fields
from interp.checkpoints.rows import Rows, Shapes
from interp.errors import InterpError, UnreadableFile
from interp.training.cohorts import Cohort, Cohorts
from interp.training.ensemble import Ensemble, Status
from interp.training.updates.optimizers import BatchedOptimizer

STATE_KEY = "interp_state"
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class State:
    """The counters of a saved state.

    Attributes:
        step: number of updates made.
        ids: the members that train, in the order of the blocks.
        retired: those that have stopped, in the order of the run.
        statuses: per member, the fields of its `Status`.
        metrics_bytes: length of ``metrics.jsonl`` when the state was saved.
        size: members per block; the most that any cohort has.
        cohorts: of a run with several, the ``members`` of each and its ``size``.
    """

    step: int
    ids: Sequence[int]
    retired: Sequence[int]
    statuses: Sequence[Mapping[str, int]]
    metrics_bytes: int
    size: int
    cohorts: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, run: Cohorts, metrics_bytes: int) -> State:
        """The counters of a run."""
        statuses = [asdict(s) for s in run.statuses]
        several = [] if run.alone is not None else [
            {"members": list(c.ids), "size": c.ensemble.size} for c in run.cohorts
        ]  # fmt: skip
        size = max(c.ensemble.size for c in run.cohorts)
        return cls(run.step, run.ids, run.retired, statuses, metrics_bytes, size, several)

    def blocks(self) -> tuple[list[int], list[list[int]] | None]:
        """Members per block of each cohort, and the cohorts where there are several: the same bits need the same."""
        if not self.cohorts:
            return [self.size], None
        return [c["size"] for c in self.cohorts], [c["members"] for c in self.cohorts]

    @property
    def metadata(self) -> dict[str, str]:
        """As the header of a safetensors file."""
        return {STATE_KEY: json.dumps({n: v for n, v in asdict(self).items() if n != "cohorts" or v})}

    def check(self, members: int) -> None:
        """Refuse counters that no run of so many members has.

        Raises:
            InterpError: negative counters, or members that are missing, doubled or unknown.
        """
        require_fields(State, vars(self))
        if min(self.step, self.metrics_bytes) < 0 or self.size < 1:
            raise InterpError("step, metrics_bytes and size cannot be negative")
        if sorted((*self.ids, *self.retired)) != list(range(members)) or len(self.statuses) != members:
            raise InterpError(f"ids, retired and statuses must name each of the {members} members once")
        for status in self.statuses:
            if set(status) != set(kinds(Status)):
                raise InterpError(f"a status has the fields {', '.join(kinds(Status))}")
        for cohort in self.cohorts:
            if not fits(cohort.get("members"), list[int]) or not fits(cohort.get("size"), int) or cohort["size"] < 1:
                raise InterpError("a cohort has members, a list of whole numbers, and a size of at least 1")
        if self.cohorts and sorted(i for c in self.cohorts for i in c["members"]) != list(range(members)):
            raise InterpError(f"the cohorts must name each of the {members} members once")


def state_rows(run: Cohorts, state: State) -> tuple[Shapes, Rows]:
    """The tensors of a saved state: ``parameters/...`` and ``moments/...`` of members that train, ``final/...`` of others.

    Args:
        run: its members.
        state: its counters.

    Returns:
        shapes and rows as `write_rows` takes them, block by block; with several cohorts a name begins with its cohort's.
    """
    named = run.named()
    shapes = {start + n: kind for start, c in named for n, kind in _expected(_part(state, c), c.ensemble)}
    return shapes, ((start + n, places, t) for start, c in named for n, places, t in _rows(c.ensemble))


def _rows(ensemble: Ensemble) -> Rows:
    first = 0
    for block in ensemble.blocks:
        places = range(first, first := first + len(block.ids))
        for name in ensemble.shapes:
            yield f"parameters/{name}", places, block.parameters[name]
            for kind in BatchedOptimizer.kinds(ensemble.plan.optimizer):
                yield f"moments/{kind}.{name}", places, block.optimizer.moments[kind][name]
    for k, i in enumerate(sorted(ensemble.final)):
        for name in ensemble.shapes:
            yield f"final/{name}", [k], ensemble.final[i][name][None]


def read_state(path: Path, members: int) -> State | None:
    """The counters in a state file.

    Args:
        path: of the file.
        members: of the run.

    Returns:
        the counters; None where no state was saved yet.

    Raises:
        UnreadableFile: the file is damaged, or belongs to another run.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            stored = parse_json((file.metadata() or {})[STATE_KEY])
        state = State(**stored)
        state.check(members)
    except (SafetensorError, KeyError, TypeError, OSError, InterpError) as error:
        raise UnreadableFile(damaged(path, error)) from None
    return state


def restore(path: Path, state: State, run: Cohorts) -> Callable[[], None]:
    """Read a state file into a run.

    Args:
        path: of the file.
        state: its counters.
        run: its members; names, shapes and dtype are those of their parameters.

    Returns:
        a function that puts what was read in place: until it is called nothing has changed.

    Raises:
        UnreadableFile: the file is damaged, or its tensors are not those of the run.
    """
    try:
        with safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError) as error:
        raise UnreadableFile(damaged(path, error)) from None
    cohorts = [(start, c, _part(state, c)) for start, c in run.named()]
    expected = {start + n: kind for start, c, own in cohorts for n, kind in _expected(own, c.ensemble)}
    given = {name: (tuple(t.shape), t.dtype) for name, t in found.items()}
    if given != expected:
        name = min(n for n in {**given, **expected} if given.get(n) != expected.get(n))
        raise UnreadableFile(
            damaged(path, f"{name} is {_named(given.get(name))}, expected {_named(expected.get(name))}")
        )

    def put() -> None:
        run.step = state.step
        for start, cohort, own in cohorts:
            _put(cohort.ensemble, own, {n.removeprefix(start): t for n, t in found.items() if n.startswith(start)})

    return put


def _part(state: State, cohort: Cohort) -> State:
    """The counters of a cohort, whose members count from 0."""
    place = {i: k for k, i in enumerate(cohort.ids)}
    ids, retired = ([place[i] for i in some if i in place] for some in (state.ids, state.retired))
    return State(state.step, ids, retired, [state.statuses[i] for i in cohort.ids], 0, cohort.ensemble.size)


def _put(ensemble: Ensemble, state: State, tensors: Tensors) -> None:
    parts = {
        part: {n.removeprefix(f"{part}/"): t for n, t in tensors.items() if n.startswith(f"{part}/")}
        for part in ("parameters", "moments", "final")
    }
    final = {i: {n: t[k] for n, t in parts["final"].items()} for k, i in enumerate(state.retired)}
    statuses = [Status(**s) for s in state.statuses]
    ensemble.restore(state.step, statuses, state.ids, parts["parameters"], parts["moments"], final)


def _expected(state: State, ensemble: Ensemble) -> Iterator[tuple[str, tuple[tuple[int, ...], torch.dtype]]]:
    """Names, shapes and dtypes of the tensors of an ensemble's state."""
    for name, shape in ensemble.shapes.items():
        for kind in ("parameters/", *(f"moments/{k}." for k in BatchedOptimizer.kinds(ensemble.plan.optimizer))):
            if state.ids:
                yield f"{kind}{name}", ((len(state.ids), *shape), ensemble.dtype)
        if state.retired:
            yield f"final/{name}", ((len(state.retired), *shape), ensemble.dtype)


def _named(found: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "absent" if found is None else f"{list(found[0])} {str(found[1]).removeprefix('torch.')}"


def damaged(path: Path, error: Exception | str) -> str:
    """The message about a state that nothing can go on from, with the way out."""
    reason = error if isinstance(error, (InterpError, str)) else f"{type(error).__name__}: {str(error)[:100]}"
    return f"{path} is damaged ({reason}); remove state/ and checkpoints/ to train again from step 0"
