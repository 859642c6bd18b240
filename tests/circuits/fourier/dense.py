"""The plain twin of `circuits.fourier.modes`: one dense projection of the whole table of logits for every set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from circuits.fourier.table import Loss, Table
from probes import fourier


def sum_component(values: Tensor, frequencies: Sequence[int]) -> Tensor:
    """The part of a table ``[n, n, ...]`` on cos and sin of w_k (a + b), per further entry.

    The mean over the n pairs of each sum is projected, and laid out over the table again.
    """
    n = values.shape[0]
    index = torch.arange(n, device=values.device)
    argument = (index[:, None] + index) % n
    if not frequencies:
        return torch.zeros_like(values)
    modes = fourier.frequency_basis(n, list(frequencies)).directions.to(values)
    flat = values.reshape(n * n, -1)
    means = torch.zeros(n, flat.shape[1], dtype=values.dtype, device=values.device)
    means.index_add_(0, argument.flatten(), flat)
    means /= n
    return (modes.T @ (modes @ means))[argument].reshape(values.shape)


def dense(table: Table, frequencies: Sequence[int], *, keep: bool) -> Loss:
    """Restricted (``keep``) or excluded loss by ``nanda2d``."""
    part = sum_component(table.cube, frequencies)
    if keep:
        return table.score(table.with_cube(table.cube.mean((0, 1)) + part, rest="mean"))
    return table.score(table.with_cube(table.cube - part, rest="keep"))
