"""A multilayer perceptron over token pairs or plain vectors, hooked before and after every activation."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import Config, HookedModel, HookPoint, make_activation


@dataclass(frozen=True)
class MLPConfig(Config):
    """Shape of a `HookedMLP`.

    With ``d_vocab`` the input is tokens ``[batch, operand]``, embedded by one shared table or by one per operand and
    then concatenated or summed; without it the input is vectors ``[batch, d_in]``. ``hidden`` lists the widths of the
    hidden layers, first to last; the unembedding follows the last.
    """

    kind: ClassVar[str] = "mlp"

    hidden: tuple[int, ...]
    d_out: int
    d_vocab: int | None = None
    d_embed: int | None = None
    n_operands: int = 2
    embedding: Literal["shared", "per_operand"] = "shared"
    combine: Literal["concat", "sum"] = "concat"
    d_in: int | None = None
    act_fn: str = "relu"
    bias: bool = True
    unembed_bias: bool = True

    def __post_init__(self) -> None:
        if (self.d_vocab is None) == (self.d_in is None):
            raise InterpError("an MLPConfig takes either d_vocab (tokens in) or d_in (vectors in), and not both")
        if self.d_vocab is not None and self.d_embed is None:
            raise InterpError("an MLPConfig with d_vocab also needs d_embed")
        if self.embedding not in ("shared", "per_operand") or self.combine not in ("concat", "sum"):
            raise InterpError(
                "MLPConfig.embedding is 'shared' or 'per_operand' and combine is 'concat' or 'sum'; "
                f"got {self.embedding!r} and {self.combine!r}"
            )
        if min((self.d_out, *self.hidden)) < 1:
            raise InterpError(f"widths must be at least 1, got hidden {self.hidden} and d_out {self.d_out}")
        make_activation(self.act_fn)

    @property
    def width_in(self) -> int:
        """Features that reach the first layer."""
        if self.d_embed is None:
            return self.d_in or 0
        return self.d_embed * (self.n_operands if self.combine == "concat" else 1)


class Embed(nn.Module):
    """``W_E [d_vocab, d_embed]``, or ``[operand, d_vocab, d_embed]`` with a table per operand."""

    def __init__(self, config: MLPConfig):
        super().__init__()
        self.per_operand = config.embedding == "per_operand"
        shape = (config.d_vocab or 0, config.d_embed or 0)
        self.W_E = nn.Parameter(torch.zeros((config.n_operands, *shape) if self.per_operand else shape))

    def forward(self, tokens: Tensor) -> Tensor:
        if self.per_operand:
            return self.W_E[torch.arange(tokens.shape[-1], device=tokens.device), tokens]
        return self.W_E[tokens]


class Layer(nn.Module):
    """``W [in, out]``, a bias unless switched off, and an activation between two hook points."""

    def __init__(self, d_in: int, d_out: int, config: MLPConfig):
        super().__init__()
        self.act, self.bias = make_activation(config.act_fn), config.bias
        self.W = nn.Parameter(torch.zeros(d_in, d_out))
        if self.bias:
            self.b = nn.Parameter(torch.zeros(d_out))
        self.hook_pre = HookPoint("batch", "unit")
        self.hook_post = HookPoint("batch", "unit")

    def forward(self, x: Tensor) -> Tensor:
        return self.after_pre(self.hook_pre(x @ self.W + self.b if self.bias else x @ self.W))

    def after_pre(self, pre: Tensor) -> Tensor:
        return self.hook_post(self.act(pre))


class Unembed(nn.Module):
    def __init__(self, d_in: int, config: MLPConfig):
        super().__init__()
        self.bias = config.unembed_bias
        self.W_U = nn.Parameter(torch.zeros(d_in, config.d_out))
        if self.bias:
            self.b_U = nn.Parameter(torch.zeros(config.d_out))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.W_U + self.b_U if self.bias else x @ self.W_U


class HookedMLP(HookedModel):
    """Tokens ``[batch, operand]`` or vectors ``[batch, d_in]`` to logits ``[batch, d_out]``.

    Hook points: ``hook_embed [batch, operand, unit]`` (tokens only), ``hook_input [batch, unit]``,
    ``layers.i.hook_pre`` and ``layers.i.hook_post [batch, unit]``, ``hook_logits``.
    """

    config_class = MLPConfig
    config: MLPConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: MLPConfig):
        super().__init__(config)
        if config.d_vocab is not None:
            self.embed = Embed(config)
            self.hook_embed = HookPoint("batch", "operand", "unit")
        self.hook_input = HookPoint("batch", "unit")
        widths = (config.width_in, *config.hidden)
        self.layers = nn.ModuleList(Layer(d_in, d_out, config) for d_in, d_out in itertools.pairwise(widths))
        self.unembed = Unembed(widths[-1], config)
        self.hook_logits = HookPoint("batch", "unit")
        self.setup()

    def forward(self, inputs: Tensor) -> Tensor:
        if self.config.d_vocab is None:
            return self._after_input(self.hook_input(inputs))
        return self._after_embed(self.hook_embed(self.embed(inputs)))

    def _after_embed(self, embedded: Tensor) -> Tensor:
        together = embedded.flatten(-2) if self.config.combine == "concat" else embedded.sum(-2)
        return self._after_input(self.hook_input(together))

    def _after_input(self, x: Tensor, first: int = 0) -> Tensor:
        for layer in range(first, len(self.layers)):
            x = self.layers[layer](x)
        return self.hook_logits(self.unembed(x))

    def layer(self, index: int) -> Layer:
        layer = self.layers[index]
        assert isinstance(layer, Layer)
        return layer

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

    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """Hidden units write into the next layer's ``hook_pre``; the last layer and the inputs into themselves."""
        if site in self.hook_dict and site != "hook_logits":
            layer = int(site.split(".")[1]) + 1 if site.endswith("hook_post") else None
            if layer is not None and layer < len(self.layers):
                return f"layers.{layer}.hook_pre", self.layer(layer).W
            return site, None
        raise UnknownSite(f"a change at {site!r} does not arrive at any site that the model can be resumed at")

    def linear_rest(self, site: str) -> Tensor | None:
        """``W_U [unit, d_out]`` after the last hidden layer."""
        last = f"layers.{len(self.layers) - 1}.hook_post" if len(self.layers) else "hook_input"
        return self.W_U if site == last else None

    def _init_std(self, name: str, parameter: Tensor) -> float | None:
        if name.endswith("W_E"):
            return 1 / math.sqrt(parameter.shape[-1])
        return 1 / math.sqrt(parameter.shape[0]) if parameter.ndim > 1 else None

    @property
    def W_E(self) -> Tensor:
        return self.embed.W_E

    @property
    def W_U(self) -> Tensor:
        return self.unembed.W_U
