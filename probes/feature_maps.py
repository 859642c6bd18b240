"""Feature maps: what every unit of an image network draws, its symmetry, and how many of them differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError, require_range
from interp.hooked import HookedCPPN
from interp.hooked.cppn.plane import coordinates
from interp.pictures import Picture, from_signed, sheet
from probes.spectra import effective_rank, pca

ACTIVE = 0.01  # standard deviation over the image
SYMMETRIC = 0.95  # correlation with the reflection
DISTINCT = 0.99  # |correlation| from which two maps count as one
SIZE = 64  # reflections need a grid that is its own mirror image, as linspace(-1, 1) is


def standardised(maps: Float[Tensor, "n pixels"]) -> Float[Tensor, "n pixels"]:
    """Each map with its mean removed and at length 1; a constant one becomes 0."""
    centred = maps - maps.mean(-1, keepdim=True)
    norm = centred.norm(dim=-1, keepdim=True)
    tiny = norm <= 1e-12 * maps.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return torch.where(tiny, torch.zeros_like(centred), centred / norm.where(~tiny, torch.ones_like(norm)))


def reflection_correlations(maps: Float[Tensor, "n row col"]) -> Float[Tensor, "n 2"]:
    """Correlation of each map with its left-right and its up-down reflection.

    >>> ramp = torch.arange(3.0).expand(1, 2, 3)
    >>> [round(r, 6) for r in reflection_correlations(ramp)[0].tolist()]
    [-1.0, 1.0]
    """
    rows, columns = maps.shape[-2:]
    unit = standardised(maps.flatten(1)).unflatten(1, (rows, columns))
    return torch.stack([(unit * unit.flip(axis)).sum((-2, -1)) for axis in (-1, -2)], -1)


def distinct(maps: Float[Tensor, "n pixels"], threshold: float = DISTINCT) -> Bool[Tensor, "n"]:
    """Greedily, in order: a map is kept where its \\|correlation\\| with every map kept before is below the threshold.

    Misleads where maps form a chain: the first of neighbours that resemble each other decides.

    >>> ramp, bump = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, 0.0])
    >>> distinct(torch.stack([ramp, -2 * ramp, bump])).tolist()
    [True, False, True]
    """
    unit = standardised(maps)
    similar = (unit @ unit.T).abs() >= threshold
    kept = torch.zeros(len(maps), dtype=torch.bool)
    similar, constant = similar.cpu(), (unit.norm(dim=-1) == 0).tolist()
    for i in range(len(maps)):
        kept[i] = not constant[i] and not bool((similar[i] & kept).any())
    return kept.to(maps.device)


def standardised_rank(maps: Float[Tensor, "n pixels"]) -> float:
    """Effective rank of the standardised maps: how many directions they spread over evenly.

    >>> ramp = torch.tensor([[0.0, 1.0, 2.0, 3.0]], dtype=torch.float64)
    >>> round(standardised_rank(torch.cat([ramp, -ramp])), 6)
    1.0
    """
    unit = standardised(maps.double())
    return effective_rank(torch.linalg.eigvalsh(unit @ unit.T).clamp_min(0).sqrt()) if len(maps) else 0.0


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """What every slot of every layer draws.

    A slot that only carries an earlier value (`HookedCPPN.copies`) is padding of the layered form: measures of the
    representation leave copies out, and counts name them apart.

    Attributes:
        maps: ``[layer, slot, row, col]``, in float64.
        kinds: the activation of every slot of a layer.
        copies: ``[layer, slot]``.
        tolerance: standard deviation above which a unit is active.
    """

    maps: Float[Tensor, "layer slot row col"]
    kinds: tuple[str, ...]
    copies: Bool[Tensor, "layer slot"]
    tolerance: float = ACTIVE

    @cached_property
    def deviation(self) -> Float[Tensor, "layer slot"]:
        """Standard deviation over the image."""
        return self.maps.flatten(2).std(-1, correction=0)

    @property
    def active(self) -> Bool[Tensor, "layer slot"]:
        return self.deviation > self.tolerance

    @property
    def own(self) -> Bool[Tensor, "layer slot"]:
        """Active units that are no copies."""
        return self.active & ~self.copies

    @cached_property
    def reflections(self) -> Float[Tensor, "layer slot 2"]:
        """Correlation with the left-right and the up-down reflection."""
        return reflection_correlations(self.maps.flatten(0, 1)).unflatten(0, self.copies.shape)

    @property
    def symmetric(self) -> Bool[Tensor, "layer slot"]:
        """Active, and one of the two reflections correlates above 0.95."""
        return self.active & (self.reflections.amax(-1) > SYMMETRIC)

    @cached_property
    def distinct(self) -> Bool[Tensor, "layer slot"]:
        """Active units kept greedily, over the whole network in layer order, copies among them (only the first counts)."""
        found = torch.zeros_like(self.active)
        found[self.active] = distinct(self.maps[self.active].flatten(1))
        return found

    def rank(self, units: Bool[Tensor, "layer slot"] | None = None) -> float:
        """Effective rank of the standardised maps of some units; of all active ones that are no copies by default."""
        return standardised_rank(self.maps[self.own if units is None else units].flatten(1))

    def sheet(self, tile: int = 48) -> Picture:
        """All maps as one picture: a row per layer, blue below 0, red above; under each its activation."""
        step = max(1, self.maps.shape[-1] // tile)
        colours = from_signed(self.maps[..., ::step, ::step])
        tiles = [[Picture(t) for t in row] for row in colours]
        marks = [[self.mark(i, j) for j in range(len(self.kinds))] for i in range(len(self.maps))]
        return sheet(tiles, marks, rows=[str(i) for i in range(len(self.maps))])

    def mark(self, layer: int, slot: int) -> str:
        """A few letters for a unit: its activation; ``=`` a copy, ``-`` inactive."""
        if not self.active[layer, slot]:
            return "-"
        return "=" if self.copies[layer, slot] else self.kinds[slot][:8]

    def components(self, layer: int, n: int = 8) -> tuple[Float[Tensor, "n row col"], Float[Tensor, "n"]]:
        """Principal components of a layer as maps, and their shares of the variance.

        Raises:
            InterpError: no such layer.
        """
        if not -len(self.maps) <= layer < len(self.maps):
            raise InterpError(f"layer {layer} is none of the {len(self.maps)} layers")
        maps = self.maps[layer]
        data = rearrange(maps, "slot row col -> (row col) slot")
        reduced = pca(data)
        coordinates = reduced.basis.coordinates(data - reduced.mean)[:, :n]
        return rearrange(coordinates, "(row col) n -> n row col", row=maps.shape[1]), reduced.explained[:n]


def of(cppn: HookedCPPN, size: int = SIZE, tolerance: float = ACTIVE) -> FeatureMaps:
    """The feature maps of a network, in float64.

    Args:
        size: pixels along each edge.
        tolerance: standard deviation above which a unit is active.
    """
    require_range("size", size, 2, 1024)
    require_range("tolerance", tolerance, 0)
    model = cppn.cast(torch.float64)
    points = coordinates(size, size, dtype=torch.float64)
    acts = capture(model, points, "layers.*.hook_post", batch_size=1 << 14)
    maps = torch.stack([acts[f"layers.{i}.hook_post"] for i in range(cppn.config.n_layers)])  # [layer, pixel, slot]
    if not bool(maps.isfinite().all()):
        layer, _, slot = (~maps.isfinite()).nonzero()[0].tolist()
        raise InterpError(f"layer {layer}, slot {slot} of the network is infinite or not a number at some pixels")
    maps = rearrange(maps, "layer (row col) slot -> layer slot row col", row=size)
    return FeatureMaps(maps.contiguous(), cppn.config.kinds, cppn.copies().to(maps.device), tolerance)
