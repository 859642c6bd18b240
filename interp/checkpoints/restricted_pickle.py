"""Pickles read as data: nothing that a file names is imported or called.

A pickle is a program. This reader runs it with every global replaced: the few that build tensors, numpy arrays and
plain containers become small functions of our own; every other name becomes an inert `Stub` that remembers what
it was given. The result is a tree of plain containers with `TensorRef` leaves.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import torch

from interp.checkpoints.pickled_values import FUNCTIONS, STORAGES, DTypeName, Function, Storage, Stub

StorageReader = Callable[[str, torch.dtype, str, int], Storage]

MAX_TUPLES = 1000  # in one another


def check_program(stream: io.BufferedReader | io.BytesIO) -> None:
    """Refuse programs that cost far more than their bytes, by a look at the opcodes; nothing is run.

    A memo index reserves memory up to itself. Python hashes tuples in tuples by recursion in C, which a long run of them
    brings to a crash.
    """
    start, run = stream.tell(), 0
    for opcode, argument, position in pickletools.genops(stream):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > (position or 0) - start:
            raise pickle.UnpicklingError("a memo index beyond the length of the pickle")
        run = run + 1 if opcode.name in ("TUPLE1", "TUPLE2", "TUPLE3", "DUP") else 0
        if run > MAX_TUPLES:
            raise pickle.UnpicklingError(f"more than {MAX_TUPLES} tuples in one another")


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickles data; see the module's docstring. ``stubs`` lists the classes that were not known."""

    def __init__(self, stream: io.BufferedReader | io.BytesIO, storages: StorageReader | None = None):
        super().__init__(stream, encoding="latin1")
        self.stream, self.storages, self.stubs = stream, storages, []

    def load(self) -> Any:
        start = self.stream.tell()
        check_program(self.stream)
        self.stream.seek(start)
        return super().load()

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
