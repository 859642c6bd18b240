"""The true edges of an MLP, from its weights."""

from __future__ import annotations

import torch
from torch import Tensor

from circuits.known.transformer_weights import NEGLIGIBLE
from interp.activations.capture import capture
from interp.hooked import HookedMLP


def mlp_edges(model: HookedMLP, inputs: Tensor, varying: bool = True, negligible: float = NEGLIGIBLE) -> frozenset[str]:
    """The single weights through which something that differs between inputs reaches the outputs.

    A weight is an edge where it is not zero, the unit that it reads differs between inputs, and the unit that it feeds
    differs between inputs and has such an edge itself, or is an output. No part is ever replaced.

    Args:
        model: of any depth; computed in float64.
        inputs: all that the network is meant for.
        varying: whether an edge must carry something that differs between inputs; otherwise something that is not zero.
        negligible: numbers up to this are zero.

    Returns:
        labels as `circuits.discover` gives them: ``in0 > L0N3``, ``L0N3 > out1``.
    """
    model = model.cast(torch.float64)  # a constant differs from its mean by more than nothing in float32
    inputs = inputs.to(model.dtype) if inputs.is_floating_point() else inputs
    depth = len(model.config.hidden)
    sites = ["hook_input", *(f"layers.{i}.hook_post" for i in range(depth))]
    acts = capture(model, inputs, sites)
    names = ["in", *(f"L{i}N" for i in range(depth)), "out"]
    weights = [*(model.layer(i).W.detach() for i in range(depth)), model.W_U.detach()]
    edges: set[str] = set()
    live = torch.ones(weights[-1].shape[1], dtype=torch.bool)
    for i in reversed(range(depth + 1)):
        seen = acts[sites[i]] - acts[sites[i]].mean(0) if varying else acts[sites[i]]
        counts = (weights[i].abs() > negligible) & (seen.abs().amax(0) > negligible)[:, None] & live
        edges |= {f"{names[i]}{a} > {names[i + 1]}{b}" for a, b in counts.nonzero().tolist()}
        live = counts.any(1)
    return frozenset(edges)
