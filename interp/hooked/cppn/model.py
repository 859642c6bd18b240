"""A compositional pattern-producing network (CPPN): coordinates of a pixel to its colour, by mixed activation functions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.cppn.activation_functions import activate
from interp.hooked.cppn.colour import rgb
from interp.hooked.cppn.config import CPPNConfig
from interp.hooked.cppn.plane import Size, Span, plane
from interp.hooked.hook_point import HookPoint
from interp.hooked.inputs import require_vectors
from interp.pictures import Picture
from interp.sites import no_such_site

PIXELS = 1 << 14  # drawn at a time, so that what a layer holds stays in the cache


class HookedCPPN(HookedModel):
    """Coordinates ``[batch, 4]`` (y, x, d, b) to red, green and blue ``[batch, 3]``; no biases.

    Hook points: ``hook_input [batch, unit]``, ``layers.i.hook_pre`` and ``layers.i.hook_post [batch, unit]``,
    ``hook_logits [batch, unit]`` (hue, saturation, value as the last layer gives them), ``hook_color [batch, unit]``.
    Parameters: ``layers.i.W [in, out]``, ``unembed.W_U [in, 3]``.

    All parameters may be stacked, ``[member, ...]``; inputs are then stacked too, or shared by all members, and outputs
    are stacked.

    The networks of Picbreeder (Secretan et al. 2011, Picbreeder: A Case Study in Collaborative Evolutionary Exploration of
    Design Space) in the layered form of Kumar et al. 2025, https://arxiv.org/abs/2505.11581.

    Args:
        config: the model's shape.
    """

    config_class = CPPNConfig
    stacks = True
    config: CPPNConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: CPPNConfig):
        super().__init__(config)
        self.hook_input = HookPoint("batch", "unit")
        widths = (config.d_in, *[config.width] * config.n_layers)
        self.layers = nn.ModuleList(CPPNLayer(*pair, config) for pair in pairwise(widths))
        self.unembed = nn.Module()
        self.unembed.W_U = nn.Parameter(torch.zeros(config.width, 3))
        self.hook_logits = HookPoint("batch", "unit")
        self.hook_color = HookPoint("batch", "unit")
        self.setup()

    @override
    def check_inputs(self, inputs: Any) -> None:
        require_vectors(inputs, self.config.d_in)

    # inside, pixels run along the last axis, so that the slots of one activation function are one block of memory
    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """Colours ``[batch, 3]`` of coordinates ``[batch, 4]``."""
        self.check_inputs(inputs)
        return self._after(self.hook_input(inputs).mT, 0)

    def _after(self, x: Tensor, first: int) -> Tensor:
        for layer in range(first, len(self.layers)):
            x = self.layers[layer](x)
        return self._colour(self.hook_logits(product(self.W_U, x).mT))

    def _colour(self, hsv: Tensor) -> Tensor:
        return self.hook_color(rgb(hsv))

    def layer(self, index: int) -> CPPNLayer:
        """The hidden layer with this index."""
        layer = self.layers[index]
        assert isinstance(layer, CPPNLayer)
        return layer

    @property
    def W_U(self) -> Tensor:
        """The last layer's weights ``[in, 3]``."""
        return self.unembed.W_U  # pyright: ignore[reportReturnType]  a module's attribute may be anything

    @property
    def matrices(self) -> list[Tensor]:
        """The weights ``[in, out]`` of every layer, including the last."""
        return [*(self.layer(i).W for i in range(self.config.n_layers)), self.W_U]

    def copies(self) -> Tensor:
        """Which slots only pass on an earlier value: ``cache`` slots with a single incoming weight, of 1.

        They pad the layered form and are not units of the evolved network. A trained network's cache slots mix their
        inputs, so they are not copies.

        Returns:
            a mask ``[layer, slot]``.
        """
        cache = kind_is(self.config, "cache").to(self.device)
        return torch.stack([cache & ((W == 1).sum(0) == 1) & ((W != 0).sum(0) == 1) for W in self.matrices[:-1]])

    @torch.no_grad()
    def draw(
        self,
        size: Size = 256,
        x: Span = (-1.0, 1.0),
        y: Span = (-1.0, 1.0),
    ) -> Picture:
        """The picture, at any resolution, of any rectangle of the plane.

        Args:
            size: pixels along each edge, or (rows, columns).
            x: what the rows cover, top to bottom; the published pictures cover -1 to 1.
            y: what the columns cover, left to right.

        Returns:
            the picture, with as many rows and columns as asked for.

        Raises:
            InterpError: a size out of range, or a rectangle without extent.
        """
        points, rows, columns = plane(size, x, y, self.dtype)
        points = points.to(self.device)
        colours = torch.cat([self(part) for part in points.split(PIXELS)])
        return Picture(colours.reshape(rows, columns, 3))

    @override
    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_input``, ``layers.i.hook_pre`` or ``hook_post``, ``hook_logits`` or ``hook_color``."""
        if site == "hook_input":
            return self._after(activation.mT, 0)
        if site == "hook_logits":
            return self._colour(activation)
        if site == "hook_color":
            return activation
        parts = site.split(".")
        if len(parts) == 3 and parts[0] == "layers" and parts[1].isdecimal() and int(parts[1]) < len(self.layers):
            layer = int(parts[1])
            if parts[2] == "hook_pre":
                return self._after(self.layer(layer).after_pre(activation.mT), layer + 1)
            if parts[2] == "hook_post":
                return self._after(activation.mT, layer + 1)
        raise UnknownSite(
            f"cannot resume a CPPN at {site!r}; it resumes at hook_input, hook_logits, hook_color and at "
            f"layers.0..{len(self.layers) - 1}.hook_pre and hook_post"
        )

    @override
    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """A layer writes into the next layer's ``hook_pre``, the last into ``hook_logits``, other sites into themselves."""
        if site not in self.hook_dict:
            raise UnknownSite(no_such_site(site, list(self.hook_dict)))
        if not site.endswith("hook_post"):
            return site, None
        layer = int(site.split(".")[1]) + 1
        if layer == len(self.layers):
            return "hook_logits", self.W_U
        return f"layers.{layer}.hook_pre", self.layer(layer).W


class CPPNLayer(nn.Module):
    """``W [in, out]`` and each slot's activation function, between two hook points; pixels run along the last axis."""

    def __init__(self, d_in: int, d_out: int, config: CPPNConfig):
        super().__init__()
        self.groups = config.groups
        self.W = nn.Parameter(torch.zeros(d_in, d_out))
        self.hook_pre = HookPoint("batch", "unit")
        self.hook_post = HookPoint("batch", "unit")

    @override
    def forward(self, x: Tensor) -> Tensor:
        """``[in, pixel]`` to ``[out, pixel]``."""
        return self.after_pre(self.hook_pre(product(self.W, x).mT).mT)

    def after_pre(self, z: Tensor) -> Tensor:
        """The layer's output, from its ``hook_pre``."""
        return self.hook_post(activate(z, self.groups).mT).mT


def product(weight: Tensor, x: Tensor) -> Tensor:
    """``weight.T @ x``, for one network or a stack: ``weight [(member,) in, out]``, ``x [(member,) in, pixel]``."""
    if weight.ndim == 2:
        return weight.mT @ x
    return torch.bmm(weight.mT, x.expand(len(weight), *x.shape[-2:]))


def kind_is(config: CPPNConfig, *kinds: str) -> Tensor:
    """Which slots of a layer have one of these activation functions ``[slot]``."""
    return torch.tensor([kind in kinds for kind in config.kinds])
