"""How a task is addition modulo n."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
