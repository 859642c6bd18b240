"""Quantities that a file records: values under a dotted path, keys, lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interp._util.files import is_file
from interp.errors import InterpError, UnknownName, unknown
from interp.verification.material import Material
from interp.verification.quantity import quantity

MOST_NUMBERS = 100_000  # of a tensor that becomes a value


def value_at(material: Material, path: str = "") -> Any:
    """The value in a file under a dotted path.

    Args:
        material: a checkpoint, JSON, or a text file, whose words are a list.
        path: names and places (from 0, or -1 for the last) with dots; a name may hold dots itself. Empty: everything.

    Returns:
        the value; a tensor as its numbers.

    Raises:
        UnknownName: no such name; the nearest are named.
        InterpError: what is there is no value.
    """
    return _value(_follow(_tree(material), path, material.file), path or material.file)


def _tree(material: Material) -> Any:
    suffix = material.path.suffix.lower()
    if suffix == ".json":
        return material.json
    if suffix == ".txt":
        return material.text.split()
    return material.contents.tree


def _inside(value: Any) -> Any:
    """What an object of a class that is not read holds."""
    return getattr(value, "state", value)


def _follow(tree: Any, path: str, file: str) -> Any:
    parts = path.split(".") if path else []
    while parts:
        tree = _inside(tree)
        if isinstance(tree, (list, tuple)) and parts[0].lstrip("-").isdecimal():
            place = int(parts.pop(0))
            if not -len(tree) <= place < len(tree):
                raise InterpError(f"{file}: {path}: there are {len(tree):,} values, none at {place}")
            tree = tree[place]
            continue
        known = {str(key): value for key, value in tree.items()} if isinstance(tree, Mapping) else {}
        taken = next((n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in known), 0)
        if not taken:
            raise UnknownName(f"{file}: {unknown('key', '.'.join(parts), known)}")
        tree, parts = known[".".join(parts[:taken])], parts[taken:]
    return _inside(tree)


def _value(found: Any, place: str) -> Any:
    load = getattr(found, "load", None)
    if load is not None:
        if found.numel > MOST_NUMBERS:
            raise InterpError(f"{place} is a tensor of {found.numel:,} numbers; ask for its shape, or for one of them")
        return load().tolist()
    if isinstance(found, Mapping):
        return {str(key): _value(value, place) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_value(value, place) for value in found]
    if not isinstance(found, (str, bool, int, float)):
        raise InterpError(f"{place} is a {type(found).__name__}, which is no number, text, list or table")
    return found


@quantity("recorded", summary="a value that the file records", order=20)
def recorded(material: Material, *, path: str = "") -> Any:
    """The value under a dotted path such as ``config.lr`` or ``train_losses.-1``."""
    return value_at(material, path)


@quantity("recorded.keys", summary="the keys of a table in the file, in its order", order=21)
def keys(material: Material, *, path: str = "") -> list[str]:
    """Names of what the file, or a table in it, holds."""
    found = _follow(_tree(material), path, material.file)
    if not isinstance(found, Mapping):
        raise InterpError(f"{material.file}: {path or 'it'} is no table, but a {type(found).__name__}")
    return [str(key) for key in found]


@quantity("recorded.length", summary="how many values a list or table in the file has", order=22)
def length(material: Material, *, path: str = "") -> int:
    """Length of a list, a table, or the first axis of a tensor."""
    found = _follow(_tree(material), path, material.file)
    shape = getattr(found, "shape", None)
    if shape:
        return int(shape[0])
    if isinstance(found, (str, bytes)) or not hasattr(found, "__len__"):
        raise InterpError(f"{material.file}: {path or 'it'} has no length")
    return len(found)


@quantity("recorded.lines", summary="the words of a text file", order=23)
def words(material: Material) -> list[str]:
    """All words of a text file, in order."""
    if not is_file(material.path):
        raise InterpError(f"{material.file} is not a file")
    return material.text.split()
