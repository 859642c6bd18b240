"""Density of the values of a tensor, as a histogram."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes._tensors import as_tensor


def density(values: Float[Tensor, "..."], edges: Float[Tensor, "bin1"]) -> Float[Tensor, "bin"]:
    """Density of the values: share of all values per bin, divided by the bin's width.

    Args:
        values: a tensor of any shape.
        edges: of the bins, ascending, at least two.

    Returns:
        ``[bin]`` in float64, on the CPU; values outside the edges, NaN and infinity count in the whole but in no bin.

    Raises:
        InterpError: fewer than two edges, or edges that do not ascend.

    >>> density(torch.tensor([0.25, 0.75, 0.75, 5.0]), torch.tensor([0.0, 0.5, 1.0])).tolist()
    [0.5, 1.0]
    """
    flat, bounds = (
        as_tensor(values, "values").detach().double().flatten().cpu(),
        as_tensor(edges, "edges").double().cpu(),
    )
    if bounds.ndim != 1 or len(bounds) < 2:
        raise InterpError(f"a histogram needs at least two edges, got shape {list(bounds.shape)}")
    if not bool((bounds.diff() > 0).all()):
        raise InterpError(f"the edges of a histogram must ascend, got {bounds.tolist()}")
    return torch.histogram(flat, bounds).hist / max(len(flat), 1) / bounds.diff()
