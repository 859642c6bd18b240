"""Products of two representations, d x d: all that most similarity measures need, streamed over inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, kind_of
from probes._tensors import as_tensor
from probes.spectra import ROUNDING


@dataclass(frozen=True, eq=False)
class Products:
    """Centred products of two representations X ``[n, d1]`` and Y ``[n, d2]`` of the same n inputs, in float64.

    Attributes:
        n: number of inputs.
        mean_x: mean of the rows of X, ``[d1]``.
        mean_y: mean of the rows of Y, ``[d2]``.
        xx: ``X^T X`` of the centred X, ``[d1, d1]``.
        yy: ``Y^T Y`` of the centred Y, ``[d2, d2]``.
        xy: ``X^T Y`` of both, ``[d1, d2]``.
        norms_xx: ``sum_i |x_i|^4`` over the centred rows; with the next two, what debiased CKA needs beside the products.
        norms_yy: ``sum_i |y_i|^4``.
        norms_xy: ``sum_i |x_i|^2 |y_i|^2``.

    Raises:
        InterpError: shapes that do not belong together.
    """

    n: int
    mean_x: Float[Tensor, "d1"]
    mean_y: Float[Tensor, "d2"]
    xx: Float[Tensor, "d1 d1"]
    yy: Float[Tensor, "d2 d2"]
    xy: Float[Tensor, "d1 d2"]
    norms_xx: float
    norms_yy: float
    norms_xy: float

    def __post_init__(self) -> None:
        d1, d2 = len(self.mean_x), len(self.mean_y)
        shapes = [list(t.shape) for t in (self.xx, self.yy, self.xy)]
        if shapes != [[d1, d1], [d2, d2], [d1, d2]]:
            raise InterpError(f"products of {d1} and {d2} features need [d1, d1], [d2, d2] and [d1, d2], got {shapes}")

    @property
    def alive_x(self) -> Tensor:
        """Which features of X vary over the inputs, beyond what rounding leaves of a constant, ``[d1]``."""
        return _varies(self.xx.diagonal(), self.mean_x, self.n)

    @property
    def alive_y(self) -> Tensor:
        """Which features of Y vary over the inputs, ``[d2]``."""
        return _varies(self.yy.diagonal(), self.mean_y, self.n)

    @property
    def constant(self) -> bool:
        """Whether X or Y is the same for all inputs, so that no similarity is defined."""
        return not (bool(self.alive_x.any()) and bool(self.alive_y.any()))

    def swapped(self) -> Products:
        """The products of Y and X."""
        return Products(
            self.n, self.mean_y, self.mean_x, self.yy, self.xx, self.xy.T, self.norms_yy, self.norms_xx, self.norms_xy
        )

    def rotated(self, rotation: Float[Tensor, "d2 d2"]) -> Products:
        """The products of X and Y Q: norms of rows stay as they are.

        Args:
            rotation: an orthogonal matrix Q, ``[d2, d2]``.

        Returns:
            The products with the features of Y rotated.
        """
        q = rotation.to(self.yy)
        yy, xy, mean_y = q.T @ self.yy @ q, self.xy @ q, self.mean_y @ q
        return Products(self.n, self.mean_x, mean_y, self.xx, yy, xy, self.norms_xx, self.norms_yy, self.norms_xy)


def products(x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"]) -> Products:
    """Centred products of two representations of the same inputs; the mean is subtracted first, in float64.

    Args:
        x: one input per row, ``[n, d1]``.
        y: the same inputs in the same order, ``[n, d2]``.

    Returns:
        The products.

    Raises:
        InterpError: not two matrices with the same number of rows, none at all, or NaN or infinity.

    >>> made = products(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
    >>> made.n, made.xx.tolist(), made.xy.tolist()
    (2, [[2.0]], [[2.0, 0.0]])
    """
    x, y = two(x, y)
    mean_x, mean_y = x.mean(0), y.mean(0)
    u, v = x - mean_x, y - mean_y
    r, s = u.pow(2).sum(1), v.pow(2).sum(1)
    return Products(
        len(x), mean_x, mean_y, u.T @ u, v.T @ v, u.T @ v, float(r @ r), float(s @ s), float(r @ s)
    )  # fmt: skip


class StreamedProducts:
    """Products of two representations from batches of inputs, in memory that does not grow with their number.

    Sums are taken of what is left after the first batch's mean, so that a mean far from 0 costs no digits.

    >>> stream = StreamedProducts()
    >>> for batch in (torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [7.0]])):
    ...     stream.update(batch, -batch)
    >>> stream.result().xy.tolist()
    [[-20.0]]
    """

    def __init__(self) -> None:
        self.n = 0
        self._shift: tuple[Tensor, Tensor] | None = None
        self._sums: list[Tensor] = []

    def update(self, x: Float[Tensor, "batch d1"], y: Float[Tensor, "batch d2"]) -> None:
        """Take the next inputs.

        Args:
            x: rows of the first representation, ``[batch, d1]``.
            y: rows of the second, ``[batch, d2]``.

        Raises:
            InterpError: as in `products`, or another width than before.
        """
        x, y = two(x, y)
        if self._shift is None:
            self._shift = (x.mean(0), y.mean(0))
        widths = tuple(len(shift) for shift in self._shift)
        if (x.shape[1], y.shape[1]) != widths:
            raise InterpError(f"earlier batches have {widths} features, this one {(x.shape[1], y.shape[1])}")
        u, v = x - self._shift[0], y - self._shift[1]
        a, b = u.pow(2).sum(1), v.pow(2).sum(1)
        new = [u.sum(0), v.sum(0), u.T @ u, v.T @ v, u.T @ v, a @ u, a @ v, b @ u, b @ v, a @ a, b @ b, a @ b]
        self._sums = [old + more for old, more in zip(self._sums, new, strict=True)] if self._sums else new
        self.n += len(x)

    def result(self) -> Products:
        """The products of all inputs so far.

        Returns:
            What `products` gives for all batches together, to rounding.

        Raises:
            InterpError: no batch yet.
        """
        if self._shift is None:
            raise InterpError("no inputs yet: call update(x, y) with each batch before result()")
        n = self.n
        u, v, uu, vv, uv, au, av, bu, bv, aa, bb, ab = self._sums
        d, e = u / n, v / n  # how far the mean of all lies from that of the first batch
        return Products(
            n,
            self._shift[0] + d,
            self._shift[1] + e,
            uu - n * torch.outer(d, d),
            vv - n * torch.outer(e, e),
            uv - n * torch.outer(d, e),
            _norms(n, (d, d), (u, u), (uu, uu), uu, (au, au), aa),
            _norms(n, (e, e), (v, v), (vv, vv), vv, (bv, bv), bb),
            _norms(n, (d, e), (u, v), (uu, vv), uv, (bu, av), ab),
        )


def as_products(x: Tensor | Products, y: Tensor | None = None) -> Products:
    """Products as they are, or those of two representations: the first lines of every measure of products.

    Args:
        x: a representation ``[n, d1]``, or products alone.
        y: the other representation ``[n, d2]``; omitted with products.

    Returns:
        The products.

    Raises:
        InterpError: one representation alone, products with a second argument, or what `products` refuses.
    """
    if isinstance(x, Products):
        if y is not None:
            raise InterpError("products hold both representations: give them alone, without a second argument")
        return x
    if y is None:
        as_tensor(x, "x")  # a wrong kind is told first
        raise InterpError("a similarity needs two representations, x [n, d1] and y [n, d2], or products of both")
    return products(x, y)


def two(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Two representations of the same inputs, checked and in float64.

    Args:
        x: one input per row, ``[n, d1]``.
        y: the same inputs, ``[n, d2]``.

    Returns:
        Both, detached, on the device of ``x``.

    Raises:
        InterpError: not two matrices with the same number of rows, none at all, or NaN or infinity.
    """
    x, y = _rows(x, "x"), _rows(y, "y")
    if len(x) != len(y):
        raise InterpError(f"x has {len(x)} rows and y {len(y)}: similarity compares the same inputs, in the same order")
    return x, y.to(x.device)


