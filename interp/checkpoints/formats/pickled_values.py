"""What a pickle may hold once it is read as data: stubs, storages, tensors and arrays in the making.

All of it is out of the pickle's own reach: an opcode that would set an attribute ends the reading.
"""

from __future__ import annotations

import collections
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
    """Stands for an object of a class that is not known here. It holds data and does nothing."""

    qualified = "?"
    args: Any
    state: Any
    entries: Any
    elements: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Stub:
        self = object.__new__(cls)
        self.args, self.state, self.entries, self.elements = args, None, {}, []
        return self

    def __init__(self, *args: Any, **kwargs: Any):
        pass  # everything is kept by __new__, which is all that a pickle is sure to call

    def __call__(self, *args: Any, **kwargs: Any) -> Stub:
        return type(self)(*args)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def append(self, value: Any) -> None:
        self.elements.append(value)

    def extend(self, values: Sequence[Any]) -> None:
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
    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("the pickle tries to alter a builtin")

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


class DTypeName(_Frozen):
    """Stands for a torch dtype or storage class."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype | None):
        self.dtype = dtype


class Storage(_Frozen):
    """Bytes of a file that tensors are views of; read when the first of them is loaded."""

    __slots__ = ("device", "dtype", "numel", "read")

    def __init__(self, dtype: torch.dtype, device: str, numel: int, read: Callable[[], torch.Tensor]):
        self.dtype, self.device, self.numel, self.read = dtype, device, numel, read

    def view(self, dtype: torch.dtype, offset: int, shape: Sequence[int], stride: Sequence[int], flags: Any) -> _Tensor:
        """A tensor over these bytes, once its shape and strides have proved to stay inside them."""
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

        return _Tensor(TensorRef(tuple(shape), dtype, self.device, load))


class _Tensor(_Frozen):
    """A `TensorRef` out of a pickle's reach."""

    __slots__ = ("ref",)

    def __init__(self, ref: TensorRef):
        self.ref = ref


class _NumpyDType(_Frozen):
    """numpy.dtype in the making: a type string, and then the byte order from its state."""

    __slots__ = ("code",)

    def __init__(self, code: Any, *_: Any):
        if not isinstance(code, str) or "," in code or np.dtype(code).kind not in "biufcUS":
            shown = code[:40] if isinstance(code, str) else type(code).__name__
            raise UnreadableFile(f"numpy arrays of type {shown!r} are not read; save numbers, as tensors or arrays")
        self.code = code

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order in ("<", ">"):
            self.code = order + self.code.lstrip("<>=|")

    def resolve(self) -> np.dtype:
        return np.dtype(self.code)


class _NumpyArray(_Frozen):
    """numpy.ndarray in the making."""

    __slots__ = ("array",)

    def __init__(self, *_: Any):
        self.array = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _array_from(data, dtype, shape, "F" if fortran else "C")


def _array_from(data: Any, dtype: _NumpyDType, shape: Sequence[int], order: Any = "C") -> np.ndarray:
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):  # a number would become that many zeros
        raise pickle.UnpicklingError("an array whose contents are no bytes")
    flat = np.frombuffer(bytes(data), dtype=dtype.resolve())
    return flat.reshape(tuple(shape), order=order)


def _numpy_scalar(dtype: _NumpyDType, data: Any) -> Any:
    return _array_from(data, dtype, (1,))[0].item()


def _rebuild_tensor(storage: Storage, offset: int, size: Any, stride: Any, *rest: Any) -> _Tensor:
    flags = rest[2] if len(rest) > 2 else None  # after requires_grad and backward hooks
    return storage.view(storage.dtype, offset, tuple(size), tuple(stride), flags)


def _rebuild_tensor_v3(storage: Storage, offset: int, size: Any, stride: Any, *rest: Any) -> _Tensor:
    return storage.view(rest[2].dtype, offset, tuple(size), tuple(stride), rest[3] if len(rest) > 3 else None)


def _size(sizes: Any) -> tuple[int, ...]:
    if not all(type(n) is int for n in sizes):
        raise pickle.UnpicklingError("a size that is no whole number")
    return tuple(sizes)


def _device(*parts: Any) -> str:
    if not all(isinstance(p, (str, int)) for p in parts):
        raise pickle.UnpicklingError("a device of no name")
    return ":".join(map(str, parts))


def _rebuild_from_type(function: Any, _type: Any, args: Sequence[Any], _state: Any) -> Any:
    if not isinstance(function, Function):
        return Stub(*args)
    return function(*args)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1" if encoding not in ("utf-8", "ascii") else encoding)


def _first(value: Any, *_: Any) -> Any:
    return value


def _jax_array(function: Any, args: Sequence[Any], state: Any, *_: Any) -> Any:
    """A JAX array is pickled as the numpy array that it is made of: how to begin it, and its state."""
    if not isinstance(function, Function):
        return Stub(function, args, state)
    array = function(*args)
    if not isinstance(array, _NumpyArray):
        raise pickle.UnpicklingError("a JAX array that is made of no numpy array")
    array.__setstate__(state)
    return array


STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}  # fmt: skip

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.Size": _size,
    "torch.device": _device,
    "torch.serialization._get_layout": _first,
    "collections.OrderedDict": lambda items=(): collections.OrderedDict(items),
    "collections.defaultdict": lambda *_: {},
    "collections.deque": lambda items=(), *_: list(items),
    "collections.Counter": lambda items=(): dict(items),
    "builtins.set": lambda items=(): set(items),
    "builtins.frozenset": lambda items=(): frozenset(items),
    "builtins.complex": complex,
    "builtins.slice": slice,
    "builtins.bytes": lambda data=b"", *_: data if isinstance(data, bytes) else b"",
    "builtins.bytearray": lambda data=b"", *_: bytes(data) if isinstance(data, bytes) else b"",
    "_codecs.encode": _encode,
    "numpy.dtype": _NumpyDType,
    "numpy.ndarray": _NumpyArray,
    "numpy.core.multiarray._reconstruct": _NumpyArray,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy.core.numeric._frombuffer": _array_from,
    "jax._src.array._reconstruct_array": _jax_array,
}


def plain(tree: Any) -> Any:
    """Replace arrays in the making by `TensorRef`s and dtypes by their names, everywhere in a tree.

    Shared and cyclic parts are visited once, so that a small pickle cannot unfold into a large tree.
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
        elif isinstance(node, _Tensor):
            result = node.ref
        elif isinstance(node, (_NumpyArray, np.ndarray)):
            result = _tensor_of(node.array if isinstance(node, _NumpyArray) else node)
        elif isinstance(node, (DTypeName, _NumpyDType)):
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
