"""The features of an activation in one layout, whatever its axes: what components and directions are counted in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from interp.errors import InterpError


@dataclass(frozen=True)
class Features:
    """How a hook point's activation is laid out with its features last.

    There are two layouts. *Components* are counted in ``[batch, ..., feature]``, where the features are units, heads and
    units flattened, or (of attention patterns) heads. *Directions* of a Basis lie along the units of each head, so with
    ``flatten_heads=False`` only the unit axis moves to the end and every other axis stays where it is.

    Args:
        axes: of the activation.
        flatten_heads: whether heads and units are one feature axis.

    Raises:
        InterpError: there is no batch, or nothing to count; without ``flatten_heads``, no unit axis.

    >>> import torch
    >>> activation = torch.zeros(5, 3, 2, 4)
    >>> Features(("batch", "pos", "head", "unit")).last(activation).shape
    torch.Size([5, 3, 8])
    >>> Features(("batch", "unit", "row", "column"), flatten_heads=False).last(activation).shape
    torch.Size([5, 2, 4, 3])
    """

    axes: tuple[str, ...]
    flatten_heads: bool = True

    def __post_init__(self) -> None:
        shown = ", ".join(self.axes)
        if not self.flatten_heads and "unit" not in self.axes:
            raise InterpError(f"an activation with the axes {shown} has no unit axis, so no basis applies there")
        if self.flatten_heads and ("batch" not in self.axes or not {"unit", "head"} & set(self.axes)):
            raise InterpError(f"an activation with the axes {shown} has no components to tell apart")

    @property
    def _own(self) -> list[str]:
        """The axes that become features."""
        return [a for a in ("head", "unit") if a in self.axes] if self.flatten_heads else ["unit"]

    @property
    def _rest(self) -> list[str]:
        """The other axes, in the order in which they come."""
        rest = [a for a in self.axes if a not in self._own]
        return ["batch", *(a for a in rest if a != "batch")] if self.flatten_heads else rest

    @property
    def _order(self) -> list[int]:
        return [self.axes.index(a) for a in (*self._rest, *self._own)]

    @property
    def flat_axes(self) -> tuple[str, ...]:
        """The names of the axes of `last`."""
        return (*self._rest, "unit")

    def last(self, activation: Tensor) -> Tensor:
        """``[..., feature]``; also of a mask, whose other axes may have length 1."""
        moved = activation.permute(self._order)
        return moved.flatten(-2) if len(self._own) == 2 else moved

    def back(self, features: Tensor, like: Sequence[int]) -> Tensor:
        """The activation that has these features; ``like`` is its shape (the batch may be another)."""
        if len(self._own) == 2:
            features = features.unflatten(-1, (like[self.axes.index("head")], like[self.axes.index("unit")]))
        inverse = sorted(range(len(self.axes)), key=self._order.__getitem__)
        return features.permute(inverse)

    def mapped(self, function: Callable[[Tensor], Tensor], activation: Tensor) -> Tensor:
        """A function of features ``[..., feature]`` that keeps their shape, applied to an activation."""
        return self.back(function(self.last(activation)), activation.shape)
