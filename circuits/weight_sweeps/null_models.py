"""Null models of a weight sweep: the network with its weights shuffled, and a random one of the same architecture."""

from __future__ import annotations

import copy
from typing import TypeVar, cast, overload

import torch

from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.hooked.base import HookedModel
from interp.hooked.coerce import as_model
from interp.subject import Subject

M = TypeVar("M", bound=HookedModel)


@overload
def shuffled(model: M, seed: int = 0) -> M: ...
@overload
def shuffled(model: Subject, seed: int = 0) -> HookedModel: ...
def shuffled(model: HookedModel | Subject, seed: int = 0) -> HookedModel:
    """The network with every matrix's entries in random order, zeros among them; biases stay.

    Args:
        model: a hooked model, or a Subject of one.
        seed: of the order.

    Returns:
        another network.
    """
    model = as_model(model)
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for W in other.parameters():
            if W.ndim >= 2:
                order = torch.randperm(W.numel(), generator=generator).to(W.device)
                W.copy_(W.flatten()[order].reshape(W.shape))
    return other


@overload
def random_network(model: M, seed: int = 0) -> M: ...
@overload
def random_network(model: Subject, seed: int = 0) -> HookedModel: ...
def random_network(model: HookedModel | Subject, seed: int = 0) -> HookedModel:
    """A network of the same architecture with weights as at the start of training.

    Args:
        model: a hooked model, or a Subject of one.
        seed: of the weights.

    Returns:
        another network; matrices are normal with variance 1/fan-in, those of an image network truncated at two standard
        deviations.

    Raises:
        InterpError: a wrapped module, of which only its own code knows how it starts.
    """
    model = as_model(model)
    if model.config.kind == "wrapped":
        raise InterpError("a wrapped module starts as its own code says: build one anew and give it to interp.wrap")
    scheme = "truncated" if isinstance(model, HookedCPPN) else "normal"
    make = cast(type[HookedModel], type(model))
    return make(model.config).to(model.device, model.dtype).init_weights(seed, scheme=scheme)
