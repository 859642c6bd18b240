"""Directions in weight space: single entries, and random ones in a column, a matrix or the whole network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked import HookedModel
from interp.hooked.coerce import as_model
from interp.subject import Subject

Span = Literal["column", "layer", "network"]


@dataclass(frozen=True, eq=False)
class Direction:
    """One direction of length 1, along which weights are moved.

    A matrix is a parameter with two axes or more; its last axis counts its columns, the others together its rows: for
    ``W [in, out]`` a column is what one unit reads.

    Attributes:
        parameter: the matrix in which it lies; None for the whole network.
        column: the column in which it lies; None for more than one.
        vector: ``[rows]`` in a column, ``[rows, columns]`` in a matrix, and all matrices flattened for the network.
        row: of a single entry; None for all others.
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
        """What a step of 1 adds to each parameter that moves.

        Args:
            weights: of the network, by name.

        Returns:
            by name, in the parameters' shapes.
        """
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
    """Number of rows of a matrix: all axes but the last together."""
    return weight.numel() // weight.shape[-1] if weight.shape[-1] else 0


def as_steps(steps: Sequence[float] | Tensor, n: int) -> Tensor:
    """How far the weights move along each of n directions.

    Args:
        steps: for all directions ``[step]``, or for each ``[n, step]``.
        n: number of directions.

    Returns:
        ``[n, step]`` in float64.

    Raises:
        InterpError: no directions, no steps, or steps of another shape or kind.

    >>> as_steps([-1, 1], 2).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    if not n:
        raise InterpError("a sweep needs at least one direction: circuits.random_directions(subject)")
    try:
        given = torch.as_tensor(steps, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise InterpError(f"steps are numbers [step] or [direction, step], got {steps!r}") from None
    given = given.expand(n, -1) if given.ndim == 1 else given
    if given.ndim != 2 or len(given) != n or not given.shape[1]:
        raise InterpError(f"steps are [step] or [direction, step], got {list(given.shape)} for {n} directions")
    if not bool(given.isfinite().all()):
        raise InterpError("steps are finite numbers, got NaN or infinity among them")
    return given


def single_entries(
    model: HookedModel | Subject,
    which: Literal["nonzero", "all"] = "nonzero",
    parameters: str | Iterable[str] | None = None,
    n: int | None = None,
    seed: int = 0,
) -> list[Direction]:
    """A direction for every entry of the model's matrices, in their order.

    Args:
        model: a hooked model or a Subject.
        which: ``"nonzero"`` entries or ``"all"``.
        parameters: only of these matrices.
        n: a random choice of this many, where there are more.
        seed: of that choice.

    Returns:
        one `Direction` per entry.

    Raises:
        UnknownName: a parameter that the model does not have, or another ``which``; the nearest are named.
        InterpError: not a model, no matrices, or ``n`` below 1.

    >>> import interp
    >>> cppn = interp.HookedCPPN(interp.CPPNConfig("1;sin:2")).init_weights(seed=0)
    >>> len(single_entries(cppn)), str(single_entries(cppn)[0])
    (14, 'layers.0.W[0, 0]')
    """
    weights = _chosen(model, parameters)
    if n is not None:
        require_range("n", n, 1)
    if which not in ("nonzero", "all"):
        raise UnknownName(unknown("choice of entries", which, ("nonzero", "all")))
    names, places = list(weights), []
    for i, weight in enumerate(weights.values()):
        table = weight.reshape(-1, weight.shape[-1])
        wanted = torch.ones_like(table, dtype=torch.bool) if which == "all" else table != 0
        here = wanted.nonzero().cpu()  # [entry, (row, column)]
        places.append(torch.cat([torch.full((len(here), 1), i), here], 1))
    found = torch.cat(places)
    if n is not None and n < len(found):
        found = found[torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))[:n].sort().values]
    units = {name: torch.eye(rows(weight), dtype=weight.dtype) for name, weight in weights.items()}
    return [Direction(names[i], column, units[names[i]][row], row) for i, row, column in found.tolist()]


def random_directions(
    model: HookedModel | Subject,
    n: int = 200,
    seed: int = 0,
    span: Span = "column",
    parameters: str | Iterable[str] | None = None,
) -> list[Direction]:
    """Random directions of length 1, drawn uniformly.

    Args:
        model: a hooked model or a Subject.
        n: number of directions.
        seed: of the draw, which has a generator of its own.
        span: ``"column"``: a random matrix, a random column of it, and a unit vector in that column, whose distribution
            does not change under an orthonormal change of the layer's input basis. ``"layer"``: a random matrix and a
            direction in all of it. ``"network"``: a direction in all matrices together.
        parameters: only of these matrices.

    Returns:
        the directions, in the order of the draw.

    Raises:
        InterpError: not a model, no matrices, ``n`` below 1, or parameters with the span ``"network"``.
        UnknownName: a parameter that the model does not have, or another span; the nearest are named.
    """
    if span not in get_args(Span):
        raise UnknownName(unknown("span", span, get_args(Span)))
    require_range("n", n, 1)
    weights = _chosen(model, parameters)
    dtype, generator = as_model(model).dtype, torch.Generator().manual_seed(seed)

    def unit(*shape: int) -> Tensor:
        drawn = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return (drawn / drawn.norm()).to(dtype)

    def below(stop: int) -> int:
        return int(torch.randint(stop, (), generator=generator))

    found = []
    for _ in range(n):
        if span == "network":
            if parameters is not None:
                raise InterpError("a direction in the whole network moves all matrices; leave out parameters=")
            found.append(Direction(None, None, unit(sum(w.numel() for w in weights.values()))))
            continue
        name = list(weights)[below(len(weights))]
        weight = weights[name]
        if span == "column":
            column = below(weight.shape[-1])
            found.append(Direction(name, column, unit(rows(weight))))
        else:
            found.append(Direction(name, None, unit(rows(weight), weight.shape[-1])))
    return found


def _chosen(model: HookedModel | Subject, parameters: str | Iterable[str] | None) -> dict[str, Tensor]:
    weights = {n: p.detach() for n, p in as_model(model).named_parameters()}
    known = matrices(weights)
    if parameters is None:
        wanted: Sequence[str] = known
    else:
        wanted = [parameters] if isinstance(parameters, str) else list(parameters)
    for name in wanted:
        if name not in known:
            raise UnknownName(unknown("matrix", name, known))
    if not wanted:
        raise InterpError("the model has no matrices, so there is no direction to move its weights along")
    return {name: weights[name] for name in wanted}
