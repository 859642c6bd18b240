"""Factors of a task: the invariant parts of functions on its input table, such as the frequencies of Z_p."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError


@dataclass(frozen=True, eq=False)
class FactorAxis:
    """One argument along which functions are taken apart: an operand, the bits of an input, or the output.

    Attributes:
        name: of the argument.
        index: examples (or outputs, in a single column) by the argument's value, and by everything else.
        basis: orthonormal functions of the argument, in rows.
        factor: to which factor each function belongs.

    Raises:
        InterpError: rows that are not orthonormal, or shapes that do not agree.
    """

    name: str
    index: Int[Tensor, "value rest"]
    basis: Float[Tensor, "function value"]
    factor: Int[Tensor, "function"]

    def __post_init__(self) -> None:
        if self.basis.ndim != 2 or len(self.factor) != len(self.basis) or self.index.shape[:1] != self.basis.shape[1:]:
            raise InterpError(
                f"factors of {self.name}: index {list(self.index.shape)}, basis {list(self.basis.shape)} and factor "
                f"{list(self.factor.shape)} must be [value, rest], [function, value] and [function]"
            )
        gram = self.basis.double() @ self.basis.double().T
        if not (gram - torch.eye(len(gram), dtype=gram.dtype)).abs().max() < 1e-6:
            raise InterpError(f"factors of {self.name}: the functions are not orthonormal")

    def power(self, values: Float[Tensor, "value more"], n_factors: int) -> Float[Tensor, "factor"]:
        """Squared size of each factor's part of ``values``, in their first axis.

        Args:
            values: by the argument's value.
            n_factors: how many factors there are.

        Returns:
            one power per factor, in float64.
        """
        basis = self.basis.to(values)
        if len(basis) < basis.shape[1] or values.shape[1] < len(values):
            by_function = (basis @ values).square().sum(1)
        else:  # of a whole basis the inner products of the values are enough, and smaller than their transform
            by_function = ((basis @ (values @ values.T)) * basis).sum(1).clamp_min(0)
        found = torch.zeros(n_factors, dtype=torch.float64, device=values.device)
        return found.index_add_(0, self.factor.to(values.device), by_function.double())


@dataclass(frozen=True, eq=False)
class Factors:
    """Orthogonal parts of functions on a task's inputs and outputs, each with a name.

    Attributes:
        kind: what a factor is, in the singular: ``"frequency"``.
        names: one per factor.
        inputs: the arguments on the input side.
        outputs: the argument on the output side; None where the outputs have no factors.
        constant: the factor that holds constants, which counts as none; None if there is none.
        correct: the factors that a right answer needs; None where many sets of them serve.
    """

    kind: str
    names: tuple[str, ...]
    inputs: tuple[FactorAxis, ...]
    outputs: FactorAxis | None
    constant: int | None = 0
    correct: tuple[int, ...] | None = None

    @property
    def n_counted(self) -> int:
        """Number of factors without the constant."""
        return len(self.names) - (self.constant is not None)

    def varying(self, power: Float[Tensor, "factor"]) -> Float[Tensor, "factor"]:
        """Power by factor with that of the constant at 0."""
        if self.constant is not None:
            power = power.clone()
            power[self.constant] = 0
        return power

    @property
    def counted_names(self) -> tuple[str, ...]:
        """Names of the factors without the constant."""
        return tuple(n for i, n in enumerate(self.names) if i != self.constant)


def fourier_rows(n: int) -> tuple[Float[Tensor, "n n"], Int[Tensor, "n"]]:
    """The real Fourier basis of Z_n in rows, and the frequency of each: 0, then cos and sin of 1, 2, ...

    Args:
        n: the modulus.

    Returns:
        orthonormal rows in float64, and their frequencies.

    >>> fourier_rows(4)[1].tolist()
    [0, 1, 1, 2]
    """
    t = torch.arange(n)
    rows, frequencies = [torch.full((n,), n**-0.5, dtype=torch.float64)], [0]
    for k in range(1, n // 2 + 1):
        if 2 * k == n:
            rows.append(torch.where(t % 2 == 0, 1.0, -1.0).double() * n**-0.5)
            frequencies.append(k)
            continue
        # k * t is reduced before the multiplication, so that the angle stays small and exact
        angle = 2 * math.pi * ((k * t) % n).double() / n
        rows += [math.sqrt(2 / n) * torch.cos(angle), math.sqrt(2 / n) * torch.sin(angle)]
        frequencies += [k, k]
    return torch.stack(rows), torch.tensor(frequencies)


def walsh_rows(bits: int) -> Float[Tensor, "n n"]:
    """The Walsh functions of some bits in rows: entry (s, x) is the product of the bits of x in the subset s.

    Args:
        bits: how many; row s and column x are whole numbers below ``2 ** bits``. A bit of x that is set stands for -1.

    Returns:
        orthonormal rows in float64.

    >>> (walsh_rows(1) * 2**0.5).tolist()
    [[1.0000, 1.0000], [1.0000, -1.0000]]
    """
    rows = torch.ones(1, 1, dtype=torch.float64)
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5
    for _ in range(bits):
        rows = torch.kron(rows, pair)
    return rows
