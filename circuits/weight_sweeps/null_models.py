"""What a sweep is compared with: the same network with its weights shuffled, and a random one of the same architecture."""

from __future__ import annotations

import torch

from interp.hooked import HookedCPPN


def shuffled(cppn: HookedCPPN, seed: int = 0) -> HookedCPPN:
    """The same weights at other places: every matrix's entries in random order, zeros among them."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, W in cppn.named_parameters():
        order = torch.randperm(W.numel(), generator=generator).to(W.device)
        weights[name] = W.detach().flatten()[order].reshape(W.shape)
    return HookedCPPN.from_weights(cppn.config, weights)


def random_network(cppn: HookedCPPN, seed: int = 0) -> HookedCPPN:
    """A network of the same architecture with the weights that training begins from (variance 1/fan-in, cut at two)."""
    return HookedCPPN(cppn.config).to(cppn.device, cppn.dtype).init_weights(seed, scheme="truncated")
