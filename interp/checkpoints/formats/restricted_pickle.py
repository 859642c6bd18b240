"""Pickles read as data: nothing that a file names is imported or called.

A pickle is a program. This reader runs it with every global replaced: the few that build tensors, numpy arrays and
plain containers become small functions of our own; every other name becomes an inert `Stub` that keeps its arguments. The
result is a tree of plain containers with `TensorRef` leaves.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from typing_extensions import override

from interp.checkpoints.formats.budget import MAX_CLASSES, Budget, Stream, check_key
from interp.checkpoints.formats.pickle_functions import FUNCTIONS, NAMES, STORAGES, WITH_BUDGET
from interp.checkpoints.formats.pickled_values import DTypeName, Function, Storage, Stub
from interp.errors import InterpError, UnreadableFile

StorageReader = Callable[[str, torch.dtype, str, int], Storage]
NestedReader = Callable[[bytes, "RestrictedUnpickler"], Any]

RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "numpy._core.multiarray": "numpy.core.multiarray",
           "numpy._core.numeric": "numpy.core.numeric", "torch.storage": "torch"}  # fmt: skip
NESTED = ("torch._load_from_bytes", "torch.storage._load_from_bytes")  # a torch file as bytes in a pickle


class RestrictedUnpickler(pickle._Unpickler):  # the reader in Python: the one in C has no hooks for single opcodes
    """Unpickles data; see the module's docstring. ``stubs`` lists the unknown classes.

    Args:
        stream: of the pickle.
        budget: what reading the file may cost.
        storages: gives the bytes of a tensor by its key; none in a file without such references.
        nested: reads a torch file that stands in the pickle as bytes.
        stubs: where unknown classes are listed; those of the outer pickle, if this one stands in another.
    """

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(
        self,
        stream: Stream,
        budget: Budget,
        storages: StorageReader | None = None,
        nested: NestedReader | None = None,
        stubs: dict[str, type[Stub]] | None = None,
    ):
        super().__init__(stream, encoding="latin1")  # pyright: ignore[reportArgumentType]  it reads by read and readline
        self.stream, self.budget, self.storages, self.nested = stream, budget, storages, nested
        self.stubs: dict[str, type[Stub]] = {} if stubs is None else stubs

    @override
    def load(self) -> Any:
        try:
            return super().load()
        except (InterpError, pickle.UnpicklingError, EOFError, RecursionError, MemoryError):
            raise
        except Exception as error:  # an opcode that is none, or one that does not fit what is on the stack
            place = self.stream.file.tell()
            said = f"{type(error).__name__}: {error}"[:120]
            raise pickle.UnpicklingError(f"its pickle makes no sense before byte {place:,} ({said})") from error

    def get_extension(self, code: int) -> Any:
        """Refuse what the type stubs of `pickle` do not list: objects that this process has registered."""
        raise pickle.UnpicklingError("a reference to the process's registry of extensions")

    @override
    def find_class(self, module: str, name: str) -> Any:
        module = RENAMED.get(module, module)
        qualified = f"{module}.{name}"
        nested = self.nested
        if qualified in NESTED and nested is not None:
            return Function(lambda data: nested(data, self), self.budget)
        if qualified in WITH_BUDGET:
            return Function(partial(WITH_BUDGET[qualified], self.budget), self.budget)
        if qualified in FUNCTIONS:
            return Function(FUNCTIONS[qualified], self.budget)
        if module in ("torch", "torch.cuda") and name in STORAGES:
            return DTypeName(STORAGES[name])
        # ml_dtypes holds the types that JAX adds to numpy: bfloat16, float8_e4m3fn; getattr might import a submodule of torch
        own = module == "torch" or (module == "ml_dtypes" and name.startswith(("bfloat", "float8_")))
        if own and isinstance(vars(torch).get(name), torch.dtype):
            return DTypeName(vars(torch)[name])
        if module == "torch" and name in NAMES:
            return qualified
        if module.startswith("joblib."):
            raise UnreadableFile("a file of joblib, whose arrays stand between the pickle's instructions: load it with joblib, "
                                 "and save its arrays with numpy.savez")  # fmt: skip
        return self._stub(qualified[:200])

    def _stub(self, qualified: str) -> type[Stub]:
        if qualified not in self.stubs:
            if len(self.stubs) >= MAX_CLASSES:
                raise pickle.UnpicklingError(f"more than {MAX_CLASSES:,} classes that are not known here")
            self.stubs[qualified] = type("Stub", (Stub,), {"qualified": qualified})
        return self.stubs[qualified]

    @override
    def persistent_load(self, pid: Any) -> Any:
        if (
            isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module"
        ):  # a class and its source code, which is not read
            return pid[1]
        if self.storages is None or not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise pickle.UnpicklingError("a reference to something outside the file")
        _, kind, key, device, numel = pid[:5]
        if not isinstance(kind, DTypeName) or kind.dtype is None:
            raise pickle.UnpicklingError(f"a storage of the type {getattr(kind, 'qualified', 'unknown')}")
        if (
            not isinstance(numel, int)
            or not 0 <= numel < 2**62
            or not isinstance(key, (str, int))
            or not isinstance(device, str)
        ):
            raise pickle.UnpicklingError("a storage with an impossible size, name or device")
        if isinstance(key, int) and key.bit_length() > 64:
            raise pickle.UnpicklingError("a storage with an impossible name")
        return _part(self.storages(str(key), kind.dtype, device, numel), pid[5] if len(pid) > 5 else None)

    def _top_items(self) -> list[Any]:
        """What was pushed since the last mark."""
        return self.stack  # pyright: ignore[reportAttributeAccessIssue]  the type stubs describe only the reader in C


def _part(storage: Storage, view: Any) -> Storage:
    """A piece of a storage, as torch before 0.4 wrote views: their key, where they start, and how long they are."""
    if view is None:
        return storage
    if not (isinstance(view, tuple) and len(view) == 3 and all(type(n) is int for n in view[1:])):
        raise pickle.UnpicklingError("a view of a storage without its place")
    _, start, count = view
    if not 0 <= start <= start + count <= storage.numel:
        raise pickle.UnpicklingError("a view that leads outside of its storage")
    return Storage(storage.dtype, storage.device, count, lambda: storage.read()[start : start + count], storage.budget)


def _bytearray8(self: RestrictedUnpickler) -> None:
    """As in Python, which takes the memory first and looks for the bytes afterwards."""
    (count,) = struct.unpack("<Q", self.read(8))  # pyright: ignore[reportAttributeAccessIssue]  as above
    self.append(bytearray(self.read(count)))  # pyright: ignore[reportAttributeAccessIssue]


def _with_keys(opcode: bytes, keys: Callable[[list[Any]], list[Any]]) -> None:
    """Check the keys that an opcode puts into a dict or a set, before it does."""
    make = pickle._Unpickler.dispatch[opcode[0]]

    def load(self: RestrictedUnpickler) -> None:
        for key in keys(self._top_items()):
            check_key(key)
        make(self)  # pyright: ignore[reportArgumentType]  it is a method of our own base

    RestrictedUnpickler.dispatch[opcode[0]] = load


RestrictedUnpickler.dispatch[pickle.BYTEARRAY8[0]] = _bytearray8
_with_keys(pickle.SETITEM, lambda stack: stack[-2:-1])
_with_keys(pickle.SETITEMS, lambda stack: stack[::2])
_with_keys(pickle.DICT, lambda stack: stack[::2])
_with_keys(pickle.ADDITEMS, lambda stack: stack)
_with_keys(pickle.FROZENSET, lambda stack: stack)
