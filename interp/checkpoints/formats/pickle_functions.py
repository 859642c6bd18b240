"""The functions that a pickle may call: those that build tensors, arrays and plain containers, each replaced by ours."""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from interp.checkpoints.formats.budget import Budget, check_key
from interp.checkpoints.formats.pickled_values import Function, NumpyArray, NumpyDType, PickledTensor, Storage, Stub
from interp.checkpoints.formats.unfolded_tensors import quantised, sparse


def _numpy_scalar(budget: Budget, dtype: NumpyDType, data: Any) -> Any:
    if isinstance(dtype, NumpyDType) and dtype.code == "O":
        return data  # an object of its own, not bytes
    return NumpyArray.of(budget, data, dtype, (1,)).item()


def _numpy_buffer(budget: Budget, data: Any, dtype: NumpyDType, shape: Sequence[int], order: Any = "C") -> NumpyArray:
    return NumpyArray.of(budget, data, dtype, shape, order)


def _rebuild_tensor(storage: Storage, offset: int, size: Any, stride: Any, *rest: Any) -> PickledTensor:
    flags = rest[2] if len(rest) > 2 else None  # after requires_grad and backward hooks
    return storage.view(storage.dtype, offset, tuple(size), tuple(stride), flags)


def _rebuild_tensor_v3(storage: Storage, offset: int, size: Any, stride: Any, *rest: Any) -> PickledTensor:
    return storage.view(rest[2].dtype, offset, tuple(size), tuple(stride), rest[3] if len(rest) > 3 else None)


def _rebuild_quantised(storage: Storage, offset: int, size: Any, stride: Any, scheme: Any, *_: Any) -> PickledTensor:
    return quantised(storage.view(storage.dtype, offset, tuple(size), tuple(stride), None), scheme)


def _rebuild_numpy(array: Any, dtype: Any, device: Any, *_: Any) -> PickledTensor:
    """A tensor of an accelerator without storages of its own (XLA, MPS of old), kept as a numpy array."""
    if not isinstance(array, NumpyArray):
        raise pickle.UnpicklingError("a tensor of an accelerator that is not made of a numpy array")
    return array.tensor(str(device)[:40])


def _size(sizes: Any) -> tuple[int, ...]:
    if not all(type(n) is int for n in sizes):
        raise pickle.UnpicklingError("a size that is not a whole number")
    return tuple(sizes)


def _device(*parts: Any) -> str:
    if not all(isinstance(p, (str, int)) for p in parts):
        raise pickle.UnpicklingError("a device without a name")
    return ":".join(map(str, parts))[:80]


def _rebuild_from_type(function: Any, _type: Any, args: Sequence[Any], _state: Any) -> Any:
    if not isinstance(function, Function):
        return Stub(*args)
    return function(*args)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1" if encoding not in ("utf-8", "ascii") else encoding)


def _first(value: Any, *_: Any) -> Any:
    return value


def _keyed(make: Callable[[Any], Any], pairs: bool) -> Callable[..., Any]:
    """A builder of dicts or sets that looks at the keys first."""

    def build(items: Iterable[Any] = (), *_: Any) -> Any:
        for item in items:
            check_key(item[0] if pairs and not isinstance(items, dict) else item)
        return make(items)

    return build


def _jax_array(function: Any, args: Sequence[Any], state: Any, *_: Any) -> Any:
    """A JAX array is pickled as its numpy array: how to begin it, and its state."""
    if not isinstance(function, Function):
        return Stub(function, args, state)
    array = function(*args)
    if not isinstance(array, NumpyArray):
        raise pickle.UnpicklingError("a JAX array that is not made of a numpy array")
    array.__setstate__(state)
    return array


def _reconstruct(cls: Any, _base: Any, state: Any = None) -> Any:
    """How pickles of protocols 0 and 1 begin an object: its class, and for a subclass of dict or list what that holds."""
    if not (isinstance(cls, type) and issubclass(cls, Stub)):
        raise pickle.UnpicklingError("an object that is begun without a class")
    made = cls()
    if isinstance(state, dict):
        made.entries.update(state)
    elif isinstance(state, (list, tuple)):
        made.elements.extend(state)
    return made


STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8, "_UntypedStorage": torch.uint8,
    "QInt8Storage": torch.int8, "QUInt8Storage": torch.uint8, "QInt32Storage": torch.int32,  # the whole numbers behind them
}  # fmt: skip

# names of torch that stand for themselves: kinds of quantisation, of memory format and of layout
NAMES = (
    "per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric",
    "per_channel_affine_float_qparams", "contiguous_format", "preserve_format", "channels_last", "channels_last_3d",
    "strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc",
)  # fmt: skip

WITH_BUDGET: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": NumpyArray,
    "numpy.core.multiarray._reconstruct": NumpyArray,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy.core.numeric._frombuffer": _numpy_buffer,
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_qtensor": _rebuild_quantised,
    "torch._utils._rebuild_sparse_tensor": sparse,
    "torch._utils._rebuild_sparse_csr_tensor": lambda data: sparse("torch.sparse_csr", data),
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
    "torch._utils._rebuild_device_tensor_from_numpy": _rebuild_numpy,
    "torch._utils._rebuild_xla_tensor": _rebuild_numpy,
    "torch._tensor._rebuild_from_type": _rebuild_from_type,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.nn.parameter.Parameter": _first,
    "torch.Size": _size,
    "torch.device": _device,
    "torch.serialization._get_layout": _first,
    "collections.OrderedDict": _keyed(collections.OrderedDict, pairs=True),
    "collections.defaultdict": lambda *_: {},
    "collections.deque": lambda items=(), *_: list(items),
    "collections.Counter": _keyed(dict, pairs=True),
    "flax.core.frozen_dict.FrozenDict": _keyed(dict, pairs=True),
    "builtins.object": lambda *_: None,
    "copyreg._reconstructor": _reconstruct,
    "builtins.set": _keyed(set, pairs=False),
    "builtins.frozenset": _keyed(frozenset, pairs=False),
    "builtins.complex": complex,
    "builtins.slice": slice,
    "builtins.bytes": lambda data=b"", *_: data if isinstance(data, bytes) else b"",
    "builtins.bytearray": lambda data=b"", *_: bytes(data) if isinstance(data, bytes) else b"",
    "_codecs.encode": _encode,
    "numpy.dtype": NumpyDType,
    "jax._src.array._reconstruct_array": _jax_array,
    "jax._src.device_array.reconstruct_device_array": _jax_array,
    "jax._src.device_array._reconstruct_device_array": _jax_array,
    "jax.interpreters.xla._reconstruct_device_array": _jax_array,
}
