"""Pickles read as data: nothing that a file names is imported or called.

A pickle is a program. This reader runs it with every global replaced: the few that build tensors, numpy arrays and
plain containers become small functions of our own; every other name becomes an inert `Stub` that remembers what
it was given. The result is a tree of plain containers with `TensorRef` leaves.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from interp.checkpoints.formats.pickled_values import FUNCTIONS, STORAGES, DTypeName, Function, Storage, Stub

StorageReader = Callable[[str, torch.dtype, str, int], Storage]

MAX_DEPTH = 1000  # of tuples in one another
MAX_UNFOLDED_TUPLE = 1_000_000  # entries, those of inner tuples counted as often as they occur


class RestrictedUnpickler(pickle._Unpickler):  # the reader in Python: that in C cannot be told what a tuple may hold
    """Unpickles data; see the module's docstring. ``stubs`` lists the classes that were not known."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream: io.BufferedReader | io.BytesIO, storages: StorageReader | None = None):
        super().__init__(stream, encoding="latin1")
        self.storages, self.stubs = storages, []
        self.tuples: dict[
            int, tuple[tuple, int, int]
        ] = {}  # by id: the tuple (kept alive), its depth, its unfolded size

    def _check_tuple(self) -> None:
        """Refuse tuples that would cost more than their bytes: Python hashes a tuple all the way down, by recursion."""
        made = self.stack[-1]  # pyright: ignore[reportAttributeAccessIssue]  the stubs know the reader in C alone
        inner = [self.tuples[id(item)] for item in made if type(item) is tuple and id(item) in self.tuples]
        depth, size = 1 + max((i[1] for i in inner), default=0), len(made) + sum(i[2] for i in inner)
        if depth > MAX_DEPTH or size > MAX_UNFOLDED_TUPLE:
            raise pickle.UnpicklingError("tuples in one another that unfold without end")
        if made:
            self.tuples[id(made)] = made, depth, size

    def get_extension(self, code: int) -> Any:
        raise pickle.UnpicklingError("a reference to the process' own registry of extensions")

    def find_class(self, module: str, name: str) -> Any:
        module = {"__builtin__": "builtins", "numpy._core.multiarray": "numpy.core.multiarray",
                  "numpy._core.numeric": "numpy.core.numeric", "torch.storage": "torch"}.get(module, module)  # fmt: skip
        qualified = f"{module}.{name}"
        if qualified in FUNCTIONS:
            return Function(FUNCTIONS[qualified])
        if module in ("torch", "torch.cuda") and name in STORAGES:
            return DTypeName(STORAGES[name])
        if module == "torch" and isinstance(vars(torch).get(name), torch.dtype):  # getattr might import a submodule
            return DTypeName(vars(torch)[name])
        if qualified not in self.stubs:
            self.stubs.append(qualified)
        return type("Stub", (Stub,), {"qualified": qualified})

    def persistent_load(self, pid: Any) -> Storage:
        if self.storages is None or not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise pickle.UnpicklingError("a reference to something outside the file")
        _, kind, key, device, numel = pid[:5]
        if not isinstance(kind, DTypeName) or kind.dtype is None:
            raise pickle.UnpicklingError("a storage of unknown type")
        if not isinstance(numel, int) or numel < 0 or not isinstance(key, (str, int)) or not isinstance(device, str):
            raise pickle.UnpicklingError("a storage of impossible size, name or device")
        return self.storages(str(key), kind.dtype, device, numel)


def _checked(opcode: bytes) -> None:
    """Let an opcode that makes a tuple have it checked."""
    make = pickle._Unpickler.dispatch[opcode[0]]

    def load(self: RestrictedUnpickler) -> None:
        make(self)  # pyright: ignore[reportArgumentType]  the same: it is the method of our own base
        self._check_tuple()

    RestrictedUnpickler.dispatch[opcode[0]] = load


for _opcode in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    _checked(_opcode)
