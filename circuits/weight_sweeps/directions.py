"""Directions in weight space: single entries, and random ones in a column, a matrix or the whole network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked import HookedModel

Span = Literal["column", "layer", "network"]


@dataclass(frozen=True, eq=False)
class Direction:
    """One direction of length 1, along which weights are moved.

    A matrix is a parameter with two axes or more; its last axis counts its columns, the others together its rows: for
    ``W [in, out]`` a column is what one unit reads.

    Attributes:
        parameter: the matrix that it lies in; None for the whole network.
        column: the column that it lies in; None for more than one.
        vector: ``[rows]`` in a column, ``[rows, columns]`` in a matrix, and all matrices flattened for the network.
        row: of a single entry.
    """

    parameter: str | None
    column: int | None
    vector: Tensor
    row: int | None = None

    @property
    def kind(self) -> str:
        """``single``, ``column``, ``layer`` or ``network``."""
        if self.row is not None:
            return "single"
        if self.column is not None:
            return "column"
        return "network" if self.parameter is None else "layer"

    def __str__(self) -> str:
        if self.row is not None:
            return f"{self.parameter}[{self.row}, {self.column}]"
        if self.column is not None:
            return f"{self.parameter}[:, {self.column}]"
        return self.parameter or "all weights"

    def changes(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a step of 1 adds to each parameter that moves, in the parameters' shapes."""
        if self.parameter is not None:
            weight = weights[self.parameter]
            change = torch.zeros(rows(weight), weight.shape[-1], dtype=weight.dtype, device=weight.device)
            if self.column is None:
                change.copy_(self.vector)
            else:
                change[:, self.column] = self.vector.to(change)
            return {self.parameter: change.reshape(weight.shape)}
        names = matrices(weights)
        parts = self.vector.split([weights[n].numel() for n in names])
        return {n: part.to(weights[n]).reshape(weights[n].shape) for n, part in zip(names, parts, strict=True)}


def matrices(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of the parameters that are matrices."""
    return [name for name, weight in weights.items() if weight.ndim >= 2]


def rows(weight: Tensor) -> int:
    """Rows of a matrix: all axes but the last together."""
    return weight.numel() // weight.shape[-1] if weight.shape[-1] else 0


def single_entries(
    model: HookedModel,
    which: Literal["nonzero", "all"] = "nonzero",
    parameters: str | Iterable[str] | None = None,
    n: int | None = None,
    seed: int = 0,
) -> list[Direction]:
    """A direction for every entry of the model's matrices, in their order.

    Args:
        which: entries that are not 0, or all.
        parameters: of these matrices alone.
        n: a random choice of this many, where there are more.
        seed: of that choice.

    Raises:
        UnknownName: a parameter that the model has not.
    """
    weights = _chosen(model, parameters)
    if n is not None:
        require_range("n", n, 1)
    if which not in ("nonzero", "all"):
        raise UnknownName(unknown("choice of entries", which, ("nonzero", "all")))
    found: list[tuple[str, int, int]] = []
    for name, weight in weights.items():
        table = weight.reshape(-1, weight.shape[-1])
        wanted = torch.ones_like(table, dtype=torch.bool) if which == "all" else table != 0
        found += [(name, row, column) for row, column in wanted.nonzero().tolist()]
    if n is not None and n < len(found):
        chosen = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))[:n].sort().values
        found = [found[i] for i in chosen.tolist()]
    units = {name: torch.eye(rows(weight), dtype=weight.dtype) for name, weight in weights.items()}
    return [Direction(name, column, units[name][row], row) for name, row, column in found]


def random_directions(
    model: HookedModel,
    n: int = 200,
    seed: int = 0,
    span: Span = "column",
    parameters: str | Iterable[str] | None = None,
) -> list[Direction]:
    """Directions of length 1, drawn uniformly.

    Args:
        n: how many.
        seed: of a generator of their own.
        span: ``"column"``: a random matrix, a random column of it, and a unit vector in that column, whose distribution
            does not change under an orthonormal change of the layer's input basis (METHODS A). ``"layer"``: a random
            matrix and a direction in all of it. ``"network"``: a direction in all matrices together.
        parameters: of these matrices alone.

    Raises:
        InterpError: no such number or span.
        UnknownName: a parameter that the model has not.
    """
    require_range("n", n, 1)
    weights = _chosen(model, parameters)
    generator = torch.Generator().manual_seed(seed)

    def unit(*shape: int) -> Tensor:
        drawn = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return (drawn / drawn.norm()).to(model.dtype)

    def below(stop: int) -> int:
        return int(torch.randint(stop, (), generator=generator))

    found = []
    for _ in range(n):
        if span == "network":
            if parameters is not None:
                raise InterpError("a direction in the whole network has no parameters of its own; leave them out")
            found.append(Direction(None, None, unit(sum(w.numel() for w in weights.values()))))
            continue
        name = list(weights)[below(len(weights))]
        weight = weights[name]
        if span == "column":
            column = below(weight.shape[-1])
            found.append(Direction(name, column, unit(rows(weight))))
        elif span == "layer":
            found.append(Direction(name, None, unit(rows(weight), weight.shape[-1])))
        else:
            raise UnknownName(unknown("span", span, ("column", "layer", "network")))
    return found


def _chosen(model: HookedModel, parameters: str | Iterable[str] | None) -> dict[str, Tensor]:
    weights = {n: p.detach() for n, p in model.named_parameters()}
    known = matrices(weights)
    if parameters is None:
        wanted: Sequence[str] = known
    else:
        wanted = [parameters] if isinstance(parameters, str) else list(parameters)
    for name in wanted:
        if name not in known:
            raise UnknownName(unknown("matrix", name, known))
    if not wanted:
        raise InterpError("the model has no matrices, so there is no direction to move along")
    return {name: weights[name] for name in wanted}
