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

from interp.checkpoints.formats.budget import Budget, check_key, size_of
from interp.checkpoints.formats.tensors import TensorRef, readable
from interp.errors import UnreadableFile


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
        check_key(key)
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

    __slots__ = ("_budget", "_function")

    def __init__(self, function: Callable[..., Any], budget: Budget):
        object.__setattr__(self, "_function", function)
        object.__setattr__(self, "_budget", budget)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("the pickle tries to alter a builtin")

    def __call__(self, *args: Any) -> Any:
        """Call our function. Its arguments count, since a pickle can pass the same large one again and again."""
        self._budget.copy(sum(map(size_of, args)))
        return self._function(*args)


class DTypeName(_Frozen):
    """Replaces a torch dtype or storage class."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype | None):
        self.dtype = dtype


class Storage(_Frozen):
    """Bytes of a file that tensors view; read when the first of these is loaded."""

    __slots__ = ("budget", "device", "dtype", "numel", "read")

    def __init__(self, dtype: torch.dtype, device: str, numel: int, read: Callable[[], torch.Tensor], budget: Budget):
        self.dtype, self.device, self.numel, self.read, self.budget = dtype, device[:40], numel, read, budget

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
            UnpicklingError: shape, strides or offset that lead outside the storage, or tensors of the file that unfold to more
                than it allows, as strides of 0 make them.
        """
        numbers = (offset, *shape, *stride)
        if len(shape) != len(stride) or not all(type(n) is int and 0 <= n < 2**62 for n in numbers):
            raise pickle.UnpicklingError("a tensor of impossible shape, stride or offset")
        held = self.numel * self.dtype.itemsize
        last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
        if len(shape) > 64 or (0 not in shape and (last + 1) * dtype.itemsize > held):
            raise pickle.UnpicklingError(
                f"a tensor of shape {str(list(shape[:64]))[:80]} reaches beyond its storage of {held} bytes"
            )
        self.budget.unfold(math.prod(shape) * max(4, dtype.itemsize))  # it will be computed with in four bytes an entry
        conjugate, negative = (isinstance(flags, Mapping) and flags.get(f) is True for f in ("conj", "neg"))

        def load() -> torch.Tensor:
            raw = self.read().view(torch.uint8)
            tensor = raw[: len(raw) // dtype.itemsize * dtype.itemsize].view(dtype)
            tensor = tensor.as_strided(tuple(shape), tuple(stride), offset)
            tensor = tensor.conj() if conjugate else tensor
            return tensor.neg() if negative else tensor

        return PickledTensor(readable(TensorRef(tuple(shape), dtype, self.device, load)), self.budget)


class PickledTensor(_Frozen):
    """A `TensorRef` that the pickle cannot change."""

    __slots__ = ("budget", "ref")

    def __init__(self, ref: TensorRef, budget: Budget):
        self.ref, self.budget = ref, budget


class NumpyDType(_Frozen):
    """A numpy.dtype under construction: a type string, then the byte order from its state.

    ``extended`` is a type that numpy does not have and ml_dtypes, which JAX uses, adds to it, such as bfloat16.
    """

    __slots__ = ("code", "extended")

    def __init__(self, code: Any, *_: Any):
        self.extended = code.dtype if isinstance(code, DTypeName) else None
        if self.extended is not None:
            code = f"u{self.extended.itemsize}"
        shown = code[:40] if isinstance(code, str) else str(getattr(code, "qualified", type(code).__name__))[:40]
        try:
            known = isinstance(code, str) and len(code) < 40 and "," not in code and np.dtype(code).kind in "biufcUSO"
        except (TypeError, ValueError):
            known = False
        if not known:
            raise UnreadableFile(
                f"numpy arrays of type {shown!r} cannot be read here; save numbers, as tensors or arrays"
            )
        self.code: str = "O" if np.dtype(str(code)).kind == "O" else str(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order in ("<", ">"):
            self.code = order + self.code.lstrip("<>=|")

    def resolve(self) -> np.dtype:
        """The finished dtype."""
        return np.dtype(self.code)


class NumpyArray(_Frozen):
    """A numpy.ndarray under construction; of objects it is the list of them, or the object if it has no axes."""

    __slots__ = ("array", "budget", "extended", "objects")

    def __init__(self, budget: Budget, *_: Any):
        self.budget, self.array, self.extended, self.objects = budget, np.zeros(0), None, None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self._fill(data, dtype, shape, "F" if fortran else "C")

    @classmethod
    def of(cls, budget: Budget, data: Any, dtype: NumpyDType, shape: Sequence[int], order: Any = "C") -> NumpyArray:
        """A finished array.

        Args:
            budget: of the file.
            data: its bytes.
            dtype: of the array.
            shape: of the array.
            order: ``C`` or ``F``.

        Returns:
            The array.
        """
        made = cls(budget)
        made._fill(data, dtype, shape, order)
        return made

    def _fill(self, data: Any, dtype: NumpyDType, shape: Sequence[int], order: Any) -> None:
        """Bytes become an array. They must really be bytes: numpy would take a number for a count of zeros."""
        if dtype.code == "O":
            if not isinstance(data, list) or math.prod(shape) != len(data):
                raise pickle.UnpicklingError("an array of objects without its objects")
            self.objects = data if len(shape) else data[0]
            return
        if isinstance(data, str):
            data = data.encode("latin1")
        if not isinstance(data, (bytes, bytearray)):
            raise pickle.UnpicklingError("an array whose contents are not bytes")
        resolved = dtype.resolve()
        self.budget.copy(2 * len(data) + (64 * len(data) // max(1, resolved.itemsize) if resolved.kind in "US" else 0))
        self.array = np.frombuffer(bytes(data), dtype=resolved).reshape(tuple(shape), order=order)
        self.extended = dtype.extended

    def item(self) -> Any:
        """The number in an array of one."""
        value = self.plain()
        return value.load()[0].item() if isinstance(value, TensorRef) else value[0]

    def plain(self) -> Any:
        """A tensor, or a list of texts."""
        return self.array.tolist() if self.array.dtype.kind in "US" else self.tensor().ref

    def tensor(self, device: str = "cpu") -> PickledTensor:
        """The array as a tensor."""
        native = torch.from_numpy(self.array.astype(self.array.dtype.newbyteorder("="), order="C", copy=True))
        native = native if self.extended is None else native.view(self.extended)
        return PickledTensor(readable(TensorRef.of(native, device)), self.budget)
