"""The functions that a pickle may call: those that build tensors, arrays and plain containers, each replaced by ours."""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import torch

from interp.checkpoints.formats.pickled_values import (
    Function,
    NumpyArray,
    NumpyDType,
    PickledTensor,
    Storage,
    Stub,
    array_from,
)


def _numpy_scalar(dtype: NumpyDType, data: Any) -> Any:
    return array_from(data, dtype, (1,))[0].item()


def _rebuild_tensor(storage: Storage, offset: int, size: Any, stride: Any, *rest: Any) -> PickledTensor:
    flags = rest[2] if len(rest) > 2 else None  # after requires_grad and backward hooks
    return storage.view(storage.dtype, offset, tuple(size), tuple(stride), flags)


def _rebuild_tensor_v3(storage: Storage, offset: int, size: Any, stride: Any, *rest: Any) -> PickledTensor:
    return storage.view(rest[2].dtype, offset, tuple(size), tuple(stride), rest[3] if len(rest) > 3 else None)


def _size(sizes: Any) -> tuple[int, ...]:
    if not all(type(n) is int for n in sizes):
        raise pickle.UnpicklingError("a size that is not a whole number")
    return tuple(sizes)


def _device(*parts: Any) -> str:
    if not all(isinstance(p, (str, int)) for p in parts):
        raise pickle.UnpicklingError("a device without a name")
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
    """A JAX array is pickled as its numpy array: how to begin it, and its state."""
    if not isinstance(function, Function):
        return Stub(function, args, state)
    array = function(*args)
    if not isinstance(array, NumpyArray):
        raise pickle.UnpicklingError("a JAX array that is not made of a numpy array")
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
    "numpy.dtype": NumpyDType,
    "numpy.ndarray": NumpyArray,
    "numpy.core.multiarray._reconstruct": NumpyArray,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy.core.numeric._frombuffer": array_from,
    "jax._src.array._reconstruct_array": _jax_array,
}
