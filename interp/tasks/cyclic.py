"""How a task is composition in a finite group, such as addition modulo n."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor


class _Elements:
    """Symbols of operands and answers as elements of a group."""

    order: Any  # a number: counted by one subclass, given to the other
    left: Tensor
    right: Tensor
    out: Tensor

    def rows(self, pairs: Int[Tensor, "pair 2"]) -> Int[Tensor, "n n"]:
        """Which of some pairs of operands is the elements (x, y).

        Args:
            pairs: of symbols.

        Returns:
            entry (x, y) indexes the pairs; pairs outside the group are left out.
        """
        x, y = self.left[pairs[:, 0]], self.right[pairs[:, 1]]
        inside = (x >= 0) & (y >= 0)
        table = torch.empty(self.order, self.order, dtype=torch.long)
        table[x[inside], y[inside]] = torch.nonzero(inside).squeeze(1)
        return table

    @property
    def columns(self) -> Int[Tensor, "n"]:
        """Which answer is which element."""
        return symbols_of(self.out, self.order)


def symbols_of(elements: Int[Tensor, "symbol"], n: int) -> Int[Tensor, "n"]:
    """Which symbol is which element.

    Args:
        elements: of each symbol; -1 outside the group.
        n: number of elements.

    Returns:
        a symbol per element.

    >>> symbols_of(torch.tensor([-1, 0, 1]), 2).tolist()
    [1, 2]
    """
    found = torch.empty(n, dtype=torch.long)
    inside = elements >= 0
    found[elements[inside]] = torch.nonzero(inside).squeeze(1)
    return found


@dataclass(frozen=True)
class GroupStructure(_Elements):
    """How a task is composition in a finite group, up to the names of its symbols.

    Operand a is the group's element ``left[a]``, operand b ``right[b]``, answer c ``out[c]`` (-1: outside the group), and the
    answer's element is ``table[left[a], right[b]]``.

    Attributes:
        table: of the group: row x, column y holds x * y.
        left: elements of the first operand's symbols.
        right: elements of the second operand's symbols.
        out: elements of the answers.
    """

    table: Tensor
    left: Tensor
    right: Tensor
    out: Tensor

    @property
    def order(self) -> int:
        """Number of elements of the group."""
        return len(self.table)


@dataclass(frozen=True)
class CyclicStructure(_Elements):
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

    def group(self) -> GroupStructure:
        """The same as composition in Z_n, whose elements are the exponents."""
        exponents = torch.arange(self.order)
        return GroupStructure((exponents[:, None] + exponents) % self.order, self.left, self.right, self.out)
