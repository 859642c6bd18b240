"""The two circuits of an attention head: where it looks (QK), and what it moves (OV)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from circuits.engine.budget import DEFAULT_BYTES
from circuits.lens.paths import PathWeights
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.subject import Subject

SIDES = ("embed", "pos_embed", "stream")
TARGETS = ("unembed", "stream")


@torch.no_grad()
def qk_circuit(
    subject: Subject | HookedModel,
    head: str | None = None,
    *,
    query: str = "embed",
    key: str = "embed",
    fold_norms: bool = True,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> Tensor:
    """The QK circuit of a head: its attention score from every query to every key, ``W_E W_Q W_K^T W_E^T / scale``.

    In the first layer the scores are the sum of the circuits from tokens and positions to tokens and positions, with biases
    and, behind a norm, over its two scales.

    Args:
        subject: a transformer or a wrapped bridge.
        head: such as ``"L0H1"``; every head by default.
        query: what is written where the query comes from: ``"embed"``, ``"pos_embed"``, or ``"stream"`` for the coordinates of
            the residual stream.
        key: the same for the key.
        fold_norms: multiply in the norm's weights.
        dtype: the subject's precision (float64) by default.
        max_bytes: limit on the result.

    Returns:
        ``[query, key]`` of one head, ``[layer, head, query, key]`` of all. Biases, norms' scales and rotary embeddings are left
        out.

    Raises:
        UnknownName: another side.
        InterpError: no such head, a result that is too large, or another kind of network.

    Elhage et al. 2021, https://transformer-circuits.pub/2021/framework/index.html.
    """
    weights = PathWeights.of(subject, fold_norms, dtype)
    from_query, from_key = _side(weights, query, "query"), _side(weights, key, "key")

    def circuit(layer: int, h: int) -> Tensor:
        left, right = (weights.reads(f"L{layer}H{h} {which}") for which in "QK")
        left = left if from_query is None else from_query @ left
        right = right if from_key is None else from_key @ right
        return left @ right.T / weights.scale(layer)

    d = weights.model.cfg.d_model
    sizes = [d if side is None else len(side) for side in (from_query, from_key)]
    return _of_heads(weights, head, circuit, sizes, max_bytes)


@torch.no_grad()
def ov_circuit(
    subject: Subject | HookedModel,
    head: str | None = None,
    *,
    source: str = "embed",
    target: str = "unembed",
    fold_norms: bool = True,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> Tensor:
    """The OV circuit of a head: what attending to a token adds to every logit, ``W_E W_V W_O W_U``.

    Args:
        subject: a transformer or a wrapped bridge.
        head: such as ``"L0H1"``; every head by default.
        source: what is attended to: ``"embed"``, ``"pos_embed"``, or ``"stream"`` for the coordinates of the residual stream.
        target: ``"unembed"``, or ``"stream"``.
        fold_norms: multiply in the norms' weights.
        dtype: the subject's precision (float64) by default.
        max_bytes: limit on the result.

    Returns:
        ``[source, target]`` of one head, ``[layer, head, source, target]`` of all. Biases and norms' scales are left out.

    Raises:
        UnknownName: another side.
        InterpError: no such head, a result that is too large, or another kind of network.

    Elhage et al. 2021, https://transformer-circuits.pub/2021/framework/index.html.
    """
    weights = PathWeights.of(subject, fold_norms, dtype)
    if target not in TARGETS:
        raise UnknownName(unknown("target", target, TARGETS))
    start, end = _side(weights, source, "source"), weights.reads("unembed") if target == "unembed" else None

    def circuit(layer: int, h: int) -> Tensor:
        left, right = weights.reads(f"L{layer}H{h} V"), weights.writes(f"L{layer}H{h}")
        left = left if start is None else start @ left
        return left @ (right if end is None else right @ end)

    d = weights.model.cfg.d_model
    return _of_heads(
        weights, head, circuit, [d if start is None else len(start), d if end is None else end.shape[1]], max_bytes
    )


def _side(weights: PathWeights, name: str, what: str) -> Tensor | None:
    if name not in SIDES:
        raise UnknownName(unknown(what, name, SIDES))
    return None if name == "stream" else weights.writes(name)


def _of_heads(weights: PathWeights, head: str | None, circuit, sizes: Sequence[int], max_bytes: int) -> Tensor:
    cfg = weights.model.cfg
    count = cfg.n_layers * cfg.n_heads if head is None else 1
    needed = count * sizes[0] * sizes[1] * 8
    if needed > max_bytes:
        raise InterpError(
            f"circuits of {count} heads between {sizes[0]:,} and {sizes[1]:,} features take {needed / 2**20:,.0f} MiB, more than "
            f"max_bytes ({max_bytes / 2**20:,.0f} MiB): name one head, or use query='stream', key='stream' or the like"
        )
    if head is None:
        return torch.stack([
            torch.stack([circuit(layer, h) for h in range(cfg.n_heads)]) for layer in range(cfg.n_layers)
        ])  # fmt: skip
    layer, number, which = weights.parsed(head)
    if number is None or which is not None:
        raise InterpError(f"a head is named such as L0H1, got {head!r}")
    return circuit(layer, number)
