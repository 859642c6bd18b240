"""Nested dicts of parameters, as JAX's libraries keep them, as one dict with names such as ``Dense_0/kernel``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from interp.checkpoints.formats.tensors import TensorRef

# what only JAX's libraries and Keras call a tensor of a layer
OWN = {"kernel", "embedding", "embeddings", "gamma"}
LEAVES = OWN | {"w", "b", "bias", "scale", "offset", "mean", "var", "beta", "average", "hidden", "counter", "moving_mean",
                "moving_variance", "pos_embedding", "cls", "recurrent_kernel", "count"}  # fmt: skip
# Haiku calls them w and b, as many do: there the names of the layers speak
LAYER = re.compile(r"[/~]|linear|conv|embed|norm|lstm|gru|mlp|layer|dense|attention", re.IGNORECASE)
STEP = re.compile(r"(?:step|epoch|iter|iteration|ckpt|checkpoint)?[-_]?\d+", re.IGNORECASE)
# collections of flax: what stands in them is flattened, they are not
COLLECTIONS = {"params", "batch_stats", "opt_state", "cache", "state", "ema_params", "target_params", "target", "model"}
MAX_DEPTH = 50


def flattened(tree: Any, depth: int = 0) -> Any:
    """A tree whose nested dicts of parameters are flat; everything else stays as it is.

    Args:
        tree: that a file holds.
        depth: of the tree in the file's.

    Returns:
        The tree, or a new one.
    """
    if not isinstance(tree, dict) or depth > 3:
        return tree
    if _is_parameters(tree):
        return dict(_leaves(tree, ""))
    made = {name: flattened(value, depth + 1) for name, value in tree.items()}
    return made if any(made[name] is not tree[name] for name in tree) else tree


def _is_parameters(tree: Mapping[Any, Any]) -> bool:
    """Whether a dict holds dicts of parameters, and nothing else."""
    if not any(isinstance(value, dict) for value in tree.values()) or COLLECTIONS & set(map(str, tree)):
        return False
    names: set[str] = set()
    if all(STEP.fullmatch(str(name)) for name in tree) or not _only_leaves(tree, names, 0):
        return False
    return bool(names & OWN) or ("w" in names and all(LAYER.search(name) for name in tree))


def _only_leaves(tree: Mapping[Any, Any], names: set[str], depth: int) -> bool:
    for name, value in tree.items():
        if not isinstance(name, str) or depth > MAX_DEPTH or len(names) > len(LEAVES):
            return False
        if isinstance(value, dict):
            if not _only_leaves(value, names, depth + 1):
                return False
        elif isinstance(value, TensorRef) and name in LEAVES:
            names.add(name)
        else:
            return False
    return True


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, TensorRef]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value
