"""The saved state of a run: weights, moments and counters to go on from, checked before anything is done with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from interp._util.schema import kinds, parse_json, require_fields
from interp.errors import InterpError, UnreadableFile
from interp.training.ensemble import Ensemble, Status
from interp.training.optimizers import BatchedOptimizer

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
        size: members per block.
    """

    step: int
    ids: Sequence[int]
    retired: Sequence[int]
    statuses: Sequence[Mapping[str, int]]
    metrics_bytes: int
    size: int

    @classmethod
    def of(cls, ensemble: Ensemble, metrics_bytes: int) -> State:
        """The counters of an ensemble."""
        ids = [i for block in ensemble.blocks for i in block.ids]
        statuses = [asdict(s) for s in ensemble.statuses]
        return cls(ensemble.step, ids, sorted(ensemble.final), statuses, metrics_bytes, ensemble.size)

    @property
    def metadata(self) -> dict[str, str]:
        """As the header of a safetensors file."""
        return {STATE_KEY: json.dumps(asdict(self))}

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


def state_tensors(ensemble: Ensemble) -> Tensors:
    """The tensors of a saved state: ``parameters/...`` and ``moments/...`` of members that train, ``final/...`` of others."""
    _, parameters, moments = ensemble.stacks()
    retired = sorted(ensemble.final)
    tensors = {f"parameters/{n}": t.cpu() for n, t in parameters.items()}
    tensors |= {f"moments/{n}": t.cpu() for n, t in moments.items()}
    if retired:
        tensors |= {f"final/{n}": torch.stack([ensemble.final[i][n] for i in retired]) for n in ensemble.shapes}
    return tensors


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


def read_parts(path: Path, state: State, ensemble: Ensemble) -> tuple[Tensors, Tensors, dict[int, Tensors]]:
    """The tensors in a state file.

    Args:
        path: of the file.
        state: its counters.
        ensemble: of the run; names, shapes and dtype are those of its parameters.

    Returns:
        parameters and moments ``[member, ...]`` of those that train, and by member the last weights of those that do not.

    Raises:
        UnreadableFile: the file is damaged, or its tensors are not those of the ensemble.
    """
    try:
        with safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError) as error:
        raise UnreadableFile(damaged(path, error)) from None
    expected = dict(_expected(state, ensemble))
    given = {name: (tuple(t.shape), t.dtype) for name, t in found.items()}
    if given != expected:
        name = min(n for n in {**given, **expected} if given.get(n) != expected.get(n))
        raise UnreadableFile(
            damaged(path, f"{name} is {_named(given.get(name))}, expected {_named(expected.get(name))}")
        )
    parts = {
        part: {n.removeprefix(f"{part}/"): t for n, t in found.items() if n.startswith(f"{part}/")}
        for part in ("parameters", "moments", "final")
    }
    final = {i: {n: t[k] for n, t in parts["final"].items()} for k, i in enumerate(state.retired)}
    return parts["parameters"], parts["moments"], final


def _expected(state: State, ensemble: Ensemble) -> Iterator[tuple[str, tuple[tuple[int, ...], torch.dtype]]]:
    """Names, shapes and dtypes of the tensors of a state."""
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
