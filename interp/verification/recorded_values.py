"""Values in a file under a dotted path: what a checkpoint, a JSON or a text file records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from interp.errors import InterpError, UnknownName, unknown
from interp.verification.material import Material
from interp.verification.table_file import DELIMITED

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
    return _value(follow(tree_of(material), path, material.file), path or material.file)


def tree_of(material: Material) -> Any:
    """Everything that a file holds: tables, lists, values, and tensors that are not read yet."""
    suffix = material.path.suffix.lower()
    if suffix in (".json", ".txt") and "key" in material.how:
        raise InterpError("key says which table of a checkpoint holds the weights; a place in this file is path = ...")
    if suffix == ".json":
        return material.json
    if suffix == ".txt":
        return material.text.split()
    if suffix in DELIMITED:
        raise InterpError(
            f"{material.file} is a table, of which table.value gives a cell, and published_in one with column and row; paths "
            "lead into JSON, .txt and checkpoints"
        )
    return material.contents.tree


def _inside(value: Any) -> Any:
    """What an object of a class that is not read holds."""
    return getattr(value, "state", value)


def follow(tree: Any, path: str, file: str) -> Any:
    """What stands under a dotted path.

    Args:
        tree: of tables and lists.
        path: as in `value_at`.
        file: for messages.

    Returns:
        a value, a table, a list, or a tensor that is not read yet.

    Raises:
        UnknownName: no such name or place.
    """
    parts = path.split(".") if path else []
    while parts:
        tree = _inside(tree)
        if isinstance(tree, Mapping):
            known = {str(key): value for key, value in tree.items()}
            taken = next((n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in known), 0)
            if not taken:
                raise UnknownName(f"{file}: {unknown('key', '.'.join(parts), known)}")
            tree, parts = known[".".join(parts[:taken])], parts[taken:]
            continue
        tree = tree.load() if hasattr(tree, "load") else tree
        length = len(tree) if isinstance(tree, (list, tuple)) or getattr(tree, "shape", ()) else 0
        if not re.fullmatch(r"-?\d{1,18}", parts[0]) or not -length <= int(parts[0]) < length:
            held = f"there are {length:,} values, by places from 0" if length else "there is one value"
            raise UnknownName(f"{file}: {path}: {held}; nothing is at {parts[0]!r}")
        tree, parts = tree[int(parts[0])], parts[1:]
    return _inside(tree)


def _value(found: Any, place: str) -> Any:
    load = getattr(found, "load", None)
    if load is not None:
        if found.numel > MOST_NUMBERS:
            raise InterpError(f"{place} is a tensor of {found.numel:,} numbers; ask for its shape, or for one of them")
        return load().tolist()
    if isinstance(found, torch.Tensor):
        return found.tolist()
    if isinstance(found, Mapping):
        return {str(key): _value(value, f"{place}.{key}") for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_value(value, f"{place}.{i}") for i, value in enumerate(found)]
    if not isinstance(found, (str, bool, int, float)):
        kind = "null" if found is None else f"a {type(found).__name__}"
        raise InterpError(f"{place} is {kind}; it must be a number, text, a list or a table")
    return found
