"""Cells: the parts of sites that patching and attribution distinguish, such as every position of every layer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InterpError, UnknownName, unknown
from interp.sites import Site, find_axis

SPLIT = ("pos", "operand", "head", "query")  # axes that are distinguished by default


@dataclass(frozen=True)
class Cells:
    """The cells of one site: every combination of indices along some of its axes.

    Attributes:
        site: the site; where it selects positions, heads or units, the cells are those within the selection.
        axes: the hook point's axes.
        by: the axes that are distinguished.
        indices: a tuple of indices per cell, in the order of ``by``.
    """

    site: Site
    axes: tuple[str, ...]
    by: tuple[str, ...]
    indices: tuple[tuple[int, ...], ...]

    def mask(self, cells: Sequence[int], shape: Sequence[int], device: torch.device) -> Tensor:
        """Masks of k cells.

        Args:
            cells: which of them, by number.
            shape: of the activation.
            device: where to make the mask.

        Returns:
            True where a cell is, ``[k, ...]``; broadcasts over k activations of that shape.
        """
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
        """A dict per cell: the site, and an index for each axis of ``by``."""
        return [{"site": self.site.name, **dict(zip(self.by, index, strict=True))} for index in self.indices]


def make_cells(site: Site, axes: tuple[str, ...], shape: Sequence[int], by: Sequence[str] | None) -> Cells:
    """The cells of a site whose activation has this shape.

    Args:
        site: with the exact name of a hook point.
        axes: the hook point's axes.
        shape: of its activation.
        by: axes to distinguish (one as a string); None: positions, operands and heads, or units if the site has none of
            these.

    Returns:
        the cells.

    Raises:
        UnknownName: an axis that the site does not have; its axes are named.
        InterpError: the batch axis, an axis twice, something other than names of axes, or a site that selects nothing.
    """
    by = [by] if isinstance(by, str) else by
    if by is not None and not (isinstance(by, Sequence) and all(isinstance(axis, str) for axis in by)):
        raise InterpError(f"by takes names of axes, such as by=('pos', 'head'), got {by!r}")
    if by is None:
        found = [a for a in axes if a in SPLIT]
        by = found or [a for a in axes if a == "unit"]
    for axis in by:
        if axis == "batch":
            raise InterpError(f"{site.name}: all inputs are patched together, so by cannot contain 'batch'")
        if axis not in axes and not (axis == "pos" and "query" in axes):
            raise UnknownName(unknown(f"axis of {site.name}", axis, [a for a in axes if a != "batch"]))
    by = tuple(axes[find_axis(a, axes, site.name)] for a in by)
    if len(set(by)) < len(by):
        raise InterpError(f"by distinguishes each axis once, got {by!r}")
    whole = site.mask(shape, axes, torch.device("cpu"))
    if whole is not None and not bool(whole.any()):
        raise InterpError(f"{site} selects nothing of an activation {list(shape)}")
    ranges = [site.chosen(axis, shape[axes.index(axis)]) for axis in by]
    return Cells(site, axes, by, tuple(itertools.product(*ranges)))
