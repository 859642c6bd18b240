"""Feature maps: the image that every unit of an image network draws, its symmetry, and how many units are distinct.

Feature maps show whether a representation is fractured and entangled (FER) or unified and factored (UFR): Kumar et al.
2025, Questioning Representational Optimism in Deep Learning: The Fractured Entangled Representation Hypothesis,
https://arxiv.org/abs/2505.11581. The numbers here are ours.
"""

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
from interp.hooked.coerce import as_model
from interp.hooked.cppn.plane import coordinates
from interp.pictures import Picture, from_signed, sheet
from interp.subject import Subject
from probes._tensors import as_tensor
from probes.spectra import effective_rank, pca

ACTIVE = 0.01  # standard deviation over the image
SYMMETRIC = 0.95  # correlation with the reflection
DISTINCT = 0.99  # |correlation| from which two maps count as the same
SIZE = 64  # reflections need a grid that is symmetric about 0, as linspace(-1, 1) is
SIGNED = (
    "blue: below 0, white: 0, red: above 0. Row: layer. Column: slot, with its activation function; = copy, - inactive"
)


def standardised(maps: Float[Tensor, "n pixels"]) -> Float[Tensor, "n pixels"]:
    """Standardised maps ``[n, pixels]`` in float64: mean removed, norm 1; a constant map becomes 0."""
    maps = as_tensor(maps, "maps").double()  # a constant of float32 differs from its mean in float32
    centred = maps - maps.mean(-1, keepdim=True)
    norm = centred.norm(dim=-1, keepdim=True)
    tiny = norm <= 1e-12 * maps.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return torch.where(tiny, torch.zeros_like(centred), centred / norm.where(~tiny, torch.ones_like(norm)))


def reflection_correlations(maps: Float[Tensor, "n row col"]) -> Float[Tensor, "n 2"]:
    """Correlation of each map with its left-right and its up-down reflection.

    Args:
        maps: ``[n, row, col]``.

    Returns:
        ``[n, 2]``, from -1 (antisymmetric) to 1 (symmetric); 0 for a constant map.

    >>> ramp = torch.arange(3.0).expand(1, 2, 3)
    >>> [round(r, 6) for r in reflection_correlations(ramp)[0].tolist()]
    [-1.0, 1.0]
    """
    maps = as_tensor(maps, "maps")
    rows, columns = maps.shape[-2:]
    unit = standardised(maps.flatten(1)).unflatten(1, (rows, columns))
    return torch.stack([(unit * unit.flip(axis)).sum((-2, -1)) for axis in (-1, -2)], -1)


def distinct(maps: Float[Tensor, "n pixels"], threshold: float = DISTINCT) -> Bool[Tensor, "n"]:
    """Distinct maps, chosen greedily in order: those with ``|correlation| < threshold`` to every map chosen before.

    Misleads if maps form a chain of similar neighbours: the first map decides which of the others are kept.

    Args:
        maps: ``[n, pixels]``.
        threshold: of the absolute correlation.

    Returns:
        Boolean ``[n]``; a constant map is never chosen.

    >>> ramp, bump = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, 0.0])
    >>> distinct(torch.stack([ramp, -2 * ramp, bump])).tolist()
    [True, False, True]
    """
    maps = as_tensor(maps, "maps")
    unit = standardised(maps)
    similar = (unit @ unit.T).abs() >= threshold
    kept = torch.zeros(len(maps), dtype=torch.bool)
    similar, constant = similar.cpu(), (unit.norm(dim=-1) == 0).tolist()
    for i in range(len(maps)):
        kept[i] = not constant[i] and not bool((similar[i] & kept).any())
    return kept.to(maps.device)


