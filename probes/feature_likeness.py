"""How much the features of an image network look like its picture, and how symmetric they are, by layer and basis.

Features are what a layer computes, in one of three bases: its units, the principal components of its feature maps, and the
singular directions that the next layer's weights read. Mikovic (2025, a critique of Kumar et al., https://arxiv.org/abs/2505.11581)
proposes the last two as features that are "even more human-meaningful", and sees the picture's features from a middle layer on.
"""

from __future__ import annotations

import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, require_range
from interp.hooked import HookedCPPN
from interp.subject import Subject
from probes import feature_maps as fm
from probes._tensors import as_tensor
from probes.spectra import pca, svd

BASES = ("units", "components", "singular")
COUNTED = 0.01  # share of a layer's variance above which a feature counts


def likeness(maps: Float[Tensor, "n row col"], brightness: Float[Tensor, "row col"]) -> Float[Tensor, "n"]:
    """Likeness of maps to a picture: the largest absolute correlation with it, as it is or mirrored left-right.

    The sign of a map and its mirror image do not matter; contrast and brightness do not either. High for a map that draws the
    picture's outline, and for any smooth map where the picture is a blob: compare with networks drawn at random.

    Args:
        maps: ``[n, row, col]``.
        brightness: of the picture, ``[row, col]``.

    Returns:
        ``[n]``, from 0 to 1; 0 for a constant map.

    Raises:
        InterpError: a picture of another size.

    >>> ramp = torch.arange(3.0).expand(3, 3)
    >>> [round(r, 6) for r in likeness(torch.stack([ramp, -2 * ramp.flip(1), ramp.T]), ramp).tolist()]
    [1.0, 1.0, 0.0]
    """
    maps, brightness = as_tensor(maps, "maps").double(), as_tensor(brightness, "brightness").double()
    if maps.shape[1:] != brightness.shape:
        raise InterpError(
            f"maps of {list(maps.shape[1:])} pixels cannot be compared with a picture of {list(brightness.shape)}"
        )
    sides = fm.standardised(torch.stack([brightness, brightness.flip(-1)]).flatten(1))
    return (fm.standardised(maps.flatten(1)) @ sides.T).abs().amax(-1)


def of(cppn: HookedCPPN | Subject, size: int = fm.SIZE) -> pd.DataFrame:
    """Features of every layer of an image network in three bases: variance, likeness to the picture, symmetry.

    Args:
        cppn: a HookedCPPN, or a Subject of one.
        size: pixels along each edge.

    Returns:
        A row per layer, basis and feature. ``basis`` is ``units`` (active ones that are not copies), ``components`` (principal
        components of all maps of the layer) or ``singular`` (the layer's maps projected on the left singular vectors of the
        weights that read them, times the singular values); ``index`` counts from 0, for ``units`` it is the slot; ``share`` of
        the layer's variance in this basis; ``likeness`` to the brightness of the picture; ``left_right`` and ``up_down``:
        correlation with the reflection; ``symmetric``: whether one of the two exceeds 0.95.

    Raises:
        InterpError: another kind of network, or a map with NaN or infinity.

    >>> import interp
    >>> found = of(interp.HookedCPPN(interp.CPPNConfig("2;gaussian:2,sin:2")).init_weights(seed=0), size=16)
    >>> found.groupby("basis").size().to_dict()
    {'components': 8, 'singular': 7, 'units': 8}
    """
    require_range("size", size, 2, 1024)
    model = fm.require_cppn(cppn).cast(torch.float64)
    found = fm.of(model, size)
    brightness = model.draw(size).pixels.double().mean(-1)
    rows = []
    for layer in range(len(found.maps)):
        for basis, (index, maps) in _features(found, model, layer).items():
            rows.append(_rows(layer, basis, index, maps, brightness))
    return pd.concat(rows, ignore_index=True)


def by_layer(features: pd.DataFrame, least: float = COUNTED) -> pd.DataFrame:
    """Features summarised by layer and basis.

    Args:
        features: of `of`.
        least: share of a layer's variance from which on a feature counts.

    Returns:
        A row per layer and basis: ``features`` that count, their largest and mean likeness to the picture (``largest``,
        ``mean``), the share of them that is symmetric (``symmetric_share``) and the share of their variance that those hold
        (``symmetric_variance``).

    Raises:
        InterpError: a share outside 0 to 1.
    """
    require_range("least", least, 0, 1)
    rows = []
    counted = features[features["share"] >= least]
    for layer, basis in sorted(set(zip(counted["layer"], counted["basis"], strict=True))):
        own = pd.DataFrame(counted[(counted["layer"] == layer) & (counted["basis"] == basis)])
        held = own.loc[own["symmetric"], "share"].sum() / own["share"].sum()
        rows.append(
            {"layer": layer, "basis": basis, "features": len(own), "largest": own["likeness"].max(),
             "mean": own["likeness"].mean(), "symmetric_share": own["symmetric"].mean(), "symmetric_variance": held}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _features(found: fm.FeatureMaps, model: HookedCPPN, layer: int) -> dict[str, tuple[list[int], Tensor]]:
    """By basis: the features' numbers, and their maps ``[feature, row, col]``."""
    maps = found.maps[layer]
    own = found.own[layer].nonzero().squeeze(1).tolist()
    data = rearrange(maps, "slot row col -> (row col) slot")
    components, reads = pca(data), svd(model.matrices[layer + 1])
    assert reads.left is not None
    turned = {
        "components": components.basis.coordinates(data - components.mean),
        "singular": reads.left.coordinates(data - data.mean(0)) * reads.singular_values.to(data),
    }
    there = {
        name: (list(range(t.shape[1])), rearrange(t, "(row col) n -> n row col", row=maps.shape[1]))
        for name, t in turned.items()
    }
    return {"units": (own, maps[own]), **there}


def _rows(layer: int, basis: str, index: list[int], maps: Tensor, brightness: Tensor) -> pd.DataFrame:
    flat = maps.flatten(1)
    variance = (flat - flat.mean(-1, keepdim=True)).square().mean(-1)  # of no maps, too
    mirrored = fm.reflection_correlations(maps)
    return pd.DataFrame(
        {
            "layer": layer, "basis": basis, "index": index,
            "share": (variance / variance.sum().clamp_min(torch.finfo(variance.dtype).tiny)).cpu().numpy(),
            "likeness": likeness(maps, brightness).cpu().numpy(),
            "left_right": mirrored[:, 0].cpu().numpy(), "up_down": mirrored[:, 1].cpu().numpy(),
            "symmetric": (mirrored.amax(-1) > fm.SYMMETRIC).cpu().numpy(),
        }
    )  # fmt: skip
