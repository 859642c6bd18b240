"""A multilayer perceptron over token pairs or plain vectors, hooked before and after every activation."""

from __future__ import annotations

import itertools
import math
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.hook_point import HookPoint
from interp.hooked.initial import TorchDraws
from interp.hooked.inputs import require_tokens, require_vectors, require_vocabulary
from interp.hooked.mlp.config import MLPConfig
from interp.hooked.mlp.parts import Embed, Layer, Unembed, combine


class HookedMLP(HookedModel):
    """Tokens ``[batch, operand]`` or vectors ``[batch, d_in]`` to logits ``[batch, d_out]``.

    Hook points: ``hook_embed [batch, operand, unit]`` (tokens only), ``hook_input [batch, unit]``,
    ``layers.i.hook_pre`` and ``layers.i.hook_post [batch, unit]``, ``hook_logits``.

    ``forward(inputs, noise)``: ``noise`` is the key of this pass's dropout (`dropout.uniform`); without it, and in
    `resume`, nothing drops out.

    All parameters may be stacked, ``[member, ...]``; inputs are then stacked too, or shared by all members, outputs are
    stacked, and ``noise`` is a key for each member.

    Args:
        config: the model's shape.
    """

    config_class = MLPConfig
    stacks = True
    config: MLPConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: MLPConfig):
        super().__init__(config)
        if config.d_vocab is not None:
            self.embed = Embed(config)
            self.hook_embed = HookPoint("batch", "operand", "unit")
        self.hook_input = HookPoint("batch", "unit")
        widths = (config.width_in, *config.hidden)
        self.layers = nn.ModuleList(Layer(*pair, i, config) for i, pair in enumerate(itertools.pairwise(widths)))
        self.unembed = Unembed(widths[-1], config)
        self.hook_logits = HookPoint("batch", "unit")
        self.setup()

    @override
    def check_inputs(self, inputs: Any) -> None:
        if self.config.d_in is not None:
            require_vectors(inputs, self.config.d_in)
            return
        require_tokens(inputs, "[batch, operand]", stacked=True)
        if inputs.shape[-1] != self.config.n_operands:
            raise InterpError(
                f"inputs must be a LongTensor [batch, {self.config.n_operands}], a token for each operand, "
                f"got {list(inputs.shape)}"
            )

    @override
    def check_values(self, inputs: Any) -> None:
        self.check_inputs(inputs)
        if self.config.d_vocab is not None:
            require_vocabulary(inputs, self.config.d_vocab)

    @override
    def forward(self, inputs: Tensor, noise: Tensor | None = None) -> Tensor:
        """Outputs ``[batch, d_out]``; ``noise`` is the key of a pass with dropout."""
        self.check_inputs(inputs)
        if self.config.d_vocab is None:
            return self._after_input(self.hook_input(inputs), noise=noise)
        return self._after_embed(self.hook_embed(self.embed(inputs)), noise)

    def _after_embed(self, embedded: Tensor, noise: Tensor | None = None) -> Tensor:
        return self._after_input(self.hook_input(combine(embedded, self.config.combine)), noise=noise)

    def _after_input(self, x: Tensor, first: int = 0, noise: Tensor | None = None) -> Tensor:
        for layer in range(first, len(self.layers)):
            x = self.layers[layer](x, noise)
        return self.hook_logits(self.unembed(x))

    def layer(self, index: int) -> Layer:
        """The hidden layer with this index."""
        layer = self.layers[index]
        assert isinstance(layer, Layer)
        return layer

    @override
    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_embed``, ``hook_input``, ``layers.i.hook_pre`` or ``layers.i.hook_post``."""
        if site == "hook_embed" and self.config.d_vocab is not None:
            return self._after_embed(activation)
        if site == "hook_input":
            return self._after_input(activation)
        parts = site.split(".")
        if len(parts) == 3 and parts[0] == "layers" and parts[1].isdigit() and int(parts[1]) < len(self.layers):
            layer = int(parts[1])
            if parts[2] == "hook_pre":
                return self._after_input(self.layer(layer).after_pre(activation), layer + 1)
            if parts[2] == "hook_post":
                return self._after_input(activation, layer + 1)
        raise UnknownSite(
            f"cannot resume an MLP at {site!r}; it resumes at hook_embed (tokens only), hook_input and at "
            f"layers.0..{len(self.layers) - 1}.hook_pre and hook_post"
        )

    @override
    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """Hidden units write into the next layer's ``hook_pre``; the last layer and the inputs into themselves."""
        if site in self.hook_dict and site != "hook_logits":
            layer = int(site.split(".")[1]) + 1 if site.endswith("hook_post") else None
            if layer is not None and layer < len(self.layers):
                return f"layers.{layer}.hook_pre", self.layer(layer).W
            return site, None
        raise UnknownSite(
            f"a change at {site!r} does not arrive at a site where an MLP can resume; use hook_input or hook_post"
        )

    @override
    def reads(self, parameter: str) -> str | None:
        """A layer reads ``hook_post`` of the layer before, the first layer ``hook_input``; embeddings read tokens."""
        if parameter.startswith("unembed."):
            return f"layers.{len(self.layers) - 1}.hook_post" if len(self.layers) else "hook_input"
        if parameter.startswith("layers."):
            layer = int(parameter.split(".")[1])
            return f"layers.{layer - 1}.hook_post" if layer else "hook_input"
        return None

    @override
    def linear_rest(self, site: str) -> Tensor | None:
        """``W_U [unit, d_out]`` after the last hidden layer."""
        last = f"layers.{len(self.layers) - 1}.hook_post" if len(self.layers) else "hook_input"
        return self.W_U if site == last else None

    @override
    def init_std(self, name: str, parameter: Tensor) -> float | None:
        if name.endswith("W_E"):
            return 1 / math.sqrt(parameter.shape[-1])
        return 1 / math.sqrt(parameter.shape[0]) if parameter.ndim > 1 else None

    @override
    def init_like_torch(self, draws: TorchDraws) -> None:
        """An ``nn.Embedding`` for each table, then an ``nn.Linear`` for each layer and for the unembedding."""
        if self.config.d_vocab is not None:
            for table in self.W_E if self.embed.per_operand else [self.W_E]:
                draws.embedding(table)
        for layer in map(self.layer, range(len(self.layers))):
            draws.linear(layer.W, layer.b if layer.bias else None)
        draws.linear(self.W_U, self.unembed.b_U if self.unembed.bias else None)

    @property
    def W_E(self) -> Tensor:
        """Token embeddings ``[d_vocab, d_embed]``, or ``[operand, d_vocab, d_embed]`` with one table per operand."""
        return self.embed.W_E

    @property
    def W_U(self) -> Tensor:
        """The unembedding ``[unit, d_out]``."""
        return self.unembed.W_U
