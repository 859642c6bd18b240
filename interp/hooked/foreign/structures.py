"""Tensors within what a module returns: tuples, lists, dicts, named tuples, dataclasses, and any nesting of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from interp.errors import InterpError


def mapped(value: Any, change: Callable[[str, Tensor], Tensor], path: str = "") -> Any:
    """Replace every tensor in a nested structure.

    Args:
        value: a tensor, or any nesting of tuples, lists, mappings, named tuples and dataclasses.
        change: called with a tensor's path and the tensor; returns what replaces it. A path is indices, keys and field
            names after dots, such as ``.1.0`` or ``.logits``; the path of a plain tensor is empty.
        path: where ``value`` itself is.

    Returns:
        the value itself if nothing was replaced, otherwise a new container of the same type.

    >>> import torch
    >>> mapped((torch.ones(2), [None, torch.ones(1)]), lambda path, t: 2 * t if path == ".1.1" else t)
    (tensor([1., 1.]), [None, tensor([2.])])
    """
    if isinstance(value, Tensor):
        return change(path, value)
    before = _items(value)
    after = {key: mapped(item, change, f"{path}.{key}") for key, item in before.items()}
    return value if all(after[key] is before[key] for key in before) else _rebuilt(value, after)


def tensors(value: Any) -> dict[str, Tensor]:
    """Every tensor in a nested structure by its path.

    Args:
        value: as in `mapped`.

    Returns:
        tensors by path, in order.

    >>> import torch
    >>> list(tensors({"logits": torch.ones(1), "states": (torch.ones(1), None)}))
    ['.logits', '.states.0']
    """
    found: dict[str, Tensor] = {}
    mapped(value, lambda path, tensor: found.setdefault(path, tensor))
    return found


def main_output(value: Any) -> tuple[str, Tensor]:
    """The tensor that counts as a module's output: its ``logits``, or else the first tensor.

    Args:
        value: what the module returned.

    Returns:
        the tensor's path and the tensor.

    Raises:
        InterpError: there is no tensor in it.
    """
    found = tensors(value)
    if not found:
        raise InterpError(f"the module returns {type(value).__name__} that contains no tensor")
    path = ".logits" if ".logits" in found else next(iter(found))
    return path, found[path]


def chosen_output(value: Any, path: str | None) -> tuple[str, Tensor]:
    """The tensor that counts as a module's output.

    Args:
        value: what the module returned.
        path: of the tensor, as in `mapped`; None: `main_output`.

    Returns:
        the tensor's path and the tensor.

    Raises:
        InterpError: there is no tensor there.
    """
    if path is None:
        return main_output(value)
    found = tensors(value)
    wanted = f".{path.lstrip('.')}"
    if wanted not in found:
        has = ", ".join(p.lstrip(".") or "one tensor" for p in found) or "none"
        raise InterpError(f"the module returns no tensor {path!r}; it returns {has} (wrap(..., output=NAME or index))")
    return wanted, found[wanted]


def _items(value: Any) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value.items())
    if isinstance(value, tuple) and (names := getattr(value, "_fields", None)):
        return dict(zip(names, value, strict=True))
    if isinstance(value, (tuple, list)):
        return dict(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return {}


def _rebuilt(value: Any, items: dict[Any, Any]) -> Any:
    kind: Any = type(value)
    if isinstance(value, tuple) and hasattr(kind, "_make"):
        return kind._make(items.values())
    if isinstance(value, (tuple, list)):
        return kind(list(items.values()))
    if isinstance(value, Mapping) and not isinstance(value, MutableMapping):
        return kind(items)
    new = copy.copy(value)
    for key, item in items.items():
        if isinstance(new, MutableMapping):
            new[key] = item
        else:
            object.__setattr__(new, key, item)  # frozen ones too
    return new
