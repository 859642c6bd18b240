"""One network as a tree: a dict of layers (Flax, Haiku), a list of tensors, a list of (weight, bias) pairs (JAX, numpy)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interp.checkpoints.formats.tensors import TensorRef

# what libraries call the tensors of a single layer
LEAVES = frozenset({
    "kernel", "bias", "weight", "weights", "w", "b", "W", "B", "scale", "offset", "embedding", "embeddings", "gamma", "beta",
    "mean", "var", "running_mean", "running_var", "moving_mean", "moving_variance", "moving_var", "recurrent_kernel",
})  # fmt: skip
MAX_DEPTH = 6
MAX_TENSORS = 100_000


def layers_of(tree: Any) -> dict[str, TensorRef]:
    """The tensors of one network that is kept as a tree of layers, by their paths with dots.

    A dict is such a tree if its innermost dicts hold nothing but tensors under names such as ``kernel`` and ``bias``; a list
    is one if it holds tensors, or pairs of a weight and a bias.

    Args:
        tree: any part of what a file holds.

    Returns:
        The tensors; empty for anything else, such as a flat state dict or a list of networks.

    >>> import torch
    >>> t, v = TensorRef.of(torch.zeros(2, 2)), TensorRef.of(torch.zeros(2))
    >>> list(layers_of({"Dense_0": {"kernel": t, "bias": v}, "Dense_1": {"kernel": t}}))
    ['Dense_0.kernel', 'Dense_0.bias', 'Dense_1.kernel']
    >>> list(layers_of([(t, v), (t,)])), list(layers_of([t, t]))
    (['0.weight', '0.bias', '1.weight'], ['0', '1'])
    >>> layers_of({"fc.weight": t}), layers_of([{"fc.weight": t}, {"fc.weight": t}])
    ({}, {})
    """
    found: dict[str, TensorRef] = {}
    leaves = _listed(tree) if isinstance(tree, (list, tuple)) else _named(tree, "", 0)
    for name, tensor in leaves:
        if tensor is None or len(found) >= MAX_TENSORS:
            return {}
        found[name] = tensor
    return found if any("." in name for name in found) or isinstance(tree, (list, tuple)) else {}


def _named(tree: Any, prefix: str, depth: int) -> Iterator[tuple[str, TensorRef | None]]:
    """The tensors of a dict of layers by path; a None where it is something else."""
    if not isinstance(tree, Mapping) or not tree or depth > MAX_DEPTH:
        yield prefix, None
        return
    for name, item in tree.items():
        if isinstance(item, TensorRef):
            yield f"{prefix}{name}", item if depth and name in LEAVES else None
        else:
            yield from _named(item, f"{prefix}{name}.", depth + 1)


def _listed(items: list[Any] | tuple[Any, ...]) -> Iterator[tuple[str, TensorRef | None]]:
    """The tensors of a list of tensors, or of pairs of a matrix and a vector; a None where it is something else."""
    if items and all(isinstance(item, TensorRef) and item.ndim for item in items):
        yield from ((str(i), item) for i, item in enumerate(items))
        return
    for i, item in enumerate(items):
        if isinstance(item, (list, tuple)) and not item:
            continue  # a layer without parameters, as JAX's stax keeps its activations
        pair = isinstance(item, (list, tuple)) and len(item) <= 2 and all(isinstance(t, TensorRef) for t in item)
        if not pair or not item or item[0].ndim < 2 or (len(item) == 2 and item[1].ndim != 1):
            yield str(i), None
            return
        yield from zip((f"{i}.weight", f"{i}.bias"), item, strict=False)
