"""Loaders: inputs that come in batches, with or without targets, and are read again from the start without being held."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.errors import InterpError, kind_of
from interp.hooked.foreign.several import Inputs, as_inputs
from interp.hooked.foreign.structures import tensors

KEYS = ("labels", "label", "targets", "target", "y")  # what targets are called in a batch that is a dict
AGAIN = "give a list, a DataLoader or another object whose iteration begins anew"
Labels = int | str | bool | None


@dataclass(frozen=True)
class Batch:
    """One batch of a loader.

    Attributes:
        inputs: a tensor, or `Inputs`.
        targets: of the same examples; None if the batch has none.
    """

    inputs: Any
    targets: Tensor | None


def is_loader(given: object) -> bool:
    """Whether what was given as inputs is a loader: an iterable of batches, not a tensor nor several of them.

    Args:
        given: what the user gave. A list counts if its items are batches (tuples or dicts), not tensors.

    Returns:
        whether it is read batch by batch.
    """
    if given is None or isinstance(given, Tensor | Inputs | Mapping | tuple | str | bytes | np.ndarray | type):
        return False
    if isinstance(given, list):
        return bool(given) and all(isinstance(item, tuple | list | Mapping) and tensors(item) for item in given)
    return isinstance(given, Iterable | torch.utils.data.Dataset)


class Loader:
    """A loader that gives the same batches in every pass.

    Torch's, numpy's and Python's random states, and the loader's own generator, are set back before each pass and after the
    last, so that a loader that shuffles gives one order. What was read in the first pass is compared with every later one.

    Args:
        given: a DataLoader, or any iterable of batches that can be read repeatedly: of ``inputs``, of ``(inputs, targets)``
            or ``(first, second, ..., targets)``, or of dicts.
        labels: which item of a batch is its targets: an index or a key; None: the last of several, or what is called
            ``labels``, ``label``, ``targets``, ``target`` or ``y``; False: none.

    Raises:
        InterpError: something that can be read only once, or a dataset of single examples.
    """

    def __init__(self, given: Any, labels: Labels = None):
        if isinstance(given, torch.utils.data.Dataset):
            raise InterpError(
                f"a {type(given).__name__} gives single examples: DataLoader(dataset, batch_size=256) makes batches of them"
            )
        if isinstance(given, Iterator):
            raise InterpError(
                f"a {type(given).__name__} can be read only once, and an experiment reads its inputs more than once; {AGAIN}"
            )
        self._given, self._labels = given, labels
        self._seen: list[tuple[int, float]] | None = None
        self._start = _random_states(given)

    def __len__(self) -> int:
        """The number of batches, as the first pass counted them; before it, as the loader says."""
        if self._seen is not None:
            return len(self._seen)
        return len(self._given) if isinstance(self._given, Sized) else 0

    @property
    def n_inputs(self) -> int:
        """The number of inputs in all batches; it is known after the first pass."""
        if self._seen is None:
            raise InterpError("the loader has not been read yet")
        return sum(n for n, _ in self._seen)

    def __iter__(self) -> Iterator[Batch]:
        """The batches.

        Yields:
            each batch, in one order.

        Raises:
            InterpError: no batches, or others than in the first pass.
        """
        seen: list[tuple[int, float]] = []
        before = _random_states(self._given)
        try:
            _set_random_states(self._given, self._start)
            iterator = iter(self._given)
            if iterator is self._given:
                raise InterpError(f"{kind_of(self._given)} can be read only once; {AGAIN}")
            for item in iterator:
                batch = self._batch(item)
                seen.append((len(batch.inputs), _checksum(batch)))
                self._compare(seen)
                yield batch
        finally:
            _set_random_states(self._given, before)
        if not seen:
            raise InterpError(f"the loader gives no batches; if it was read before, {AGAIN}")
        if self._seen is not None and len(seen) != len(self._seen):
            raise InterpError(f"the loader gave {len(self._seen)} batches at first and then {len(seen)}; {AGAIN}")
        self._seen = seen

    def _compare(self, seen: list[tuple[int, float]]) -> None:
        place = len(seen) - 1
        if self._seen is not None and (place >= len(self._seen) or self._seen[place] != seen[place]):
            raise InterpError(
                f"the loader's batch {place} differs from the one that it gave in the first pass; give one that gives the same "
                "batches every time (without random augmentation in workers of its own)"
            )

    def _batch(self, item: Any) -> Batch:
        if isinstance(item, Tensor | Inputs):
            return Batch(item, None)
        if isinstance(item, Mapping):
            return self._of_dict(item)
        if not isinstance(item, tuple | list) or not item:
            raise InterpError(f"a batch is a tensor, a tuple (inputs, targets) or a dict, got {kind_of(item)}")
        labels = self._labels
        if labels is False or (labels is None and len(item) == 1):
            return Batch(_inputs(item), None)
        place = -1 if labels is None or labels is True else labels
        if not isinstance(place, int) or not -len(item) <= place < len(item):
            raise InterpError(f"a batch has {len(item)} items, so labels={labels!r} names none of them")
        place %= len(item)
        return Batch(_inputs([*item[:place], *item[place + 1 :]]), _targets(item[place]))

    def _of_dict(self, item: Mapping[Any, Any]) -> Batch:
        labels: Any = self._labels
        found = [k for k in KEYS if k in item] if labels is None or labels is True else [labels]
        if labels is False or not found:
            return Batch(as_inputs(dict(item)), None)
        if found[0] not in item:
            raise InterpError(f"a batch has {', '.join(map(str, item))}, so labels={labels!r} names none of them")
        return Batch(as_inputs({k: v for k, v in item.items() if k != found[0]}), _targets(item[found[0]]))


def _inputs(items: list[Any] | tuple[Any, ...]) -> Any:
    """One item as it is, several as `Inputs`."""
    given = as_inputs(items[0] if len(items) == 1 else tuple(items))
    if not isinstance(given, Tensor | Inputs):
        raise InterpError(f"the inputs of a batch are tensors, got {kind_of(given)}")
    return given


def _targets(given: Any) -> Tensor:
    if not isinstance(given, Tensor):
        raise InterpError(
            f"the targets of a batch are a tensor, got {kind_of(given)}; labels=False: batches hold inputs only"
        )
    return given


def _checksum(batch: Batch) -> float:
    """A number that other values, or the same in another order, are not likely to give."""
    total = 0.0
    for tensor in (*tensors(batch.targets).values(), *_tensors_of(batch.inputs)):
        flat = torch.nan_to_num(tensor.detach().double().flatten())
        total += float(flat @ torch.linspace(1.0, 2.0, len(flat), dtype=torch.float64, device=flat.device))
    return total


def _tensors_of(inputs: Tensor | Inputs) -> list[Tensor]:
    return list(inputs.tensors().values()) if isinstance(inputs, Inputs) else [inputs]


def _generators(loader: Any) -> list[torch.Generator]:
    places = (
        loader,
        getattr(loader, "sampler", None),
        getattr(getattr(loader, "batch_sampler", None), "sampler", None),
    )
    found = [getattr(place, "generator", None) for place in places]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())


def _random_states(loader: Any) -> tuple[Any, ...]:
    own = [g.get_state() for g in _generators(loader)]
    return torch.get_rng_state(), np.random.get_state(), random.getstate(), own


def _set_random_states(loader: Any, states: tuple[Any, ...]) -> None:
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
    for generator, state in zip(_generators(loader), states[3], strict=True):
        generator.set_state(state)
