"""A NEAT genome as a hooked model: every node computes act(bias + response * agg(weight * source))."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.hook_point import HookPoint
from interp.hooked.inputs import require_vectors
from interp.hooked.neat.activation_functions import NEAT_ACTIVATIONS
from interp.hooked.neat.aggregations import aggregate
from interp.hooked.neat.config import NEATConfig, NodeShape


class HookedNEAT(HookedModel):
    """Inputs ``[batch, d_in]`` to outputs ``[batch, d_out]``; of a recurrent network ``[batch, time, ...]`` to both.

    A layer reads the inputs and all nodes of earlier layers. A recurrent network is one layer that reads the inputs of
    its step and all nodes of the step before, which are 0 at first, as neat-python's ``RecurrentNetwork``.

    Hook points: ``hook_input``, ``layers.i.hook_pre`` and ``layers.i.hook_post [batch, unit]`` (called at every step of
    a recurrent network), ``hook_logits``. Parameters: ``layers.i.W [in, out]`` (0 where there is no link), ``layers.i.b``
    and ``layers.i.response.w [out]``.

    NEAT: Stanley and Miikkulainen 2002, Evolving Neural Networks through Augmenting Topologies,
    https://doi.org/10.1162/106365602320169811; the functions are neat-python's, https://neat-python.readthedocs.io.

    Args:
        config: the model's shape.
    """

    config_class = NEATConfig
    config: NEATConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: NEATConfig):
        super().__init__(config)
        self.hook_input = HookPoint(*(("batch", "pos", "unit") if config.recurrent else ("batch", "unit")))
        self.layers = nn.ModuleList(
            NEATLayer(n_in, layer, config) for (n_in, _), layer in zip(config.widths, config.layers, strict=True)
        )
        self.hook_logits = HookPoint(*(("batch", "pos", "unit") if config.recurrent else ("batch", "unit")))
        self.setup()

    @override
    def check_inputs(self, inputs: Any) -> None:
        require_vectors(inputs, len(self.config.inputs))
        if self.config.recurrent and inputs.ndim != 3:
            raise InterpError(
                f"inputs of a recurrent network must be [batch, time, {len(self.config.inputs)}], got {list(inputs.shape)}"
            )

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of the inputs; see the class."""
        self.check_inputs(inputs)
        return self._after_input(self.hook_input(inputs))

    def _after_input(self, inputs: Tensor) -> Tensor:
        if not self.config.recurrent:
            return self.hook_logits(self._outputs(self._feed_forward(inputs)))
        nodes = inputs.new_zeros(len(inputs), len(self.config.layers[0]))
        steps = []
        for now in inputs.unbind(1):
            nodes = self.layers[0](torch.cat([now, nodes], -1))
            steps.append(self._outputs(torch.cat([now, nodes], -1)))
        return self.hook_logits(torch.stack(steps, 1))

    def _feed_forward(self, values: Tensor) -> Tensor:
        """The values of the inputs and all nodes ``[batch, value]``."""
        for layer in self.layers:
            values = torch.cat([values, layer(values)], -1)
        return values

    def _outputs(self, values: Tensor) -> Tensor:
        return values[..., [self.config.index[name] for name in self.config.outputs]]

    @override
    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_input`` or ``hook_logits``; a layer's nodes are read by all later layers."""
        if site == "hook_input":
            return self._after_input(activation)
        if site == "hook_logits":
            return activation
        raise UnknownSite(f"cannot resume a NEAT network at {site!r}; it resumes at hook_input and hook_logits")

    @override
    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """``hook_input`` and ``hook_logits`` write into themselves."""
        if site in ("hook_input", "hook_logits"):
            return site, None
        raise UnknownSite(
            f"a change at {site!r} does not arrive linearly at a site where a NEAT network can resume; use hook_input"
        )


class NEATLayer(nn.Module):
    """Nodes that read the same values, each with its own activation and aggregation."""

    def __init__(self, n_in: int, nodes: tuple[NodeShape, ...], config: NEATConfig):
        super().__init__()
        self.W = nn.Parameter(torch.zeros(n_in, len(nodes)))
        self.b = nn.Parameter(torch.zeros(len(nodes)))
        self.response = nn.Module()
        self.response.w = nn.Parameter(torch.ones(len(nodes)))
        self.activations = [activation for _, activation, _ in nodes]
        self.special = {
            i: (aggregation, config.sources[name])
            for i, (name, _, aggregation) in enumerate(nodes)
            if aggregation != "sum"
        }
        self.hook_pre = HookPoint("batch", "unit")
        self.hook_post = HookPoint("batch", "unit")

    @override
    def forward(self, values: Tensor) -> Tensor:
        """``[batch, in]`` to ``[batch, out]``."""
        z = self.hook_pre(self.b + self.response.w * self._aggregated(values))  # pyright: ignore[reportOperatorIssue]
        posts = [NEAT_ACTIVATIONS[name](z[..., i]) for i, name in enumerate(self.activations)]
        return self.hook_post(torch.stack(posts, -1))

    def _aggregated(self, values: Tensor) -> Tensor:
        total = values @ self.W
        if not self.special:
            return total
        columns = list(total.unbind(-1))
        for i, (name, sources) in self.special.items():
            columns[i] = aggregate(name, values[..., sources] * self.W[sources, i])
        return torch.stack(columns, -1)
