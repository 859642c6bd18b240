"""From what an unpickler built to a tree of plain containers, `TensorRef`s and `Stub`s."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from interp.checkpoints.formats.budget import Budget
from interp.checkpoints.formats.pickled_values import (
    DTypeName,
    Function,
    NumpyArray,
    NumpyDType,
    PickledTensor,
    Storage,
    Stub,
)

MAX_DEPTH = 150  # of containers in containers; a whole module takes three for each level of its own
MAX_BITS = 2048  # of a whole number: Python refuses to print longer ones
SPARE_TEXT = 16 << 20  # characters that printing the tree may take, beside some for each byte of the file
CYCLE = "(the container around it)"  # stands where a list or dict holds itself


def plain(tree: Any, budget: Budget) -> Any:
    """Replace arrays under construction by `TensorRef`s and dtypes by their names, everywhere in a tree.

    Shared parts are visited once and stay shared. Who prints the tree or copies it unfolds them, so what they unfold to
    is limited; a container that holds itself holds `CYCLE` there.

    Args:
        tree: what the unpickler returned.
        budget: of the file.

    Returns:
        The tree of plain containers, `TensorRef`s and `Stub`s.

    Raises:
        UnpicklingError: a tree that unfolds, or nests, without end.
    """
    return _Visit(SPARE_TEXT + 16 * budget.size).value(tree, 0)[0]


class _Visit:
    """One pass over a tree. ``value`` gives a plain value and about how many characters it prints to."""

    def __init__(self, limit: int):
        self.limit = limit
        self.done: dict[int, tuple[Any, int]] = {}
        self.kept: list[Any] = []  # ids are only unique while their objects live

    def value(self, node: Any, depth: int) -> tuple[Any, int]:
        if depth > MAX_DEPTH:
            raise pickle.UnpicklingError("values that are nested without end")
        if isinstance(node, (bool, float, type(None))):
            return node, 8
        if isinstance(node, int):
            if node.bit_length() > MAX_BITS:
                raise pickle.UnpicklingError(f"a whole number of {node.bit_length():,} bits")
            return node, 8 + node.bit_length() // 3
        if isinstance(node, (str, bytes)):
            return node, 8 + len(node)
        if id(node) not in self.done:
            self.kept.append(node)
            self.done[id(node)] = CYCLE, len(CYCLE)
            made = self._made(node, depth)
            if made[1] > self.limit:
                raise pickle.UnpicklingError("shared values that unfold without end")
            self.done[id(node)] = made
        return self.done[id(node)]

    def _made(self, node: Any, depth: int) -> tuple[Any, int]:
        if isinstance(node, Mapping):
            return self._mapping(node, depth)
        if type(node) is list and set(map(type, node)) == {float} and depth < MAX_DEPTH:
            return node[:], 8 + 8 * len(node)  # a recorded curve, at once
        if isinstance(node, (list, tuple, set, frozenset)):
            parts = [self.value(item, depth + 1) for item in node]
            values = node if isinstance(node, (set, frozenset)) else type(node)(value for value, _ in parts)
            return values, 8 + sum(size for _, size in parts)
        if isinstance(node, NumpyArray) and node.objects is not None:
            return self.value(node.objects, depth + 1)
        if isinstance(node, Stub):
            self.done[id(node)] = node, 8
            for name in ("args", "state", "entries", "elements"):
                setattr(node, name, self.value(getattr(node, name), depth + 1)[0])
            return node, 8
        return _leaf(node), 8

    def _mapping(self, node: Mapping[Any, Any], depth: int) -> tuple[Any, int]:
        made: dict[Any, Any] = {}
        size = 8
        for key, value in node.items():
            (key, key_size), (value, value_size) = self.value(key, depth + 1), self.value(value, depth + 1)
            made[key] = value
            size += key_size + value_size
        return made, size


def _leaf(node: Any) -> Any:
    if isinstance(node, PickledTensor):
        return node.ref
    if isinstance(node, NumpyArray):
        return node.plain()
    if isinstance(node, (DTypeName, NumpyDType)):
        return str(node.dtype) if isinstance(node, DTypeName) else node.code
    if isinstance(node, Storage):  # a bare storage is its numbers
        return node.view(node.dtype, 0, (node.numel,), (1,), None).ref
    if isinstance(node, Function):
        return "<function>"
    return bytes(node) if isinstance(node, bytearray) else node
