"""How a task is composition in a finite group, of which addition modulo n is the best known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GroupStructure:
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

    def group(self) -> GroupStructure:
        """The same as composition in Z_n, whose elements are the exponents."""
        exponents = torch.arange(self.order)
        return GroupStructure((exponents[:, None] + exponents) % self.order, self.left, self.right, self.out)
