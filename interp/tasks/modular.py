"""Arithmetic modulo p."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, UnknownName, unknown
from interp.tasks.binary import BinaryOperation
from interp.tasks.cyclic import CyclicStructure
from interp.tasks.pair_checks import check_split
from interp.tasks.pair_symmetry import Move, scalings

POLYNOMIALS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "x^2+y^2": lambda a, b: a * a + b * b,
    "x^2+xy+y^2": lambda a, b: a * a + a * b + b * b,
    "x^2+xy+y^2+x": lambda a, b: a * a + a * b + b * b + a,
    "x^3+xy": lambda a, b: a * a * a + a * b,
    "x^3+xy^2+y": lambda a, b: a * a * a + a * b * b + b,
}
OPERATIONS = (*POLYNOMIALS, "divide")


@dataclass(frozen=True)
class ModularArithmetic(BinaryOperation):
    """``operation(a, b) mod p`` for all pairs; division (p prime) leaves out b = 0.

    >>> task = ModularArithmetic(5, "divide", train_fraction=0.5)
    >>> task.pairs[:3].tolist(), task.labels[:3].tolist(), len(task.inputs)
    ([[0, 1], [0, 2], [0, 3]], [0, 0, 0], 20)

    Attributes:
        p: the modulus; operands are 0..p-1.
        operation: one of `OPERATIONS`.
        train_fraction: share of the pairs that are trained on.
        seed: of the split.
        split: how the pairs are shuffled, see `BinaryOperation`.
        equals_token: whether the inputs end in ``=``.
        loss: one of `LOSSES`.
        form: what stands where, see `BinaryOperation`.
        encoding: tokens or vectors, see `BinaryOperation`.
        n_train: number of pairs that are trained on, instead of ``train_fraction``.

    Raises:
        InterpError: a modulus below 2, an unknown operation, division modulo a composite, an empty split.
    """

    name: ClassVar[str] = "modular"
    summary: ClassVar[str] = "arithmetic modulo p on all pairs: add, subtract, multiply, divide, polynomials"
    HELP: ClassVar[dict[str, str]] = {
        **BinaryOperation.HELP,
        "p": "the modulus",
        "operation": "one of " + ", ".join(OPERATIONS),
    }

    p: int
    operation: str = "add"
    train_fraction: float = 0.3
    seed: int = 0
    split: str | tuple[int, ...] = "python"
    equals_token: bool = True
    loss: str = "cross_entropy"
    form: str = ""
    encoding: str = "tokens"
    n_train: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.p, int) or isinstance(self.p, bool) or self.p < 2:
            raise InterpError(f"modular: p must be a whole number of at least 2, got {self.p!r}")
        if self.p > 4096:
            raise InterpError(f"modular: the input table of p={self.p} has {self.p**2:,} pairs; p is limited to 4096")
        if self.operation not in OPERATIONS:
            raise UnknownName(unknown("operation", str(self.operation), OPERATIONS))
        if self.operation == "divide" and not is_prime(self.p):
            raise InterpError(f"modular: division needs a prime modulus; {self.p} is composite")
        check_split(self)

    @property
    @override
    def n_symbols(self) -> int:
        return self.p

    @property
    @override
    def purpose(self) -> str:
        words = {"add": "a + b", "subtract": "a - b", "multiply": "a * b", "divide": "a / b"}
        term = words.get(self.operation) or self.operation.replace("x", "a").replace("y", "b")
        return f"computes ({term}) mod {self.p}"

    @override
    def make_pairs(self) -> Tensor:
        first_b = 1 if self.operation == "divide" else 0
        return torch.cartesian_prod(torch.arange(self.p), torch.arange(first_b, self.p))

    @override
    def make_labels(self) -> Tensor:
        a, b = self.pairs.T
        if self.operation == "divide":
            inverses = torch.tensor([0, *(pow(i, -1, self.p) for i in range(1, self.p))])
            return a * inverses[b] % self.p
        return POLYNOMIALS[self.operation](a, b) % self.p

    @override
    def cyclic(self) -> CyclicStructure | str:
        if reason := self._no_logits():
            return reason
        symbols = torch.arange(self.p)
        if self.operation == "add":
            return CyclicStructure(self.p, symbols, symbols, symbols)
        if self.operation == "subtract":
            return CyclicStructure(self.p, symbols, -symbols % self.p, symbols)
        if self.operation in ("multiply", "divide") and self.p > 2:
            if not is_prime(self.p):
                return f"{self.operation} modulo the composite {self.p} is not a cyclic group on the nonzero numbers"
            logs = discrete_logarithms(self.p)
            right = logs if self.operation == "multiply" else torch.where(logs < 0, logs, -logs % (self.p - 1))
            return CyclicStructure(self.p - 1, logs, right, logs)
        return f"{self.operation} modulo {self.p} is not addition in any known order of the symbols: no Fourier basis"

    @override
    def moves(self) -> tuple[str, list[Move]]:
        return "scalings and swaps of the operands", scalings(self.p)


def is_prime(n: int) -> bool:
    """Whether n is prime, by trial division.

    Args:
        n: a whole number.

    Returns:
        True for a prime.

    >>> [n for n in range(20) if is_prime(n)]
    [2, 3, 5, 7, 11, 13, 17, 19]
    """
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def discrete_logarithms(p: int) -> Tensor:
    """Discrete logarithms modulo a prime, to its smallest primitive root: ``root ** log[x] = x mod p``.

    Args:
        p: a prime.

    Returns:
        The exponent of every number ``[p]``; -1 for 0.

    Raises:
        InterpError: p is not prime.

    >>> discrete_logarithms(5).tolist()  # powers of 2: 1, 2, 4, 3
    [-1, 0, 1, 3, 2]
    """
    for root in range(1, p):
        powers = [1]
        while len(powers) < p - 1 and (nxt := powers[-1] * root % p) != 1:
            powers.append(nxt)
        if len(powers) == p - 1:
            logs = torch.full((p,), -1)
            logs[torch.tensor(powers)] = torch.arange(p - 1)
            return logs
    raise InterpError(f"{p} has no primitive root: it is not prime")
