"""A compositional pattern-producing network: coordinates of a pixel to its colour, through mixed activations."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from interp.errors import UnknownSite
from interp.hooked.base import HookedModel, HookPoint
from interp.hooked.cppn.parts import CPPNConfig, Size, Span, activate, plane, rgb
from interp.pictures import Picture

PIXELS = 1 << 14  # drawn at a time, so that what a layer holds stays in the cache


class HookedCPPN(HookedModel):
    """Coordinates ``[batch, 4]`` (y, x, d, b) to red, green and blue ``[batch, 3]``; no biases.

    Hook points: ``hook_input [batch, unit]``, ``layers.i.hook_pre`` and ``layers.i.hook_post [batch, unit]``,
    ``hook_logits [batch, unit]`` (hue, saturation, value as the last layer gives them), ``hook_color [batch, unit]``.
    Parameters: ``layers.i.W [in, out]``, ``unembed.W_U [in, 3]``.

    All parameters may be stacked, ``[member, ...]``, and inputs too, or all members see the same: then so are the outputs.

    Source: Secretan et al. 2011 (Picbreeder); layered form of Kumar et al. 2025.
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

    # inside, pixels run along the last axis: the slots of one activation are then one block of memory
    def forward(self, inputs: Tensor) -> Tensor:
        return self._after(self.hook_input(inputs).mT, 0)

    def _after(self, x: Tensor, first: int) -> Tensor:
        for layer in range(first, len(self.layers)):
            x = self.layers[layer](x)
        return self._colour(self.hook_logits(product(self.W_U, x).mT))

    def _colour(self, hsv: Tensor) -> Tensor:
        return self.hook_color(rgb(hsv))

    def layer(self, index: int) -> CPPNLayer:
        layer = self.layers[index]
        assert isinstance(layer, CPPNLayer)
        return layer

    @property
    def W_U(self) -> Tensor:
        return self.unembed.W_U  # pyright: ignore[reportReturnType]  a module's attribute may be anything

    @property
    def matrices(self) -> list[Tensor]:
        """The weights ``[in, out]`` of every layer, the last one's too."""
        return [*(self.layer(i).W for i in range(self.config.n_layers)), self.W_U]

    def copies(self) -> Tensor:
        """Which slots only carry an earlier value on ``[layer, slot]``: a ``cache`` slot that reads one value, times 1.

        They are padding of the layered form, and no units of an evolved network. A cache slot of a trained network mixes
        its inputs, so it is none.
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

        Raises:
            InterpError: no such size, or a rectangle that is none.
        """
        points, rows, columns = plane(size, x, y, self.dtype)
        points = points.to(self.device)
        colours = torch.cat([self(part) for part in points.split(PIXELS)])
        return Picture(colours.reshape(rows, columns, 3))

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

    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """A layer writes into the next layer's ``hook_pre``, the last one into ``hook_logits``; other sites into themselves."""
        if site not in self.hook_dict:
            raise UnknownSite(f"a CPPN has no hook point {site!r}, so no change arrives from there")
        if not site.endswith("hook_post"):
            return site, None
        layer = int(site.split(".")[1]) + 1
        if layer == len(self.layers):
            return "hook_logits", self.W_U
        return f"layers.{layer}.hook_pre", self.layer(layer).W


class CPPNLayer(nn.Module):
    """``W [in, out]`` and every slot's own activation, between two hook points. Pixels run along the last axis."""

    def __init__(self, d_in: int, d_out: int, config: CPPNConfig):
        super().__init__()
        self.groups = config.groups
        self.W = nn.Parameter(torch.zeros(d_in, d_out))
        self.hook_pre = HookPoint("batch", "unit")
        self.hook_post = HookPoint("batch", "unit")

    def forward(self, x: Tensor) -> Tensor:
        return self.after_pre(self.hook_pre(product(self.W, x).mT).mT)

    def after_pre(self, z: Tensor) -> Tensor:
        return self.hook_post(activate(z, self.groups).mT).mT


def product(weight: Tensor, x: Tensor) -> Tensor:
    """``weight.T @ x``, for one network or a stack: ``weight [(member,) in, out]``, ``x [(member,) in, pixel]``."""
    if weight.ndim == 2:
        return weight.mT @ x
    return torch.bmm(weight.mT, x.expand(len(weight), *x.shape[-2:]))


def kind_is(config: CPPNConfig, *kinds: str) -> Tensor:
    """Which slots of a layer have one of these activations ``[slot]``."""
    return torch.tensor([kind in kinds for kind in config.kinds])
