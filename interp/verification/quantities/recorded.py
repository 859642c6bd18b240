"""Quantities that a file records: values under a dotted path, keys, lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interp.errors import InterpError
from interp.verification.material import Material
from interp.verification.quantity import quantity
from interp.verification.recorded_values import follow, tree_of, value_at


@quantity("recorded", summary="a value that the file records", order=20, reads="contents")
def recorded(material: Material, *, path: str = "") -> Any:
    """The value under a dotted path such as ``config.lr`` or ``train_losses.-1``."""
    return value_at(material, path)


@quantity("recorded.keys", summary="the keys of a table in the file, in its order", order=21, reads="contents")
def keys(material: Material, *, path: str = "") -> list[str]:
    """Names of what the file, or a table in it, holds."""
    found = follow(tree_of(material), path, material.file)
    if not isinstance(found, Mapping):
        raise InterpError(f"{material.file}: {path or 'it'} is not a table, but a {type(found).__name__}")
    return [str(key) for key in found]


@quantity("recorded.length", summary="how many values a list or table in the file has", order=22, reads="contents")
def length(material: Material, *, path: str = "") -> int:
    """Length of a list, a table, or the first axis of a tensor."""
    found = follow(tree_of(material), path, material.file)
    shape = getattr(found, "shape", None)
    if shape:
        return int(shape[0])
    if isinstance(found, (str, bytes)) or not hasattr(found, "__len__"):
        raise InterpError(f"{material.file}: {path or 'it'} has no length")
    return len(found)


@quantity("recorded.lines", summary="the words of a text file, in order", order=23, reads="file")
def words(material: Material) -> list[str]:
    """All words of a text file, in order."""
    return material.text.split()
