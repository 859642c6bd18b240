"""Quantities of a network as the suite reads it: layout, config, parameters."""

from __future__ import annotations

from typing import Any

import torch

from interp.checkpoints.layouts.fer import flat_index as place_of
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked import HookedCPPN
from interp.verification.material import Material
from interp.verification.quantities.tensors import largest
from interp.verification.quantity import quantity


@quantity("network.layout", summary="the layout by which the file is read", order=60)
def layout(material: Material) -> str:
    """Name of the layout that recognised the tensors."""
    return material.subject.provenance.layout


@quantity("network.config", summary="a field of the network's config", order=61)
def config(material: Material, *, field: str) -> Any:
    """The value of a field, such as ``n_layers`` or ``act_fn``; ``none`` where it has none."""
    fields = material.subject.model.config.to_dict()
    if field not in fields:
        raise UnknownName(unknown("field of the config", field, fields))
    return "none" if fields[field] is None else fields[field]


@quantity("network.extra_tensors", summary="tensors of the file that the network has no place for", order=62)
def extra_tensors(material: Material) -> list[str]:
    """Their names, which are reported and do no harm."""
    return list(material.subject.provenance.extra_tensors)


@quantity("network.parameters", summary="number of parameters", order=63)
def parameters(material: Material) -> int:
    """All numbers that the network has learnt."""
    return sum(p.numel() for p in material.subject.model.parameters())


@quantity("network.nonzero", summary="number of parameters that are not 0", order=64)
def nonzero(material: Material) -> int:
    """Weights that do anything."""
    return sum(int(torch.count_nonzero(p)) for p in material.subject.model.parameters())


@quantity(
    "network.difference", summary="the largest difference of two networks' parameters; 0 if they are equal", order=65
)
def difference(material: Material, *, beside: str) -> float:
    """Largest absolute difference from the parameters, by name, of the network in another file of the folder."""
    other = material.other(beside)
    own = dict(material.subject.model.named_parameters())
    others = dict(other.subject.model.named_parameters())
    if own.keys() != others.keys():
        raise InterpError(f"the networks have other parameters: {', '.join(sorted(own.keys() ^ others.keys())[:5])}")
    return max(largest(own[name].detach(), others[name].detach()) for name in own)


def _cppn(material: Material) -> HookedCPPN:
    model = material.subject.model
    if not isinstance(model, HookedCPPN):
        raise InterpError(f"{material.file} is a {type(model).__name__}, not an image network (HookedCPPN)")
    return model


@quantity("network.copies", summary="weights of an image network that only pass a value on", order=66)
def copies(material: Material, *, outputs: bool = False) -> int:
    """Weights of 1 that are the only one into their cache slot: padding of the layered form.

    Args:
        material: an image network.
        outputs: count those into hue, saturation and value, too.

    Returns:
        how many.
    """
    model = _cppn(material)
    last = model.W_U
    read = int((((last == 1).sum(0) == 1) & ((last != 0).sum(0) == 1)).sum()) if outputs else 0
    return int(model.copies().sum()) + read


@quantity("network.slots", summary="units per layer of an image network, all or of one activation function", order=67)
def slots(material: Material, *, kind: str = "") -> int:
    """Slots of a layer; of a kind such as ``cache``."""
    kinds = _cppn(material).config.kinds
    if kind and kind not in kinds:
        raise UnknownName(f"{material.file}: {unknown('kind of unit', kind, set(kinds))}")
    return sum(one == kind for one in kinds) if kind else len(kinds)


@quantity(
    "network.flat_index", summary="where an entry of the authors' flat vector stands: layer, row, column", order=68
)
def flat_index(material: Material, *, index: int) -> list[int]:
    """Layer, row (input) and column (output); layers stand in the alphabetical order of their names: Dense_1, Dense_10."""
    return list(place_of(_cppn(material).config, index))


@quantity(
    "network.flat_nonzero", summary="whether a weight, by its index into the authors' flat vector, is not 0", order=69
)
def flat_nonzero(material: Material, *, index: int) -> bool:
    """Whether the weight at `network.flat_index` does anything."""
    model = _cppn(material)
    layer, row, column = place_of(model.config, index)
    return bool(model.matrices[layer][row, column] != 0)
