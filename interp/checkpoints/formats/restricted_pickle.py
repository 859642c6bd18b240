"""Pickles read as data: nothing that a file names is imported or called.

A pickle is a program. This reader runs it with every global replaced: the few that build tensors, numpy arrays and
plain containers become small functions of our own; every other name becomes an inert `Stub` that keeps its arguments. The
result is a tree of plain containers with `TensorRef` leaves.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from typing_extensions import override

from interp.checkpoints.formats.pickle_functions import FUNCTIONS, STORAGES
from interp.checkpoints.formats.pickled_values import DTypeName, Function, Storage, Stub

StorageReader = Callable[[str, torch.dtype, str, int], Storage]

MAX_DEPTH = 1000  # of nested tuples
MAX_UNFOLDED_TUPLE = 1_000_000  # entries; those of an inner tuple count as often as it occurs


class RestrictedUnpickler(pickle._Unpickler):  # the reader in Python: the one in C has no hook for tuples
    """Unpickles data; see the module's docstring. ``stubs`` lists the unknown classes."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream: io.BufferedReader | io.BytesIO, storages: StorageReader | None = None):
        super().__init__(stream, encoding="latin1")
        self.storages, self.stubs = storages, []
        self.tuples: dict[
            int, tuple[tuple, int, int]
        ] = {}  # by id: the tuple (kept alive), its depth, its unfolded size

    def _check_tuple(self) -> None:
        """Refuse tuples that would cost more than their bytes: Python hashes a tuple all the way down, by recursion."""
        made = self.stack[-1]  # pyright: ignore[reportAttributeAccessIssue]  the type stubs describe only the reader in C
        inner = [self.tuples[id(item)] for item in made if type(item) is tuple and id(item) in self.tuples]
        depth, size = 1 + max((i[1] for i in inner), default=0), len(made) + sum(i[2] for i in inner)
        if depth > MAX_DEPTH or size > MAX_UNFOLDED_TUPLE:
            raise pickle.UnpicklingError("nested tuples that unfold without end")
        if made:
            self.tuples[id(made)] = made, depth, size

    def get_extension(self, code: int) -> Any:
        """Refuse what the type stubs of `pickle` do not list: objects that this process has registered."""
        raise pickle.UnpicklingError("a reference to the process's registry of extensions")

    @override
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

    @override
    def persistent_load(self, pid: Any) -> Storage:
        if self.storages is None or not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise pickle.UnpicklingError("a reference to something outside the file")
        _, kind, key, device, numel = pid[:5]
        if not isinstance(kind, DTypeName) or kind.dtype is None:
            raise pickle.UnpicklingError("a storage with an unknown type")
        if not isinstance(numel, int) or numel < 0 or not isinstance(key, (str, int)) or not isinstance(device, str):
            raise pickle.UnpicklingError("a storage with an impossible size, name or device")
        return self.storages(str(key), kind.dtype, device, numel)


def _checked(opcode: bytes) -> None:
    """Check the tuples that an opcode makes."""
    make = pickle._Unpickler.dispatch[opcode[0]]

    def load(self: RestrictedUnpickler) -> None:
        make(self)  # pyright: ignore[reportArgumentType]  as above: it is a method of our own base
        self._check_tuple()

    RestrictedUnpickler.dispatch[opcode[0]] = load


for _opcode in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    _checked(_opcode)
