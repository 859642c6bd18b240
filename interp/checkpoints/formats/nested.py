"""One network as a tree: dicts of layers (Flax, Haiku, Keras), a list of tensors, a list of (weight, bias) pairs (JAX, numpy)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from interp.checkpoints.formats.tensors import TensorRef

# what only JAX's libraries and Keras call a tensor of a layer
OWN = frozenset({"kernel", "embedding", "embeddings", "gamma"})
LEAVES = OWN | {
    "weight", "weights", "w", "b", "W", "B", "bias", "scale", "offset", "beta", "mean", "var", "running_mean", "running_var",
    "moving_mean", "moving_variance", "moving_var", "recurrent_kernel", "average", "hidden", "counter", "count", "cls",
    "pos_embedding",
}  # fmt: skip
# Haiku calls them w and b, as many do: there the names of the layers speak
LAYER = re.compile(r"[/~]|linear|conv|embed|norm|lstm|gru|mlp|layer|dense|attention", re.IGNORECASE)
STEP = re.compile(r"(?:step|epoch|iter|iteration|ckpt|checkpoint)?[-_]?\d+", re.IGNORECASE)
# collections of flax: what stands in them is flattened, they are not
COLLECTIONS = {"params", "batch_stats", "opt_state", "cache", "state", "ema_params", "target_params", "target", "model"}
MAX_DEPTH = 50
MAX_PARTS = 100_000


def flattened(tree: Any, depth: int = 0) -> Any:
    """A tree whose nested dicts of parameters of JAX's libraries are flat, under names such as ``Dense_0/kernel``.

    Args:
        tree: that a file holds.
        depth: of the tree in the file's.

    Returns:
        The tree, or a new one; everything else in it stays as it is.
    """
    if not isinstance(tree, dict) or depth > 3:
        return tree
    leaves = _leaves(tree)
    if leaves and _speaks_of_jax(tree, {path[-1] for path in leaves}):
        return {"/".join(path): tensor for path, tensor in leaves.items()}
    made = {name: flattened(value, depth + 1) for name, value in tree.items()}
    return made if any(made[name] is not tree[name] for name in tree) else tree


def layers_of(tree: Any) -> dict[str, TensorRef]:
    """The tensors of one network that is kept as a tree of layers, by their paths with dots.

    A dict is such a tree if its innermost dicts hold nothing but tensors under names such as ``weight`` and ``bias``; a list
    is one if it holds tensors, or pairs of a weight and a bias.

    Args:
        tree: any part of what a file holds.

    Returns:
        The tensors; empty for anything else, such as a flat state dict, a list of networks or a dict of steps.

    >>> import torch
    >>> t, v = TensorRef.of(torch.zeros(2, 2)), TensorRef.of(torch.zeros(2))
    >>> list(layers_of({"fc1": {"weight": t, "bias": v}, "fc2": {"weight": t}}))
    ['fc1.weight', 'fc1.bias', 'fc2.weight']
    >>> list(layers_of([(t, v), (t,)])), list(layers_of([t, t]))
    (['0.weight', '0.bias', '1.weight'], ['0', '1'])
    >>> layers_of({"fc.weight": t}), layers_of([{"fc.weight": t}, {"fc.weight": t}]), layers_of({"step_1": {"w": t}})
    ({}, {}, {})
    """
    if isinstance(tree, (list, tuple)):
        return _listed(tree)
    if not isinstance(tree, Mapping) or all(STEP.fullmatch(str(name)) and not str(name).isdecimal() for name in tree):
        return {}
    return {".".join(path): tensor for path, tensor in _leaves(tree).items()}


def _leaves(tree: Mapping[Any, Any]) -> dict[tuple[str, ...], TensorRef]:
    """The tensors of a dict of layers by path; empty if it holds no dicts, or anything else than layers."""
    found: dict[tuple[str, ...], TensorRef] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    for _ in range(MAX_PARTS):
        if not waiting:
            return found if any(len(path) > 1 for path in found) else {}
        path, part = waiting.pop()
        if isinstance(part, TensorRef) and path[-1] in LEAVES and path not in found:
            found[path] = part
        elif isinstance(part, Mapping) and len(path) < MAX_DEPTH and len(waiting) + len(part) < MAX_PARTS:
            waiting += [((*path, str(name)), inner) for name, inner in reversed(list(part.items()))]
        else:
            return {}
    return {}


def _speaks_of_jax(tree: Mapping[Any, Any], names: set[str]) -> bool:
    """Whether names of tensors, or of layers, are those of JAX's libraries and the dict is one network."""
    if COLLECTIONS & set(map(str, tree)) or all(STEP.fullmatch(str(name)) for name in tree):
        return False
    known = bool(names & OWN) or ("w" in names and all(LAYER.search(str(name)) for name in tree))
    return known and all(isinstance(name, str) for name in tree)


def _listed(items: list[Any] | tuple[Any, ...]) -> dict[str, TensorRef]:
    """The tensors of a list of tensors, or of pairs of a matrix and a vector; empty for other lists."""
    if len(items) > MAX_PARTS:
        return {}
    if items and all(isinstance(item, TensorRef) and item.ndim for item in items):
        return {str(i): item for i, item in enumerate(items)}
    found: dict[str, TensorRef] = {}
    for name, tensor in _pairs(items):
        if tensor is None:
            return {}
        found[name] = tensor
    return found


def _pairs(items: list[Any] | tuple[Any, ...]) -> Iterator[tuple[str, TensorRef | None]]:
    """Weights and biases; a None where an item is not a pair."""
    for i, item in enumerate(items):
        if isinstance(item, (list, tuple)) and not item:
            continue  # a layer without parameters, as JAX's stax keeps its activations
        pair = isinstance(item, (list, tuple)) and len(item) <= 2 and all(isinstance(t, TensorRef) for t in item)
        shapes = [t.ndim for t in item] if pair else []
        if not shapes or shapes[0] < 2 or shapes[1:] not in ([], [1]):
            yield str(i), None
            return
        yield from zip((f"{i}.weight", f"{i}.bias"), item, strict=False)
