"""The toy model of superposition, with hook points at its hidden dimensions and before and after the output's activation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import UnknownSite
from interp.hooked.activation_functions import make_activation
from interp.hooked.base import HookedModel
from interp.hooked.hook_point import HookPoint
from interp.hooked.inputs import require_vectors
from interp.hooked.toy_model.config import ToyModelConfig

RESUMES = ("hook_input", "hook_hidden", "hook_pre")


class HookedToyModel(HookedModel):
    """Features ``x [batch, n_features]`` to their reconstruction ``ReLU(W^T W x + b)``.

    Elhage et al. 2022, Toy Models of Superposition, https://transformer-circuits.pub/2022/toy_model/index.html

    Hook points, all ``[batch, unit]``: ``hook_input`` (the features), ``hook_hidden`` (``W x``, the hidden dimensions),
    ``hook_pre`` (before the ReLU) and ``hook_logits`` (the reconstruction).

    All parameters may be stacked, ``[member, ...]``; inputs are then stacked too, or shared by all members.

    Args:
        config: the model's shape.

    Attributes:
        W: ``[n_hidden, n_features]``; column i is the direction of feature i in the hidden space, its norm how far the
            feature is represented. The same matrix, transposed, reads the features out.
        b_final: ``[n_features]``, with ``config.bias``.
    """

    config_class = ToyModelConfig
    stacks = True
    config: ToyModelConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: ToyModelConfig):
        super().__init__(config)
        self.act = make_activation(config.act_fn)
        self.W = nn.Parameter(torch.zeros(config.n_hidden, config.n_features))
        if config.bias:
            self.b_final = nn.Parameter(torch.zeros(config.n_features))
        self.hook_input, self.hook_hidden = HookPoint("batch", "unit"), HookPoint("batch", "unit")
        self.hook_pre, self.hook_logits = HookPoint("batch", "unit"), HookPoint("batch", "unit")
        self.setup()

    @override
    def check_inputs(self, inputs: Any) -> None:
        require_vectors(inputs, self.config.n_features)

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """The reconstruction ``[batch, n_features]``."""
        self.check_inputs(inputs)
        return self._after_input(self.hook_input(inputs))

    def _after_input(self, x: Tensor) -> Tensor:
        return self._after_hidden(self.hook_hidden(x @ self.W.mT))

    def _after_hidden(self, hidden: Tensor) -> Tensor:
        back = hidden @ self.W
        # a stack's bias is [member, feature], its products [member, batch, feature]
        return self._after_pre(self.hook_pre(back + self.b_final.unsqueeze(-2) if self.config.bias else back))

    def _after_pre(self, pre: Tensor) -> Tensor:
        return self.hook_logits(self.act(pre))

    @override
    def component_sites(self, kind: str) -> list[str]:
        """Neurons are the hidden dimensions."""
        return ["hook_hidden"] if kind == "neurons" else super().component_sites(kind)

    @override
    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_input``, ``hook_hidden`` or ``hook_pre``."""
        if site not in RESUMES:
            raise UnknownSite(f"cannot resume a toy model at {site!r}; it resumes at {', '.join(RESUMES)}")
        return {"hook_input": self._after_input, "hook_hidden": self._after_hidden, "hook_pre": self._after_pre}[site](
            activation
        )

    @override
    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """Features write into the hidden dimensions by their columns of ``W``, hidden dimensions into ``hook_pre``."""
        if site == "hook_input":
            return "hook_hidden", self.W.mT
        if site == "hook_hidden":
            return "hook_pre", self.W
        if site == "hook_pre":
            return site, None
        raise UnknownSite(
            f"a change at {site!r} does not arrive at a site where a toy model can resume; use {RESUMES[1]}"
        )

    @override
    def reads(self, parameter: str) -> str | None:
        """The bias is read after ``hook_hidden``; ``W`` is used before and after it, and first reads ``hook_input``."""
        return "hook_hidden" if parameter == "b_final" else "hook_input"

    @override
    def linear_rest(self, site: str) -> Tensor | None:
        """``W [n_hidden, n_features]`` after ``hook_hidden`` of a linear model; a ReLU leaves nothing linear."""
        if self.config.act_fn != "identity":
            return None
        return {"hook_hidden": self.W, "hook_pre": torch.eye(self.config.n_features).to(self.W)}.get(site)

    @override
    def init_std(self, name: str, parameter: Tensor) -> float | None:
        """Xavier, as the authors: ``sqrt(2 / (n_features + n_hidden))``."""
        return (2 / (self.config.n_features + self.config.n_hidden)) ** 0.5 if name == "W" else None
