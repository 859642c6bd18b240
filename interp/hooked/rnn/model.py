"""A recurrent network over tokens or vectors, with hook points at every gate and state."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.hook_point import HookPoint
from interp.hooked.initial import TorchDraws
from interp.hooked.inputs import require_tokens, require_vectors, require_vocabulary
from interp.hooked.rnn.config import RNNConfig
from interp.hooked.rnn.parts import Cell, Layer, Unembed
from interp.hooked.token_embedding import Embed


class HookedRNN(HookedModel):
    """Tokens ``[batch, pos]`` or vectors ``[batch, pos, d_in]`` to outputs ``[batch, d_out]``, or ``[batch, pos, d_out]``.

    Hook points: ``hook_embed [batch, pos, unit]`` (tokens) or ``hook_input`` (vectors); for every layer
    ``layers.0.hook_input [batch, pos, unit]``, then at every step, with axes ``[batch, unit]``: ``layers.0.hook_pre`` of an
    ``"rnn"``; ``hook_reset``, ``hook_update`` and ``hook_candidate`` of a GRU; ``hook_i``, ``hook_f``, ``hook_g``, ``hook_o``
    and ``hook_c`` of an LSTM; ``hook_state``, the hidden state, which the next step and the next layer read; and
    ``hook_final``, what the read-out reads, and ``hook_logits``. The reverse direction has its own:
    ``layers.0.reverse.hook_state``, in the order in which it reads.

    A hook point of a cell fires at every step, so that `interp.capture` returns ``[call, batch, unit]`` and an ablation acts
    at every step. With ``n_ctx`` the state also passes a hook point of its step, ``layers.0.hook_step.17``.

    Args:
        config: the model's shape.

    Attributes:
        fused: let layers without hooks run in torch's kernel; results agree to rounding. cuDNN's kernel has no second
            derivative, so set this to False to take one on a GPU.
    """

    config_class = RNNConfig
    config: RNNConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: RNNConfig):
        super().__init__(config)
        self.fused = True
        if config.d_vocab is not None:
            self.embed, self.hook_embed = (
                Embed(config.d_vocab or 0, config.d_embed or 0),
                HookPoint("batch", "pos", "unit"),
            )
        else:
            self.hook_input = HookPoint("batch", "pos", "unit")
        widths = [config.width_in] + [config.width_state] * (config.n_layers - 1)
        self.layers = nn.ModuleList(Layer(d_in, config) for d_in in widths)
        axes = ("batch", "unit") if config.read == "last" else ("batch", "pos", "unit")
        self.hook_final, self.hook_logits = HookPoint(*axes), HookPoint(*axes)
        if config.d_out is not None:
            self.unembed = Unembed(config)
        self.setup()

    @override
    def check_inputs(self, inputs: Any) -> None:
        if self.config.d_in is None:
            require_tokens(inputs, "[batch, pos]")
            return
        require_vectors(inputs, self.config.d_in)
        if inputs.ndim != 3:
            raise InterpError(
                f"inputs must be a float tensor [batch, pos, {self.config.d_in}], got {list(inputs.shape)}; "
                "a single sequence needs a batch axis: inputs[None]"
            )

    @override
    def check_values(self, inputs: Any) -> None:
        self.check_inputs(inputs)
        if self.config.d_vocab is not None:
            require_vocabulary(inputs, self.config.d_vocab)

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs ``[batch, d_out]`` of the last step, or of each ``[batch, pos, d_out]``."""
        self.check_inputs(inputs)
        entry = self.hook_input(inputs) if self.config.d_vocab is None else self.hook_embed(self.embed(inputs))
        return self._after_layers(self._through(entry, 0))

    def _through(self, x: Tensor, first: int) -> Tensor:
        for layer in range(first, len(self.layers)):
            x = self.layers[layer](x, self.fused)
        return x

    def _after_layers(self, states: Tensor) -> Tensor:
        return self._after_final(self.hook_final(self._read(states)))

    def _read(self, states: Tensor) -> Tensor:
        c = self.config
        if c.read == "each":
            return states
        if not c.bidirectional or c.reverse_read == "last":
            return states[:, -1]
        return torch.cat([states[:, -1, : c.d_hidden], states[:, 0, c.d_hidden :]], -1)

    def _after_final(self, final: Tensor) -> Tensor:
        return self.hook_logits(final if self.config.d_out is None else self.unembed(final))

    def cells(self) -> list[Cell]:
        """The cells, layer by layer, the reverse direction after the forward one: the order of torch's parameters."""
        found: list[Cell] = []
        for layer in self.layers:
            assert isinstance(layer, Layer)
            found += [layer, layer.reverse] if self.config.bidirectional else [layer]
        return found

    @override
    def component_sites(self, kind: str) -> list[str]:
        """Neurons are the units of the hidden states, at all steps together."""
        found = super().component_sites(kind)
        return [name for name in self.hook_dict if name.endswith(".hook_state")] if kind == "neurons" else found

    @override
    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_embed``, ``hook_input``, ``layers.i.hook_input`` or ``hook_final``."""
        if site in ("hook_embed", "hook_input") and site in self.hook_dict:
            return self._after_layers(self._through(activation, 0))
        if site == "hook_final":
            return self._after_final(activation)
        if site in self.hook_dict and (found := re.fullmatch(r"layers\.(\d+)\.hook_input", site)):
            layer = self.layers[int(found[1])]
            assert isinstance(layer, Layer)
            return self._after_layers(self._through(layer.after_input(activation, self.fused), int(found[1]) + 1))
        raise UnknownSite(
            f"cannot resume a recurrent network at {site!r}; it resumes at hook_embed (tokens), hook_input (vectors), "
            f"layers.0..{len(self.layers) - 1}.hook_input and hook_final"
        )

    @override
    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """What layers and the read-out read writes into itself."""
        if site in self.hook_dict and (site in ("hook_embed", "hook_final") or site.endswith("hook_input")):
            return site, None
        raise UnknownSite(
            f"a change at {site!r} does not arrive linearly at a site where a recurrent network can resume; use "
            "layers.0.hook_input or hook_final"
        )

    @override
    def reads(self, parameter: str) -> str | None:
        """A layer reads its ``hook_input``, the read-out ``hook_final``; embeddings read tokens."""
        if parameter.startswith("unembed."):
            return "hook_final"
        return f"layers.{parameter.split('.')[1]}.hook_input" if parameter.startswith("layers.") else None

    @override
    def linear_rest(self, site: str) -> Tensor | None:
        """``W_U [width_state, d_out]`` after ``hook_final``."""
        return self.W_U if site == "hook_final" and self.config.d_out is not None else None

    @override
    def init_std(self, name: str, parameter: Tensor) -> float | None:
        return parameter.shape[-1] ** -0.5 if name.endswith("W_E") else super().init_std(name, parameter)

    @override
    def init_like_torch(self, draws: TorchDraws) -> None:
        """An ``nn.Embedding``, an ``nn.RNN``, ``GRU`` or ``LSTM`` and an ``nn.Linear``, in this order; learned starts 0."""
        c = self.config
        if c.d_vocab is not None:
            draws.embedding(self.W_E)
        for cell in self.cells():
            draws.recurrent_layer(cell.W_ih, cell.W_hh, *((cell.b_ih, cell.b_hh) if c.bias else (None, None)))
            for start in (getattr(cell, name) for name in ("h_0", "c_0") if hasattr(cell, name)):
                start.zero_()
        if c.d_out is not None:
            draws.linear(self.W_U, self.unembed.b_U if c.unembed_bias else None)

    @property
    def W_E(self) -> Tensor:
        """Token embeddings ``[d_vocab, d_embed]``."""
        return self.embed.W_E

    @property
    def W_U(self) -> Tensor:
        """The read-out ``[width_state, d_out]``."""
        return self.unembed.W_U