def constant(rows: Float[Tensor, "n d"]) -> bool:
    """Whether all rows are the same, beyond what rounding leaves of a constant.

    Args:
        rows: one input per row, ``[n, d]``.

    Returns:
        True if no feature varies.
    """
    mean = rows.mean(0)
    return not bool(_varies((rows - mean).pow(2).sum(0), mean, len(rows)).any())


def _rows(given: Tensor, what: str) -> Tensor:
    if isinstance(given, Products):
        raise InterpError(f"{what} must hold one input per row, got {kind_of(given)}: this measure needs the rows")
    rows = as_tensor(given, what).detach()
    if rows.ndim != 2 or 0 in rows.shape:
        raise InterpError(
            f"{what} needs the shape [inputs, features], got {list(rows.shape)}; flatten other axes first"
        )
    rows = rows.double()
    if not bool(rows.isfinite().all()):
        raise InterpError(f"{what} holds NaN or infinity in {int((~rows.isfinite()).any(1).sum())} of {len(rows)} rows")
    return rows


def _varies(squares: Tensor, mean: Tensor, n: int) -> Tensor:
    return squares > ROUNDING * (squares + n * mean.pow(2))


def _norms(
    n: int,
    shifts: tuple[Tensor, Tensor],
    sums: tuple[Tensor, Tensor],
    grams: tuple[Tensor, Tensor],
    cross: Tensor,
    weighted: tuple[Tensor, Tensor],
    total: Tensor,
) -> float:
    """``sum_i |u_i - d|^2 |v_i - e|^2`` multiplied out; ``weighted`` are the sums of |v|^2 u and of |u|^2 v."""
    (d, e), (u, v), (a, b) = shifts, sums, (grams[0].trace(), grams[1].trace())
    dd, ee = d @ d, e @ e
    mixed = -2 * (weighted[0] @ d + weighted[1] @ e) + 4 * d @ cross @ e
    return float(total + mixed + a * ee + b * dd - 2 * (dd * (e @ v) + ee * (d @ u)) + n * dd * ee)
