"""Cells: the parts of sites that patching and attribution tell apart, such as every layer's every position."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.sites import Site, find_axis

SPLIT = ("pos", "operand", "head", "query")  # axes that are told apart unless the user says which


@dataclass(frozen=True)
class Cells:
    """The cells of one site: every combination of indices along some of its axes.

    Attributes:
        site: the site; where it selects positions, heads or units, the cells are those within the selection.
        axes: the hook point's axes.
        by: the axes that are told apart.
        indices: a tuple of indices per cell, in the order of ``by``.
    """

    site: Site
    axes: tuple[str, ...]
    by: tuple[str, ...]
    indices: tuple[tuple[int, ...], ...]

    def mask(self, cells: Sequence[int], shape: Sequence[int], device: torch.device) -> Tensor:
        """True where a cell is, ``[k, ...]``, broadcastable over k activations of that shape."""
        whole = self.site.mask(shape, self.axes, device)
        mask = torch.ones([1] * (len(shape) + 1), dtype=torch.bool, device=device)
        mask = mask if whole is None else mask & whole
        chosen = torch.tensor([self.indices[c] for c in cells], device=device).reshape(len(cells), len(self.by))
        for axis, index in zip(self.by, chosen.T, strict=True):
            dim = self.axes.index(axis)
            along = torch.arange(shape[dim], device=device) == index[:, None]  # [k, size]
            mask = mask & along.reshape(len(cells), *[-1 if d == dim else 1 for d in range(len(shape))])
        return mask if self.by else mask.expand(len(cells), *mask.shape[1:])

    def rows(self) -> list[dict[str, object]]:
        """A dict per cell: the site, and an index for each axis that is told apart."""
        return [{"site": self.site.name, **dict(zip(self.by, index, strict=True))} for index in self.indices]


def make_cells(site: Site, axes: tuple[str, ...], shape: Sequence[int], by: Sequence[str] | None) -> Cells:
    """The cells of a site whose activation has this shape.

    Args:
        by: axes to tell apart; None: positions, operands and heads, or units where it has none of these.

    Raises:
        InterpError: an axis that the site has not.
    """
    if by is None:
        found = [a for a in axes if a in SPLIT]
        by = found or [a for a in axes if a == "unit"]
    for axis in by:
        if axis == "batch":
            raise InterpError(f"{site.name}: inputs are patched together, so cells cannot be told apart by batch")
        find_axis(axis, axes, site.name)
    by = tuple(axes[find_axis(a, axes, site.name)] for a in by)
    ranges = []
    for axis in by:
        size = shape[axes.index(axis)]
        index = getattr(site, "pos" if axis == "query" else axis, None)
        allowed = (
            range(size)
            if index is None
            else torch.arange(size)[index if isinstance(index, (int, slice)) else list(index)]
        )
        ranges.append(
            [int(i) for i in torch.as_tensor(list(allowed) if isinstance(allowed, range) else allowed).reshape(-1)]
        )
    return Cells(site, axes, by, tuple(itertools.product(*ranges)))
