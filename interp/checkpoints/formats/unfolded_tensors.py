"""Tensors that a file stores in fewer numbers than they have entries: sparse ones, and quantised ones."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from interp.checkpoints.formats.pickled_values import PickledTensor
from interp.checkpoints.formats.tensors import TensorRef, guarded

COMPRESSED = ("sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")


def sparse(layout: Any, data: Any) -> PickledTensor:
    """A sparse tensor as a dense one; see https://docs.pytorch.org/docs/stable/sparse.html for the layouts.

    Args:
        layout: its name, such as ``torch.sparse_coo``.
        data: its parts: indices and values, or compressed indices, plain indices and values; then the size.

    Returns:
        The dense tensor, not made yet.

    Raises:
        UnpicklingError: an unknown layout, parts of a wrong kind, or a dense tensor that is larger than the file allows.
    """
    kind = str(layout).removeprefix("torch.")[:40]
    parts = list(data) if isinstance(data, (tuple, list)) else []
    if kind == "sparse_coo" and len(parts) >= 3:
        tensors, size = parts[:2], parts[2]
    elif kind in COMPRESSED and len(parts) >= 4:
        tensors, size = parts[:3], parts[3]
    else:
        raise pickle.UnpicklingError(f"a sparse tensor of the layout {kind!r}")
    if not all(isinstance(t, PickledTensor) for t in tensors) or not _is_size(size):
        raise pickle.UnpicklingError("a sparse tensor without its indices, values or size")
    refs, shape = [t.ref for t in tensors], tuple(size)
    values = refs[-1]
    budget = tensors[-1].budget
    budget.unfold(math.prod(shape) * max(4, values.dtype.itemsize))
    dense = _from_coo(refs[0], values, shape) if kind == "sparse_coo" else _from_compressed(kind, refs, shape)
    stored = f"{kind} ({values.numel:,} of {math.prod(shape):,} entries)"
    return PickledTensor(
        TensorRef(shape, values.dtype, values.device, guarded(budget.path, dense), stored=stored), budget
    )


def _is_size(size: Any) -> bool:
    return isinstance(size, (tuple, list)) and len(size) < 64 and all(type(n) is int and 0 <= n < 2**62 for n in size)


def _from_coo(indices: TensorRef, values: TensorRef, shape: tuple[int, ...]) -> Callable[[], Tensor]:
    axes = indices.shape[0] if indices.ndim == 2 else -1
    if (
        not 0 <= axes <= len(shape)
        or values.shape != (*indices.shape[1:], *shape[axes:])
        or indices.dtype != torch.int64
    ):
        raise pickle.UnpicklingError("a sparse tensor whose indices and values do not fit its size")

    def load() -> Tensor:
        where, dense = indices.load(), torch.zeros(shape, dtype=values.dtype)
        bounds = torch.tensor(shape[:axes]).unsqueeze(1)
        if where.numel() and bool(((where < 0) | (where >= bounds)).any()):
            raise pickle.UnpicklingError("a sparse tensor with an index outside of its size")
        if axes == 0:
            return dense + values.load().sum(0)
        return dense.index_put_(
            tuple(where), values.load(), accumulate=True
        )  # equal indices are added up, as torch does

    return load


def _from_compressed(kind: str, refs: list[TensorRef], shape: tuple[int, ...]) -> Callable[[], Tensor]:
    def load() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls its own layouts a beta
            parts = [r.load() for r in refs]
            layout = getattr(torch, kind)
            return torch.sparse_compressed_tensor(*parts, size=shape, layout=layout, check_invariants=True).to_dense()

    return load


def quantised(numbers: PickledTensor, scheme: Any) -> PickledTensor:
    """A quantised tensor as float32: ``scale * (number - zero_point)``, https://docs.pytorch.org/docs/stable/quantization.html.

    Args:
        numbers: the whole numbers that are stored.
        scheme: kind, scale and zero point; both per index of an axis, and that axis, if it is per channel.

    Returns:
        The tensor, not made yet.

    Raises:
        UnpicklingError: an unknown scheme, or one that does not fit the tensor.
    """
    ref = numbers.ref
    parts: list[Any] = list(scheme) if isinstance(scheme, (tuple, list)) and scheme else [None]
    kind = str(parts[0]).removeprefix("torch.")[:40]
    if kind.startswith("per_tensor") and len(parts) >= 3 and all(isinstance(v, (int, float)) for v in parts[1:3]):
        scale, zero = float(parts[1]), float(parts[2])

        def load() -> Tensor:
            return ((ref.load().double() - zero) * scale).float()

    elif kind.startswith("per_channel") and len(parts) >= 4:
        scales, zeros, axis = (_numbers(parts[1]), _numbers(parts[2]), parts[3])
        if (
            type(axis) is not int
            or not 0 <= axis < ref.ndim
            or any(n != ref.shape[axis] for n in (scales[0], zeros[0]))
        ):
            raise pickle.UnpicklingError("a quantised tensor whose scales do not fit its shape")
        shape = [-1 if i == axis else 1 for i in range(ref.ndim)]

        def load() -> Tensor:
            moved = ref.load().double() - zeros[1]().double().view(shape)
            # torch dequantises integer zero points as (q - z) * s, float ones (embedding bags) as q * s + z
            if kind.endswith("float_qparams"):
                moved = ref.load().double() + zeros[1]().double().view(shape) / scales[1]().double().view(shape)
            return (moved * scales[1]().double().view(shape)).float()

    else:
        raise pickle.UnpicklingError(f"a quantised tensor of the kind {kind!r}")
    stored = f"{str(ref.dtype).removeprefix('torch.')} quantised {kind.replace('_affine', '').replace('_', ' ')}"
    made = TensorRef(ref.shape, torch.float32, ref.device, guarded(numbers.budget.path, load), stored=stored)
    return PickledTensor(made, numbers.budget)


def _numbers(given: Any) -> tuple[int, Callable[[], Tensor]]:
    """How many numbers, and how to load them: a tensor in new files, a list in old ones."""
    if isinstance(given, PickledTensor) and given.ref.ndim == 1:
        return given.ref.numel, given.ref.load
    if isinstance(given, (tuple, list)) and all(isinstance(v, (int, float)) for v in given):
        return len(given), lambda: torch.tensor(list(given), dtype=torch.float64)
    raise pickle.UnpicklingError("a quantised tensor without its scales")
