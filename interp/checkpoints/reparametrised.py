"""Weights that a file keeps in parts: pruned, weight-normalised, spectrally normalised, or with a low-rank update beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from interp.checkpoints.formats.tensors import TensorRef

Weights = Mapping[str, TensorRef]


class Resolved(NamedTuple):
    """Weights as the network uses them.

    Attributes:
        weights: by name, in the file's order.
        notes: what was put together.
    """

    weights: dict[str, TensorRef]
    notes: list[str]


def resolve(weights: Weights, config: Mapping[str, Any]) -> Resolved:
    """Put weights together that torch's reparametrisations, or LoRA, keep in parts.

    Torch's prune (``weight_orig * weight_mask``), both weight norms, both spectral norms in evaluation, and pairs of LoRA
    where the config states their scale (``lora_alpha``, ``r``). See `torch.nn.utils
    <https://docs.pytorch.org/docs/stable/nn.html#utilities>`_.

    Args:
        weights: the tensors by name.
        config: the training config, for the scale of LoRA.

    Returns:
        The tensors with each weight in one piece, and a note for every kind that was found.
    """
    found, notes = dict(weights), []
    for step in (_pruned, _weight_norm, _spectral_norm, _lora):
        found, said = step(found, config)
        notes += said
    return Resolved(found, notes)


def _put(weights: Weights, parts: Mapping[str, Sequence[str]], combine: Callable[..., Tensor]) -> dict[str, TensorRef]:
    """The weights with each name of ``parts`` in place of its parts; it has the shape of the last of these."""
    whole = {p: name for name, names in parts.items() for p in names}
    result: dict[str, TensorRef] = {}
    for name, tensor in weights.items():
        target = whole.get(name)
        if target is None:
            result.setdefault(name, tensor)
        elif target not in result:
            refs = [weights[p] for p in parts[target]]
            shape, dtype, device = refs[-1].shape, refs[-1].dtype, refs[-1].device
            result[target] = TensorRef(shape, dtype, device, lambda refs=refs: combine(*(r.load() for r in refs)))
    return result


def _pruned(weights: Weights, config: Mapping[str, Any]) -> tuple[dict[str, TensorRef], list[str]]:
    stems = [
        n.removesuffix("_orig") for n in weights if n.endswith("_orig") and n.removesuffix("_orig") + "_mask" in weights
    ]
    stems = [
        s for s in stems if weights[f"{s}_orig"].shape == weights[f"{s}_mask"].shape and weights[f"{s}_mask"].numel
    ]
    if not stems:
        return dict(weights), []
    masked = sum(int((weights[f"{s}_mask"].load() == 0).sum()) for s in stems)
    total = sum(weights[f"{s}_mask"].numel for s in stems)
    parts = {s: (f"{s}_mask", f"{s}_orig") for s in stems}
    note = f"pruned with torch: {_names(stems)} times the mask; {masked / total:.0%} of {total:,} entries are masked"
    return _put(weights, parts, lambda mask, weight: weight * mask.to(weight.dtype)), [note]


def _weight_norm(weights: Weights, config: Mapping[str, Any]) -> tuple[dict[str, TensorRef], list[str]]:
    """``g * v / |v|``, the norm over all axes on which g has one entry."""
    parts = {}
    for name in weights:
        for g, v, stem in (
            (name, name.removesuffix("_g") + "_v", name.removesuffix("_g")),
            (
                name,
                name.removesuffix("original0") + "original1",
                name.removesuffix(".original0").replace("parametrizations.", ""),
            ),
        ):
            if (
                name.endswith(("_g", ".original0"))
                and v != name
                and v in weights
                and _norm_axes(weights[g], weights[v]) is not None
            ):
                parts[stem] = (g, v)
    if not parts:
        return dict(weights), []

    def combine(g: Tensor, v: Tensor) -> Tensor:
        axes = [i for i in range(v.ndim) if g.ndim == 0 or g.shape[i] == 1]
        return v * (g / torch.linalg.vector_norm(v, dim=axes, keepdim=g.ndim > 0))

    return _put(weights, parts, combine), [f"weight norm resolved: {_names(list(parts))}"]


def _are_floats(*tensors: TensorRef) -> bool:
    return all(t.dtype.is_floating_point for t in tensors)


def _norm_axes(g: TensorRef, v: TensorRef) -> tuple[int, ...] | None:
    if not _are_floats(g, v):
        return None
    if g.ndim == 0:
        return tuple(range(v.ndim))
    fits = g.ndim == v.ndim and all(a in (1, b) for a, b in zip(g.shape, v.shape, strict=True))
    return tuple(i for i, n in enumerate(g.shape) if n == 1) if fits else None


def _spectral_norm(weights: Weights, config: Mapping[str, Any]) -> tuple[dict[str, TensorRef], list[str]]:
    """``W / (u^T W v)`` with the stored u and v, as in evaluation; W is unfolded so that its first axis has u's length."""
    parts = {}
    for name, tensor in weights.items():
        stem, own = name.removesuffix("_orig"), name.removesuffix(".original")
        for target, u, v in (
            (stem, f"{stem}_u", f"{stem}_v"),
            (own.replace("parametrizations.", ""), f"{own}.0._u", f"{own}.0._v"),
        ):
            vectors = name.endswith(("_orig", ".original")) and u in weights and v in weights
            if (
                vectors
                and _are_floats(weights[u], weights[v], tensor)
                and weights[u].ndim == weights[v].ndim == 1
                and 0 < weights[u].numel * weights[v].numel == tensor.numel
                and weights[u].numel in tensor.shape
            ):
                parts[target] = (u, v, name)
    if not parts:
        return dict(weights), []

    def combine(u: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        axis = next(i for i, n in enumerate(weight.shape) if n == len(u))
        flat = weight.movedim(axis, 0).reshape(len(u), -1)
        return weight / torch.dot(u.to(weight.dtype), flat @ v.to(weight.dtype))

    return _put(weights, parts, combine), [f"spectral norm resolved: {_names(list(parts))}"]


def _lora(weights: Weights, config: Mapping[str, Any]) -> tuple[dict[str, TensorRef], list[str]]:
    """``W + scale * B A``, where the config states the scale."""
    pairs = {}
    for name in weights:
        for a, b in (
            (".lora_A.weight", ".lora_B.weight"),
            (".lora_A.default.weight", ".lora_B.default.weight"),
            (".lora_A", ".lora_B"),
        ):
            stem = name.removesuffix(a)
            if name.endswith(a) and stem + b in weights:
                base = next((n for n in (f"{stem}.base_layer.weight", f"{stem}.weight") if n in weights), None)
                pairs[stem] = (name, stem + b, base)
    if not pairs:
        return dict(weights), []
    alpha, rank = config.get("lora_alpha"), config.get("r", config.get("lora_r", config.get("lora_rank")))
    known = all(isinstance(x, (int, float)) and not isinstance(x, bool) and x > 0 for x in (alpha, rank))
    fitting = [_fits_update(*(weights[n] for n in names if n is not None)) for names in pairs.values()]
    if not known or not all(fitting):
        lacking = _not_merged(all(base is None for *_, base in pairs.values()), known)
        return dict(weights), [f"low-rank updates (LoRA) were not merged into {_names(list(pairs))}: {lacking}"]
    scale = float(alpha) / float(rank)  # pyright: ignore[reportArgumentType]  both are numbers by the check above
    parts = {f"{s}.weight": (a, b, base) for s, (a, b, base) in pairs.items() if base is not None}
    merged = _put(weights, parts, lambda a, b, weight: weight + scale * (b.to(weight.dtype) @ a.to(weight.dtype)))
    merged = {n.replace(".base_layer.", "."): t for n, t in merged.items()}
    return merged, [f"low-rank updates (LoRA) merged with scale {scale:g}: {_names(list(pairs))}"]


def _not_merged(alone: bool, known: bool) -> str:
    """Why updates were not merged: no weights to update, no scale, or shapes that don't fit."""
    if alone:
        return (
            "the weights that they update are not in the file, which is an adapter alone: merge it into its model with peft's "
            "merge_and_unload(), and save that"
        )
    if not known:
        return "the config does not state lora_alpha and r"
    return "the weights that they update are not in the file, or of another shape"


def _fits_update(a: TensorRef, b: TensorRef, base: TensorRef | None = None) -> bool:
    """Whether ``B A`` can be added to a weight: A [r, in], B [out, r], the weight [out, in]."""
    if base is None or not _are_floats(a, b, base) or not a.ndim == b.ndim == 2:
        return False
    return a.shape[0] == b.shape[1] and (b.shape[0], a.shape[1]) == base.shape


def _names(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
