"""One network as a tree: dicts of layers (Flax, Haiku, Keras), a list of tensors, a list of (weight, bias) pairs (JAX, numpy)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from interp.checkpoints.formats.tensors import TensorRef

# what only JAX's libraries and Keras call a tensor of a layer
OWN = frozenset({"kernel", "embedding", "embeddings", "gamma"})
LEAVES = OWN | {
    "weight", "weights", "w", "b", "W", "B", "bias", "biases", "scale", "offset", "beta", "mean", "var",
    "running_mean", "running_var", "moving_mean", "moving_variance", "moving_var", "recurrent_kernel", "average", "hidden",
    "counter", "count", "cls", "pos_embedding",
}  # fmt: skip
# Haiku calls them w and b, as many do: there the names of the layers speak
LAYER = re.compile(r"[/~]|linear|conv|embed|norm|lstm|gru|mlp|layer|dense|attention", re.IGNORECASE)
STEP = re.compile(r"(?:step|epoch|iter|iteration|ckpt|checkpoint)?[-_]?\d+", re.IGNORECASE)
# collections of flax: what stands in them is flattened, they are not
COLLECTIONS = {"params", "batch_stats", "opt_state", "cache", "state", "ema_params", "target_params", "target", "model"}
# lists side by side, one tensor a layer: of nets written in numpy, and of scikit-learn's
MATRICES = re.compile(r"_*(?:weights?|w|kernels?|coefs?)_*", re.IGNORECASE)
VECTORS = re.compile(r"_*(?:bias(?:es)?|b|intercepts?)_*", re.IGNORECASE)
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

    A dict is such a tree if its innermost dicts hold nothing but tensors under names such as ``weight`` and ``bias``, or if
    it holds a list of matrices and one of biases; a list is one if it holds tensors, or pairs or dicts of a weight and a bias.

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
    >>> list(layers_of({"weights": [t, t], "biases": [v, v]})), list(layers_of([{"w": t, "b": v}, {"w": t.row(0)}]))
    (['0.weight', '0.bias', '1.weight', '1.bias'], ['0.w', '0.b', '1.w'])
    >>> layers_of({"fc.weight": t}), layers_of([{"fc.weight": t}, {"fc.weight": t}]), layers_of({"step_1": {"w": t}})
    ({}, {}, {})
    """
    if isinstance(tree, (list, tuple)):
        return _listed(tree)
    if isinstance(tree, Mapping) and (beside := _side_by_side(tree)):
        return beside
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
    if items and all(_is_layer(item) for item in items):
        shapes = [[t.shape for t in item.values()] for item in items]
        # layers differ in shape; dicts of one shape may as well be networks of one layer
        alike = all(shape == shapes[0] for shape in shapes)
        return {} if alike else {f"{i}.{name}": t for i, item in enumerate(items) for name, t in item.items()}
    found: dict[str, TensorRef] = {}
    for name, tensor in _pairs(items):
        if tensor is None:
            return {}
        found[name] = tensor
    return found


def _is_layer(item: Any) -> bool:
    return (
        isinstance(item, Mapping)
        and bool(item)
        and all(k in LEAVES and isinstance(t, TensorRef) for k, t in item.items())
    )


def _side_by_side(tree: Mapping[Any, Any]) -> dict[str, TensorRef]:
    """The layers of a dict that holds a list of matrices and a list of biases, whatever stands beside them."""
    lists = {str(name): value for name, value in tree.items() if isinstance(value, (list, tuple)) and value}
    matrices = [v for n, v in lists.items() if MATRICES.fullmatch(n) and all(_has_axes(t, 2) for t in v)]
    vectors = [v for n, v in lists.items() if VECTORS.fullmatch(n) and all(_has_axes(t, 1, 2) for t in v)]
    if len(matrices) != 1 or len(vectors) != 1 or len(matrices[0]) != len(vectors[0]) or len(matrices[0]) > MAX_PARTS:
        return {}
    found: dict[str, TensorRef] = {}
    for i, pair in enumerate(zip(matrices[0], vectors[0], strict=True)):
        found |= {f"{i}.weight": pair[0], f"{i}.bias": pair[1]}
    return found


def _has_axes(item: Any, *numbers: int) -> bool:
    return isinstance(item, TensorRef) and item.ndim in numbers


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
