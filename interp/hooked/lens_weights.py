"""A transformer's weights under TransformerLens's names, stacked over layers, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor


class LensWeights:
    """Weights by TransformerLens's names, of a transformer of ours or of a wrapped bridge.

    A subclass gives `_weight`. A weight that the model lacks is an AttributeError; a bias that it lacks is zeros, as in
    TransformerLens.
    """

    if TYPE_CHECKING:

        @property
        def cfg(self) -> Any:
            """The model's config, by TransformerLens's names."""

    def _weight(self, name: str) -> Tensor:
        """The weight of a name, stacked over layers where every layer has one."""
        raise NotImplementedError

    @property
    def W_E(self) -> Tensor:
        """Token embeddings ``[d_vocab, d_model]``."""
        return self._weight("W_E")

    @property
    def W_pos(self) -> Tensor:
        """Position embeddings ``[n_ctx, d_model]``."""
        return self._weight("W_pos")

    @property
    def W_U(self) -> Tensor:
        """The unembedding ``[d_model, d_vocab_out]``."""
        return self._weight("W_U")

    @property
    def b_U(self) -> Tensor:
        """Bias of the unembedding ``[d_vocab_out]``."""
        return self._weight("b_U")

    @property
    def W_Q(self) -> Tensor:
        """Query weights ``[layer, head, d_model, d_head]``."""
        return self._weight("W_Q")

    @property
    def W_K(self) -> Tensor:
        """Key weights ``[layer, head, d_model, d_head]``."""
        return self._weight("W_K")

    @property
    def W_V(self) -> Tensor:
        """Value weights ``[layer, head, d_model, d_head]``."""
        return self._weight("W_V")

    @property
    def W_O(self) -> Tensor:
        """Output weights of the heads ``[layer, head, d_head, d_model]``."""
        return self._weight("W_O")

    @property
    def b_Q(self) -> Tensor:
        """Query biases ``[layer, head, d_head]``."""
        return self._weight("b_Q")

    @property
    def b_K(self) -> Tensor:
        """Key biases ``[layer, head, d_head]``."""
        return self._weight("b_K")

    @property
    def b_V(self) -> Tensor:
        """Value biases ``[layer, head, d_head]``."""
        return self._weight("b_V")

    @property
    def b_O(self) -> Tensor:
        """Output biases of attention ``[layer, d_model]``."""
        return self._weight("b_O")

    @property
    def W_in(self) -> Tensor:
        """Input weights of the MLPs ``[layer, d_model, d_mlp]``."""
        return self._weight("W_in")

    @property
    def W_gate(self) -> Tensor:
        """Gate weights of gated MLPs ``[layer, d_model, d_mlp]``."""
        return self._weight("W_gate")

    @property
    def W_out(self) -> Tensor:
        """Output weights of the MLPs ``[layer, d_mlp, d_model]``."""
        return self._weight("W_out")

    @property
    def b_in(self) -> Tensor:
        """Input biases of the MLPs ``[layer, d_mlp]``."""
        return self._weight("b_in")

    @property
    def b_out(self) -> Tensor:
        """Output biases of the MLPs ``[layer, d_model]``."""
        return self._weight("b_out")

    @property
    def QK(self) -> Tensor:
        """``W_Q W_K^T`` of every head ``[layer, head, d_model, d_model]``: query side first; the scores' scale is left out."""
        return self.W_Q @ self.W_K.mT

    @property
    def OV(self) -> Tensor:
        """``W_V W_O`` of every head ``[layer, head, d_model, d_model]``: what is read first, then what is written."""
        return self.W_V @ self.W_O

    @property
    def all_head_labels(self) -> list[str]:
        """``L0H0``, ``L0H1``, ... of every head, layer by layer."""
        return [f"L{layer}H{head}" for layer in range(self.cfg.n_layers) for head in range(self.cfg.n_heads)]

    def tokens_to_residual_directions(self, tokens: int | Tensor) -> Tensor:
        """The columns of ``W_U`` that belong to tokens; the final norm's weights are left out, as in TransformerLens.

        Args:
            tokens: a token, or a tensor of them.

        Returns:
            ``[..., d_model]``.
        """
        found = self.W_U.T[torch.as_tensor(tokens, device=self.W_U.device)]
        return found.flatten() if isinstance(tokens, Tensor) and tokens.numel() == 1 else found

    def accumulated_bias(self, layer: int, mlp_input: bool = False, include_mlp_biases: bool = True) -> Tensor:
        """The biases that attention and MLPs have written before a layer.

        Args:
            layer: the biases of all layers before it.
            mlp_input: that of the layer's own attention, too.
            include_mlp_biases: whether those of the MLPs count.

        Returns:
            ``[d_model]``.
        """
        total = self.b_O[: layer + mlp_input].sum(0)
        if include_mlp_biases and not self.cfg.attn_only:
            total = total + self.b_out[:layer].sum(0)
        return total
