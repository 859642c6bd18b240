"""The plane that a CPPN draws: the coordinates of a picture's pixels."""

from __future__ import annotations

import math
from operator import index
from typing import SupportsIndex

import torch
from torch import Tensor

from interp.errors import InterpError

LONGEST_EDGE = 8192  # pixels of a drawn picture
Size = int | tuple[int, int]
Span = tuple[float, float]


def plane(size: Size, x: Span, y: Span, dtype: torch.dtype) -> tuple[Tensor, int, int]:
    """`coordinates` of a picture to draw, with its rows and columns.

    Args:
        size: pixels along each edge, or (rows, columns).
        x: what the rows cover, top to bottom.
        y: what the columns cover, left to right.
        dtype: of the coordinates.

    Returns:
        coordinates ``[row * col, 4]``, the number of rows and the number of columns.

    Raises:
        InterpError: a size out of range, or a rectangle without extent.
    """
    edges = size if isinstance(size, (tuple, list)) else (size, size)
    if len(edges) != 2:
        raise InterpError(_wrong_size(size))
    rows, columns = edges
    for name, span in (("x", x), ("y", y)):
        if not isinstance(span, (tuple, list)) or len(span) != 2 or not all(isinstance(n, (int, float)) for n in span):
            raise InterpError(f"{name} is a pair of numbers, such as (-1, 1), got {span!r}")
    if not all(math.isfinite(a) and math.isfinite(b) and a != b for a, b in (x, y)):
        raise InterpError(f"the rectangle x {x}, y {y} has no extent; give two different numbers for each")
    return coordinates(rows, columns, x, y, dtype), rows, columns


def coordinates(
    rows: int,
    columns: int,
    x: Span = (-1.0, 1.0),
    y: Span = (-1.0, 1.0),
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A CPPN's inputs for the pixels of a picture: y, x, ``d = 1.4 sqrt(x^2 + y^2)`` and ``b = 1``.

    Args:
        rows: number of rows, along x.
        columns: number of columns, along y.
        x: what the rows cover, top to bottom.
        y: what the columns cover, left to right.
        dtype: of the result.

    Returns:
        ``[row * col, 4]``, row-major.

    Raises:
        InterpError: no whole numbers of rows and columns, or one out of range.

    >>> coordinates(1, 3)[:, 0].tolist()  # y runs along a row
    [-1.0, 0.0, 1.0]
    """
    require_edges(rows, columns)
    down, along = torch.linspace(*x, rows, dtype=dtype), torch.linspace(*y, columns, dtype=dtype)
    down, along = torch.meshgrid(down, along, indexing="ij")
    d = 1.4 * (down**2 + along**2).sqrt()
    return torch.stack([along, down, d, torch.ones_like(down)], dim=-1).reshape(-1, 4)


def require_edges(rows: object, columns: object) -> None:
    """Refuse a size that no picture can have.

    Args:
        rows: number of rows.
        columns: number of columns.

    Raises:
        InterpError: no whole numbers, or one out of range.

    >>> require_edges(0, 0)
    Traceback (most recent call last):
    interp.errors.InterpError: a picture has 1 to 8192 pixels along each edge; size is their number or (rows, columns), got 0
    """
    for edge in (rows, columns):
        if isinstance(edge, bool) or not isinstance(edge, SupportsIndex) or not 1 <= index(edge) <= LONGEST_EDGE:
            raise InterpError(_wrong_size(rows if rows == columns else (rows, columns)))


def _wrong_size(size: object) -> str:
    return f"a picture has 1 to {LONGEST_EDGE} pixels along each edge; size is their number or (rows, columns), got {size!r}"
