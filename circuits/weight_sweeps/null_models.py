"""Null models of a weight sweep: the network with its weights shuffled, and a random one of the same architecture."""

from __future__ import annotations

import torch

from circuits.weight_sweeps.image_network import as_cppn
from interp.hooked import HookedCPPN
from interp.subject import Subject


def shuffled(cppn: HookedCPPN | Subject, seed: int = 0) -> HookedCPPN:
    """The network with every matrix's entries in random order, zeros among them.

    Args:
        cppn: an image network, or a Subject of one.
        seed: of the order.

    Returns:
        another network.
    """
    cppn = as_cppn(cppn)
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, W in cppn.named_parameters():
        order = torch.randperm(W.numel(), generator=generator).to(W.device)
        weights[name] = W.detach().flatten()[order].reshape(W.shape)
    return HookedCPPN.from_weights(cppn.config, weights)


def random_network(cppn: HookedCPPN | Subject, seed: int = 0) -> HookedCPPN:
    """A network of the same architecture with weights as at the start of training.

    Args:
        cppn: an image network, or a Subject of one.
        seed: of the weights.

    Returns:
        another network; weights are normal with variance 1/fan-in, truncated at two standard deviations.
    """
    cppn = as_cppn(cppn)
    return HookedCPPN(cppn.config).to(cppn.device, cppn.dtype).init_weights(seed, scheme="truncated")
