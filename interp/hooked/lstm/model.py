"""An LSTM that reads a sequence and answers at its end, hooked at every gate and state of every step."""

from __future__ import annotations

from torch import Tensor, nn

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel, HookPoint
from interp.hooked.dropout import dropout
from interp.hooked.initial import TorchDraws
from interp.hooked.lstm.parts import Embed, Layer, LSTMConfig, Unembed


class HookedLSTM(HookedModel):
    """Tokens ``[batch, pos]`` to logits ``[batch, d_out]``, read from the last hidden state of the top layer.

    Hook points: ``hook_embed [batch, pos, unit]``; for every layer and step ``layers.0.hook_h.17`` (hidden state),
    ``hook_c`` (cell state), ``hook_i``, ``hook_f``, ``hook_g`` and ``hook_o`` (gates), each ``[batch, unit]``;
    ``hook_final [batch, unit]``, what the unembedding reads; ``hook_logits [batch, unit]``. A change at a step flows on
    from there. A sequence shorter than ``n_ctx`` passes the points of the first steps alone. Layers run one after the
    other, each over all steps, so points fire in that order.

    ``forward(tokens, noise)``: ``noise`` is the key of this pass's dropout (`dropout.uniform`); without it, and in
    `resume`, nothing drops out.

    Attributes:
        fused: let layers that nobody watches run in torch's kernel; results agree to rounding. cuDNN's has no second
            derivative, so set it to False to take one on a GPU.
    """

    config_class = LSTMConfig
    config: LSTMConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: LSTMConfig):
        super().__init__(config)
        self.fused = True
        self.embed, self.hook_embed = Embed(config), HookPoint("batch", "pos", "unit")
        widths = [config.d_embed] + [config.d_hidden] * (config.n_layers - 1)
        self.layers = nn.ModuleList(Layer(d_in, config) for d_in in widths)
        self.hook_final, self.unembed = HookPoint("batch", "unit"), Unembed(config)
        self.hook_logits = HookPoint("batch", "unit")
        self.setup()

    def forward(self, tokens: Tensor, noise: Tensor | None = None) -> Tensor:
        # behind the dropout, as in the other models: a hook point passes what the next part reads
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

    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_embed`` or ``hook_final``."""
        if site == "hook_embed":
            return self._after_embed(activation)
        if site == "hook_final":
            return self._after_final(activation)
        raise UnknownSite(f"cannot resume an LSTM at {site!r}; it resumes at hook_embed and hook_final")

    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """``hook_embed`` and ``hook_final`` write into themselves."""
        if site in ("hook_embed", "hook_final"):
            return site, None
        raise UnknownSite(
            f"a change at {site!r} does not arrive linearly at any site that the model can be resumed at; use "
            "hook_embed or hook_final"
        )

    def reads(self, parameter: str) -> str | None:
        """The unembedding acts on ``hook_final``."""
        return "hook_final" if parameter.startswith("unembed.") else None

    def linear_rest(self, site: str) -> Tensor | None:
        """``W_U [hidden, d_out]`` after ``hook_final``."""
        return self.W_U if site == "hook_final" else None

    def init_std(self, name: str, parameter: Tensor) -> float | None:
        return parameter.shape[-1] ** -0.5 if name.endswith("W_E") else super().init_std(name, parameter)

    def init_like_torch(self, draws: TorchDraws) -> None:
        """An ``nn.Embedding``, an ``nn.LSTM`` and an ``nn.Linear``, in this order."""
        draws.embedding(self.W_E)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            draws.lstm_layer(layer.W_ih, layer.W_hh, layer.b_ih, layer.b_hh)
        draws.linear(self.W_U, self.unembed.b_U)

    @property
    def W_E(self) -> Tensor:
        return self.embed.W_E

    @property
    def W_U(self) -> Tensor:
        return self.unembed.W_U
