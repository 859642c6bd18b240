"""The features of an activation in one layout, whatever its axes: what components and directions are counted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from interp.errors import InterpError


@dataclass(frozen=True)
class Features:
    """How a hook point's activation is laid out as ``[batch, ..., feature]``.

    The features are its units, heads and units flattened, or (of attention patterns) its heads.

    >>> import torch
    >>> of = Features(("batch", "pos", "head", "unit"))
    >>> of.last(torch.zeros(5, 3, 2, 4)).shape
    torch.Size([5, 3, 8])
    """

    axes: tuple[str, ...]

    def __post_init__(self) -> None:
        if "batch" not in self.axes or not {"unit", "head"} & set(self.axes):
            raise InterpError(f"an activation with the axes {', '.join(self.axes)} has no components to tell apart")

    @property
    def _order(self) -> list[int]:
        own = [a for a in ("head", "unit") if a in self.axes]
        rest = [a for a in self.axes if a not in ("batch", "head", "unit")]
        return [self.axes.index(a) for a in ("batch", *rest, *own)]

    @property
    def flat_axes(self) -> tuple[str, ...]:
        """The names of the axes of `last`."""
        return ("batch", *(a for a in self.axes if a not in ("batch", "head", "unit")), "unit")

    def last(self, activation: Tensor) -> Tensor:
        """``[batch, ..., feature]``."""
        moved = activation.permute(self._order)
        return moved.flatten(-2) if self._pairs else moved

    def back(self, features: Tensor, like: Sequence[int]) -> Tensor:
        """The activation of which these are the features; ``like`` is its shape (the batch may be another)."""
        if self._pairs:
            features = features.unflatten(-1, (like[self.axes.index("head")], like[self.axes.index("unit")]))
        inverse = sorted(range(len(self.axes)), key=self._order.__getitem__)
        return features.permute(inverse)

    @property
    def _pairs(self) -> bool:
        return "head" in self.axes and "unit" in self.axes
