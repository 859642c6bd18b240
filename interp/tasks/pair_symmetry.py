"""Symmetries of operations on pairs: maps of the symbols that the operation follows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from interp.tasks.cyclic import CyclicStructure, symbols_of
from interp.tasks.symmetry import Symmetry


@dataclass(frozen=True)
class Move:
    """What one element of a group does to the operands and to the answer.

    Attributes:
        left: what each symbol becomes as the first operand.
        right: the same for the second.
        out: what each answer becomes.
        swap: whether the operands change places afterwards.
    """

    left: Int[Tensor, "symbol"]
    right: Int[Tensor, "symbol"]
    out: Int[Tensor, "answer"]
    swap: bool = False


def symmetry_of_pairs(
    name: str, pairs: Int[Tensor, "pair 2"], labels: Int[Tensor, "pair"], moves: Iterable[Move]
) -> Symmetry | None:
    """The group that those moves generate under which the labels are equivariant.

    Args:
        name: of the group, in words.
        pairs: the whole input table.
        labels: the answer to each pair.
        moves: candidates; those that the labels do not follow, or that leave the table, are left out.

    Returns:
        the symmetry; None where no move is left.
    """
    n = int(pairs.max()) + 1
    place = torch.full((n, n), -1, dtype=torch.long)
    place[pairs[:, 0], pairs[:, 1]] = torch.arange(len(pairs))
    kept: list[tuple[Tensor, Tensor]] = []
    for move in moves:
        a, b = move.left[pairs[:, 0]], move.right[pairs[:, 1]]
        there = place[b, a] if move.swap else place[a, b]
        if (there >= 0).all() and torch.equal(labels[there], move.out[labels]):
            kept.append((there, move.out))
    if not kept:
        return None
    inputs, outputs = zip(*kept, strict=True)
    return Symmetry(name, torch.stack(inputs), torch.stack(outputs))


def translations(structure: CyclicStructure) -> list[Move]:
    """One step of either operand in the order of a cyclic structure; symbols outside it stay.

    Args:
        structure: how the operation is addition modulo n.

    Returns:
        a move for each operand.
    """

    def step(exponents: Tensor) -> Tensor:
        symbols = torch.arange(len(exponents))
        forward = symbols_of(exponents, structure.order).roll(-1)
        return torch.where(exponents >= 0, forward[exponents.clamp_min(0)], symbols)

    left, right, out = step(structure.left), step(structure.right), step(structure.out)
    stay = torch.arange(len(left))
    return [Move(left, stay, out), Move(stay, right, out)]


def scalings(n: int) -> list[Move]:
    """Candidates for polynomials modulo n: operands multiplied by units, answers by their powers; signs; a swap.

    Args:
        n: the modulus.

    Returns:
        the moves, most of which a given polynomial does not follow.
    """
    symbols = torch.arange(n)
    found = [Move(symbols, symbols, symbols, swap=True)]
    for left, right in ((-symbols % n, symbols), (symbols, -symbols % n)):
        found.append(Move(left, right, symbols))
    for unit in _generating_units(n):
        scaled = symbols * unit % n
        for power in range(5):
            out = symbols * pow(unit, power, n) % n
            found += [Move(scaled, scaled, out), Move(scaled, symbols, out), Move(symbols, scaled, out)]
    return found


def _generating_units(n: int) -> list[int]:
    """Units modulo n that generate all of them under multiplication."""
    reached, chosen = {1}, []
    for unit in range(2, n):
        if math.gcd(unit, n) == 1 and unit not in reached:
            chosen.append(unit)
            powers = [pow(unit, k, n) for k in range(n)]
            reached = {r * q % n for r in reached for q in powers}
    return chosen


def group_translations(table: Int[Tensor, "n n"]) -> list[Move]:
    """Left translation of the first operand and right translation of the second, by generators of a group.

    Args:
        table: of the group; row a, column b holds a * b.

    Returns:
        ``(g a, b, g c)`` and ``(a, b g, c g)`` for each generator g.
    """
    stay = torch.arange(len(table))
    left = [Move(table[g], stay, table[g]) for g in generators(table)]
    return left + [Move(stay, table[:, g], table[:, g]) for g in generators(table)]


def generators(table: Int[Tensor, "n n"]) -> list[int]:
    """Elements that generate a group, each outside what those before it generate.

    Args:
        table: of the group.

    Returns:
        the elements, in ascending order.

    >>> generators(torch.tensor([[0, 1, 2], [1, 2, 0], [2, 0, 1]]))
    [1]
    """
    n = len(table)
    neutral = int((table == torch.arange(n)).all(1).nonzero()[0])
    inside = torch.zeros(n, dtype=torch.bool)
    inside[neutral] = True
    chosen: list[int] = []
    for g in range(n):
        if inside[g]:
            continue
        chosen.append(g)
        reached = 0
        while int(inside.sum()) > reached:  # products with every generator, until nothing is new
            reached = int(inside.sum())
            for h in chosen:
                inside[table[inside.nonzero()[:, 0], h]] = True
    return chosen
