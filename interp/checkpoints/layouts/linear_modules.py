"""Matrices with their biases, whatever they are called: ``fc1.weight`` and ``fc1.bias``, ``W1`` and ``b1``, ``arr_0``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from interp.checkpoints.formats.tensors import TensorRef

Weights = Mapping[str, TensorRef]
# the part of a name that says weight or bias, in the words of torch, Flax, Haiku, Keras and of nets written by hand
MATRIX_WORD = re.compile(
    r"(?<![a-zA-Z])(?:weights?|kernel|embeddings?|mat|[wW](?=[^a-z]|$|in$|out$|h$))", re.IGNORECASE
)
VECTOR_WORD = re.compile(r"(?<![a-zA-Z])(?:biases|bias|[bB](?=[^a-z]|$|in$|out$|h$))", re.IGNORECASE)
POSITIONAL = re.compile(r"(?:arr_)?\d+")  # np.savez(file, *params), a list of tensors


class Linear(NamedTuple):
    """A matrix and its bias.

    Attributes:
        name: what to call the two together.
        weight: the matrix's name.
        bias: the bias's name; None if there is none.
    """

    name: str
    weight: str
    bias: str | None


def linear_modules(weights: Weights) -> list[Linear]:
    """The matrices of a file with their biases, in the file's order.

    Args:
        weights: the tensors by name.

    Returns:
        One entry a matrix.

    >>> import torch
    >>> t = {n: TensorRef.of(torch.zeros(s)) for n, s in {"W1": (4, 3), "b1": (1, 3), "W2": (3, 2), "b2": (1, 2)}.items()}
    >>> [tuple(m) for m in linear_modules(t)]
    [('W1', 'W1', 'b1'), ('W2', 'W2', 'b2')]
    """
    if weights and all(POSITIONAL.fullmatch(name) for name in weights):
        return _in_a_row(weights)
    biases = {_stem(VECTOR_WORD, n): n for n, t in weights.items() if length(t) is not None and VECTOR_WORD.search(n)}
    taken, found = set(), []
    for name, tensor in weights.items():
        if tensor.ndim != 2 or name in biases.values():
            continue
        bias = biases.get(_stem(MATRIX_WORD, name)) if MATRIX_WORD.search(name) else biases.get(name)
        if bias is None or bias in taken or length(weights[bias]) not in tensor.shape:
            bias = None
        taken.add(bias)
        found.append(Linear(re.sub(r"[./](?:weight|kernel|w|W|embedding)(:0)?$", "", name), name, bias))
    return found


def _in_a_row(weights: Weights) -> list[Linear]:
    """Tensors that are only numbered: a vector behind a matrix is its bias if it is as long as one of its axes."""
    found: list[Linear] = []
    for name in sorted(weights, key=lambda n: int(re.sub(r"\D", "", n))):
        tensor = weights[name]
        before = weights[found[-1].weight].shape if found and found[-1].bias is None else ()
        column = tensor.ndim == 2 and tensor.shape[1] == 1 and before[:1] == tensor.shape[:1] != before[1:]
        if length(tensor) in before and (tensor.ndim == 1 or tensor.shape[0] == 1 or column):
            found[-1] = found[-1]._replace(bias=name)
        elif tensor.ndim == 2:
            found.append(Linear(name, name, None))
    return found


def _stem(word: re.Pattern[str], name: str) -> str:
    """A name without the word for weight or bias, as the key under which the two find each other."""
    *_, last = word.finditer(name)
    return f"{name[: last.start()]}*{name[last.end() :]}"


def length(tensor: TensorRef) -> int | None:
    """Entries of a bias, a vector or a matrix with one row or column; None for any other tensor."""
    return tensor.numel if tensor.ndim == 1 or (tensor.ndim == 2 and 1 in tensor.shape) else None


def unused(weights: Weights, modules: Sequence[Linear]) -> list[str]:
    """Names of the tensors that are in none of the modules."""
    used = {n for m in modules for n in (m.weight, m.bias)}
    return [n for n in weights if n not in used]


def load_bias(weights: Weights, module: Linear) -> Tensor:
    """The bias of a module that has one, as a vector."""
    assert module.bias is not None
    return weights[module.bias].load().reshape(-1)


def not_numbers(weights: Weights, modules: Sequence[Linear]) -> str:
    """Why tensors of the modules cannot be computed with: whole or complex numbers, or none; empty if they are.

    Args:
        weights: the tensors by name.
        modules: matrices and biases.

    Returns:
        A clause for a message.
    """
    for name in (n for m in modules for n in (m.weight, m.bias) if n is not None):
        dtype = weights[name].dtype
        if dtype.is_complex:
            return f"{name} holds complex numbers ({str(dtype).removeprefix('torch.')}), which our models do not compute with"
        if not dtype.is_floating_point:
            return (
                f"{name} holds whole numbers ({str(dtype).removeprefix('torch.')}); quantised weights need their scales"
            )
        if not weights[name].numel:
            return f"{name} {list(weights[name].shape)} holds no number"
    return ""
