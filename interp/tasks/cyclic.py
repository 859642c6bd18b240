"""How a task is addition modulo n."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from interp.tasks.factors import FactorAxis, Factors, fourier_rows


@dataclass(frozen=True)
class CyclicStructure:
    """How a task is addition modulo ``order``, up to the order of its symbols.

    Operand a has exponent ``left[a]``, operand b ``right[b]``, answer c ``out[c]`` (-1: outside the structure), and the
    answer's exponent is the sum of the operands' exponents modulo ``order``. For addition modulo p all three are the
    identity; for multiplication they are discrete logarithms.

    Attributes:
        order: of the cyclic group.
        left: exponents of the first operand's symbols.
        right: exponents of the second operand's symbols.
        out: exponents of the answers.
    """

    order: int
    left: Tensor
    right: Tensor
    out: Tensor

    def rows(self, pairs: Int[Tensor, "pair 2"]) -> Int[Tensor, "n n"]:
        """Which of some pairs of operands has exponents (i, j).

        Args:
            pairs: of symbols.

        Returns:
            entry (i, j) indexes the pairs; pairs outside the structure are left out.
        """
        i, j = self.left[pairs[:, 0]], self.right[pairs[:, 1]]
        inside = (i >= 0) & (j >= 0)
        table = torch.empty(self.order, self.order, dtype=torch.long)
        table[i[inside], j[inside]] = torch.nonzero(inside).squeeze(1)
        return table

    @property
    def columns(self) -> Int[Tensor, "n"]:
        """Which answer has exponent k."""
        return symbols_by_exponent(self.out, self.order)


def symbols_by_exponent(exponents: Int[Tensor, "symbol"], order: int) -> Int[Tensor, "n"]:
    """Which symbol has exponent k.

    Args:
        exponents: of each symbol; -1 outside the structure.
        order: of the cyclic group.

    Returns:
        a symbol per exponent.

    >>> symbols_by_exponent(torch.tensor([-1, 0, 1]), 2).tolist()
    [1, 2]
    """
    inverse = torch.empty(order, dtype=torch.long)
    inside = exponents >= 0
    inverse[exponents[inside]] = torch.nonzero(inside).squeeze(1)
    return inverse


def frequencies(structure: CyclicStructure, pairs: Int[Tensor, "pair 2"]) -> Factors:
    """The frequencies of a task that is addition modulo n, as factors of functions of a, of b and of the answer.

    Args:
        structure: how it is.
        pairs: its input table.

    Returns:
        frequency k joins k and n - k.
    """
    n, table = structure.order, structure.rows(pairs)
    rows, frequency = fourier_rows(n)
    return Factors(
        "frequency",
        tuple(str(k) for k in range(n // 2 + 1)),
        (FactorAxis("a", table, rows, frequency), FactorAxis("b", table.T, rows, frequency)),
        FactorAxis("answer", structure.columns.unsqueeze(1), rows, frequency),
    )
