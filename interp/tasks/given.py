"""Data that a user gives in place of a task's own: the examples that train and test, and a target vector per answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.errors import InterpError, kind_of

PARTS = ("train", "test", "targets")
SPLIT = ("train_fraction", "n_train", "split")  # options that say which examples train
CALLED = {"train": "train_indices", "test": "test_indices", "targets": "targets"}  # by whom the user gives them
DTYPES = {"int64": torch.int64, "float32": torch.float32, "float64": torch.float64}
LARGEST = 1 << 28  # bytes of one part; a split of MNIST has 480,000


@dataclass(frozen=True, eq=False, repr=False)
class GivenData:
    """Split and targets of a task, listed. Two are equal if they hold the same numbers.

    Attributes:
        train: indices of the examples that are trained on ``[n_train]``, in their order; None: as the task says.
        test: indices of those that are tested on; None: all others.
        targets: the target vector of every answer ``[answer, dim]``, for the loss ``vectors``; None: drawn.
    """

    train: Tensor | None = None
    test: Tensor | None = None
    targets: Tensor | None = None

    @cached_property
    def digest(self) -> str:
        """BLAKE2 of everything it holds."""
        found = hashlib.blake2b(digest_size=16)
        for name, held in self.held().items():
            found.update(f"{name} {held.dtype} {tuple(held.shape)}".encode())
            found.update(held.numpy().tobytes())
        return found.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GivenData) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return "given: " + (", ".join(f"{CALLED[n]} {list(t.shape)}" for n, t in self.held().items()) or "nothing")

    @property
    def lists_a_split(self) -> bool:
        """Whether the split is given, or a part of it."""
        return self.train is not None or self.test is not None

    def held(self) -> dict[str, Tensor]:
        """What is given, by name."""
        return {name: t for name in PARTS if (t := getattr(self, name)) is not None}

    def split(self, n: int, name: str) -> tuple[Tensor, Tensor] | None:
        """Train and test indices of a task.

        Args:
            n: how many examples it has.
            name: of the task, for messages.

        Returns:
            What is given; of a split that is given by half, the other half is everything else. None where no split is given.

        Raises:
            InterpError: indices that the task does not have, listed twice or in both parts, or none to train on.
        """
        if not self.lists_a_split:
            return None
        for part, index in (("train", self.train), ("test", self.test)):
            if index is None:
                continue
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < n:
                raise InterpError(
                    f"{name}: {CALLED[part]} must lie in 0 to {n - 1}, since the task has {n:,} examples; they reach from "
                    f"{int(index.min())} to {int(index.max())}"
                )
            if len(index.unique()) < len(index):
                raise InterpError(f"{name}: {CALLED[part]} list an example twice")
        if self.train is not None and self.test is not None and bool((both := torch.isin(self.train, self.test)).any()):
            raise InterpError(f"{name}: example {int(self.train[both][0])} is in train_indices and in test_indices")
        train, test = (_rest(n, self.test) if self.train is None else self.train), self.test
        if not len(train):
            raise InterpError(f"{name}: train_indices leave no example to train on")
        return train, _rest(n, train) if test is None else test

    def to_dict(self) -> dict[str, Any]:
        """As plain values: for each part its shape, its dtype, and its compressed bytes as text."""
        return {
            name: {
                "dtype": str(held.dtype).removeprefix("torch."), "shape": list(held.shape),
                "zlib": base64.b64encode(zlib.compress(held.numpy().tobytes())).decode(),
            }
            for name, held in self.held().items()
        }  # fmt: skip

    @classmethod
    def from_dict(cls, stored: Any) -> GivenData:
        """What `to_dict` wrote.

        Args:
            stored: its values.

        Returns:
            the data; `split` and the loss check what they hold.

        Raises:
            InterpError: damaged, or too large.
        """
        if not isinstance(stored, Mapping) or not set(stored) <= set(PARTS):
            raise InterpError(f"given data are a dict of {', '.join(PARTS)}, this is {kind_of(stored)}")
        return cls(**{name: _decoded(name, part) for name, part in stored.items()})


@dataclass(frozen=True)
class TakesGivenData:
    """What makes `GivenData` a field of every task.

    Attributes:
        given: split and targets that replace the task's own; see `interp.tasks.given_to`.
    """

    given: GivenData | None = field(default=None, kw_only=True, repr=False)


def refuse_own_split(given: GivenData | None, options: Mapping[str, Any]) -> None:
    """Refuse options of one network that say which examples train, where that is listed.

    Args:
        given: to the task of all networks.
        options: of one.

    Raises:
        InterpError: the first of them.
    """
    if given is not None and given.lists_a_split and (odd := [n for n in SPLIT if n in options]):
        raise InterpError(
            f"{odd[0]} does not apply where train_indices or test_indices are given; leave one of them out"
        )


def as_array(given: Any, what: str) -> Tensor:
    """Numbers of a list, an array or a tensor, on the CPU.

    Args:
        given: by the user.
        what: to call it in messages.

    Returns:
        whole numbers as int64, booleans as bool, others as float32 or float64.

    Raises:
        InterpError: no numbers, or rows of unequal lengths.
    """
    if isinstance(given, Tensor):
        found = given.detach().cpu()
    else:
        try:
            array = np.asarray(given)
        except ValueError:
            raise InterpError(f"{what} must be an array of numbers, got rows of unequal lengths") from None
        if array.dtype.kind not in "biuf" or given is None or isinstance(given, (str, bytes)):
            raise InterpError(f"{what} must be a list, array or tensor of numbers, got {kind_of(given)}")
        found = torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)))
    if found.dtype == torch.bool or found.dtype in (torch.float32, torch.float64):
        return found.contiguous()
    return (found.float() if found.is_floating_point() else found.long()).contiguous()


def _rest(n: int, index: Tensor | None) -> Tensor:
    rest = torch.ones(n, dtype=torch.bool)
    rest[index if index is not None else []] = False
    return rest.nonzero().flatten()


def _decoded(name: str, stored: Any) -> Tensor:
    try:
        dtype, shape = DTYPES[stored["dtype"]], tuple(stored["shape"])
        count = int(np.prod(shape, dtype=object)) if all(type(n) is int and n >= 0 for n in shape) else LARGEST
        size = count * dtype.itemsize
        if size > LARGEST or len(shape) != (2 if name == "targets" else 1):
            raise ValueError(f"shape {str(shape)[:60]}")
        unpacked = zlib.decompressobj()
        data = unpacked.decompress(base64.b64decode(stored["zlib"], validate=True), size + 1)
        if len(data) != size:
            raise ValueError(f"{size} bytes expected")
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error, zlib.error) as error:
        raise InterpError(f"the {CALLED[name]} stored with the task are damaged ({str(error)[:80]})") from None
    found = torch.frombuffer(bytearray(data), dtype=dtype) if count else torch.empty(0, dtype=dtype)
    if dtype.is_floating_point != (name == "targets"):
        raise InterpError(f"the {CALLED[name]} stored with the task are of type {stored['dtype']}")
    return found.reshape(shape)
