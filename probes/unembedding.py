"""How the final residual stream becomes logits: the final norm, and the unembedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from interp.errors import InterpError
from interp.hooked import HookedModel, HookedTransformer
from interp.hooked.lens_weights import LensWeights


@dataclass(frozen=True)
class Unembedding:
    """The final norm and the unembedding of a transformer of ours, or of a wrapped bridge.

    With the norm's scale frozen the logits are linear in the stream: ``(x - mean(x)) / scale * weight + bias`` (no mean for an
    RMSNorm), times ``W_U``, plus ``b_U``.

    Attributes:
        model: the transformer.
        W_U: ``[d_model, out]``.
        b_U: ``[out]``.
        normed: whether there is a final norm.
        centred: whether it subtracts the mean.
        weight: of the norm ``[d_model]``; None for one without.
        bias: of the norm ``[d_model]``; None for one without.
    """

    model: HookedModel
    W_U: Float[Tensor, "d_model out"]
    b_U: Float[Tensor, " out"]
    normed: bool
    centred: bool
    weight: Float[Tensor, " d_model"] | None
    bias: Float[Tensor, " d_model"] | None

    @classmethod
    def of(cls, model: HookedModel) -> Unembedding:
        """The final norm and the unembedding of a model.

        Args:
            model: a transformer of ours, or a wrapped bridge.

        Returns:
            them, without gradients.

        Raises:
            InterpError: another kind of network.
        """
        transformer = require_transformer(model)
        norm = getattr(transformer, "ln_final", None)
        normed = transformer.cfg.normalization_type is not None and not isinstance(norm, (nn.Identity, type(None)))
        weight, bias = (_of_norm(norm, names) if normed else None for names in (("w", "weight"), ("b", "bias")))
        return cls(
            model, transformer.W_U.detach(), transformer.b_U.detach(), normed,
            normed and transformer.cfg.normalization_type in ("LN", "LNPre"), weight, bias,
        )  # fmt: skip

    def logits(self, stream: Float[Tensor, "... d_model"]) -> Float[Tensor, "... out"]:
        """Logits of a stream, read as the final one is: by the norm itself, with the scale that this stream has.

        Args:
            stream: ``[..., d_model]``.

        Returns:
            ``[..., out]``.
        """
        if isinstance(self.model, HookedTransformer):
            config = self.model.config
            if config.post_norm:  # the last block's norm stands after hook_resid_post
                stream = self.model.block(config.n_layers - 1).after_post(stream)
            return self.model.unembed(self.model.ln_final(stream))
        normed = require_transformer(self.model).ln_final(stream.flatten(0, -2)[None])[0] if self.normed else stream
        return (normed.reshape(stream.shape) @ self.W_U) + self.b_U

    def directions(self, columns: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
        """Directions of the stream from directions after the norm: what a part of the stream is multiplied with.

        Args:
            columns: of ``W_U``, or sums of them, ``[n, d_model]``.

        Returns:
            ``[n, d_model]``: the norm's weights multiplied in, and the mean taken off where the norm takes it off the stream.
        """
        made = columns if self.weight is None else columns * self.weight
        return made - made.mean(-1, keepdim=True) if self.centred else made


def require_transformer(model: Any) -> Any:
    """A model with TransformerLens's weights, or an error.

    Args:
        model: any.

    Returns:
        the model.

    Raises:
        InterpError: it is neither a transformer of ours nor a wrapped bridge.
    """
    if not isinstance(model, LensWeights):
        raise InterpError(
            f"this needs a transformer's weights by name (W_E, W_Q, ...), which a HookedTransformer and a wrapped "
            f"TransformerBridge have; this is a {type(model).__name__}"
        )
    return model


def _of_norm(norm: Any, names: tuple[str, str]) -> Tensor | None:
    found = next((w for n in names if isinstance(w := getattr(norm, n, None), Tensor)), None)
    return None if found is None else found.detach()
