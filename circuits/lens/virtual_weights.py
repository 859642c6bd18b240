"""Virtual and effective weights: products of weight matrices along a path through the residual stream."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.lens.paths import PathWeights, product
from interp.hooked.base import HookedModel
from interp.subject import Subject


@torch.no_grad()
def virtual_weights(
    subject: Subject | HookedModel,
    writer: str,
    reader: str,
    *,
    fold_norms: bool = True,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "writer reader"]:
    """Virtual weights between two parts of any layers: what one writes into the residual stream, times what the other reads.

    Args:
        subject: a transformer or a wrapped bridge.
        writer: ``"embed"``, ``"pos_embed"``, a head ``"L0H1"`` (its values), or an MLP ``"L0 mlp"`` (its neurons).
        reader: a later head's queries, keys or values ``"L1H0 Q"``, an MLP ``"L1 mlp"`` (its neurons), or ``"unembed"``.
        fold_norms: multiply in the weights of the norm that the reader reads through; its scale is left out.
        dtype: the subject's precision (float64) by default.

    Returns:
        a matrix, such as ``W_out @ W_U [d_mlp, d_vocab]`` for ``("L0 mlp", "unembed")``.

    Raises:
        InterpError: no such part, or a reader before its writer; another kind of network.

    Elhage et al. 2021, A Mathematical Framework for Transformer Circuits,
    https://transformer-circuits.pub/2021/framework/index.html.
    """
    return product(PathWeights.of(subject, fold_norms, dtype), [writer, reader])


@torch.no_grad()
def effective_weights(
    subject: Subject | HookedModel,
    path: str | Sequence[str],
    *,
    fold_norms: bool = True,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "first last"]:
    """Effective weights along a path: from tokens through heads to neurons, from neurons to logits.

    Heads in between pass on what they read by their OV circuit, as if they attended to the token alone. Neurons are not linear,
    so they begin or end a path. ``"embed -> L0H1 -> L0 mlp"`` is ``W_E W_V W_O W_in``, and ``"L0 mlp -> unembed"`` is
    ``W_out W_U``: Nanda's ``W_neur`` and ``W_logit`` of a grokked network.

    Args:
        subject: a transformer or a wrapped bridge.
        path: parts in order, as one text with arrows or a list: ``embed``, ``pos_embed``, heads, MLPs, ``unembed``.
        fold_norms: multiply in the weights of the norms on the way; their scales are left out, and all biases.
        dtype: the subject's precision (float64) by default.

    Returns:
        ``[features of the first, features of the last]``.

    Raises:
        InterpError: no such path, or another kind of network.

    Nanda et al. 2023, Progress measures for grokking via mechanistic interpretability, https://arxiv.org/abs/2301.05217.

    >>> import interp
    >>> subject = interp.load(interp.__path__[0] + "/demo/run")
    >>> effective_weights(subject, "embed -> L0H1 -> L0 mlp").shape, effective_weights(subject, "L0 mlp -> unembed").shape
    (torch.Size([54, 192]), torch.Size([192, 53]))
    """
    return product(PathWeights.of(subject, fold_norms, dtype), path)
