"""An LSTM that reads a sequence and answers at its end, with hook points at every gate and state of every step."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.dropout import dropout
from interp.hooked.hook_point import HookPoint
from interp.hooked.initial import TorchDraws
from interp.hooked.inputs import require_tokens, require_vocabulary
from interp.hooked.lstm.config import LSTMConfig
from interp.hooked.lstm.parts import Layer, Unembed
from interp.hooked.token_embedding import Embed


class HookedLSTM(HookedModel):
    """Tokens ``[batch, pos]`` to logits ``[batch, d_out]``, read from the last hidden state of the top layer.

    Hook points: ``hook_embed [batch, pos, unit]``; for every layer and step ``layers.0.hook_h.17`` (hidden state),
    ``hook_c`` (cell state), ``hook_i``, ``hook_f``, ``hook_g`` and ``hook_o`` (gates), each ``[batch, unit]``;
    ``hook_final [batch, unit]``, the unembedding's input; ``hook_logits [batch, unit]``. A change at a step affects all
    later steps. A sequence shorter than ``n_ctx`` passes only the hook points of the first steps. Layers run one after
    the other, each over all steps, and hook points fire in that order.

    ``forward(tokens, noise)``: ``noise`` is the key of this pass's dropout (`dropout.uniform`); without it, and in
    `resume`, nothing drops out.

    Args:
        config: the model's shape.

    Attributes:
        fused: let layers without hooks run in torch's kernel; results agree to rounding. cuDNN's kernel has no second
            derivative, so set this to False to take one on a GPU.
    """

    config_class = LSTMConfig
    config: LSTMConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: LSTMConfig):
        super().__init__(config)
        self.fused = True
        self.embed, self.hook_embed = Embed(config.d_vocab, config.d_embed), HookPoint("batch", "pos", "unit")
        widths = [config.d_embed] + [config.d_hidden] * (config.n_layers - 1)
        self.layers = nn.ModuleList(Layer(d_in, config) for d_in in widths)
        self.hook_final, self.unembed = HookPoint("batch", "unit"), Unembed(config)
        self.hook_logits = HookPoint("batch", "unit")
        self.setup()

    @override
    def check_inputs(self, inputs: Any) -> None:
        require_tokens(inputs, "[batch, pos]")

    @override
    def check_values(self, inputs: Any) -> None:
        self.check_inputs(inputs)
        require_vocabulary(inputs, self.config.d_vocab)

    @override
    def forward(self, tokens: Tensor, noise: Tensor | None = None) -> Tensor:
        """Logits ``[batch, d_out]`` of ``tokens [batch, pos]``; ``noise`` is the key of a pass with dropout."""
        self.check_inputs(tokens)
        # as in the other models, hook points come after the dropout: they pass what the next part reads
        return self._after_embed(self.hook_embed(self._drop(self.embed(tokens), noise, 0)), noise)

    def _after_embed(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        if not 1 <= x.shape[1] <= self.config.n_ctx:
            raise InterpError(f"{x.shape[1]} positions given; the model's context is 1 to {self.config.n_ctx}")
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            states = layer(x, self.fused)
            x = self._drop(states if index < last else states[:, -1], noise, index + 1)
        return self._after_final(self.hook_final(x))

    def _after_final(self, final: Tensor) -> Tensor:
        return self.hook_logits(self.unembed(final))

    def _drop(self, x: Tensor, noise: Tensor | None, salt: int) -> Tensor:
        return dropout(x, self.config.dropout, noise, salt)

    @override
    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_embed`` or ``hook_final``."""
        if site == "hook_embed":
            return self._after_embed(activation)
        if site == "hook_final":
            return self._after_final(activation)
        raise UnknownSite(f"cannot resume an LSTM at {site!r}; it resumes at hook_embed and hook_final")

    @override
    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """``hook_embed`` and ``hook_final`` write into themselves."""
        if site in ("hook_embed", "hook_final"):
            return site, None
        raise UnknownSite(
            f"a change at {site!r} does not arrive linearly at a site where an LSTM can resume; use "
            "hook_embed or hook_final"
        )

    @override
    def reads(self, parameter: str) -> str | None:
        """The unembedding reads ``hook_final``."""
        return "hook_final" if parameter.startswith("unembed.") else None

    @override
    def linear_rest(self, site: str) -> Tensor | None:
        """``W_U [hidden, d_out]`` after ``hook_final``."""
        return self.W_U if site == "hook_final" else None

    @override
    def init_std(self, name: str, parameter: Tensor) -> float | None:
        return parameter.shape[-1] ** -0.5 if name.endswith("W_E") else super().init_std(name, parameter)

    @override
    def init_like_torch(self, draws: TorchDraws) -> None:
        """An ``nn.Embedding``, an ``nn.LSTM`` and an ``nn.Linear``, in this order."""
        draws.embedding(self.W_E)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            draws.recurrent_layer(layer.W_ih, layer.W_hh, layer.b_ih, layer.b_hh)
        draws.linear(self.W_U, self.unembed.b_U)

    @property
    def W_E(self) -> Tensor:
        """Token embeddings ``[d_vocab, d_embed]``."""
        return self.embed.W_E

    @property
    def W_U(self) -> Tensor:
        """The unembedding ``[hidden, d_out]``."""
        return self.unembed.W_U