def standardised_rank(maps: Float[Tensor, "n pixels"]) -> float:
    """Effective rank of the standardised maps: the number of directions that they spread over evenly.

    Args:
        maps: ``[n, pixels]``.

    Returns:
        `probes.spectra.effective_rank`; 0 without maps.

    >>> ramp = torch.tensor([[0.0, 1.0, 2.0, 3.0]], dtype=torch.float64)
    >>> round(standardised_rank(torch.cat([ramp, -ramp])), 6)
    1.0
    """
    unit = standardised(maps)
    return effective_rank(torch.linalg.eigvalsh(unit @ unit.T).clamp_min(0).sqrt()) if len(maps) else 0.0


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """Feature maps of every slot of every layer.

    A slot that only carries an earlier value (`HookedCPPN.copies`) is padding of the layered form: measures of the
    representation exclude copies, and counts list them separately.

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
        """Standard deviation of each map over the image, ``[layer, slot]``."""
        return self.maps.flatten(2).std(-1, correction=0)

    @property
    def active(self) -> Bool[Tensor, "layer slot"]:
        """Units whose standard deviation over the image exceeds ``tolerance``."""
        return self.deviation > self.tolerance

    @property
    def own(self) -> Bool[Tensor, "layer slot"]:
        """Active units that are not copies."""
        return self.active & ~self.copies

    @cached_property
    def reflections(self) -> Float[Tensor, "layer slot 2"]:
        """Correlation with the left-right and the up-down reflection."""
        return reflection_correlations(self.maps.flatten(0, 1)).unflatten(0, self.copies.shape)

    @property
    def symmetric(self) -> Bool[Tensor, "layer slot"]:
        """Active units of which at least one reflection correlates above 0.95 with the map."""
        return self.active & (self.reflections.amax(-1) > SYMMETRIC)

    @cached_property
    def distinct(self) -> Bool[Tensor, "layer slot"]:
        """Distinct active units, chosen greedily over the whole network in layer order (`distinct`), copies included."""
        found = torch.zeros_like(self.active)
        found[self.active] = distinct(self.maps[self.active].flatten(1))
        return found

    def rank(self, units: Bool[Tensor, "layer slot"] | None = None) -> float:
        """`standardised_rank` of some units' maps; by default of all active units that are not copies."""
        return standardised_rank(self.maps[self.own if units is None else units].flatten(1))

    def sheet(self, tile: int = 48) -> Picture:
        """All maps as one picture: a row per layer, blue below 0, red above, activation functions as captions."""
        step = max(1, self.maps.shape[-1] // tile)
        colours = from_signed(self.maps[..., ::step, ::step])
        tiles = [[Picture(t) for t in row] for row in colours]
        marks = [[self.mark(i, j) for j in range(len(self.kinds))] for i in range(len(self.maps))]
        return sheet(tiles, marks, rows=[str(i) for i in range(len(self.maps))], legend=SIGNED)

    def mark(self, layer: int, slot: int) -> str:
        """Caption of a unit: its activation function, ``=`` for a copy, ``-`` for an inactive unit."""
        if not self.active[layer, slot]:
            return "-"
        return "=" if self.copies[layer, slot] else self.kinds[slot][:8]

    def components(self, layer: int, n: int = 8) -> tuple[Float[Tensor, "n row col"], Float[Tensor, "n"]]:
        """Principal components of a layer's maps, as maps.

        Args:
            layer: counted from 0, or from the end if negative.
            n: number of components, at most the number of slots.

        Returns:
            The components ``[n, row, col]`` and their shares of the variance ``[n]``.

        Raises:
            InterpError: a layer that does not exist.
        """
        if not -len(self.maps) <= layer < len(self.maps):
            raise InterpError(f"layer must be 0 to {len(self.maps) - 1}, got {layer}")
        maps = self.maps[layer]
        data = rearrange(maps, "slot row col -> (row col) slot")
        reduced = pca(data)
        coordinates = reduced.basis.coordinates(data - reduced.mean)[:, :n]
        return rearrange(coordinates, "(row col) n -> n row col", row=maps.shape[1]), reduced.explained[:n]


def require_cppn(given: HookedCPPN | Subject) -> HookedCPPN:
    """An image network as it is, or a subject's.

    Args:
        given: a HookedCPPN, or a Subject of one.

    Returns:
        The network.

    Raises:
        InterpError: any other kind of network; the message says how to get one.
    """
    model = as_model(given, "an image network (HookedCPPN) or a Subject of one")
    if not isinstance(model, HookedCPPN):
        name = given.name if isinstance(given, Subject) else "the model"
        raise InterpError(
            f"{name} is a {type(model).__name__}; feature maps need an image network (HookedCPPN), such as interp.load gives "
            "of a Picbreeder file, or interp.train('image:target=FILE', ...)"
        )
    return model


def of(cppn: HookedCPPN | Subject, size: int = SIZE, tolerance: float = ACTIVE) -> FeatureMaps:
    """Feature maps of an image network, in float64.

    Args:
        cppn: a HookedCPPN, or a Subject of one.
        size: pixels along each edge.
        tolerance: standard deviation over the image above which a unit is active.

    Returns:
        The maps, with their measures as properties.

    Raises:
        InterpError: another kind of network, or a map with NaN or infinity.
    """
    require_range("size", size, 2, 1024)
    require_range("tolerance", tolerance, 0)
    cppn = require_cppn(cppn)
    model = cppn.cast(torch.float64)
    points = coordinates(size, size, dtype=torch.float64)
    acts = capture(model, points, "layers.*.hook_post", batch_size=1 << 14)
    maps = torch.stack([acts[f"layers.{i}.hook_post"] for i in range(cppn.config.n_layers)])  # [layer, pixel, slot]
    if not bool(maps.isfinite().all()):
        layer, _, slot = (~maps.isfinite()).nonzero()[0].tolist()
        raise InterpError(f"layer {layer}, slot {slot} of the network is infinite or not a number at some pixels")
    maps = rearrange(maps, "layer (row col) slot -> layer slot row col", row=size)
    return FeatureMaps(maps.contiguous(), cppn.config.kinds, cppn.copies().to(maps.device), tolerance)
