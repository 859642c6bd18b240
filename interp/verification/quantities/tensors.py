"""Quantities of the tensors in a file, as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.checkpoints.formats.reading import named_tensors
from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import InterpError, UnknownName, unknown
from interp.verification.material import Material
from interp.verification.quantity import quantity

NATIVE = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.bool,
)  # fmt: skip


UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
WHOLE = (*INTEGERS, *UNSIGNED)


def tensors(material: Material) -> Mapping[str, TensorRef]:
    """Every tensor of a file by its dotted name; the name of a file that is a single one is empty."""
    return material.share("tensors", lambda: dict(named_tensors(material.contents.tree, "", set())))


def _one(material: Material, name: str) -> TensorRef:
    found = tensors(material)
    if list(found) == [""] and name:
        raise UnknownName(f"{material.file} is a single tensor without a name; it has none called {name}")
    if not name and "" not in found:
        raise UnknownName(
            f"{material.file} holds several tensors: name one, tensor = ..., of {', '.join(list(found)[:20])}"
        )
    if name not in found:
        raise UnknownName(f"{material.file}: {unknown('tensor', name, found)}")
    return found[name]


@quantity("tensor.names", summary="names of all tensors of a file", order=50, reads="contents")
def names(material: Material) -> list[str]:
    """Dotted names, in the file's order."""
    return list(tensors(material))


@quantity("tensor.shape", summary="shape of a tensor", order=51, reads="contents")
def shape(material: Material, *, tensor: str = "") -> list[int]:
    """Its axes' lengths, as they are stored."""
    return list(_one(material, tensor).shape)


@quantity("tensor.dtype", summary="dtype of a tensor, such as float32", order=52, reads="contents")
def dtype(material: Material, *, tensor: str = "") -> str:
    """Its dtype, as it is stored."""
    ref = _one(material, tensor)
    return ref.stored or str(ref.dtype).removeprefix("torch.")


@quantity("tensor.devices", summary="the devices from which a file's tensors were saved", order=53, reads="contents")
def devices(material: Material) -> list[str]:
    """Tags of all storages, each once, sorted."""
    return sorted({ref.device for ref in tensors(material).values()})


@quantity("tensor.numbers", summary="how many numbers the tensors hold", order=54, reads="contents")
def numbers(material: Material, *, tensor: str = "") -> int:
    """Number of entries of one tensor, or of all."""
    return _one(material, tensor).numel if tensor else sum(ref.numel for ref in tensors(material).values())


@quantity("tensor.nonzero", summary="how many numbers of the tensors are not 0", order=55, reads="contents")
def nonzero(material: Material, *, tensor: str = "") -> int:
    """Number of entries of one tensor, or of all, that are not 0."""
    chosen = [_one(material, tensor)] if tensor else list(tensors(material).values())
    return sum(int(torch.count_nonzero(_counted(ref.load()))) for ref in chosen)


def _counted(value: Tensor) -> Tensor:
    """The numbers in a dtype in which torch counts and compares: for whole ones without a sign, and eight bits, float64."""
    return value if value.is_complex() or value.dtype in NATIVE else value.double()


@quantity("tensor.entry", summary="one number of a tensor", order=56, reads="contents")
def entry(material: Material, *, tensor: str = "", index: list[int] | None = None) -> Any:
    """The number at an index, one whole number per axis."""
    value, at = _one(material, tensor).load(), tuple(index or ())
    if len(at) != value.ndim or any(not -n <= i < n for i, n in zip(at, value.shape, strict=False)):
        raise InterpError(f"{tensor or material.file} has the shape {list(value.shape)}, and no entry {list(at)}")
    return value[at].item()


@quantity("tensor.range", summary="the smallest and the largest number of a tensor", order=57, reads="contents")
def range_(material: Material, *, tensor: str = "") -> list[Any]:
    """Minimum and maximum of its entries."""
    value = _counted(_one(material, tensor).load())
    if value.is_complex() or not value.numel():
        raise InterpError(
            f"{tensor or material.file} {'is complex' if value.is_complex() else 'is empty'}, and has no range"
        )
    return [value.min().item(), value.max().item()]


@quantity(
    "tensor.difference",
    summary="the largest difference of two tensors; 0 if they are equal",
    order=58,
    reads="contents",
)
def difference(material: Material, *, tensor: str = "", other: str = "", beside: str = "") -> float:
    """Largest absolute difference of a tensor from another.

    Args:
        material: the file.
        tensor: its name.
        other: name of the other; the same by default, or the one tensor of a file that holds no names.
        beside: another file of the folder that holds it; this file by default.

    Returns:
        the difference, in float64; of whole numbers exact.
    """
    holder = material.other(beside) if beside else material
    nameless = not other and bool(beside) and list(tensors(holder)) == [""]
    return largest(_one(material, tensor).load(), _one(holder, other or ("" if nameless else tensor)).load())


def largest(one: Tensor, other: Tensor) -> float:
    """The largest absolute difference of two tensors in float64; whole numbers are subtracted as such.

    Args:
        one: of any shape.
        other: of the same shape.

    Returns:
        the difference; 0 for empty ones.

    Raises:
        InterpError: tensors of different shapes.
    """
    if one.shape != other.shape:
        raise InterpError(f"shapes {list(one.shape)} and {list(other.shape)} differ")
    if not one.numel():
        return 0.0
    both = (one, other)
    if any(value.is_complex() for value in both):
        return float((one.to(torch.complex128) - other.to(torch.complex128)).abs().max())
    rough = (one.double() - other.double()).abs().max()
    if not all(value.dtype in WHOLE for value in both):
        return float(rough)
    if all(value.dtype in INTEGERS for value in both) and rough < 2**62:
        return float((one.to(torch.int64) - other.to(torch.int64)).abs().max())
    return float(np.abs(one.numpy().astype(object) - other.numpy().astype(object)).max())  # beyond 64 bits
