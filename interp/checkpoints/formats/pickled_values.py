"""The values in a pickle that is read as data: stubs, storages, tensors, and arrays under construction.

The pickle cannot change any of them: an opcode that would set an attribute ends the reading.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import UnreadableFile

MAX_UNFOLDED = 1 << 32  # bytes that a tensor with strides of 0 may unfold to


class Stub:
    """Replaces an object of an unknown class. It holds data and does nothing.

    Attributes:
        qualified: the class's module and name.
        args: the arguments that the object was made with.
        state: what pickle's BUILD opcode gave it.
        entries: items that were set on it, as on a dict.
        elements: values that were appended to it, as to a list.
    """

    qualified = "?"
    args: Any
    state: Any
    entries: Any
    elements: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Stub:
        """Keep the arguments: it is all that a pickle is sure to call."""
        self = object.__new__(cls)
        self.args, self.state, self.entries, self.elements = args, None, {}, []
        return self

    def __init__(self, *args: Any, **kwargs: Any):
        pass  # __new__ has kept everything

    def __call__(self, *args: Any, **kwargs: Any) -> Stub:
        """Another stub of the same class, as if the object were a function that the pickle names."""
        return type(self)(*args)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def append(self, value: Any) -> None:
        """Keep an element, as a list would."""
        self.elements.append(value)

    def extend(self, values: Sequence[Any]) -> None:
        """Keep several elements, as a list would."""
        self.elements.extend(values)

    add = append

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<stub of {self.qualified}>"


class _Frozen:
    """A value whose attributes a pickle cannot set: its BUILD opcode ends here."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("the pickle tries to alter a builtin")


class Function(_Frozen):
    """One of our own functions, called where the pickle names a function that builds a value."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("the pickle tries to alter a builtin")

    def __call__(self, *args: Any) -> Any:
        """Call our function."""
        return self._function(*args)


class DTypeName(_Frozen):
    """Replaces a torch dtype or storage class."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype | None):
        self.dtype = dtype


class Storage(_Frozen):
    """Bytes of a file that tensors view; read when the first of these is loaded."""

    __slots__ = ("device", "dtype", "numel", "read")

    def __init__(self, dtype: torch.dtype, device: str, numel: int, read: Callable[[], torch.Tensor]):
        self.dtype, self.device, self.numel, self.read = dtype, device, numel, read

    def view(
        self, dtype: torch.dtype, offset: int, shape: Sequence[int], stride: Sequence[int], flags: Any
    ) -> PickledTensor:
        """A tensor over these bytes, after a check that its shape and strides stay inside them.

        Args:
            dtype: of the tensor.
            offset: of its first entry, in entries.
            shape: of the tensor.
            stride: entries from one index to the next, per axis.
            flags: torch's metadata: whether to conjugate or negate.

        Returns:
            The tensor, not read yet.

        Raises:
            UnpicklingError: shape, strides or offset that lead outside the storage, or unfold it beyond `MAX_UNFOLDED`.
        """
        numbers = (offset, *shape, *stride)
        if len(shape) != len(stride) or not all(type(n) is int and 0 <= n < 2**62 for n in numbers):
            raise pickle.UnpicklingError("a tensor of impossible shape, stride or offset")
        held = self.numel * self.dtype.itemsize
        last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
        if 0 not in shape and (last + 1) * dtype.itemsize > held:
            raise pickle.UnpicklingError(f"a tensor of shape {list(shape)} reaches beyond its storage of {held} bytes")
        if math.prod(shape) * dtype.itemsize > max(MAX_UNFOLDED, held):
            raise pickle.UnpicklingError(f"a tensor of shape {list(shape)} unfolds from a storage of {held} bytes")
        conjugate, negative = (isinstance(flags, Mapping) and flags.get(f) is True for f in ("conj", "neg"))

        def load() -> torch.Tensor:
            raw = self.read().view(torch.uint8)
            tensor = raw[: len(raw) // dtype.itemsize * dtype.itemsize].view(dtype)
            tensor = tensor.as_strided(tuple(shape), tuple(stride), offset)
            tensor = tensor.conj() if conjugate else tensor
            return tensor.neg() if negative else tensor

        return PickledTensor(TensorRef(tuple(shape), dtype, self.device, load))


class PickledTensor(_Frozen):
    """A `TensorRef` that the pickle cannot change."""

    __slots__ = ("ref",)

    def __init__(self, ref: TensorRef):
        self.ref = ref


class NumpyDType(_Frozen):
    """A numpy.dtype under construction: a type string, then the byte order from its state."""

    __slots__ = ("code",)

    def __init__(self, code: Any, *_: Any):
        if not isinstance(code, str) or "," in code or np.dtype(code).kind not in "biufcUS":
            shown = code[:40] if isinstance(code, str) else type(code).__name__
            raise UnreadableFile(
                f"numpy arrays of type {shown!r} cannot be read here; save numbers, as tensors or arrays"
            )
        self.code = code

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order in ("<", ">"):
            self.code = order + self.code.lstrip("<>=|")

    def resolve(self) -> np.dtype:
        """The finished dtype."""
        return np.dtype(self.code)


class NumpyArray(_Frozen):
    """A numpy.ndarray under construction."""

    __slots__ = ("array",)

    def __init__(self, *_: Any):
        self.array = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.array = array_from(data, dtype, shape, "F" if fortran else "C")


def array_from(data: Any, dtype: NumpyDType, shape: Sequence[int], order: Any = "C") -> np.ndarray:
    """An array from its bytes, which must really be bytes: numpy would take a number for a count of zeros."""
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise pickle.UnpicklingError("an array whose contents are not bytes")
    flat = np.frombuffer(bytes(data), dtype=dtype.resolve())
    return flat.reshape(tuple(shape), order=order)


def plain(tree: Any) -> Any:
    """Replace arrays under construction by `TensorRef`s and dtypes by their names, everywhere in a tree.

    Shared and cyclic parts are visited once, so that a small pickle cannot unfold into a large tree.

    Args:
        tree: what the unpickler returned.

    Returns:
        The tree of plain containers, `TensorRef`s and `Stub`s.
    """
    done: dict[int, Any] = {}

    def visit(node: Any) -> Any:
        if id(node) in done:
            return done[id(node)]
        result: Any = node
        if isinstance(node, Mapping):
            result = done[id(node)] = {}
            result.update((visit(key) if isinstance(key, tuple) else key, visit(value)) for key, value in node.items())
        elif isinstance(node, list):
            result = done[id(node)] = []
            result.extend(map(visit, node))
        elif isinstance(node, tuple):
            result = tuple(map(visit, node))
        elif isinstance(node, PickledTensor):
            result = node.ref
        elif isinstance(node, (NumpyArray, np.ndarray)):
            result = _tensor_of(node.array if isinstance(node, NumpyArray) else node)
        elif isinstance(node, (DTypeName, NumpyDType)):
            result = str(node.dtype) if isinstance(node, DTypeName) else node.code
        elif isinstance(node, Stub):
            done[id(node)] = node
            node.args, node.state = visit(node.args), visit(node.state)
            node.entries, node.elements = visit(node.entries), visit(node.elements)
        done[id(node)] = result
        keep.append(node)
        return result

    keep: list[Any] = []  # ids are only unique while their objects live
    return visit(tree)


def _tensor_of(array: np.ndarray) -> Any:
    if array.dtype.kind in "US":
        return array.tolist()
    native = array.astype(array.dtype.newbyteorder("="), copy=True)
    return TensorRef.of(torch.from_numpy(native))
