"""Symmetry and factors of functions of bits: flips, and Walsh functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interp.tasks.factors import FactorAxis, Factors, walsh_rows
from interp.tasks.symmetry import Symmetry

MOST_FLIPPED = 10  # bits that take all their values
USUAL_FLIPPED = 8
FILLS = 8  # random values of the bits that stay


def flipped_bits(n: int, k: int) -> int:
    """How many of n bits, the first, take all their values: all of them where they are few, else some beside the k relevant.

    Args:
        n: bits.
        k: relevant ones.

    Returns:
        a number from k to n.
    """
    return n if n <= MOST_FLIPPED else max(k, USUAL_FLIPPED)


def bit_flips(n: int, k: int, flipped: int, seed: int, encode: Callable[[Tensor], Tensor]) -> Symmetry:
    """Flips of single bits and permutations of the irrelevant ones, for a label that is the product of the first k bits.

    Args:
        n: bits of an example.
        k: how many of them, the first, decide the label.
        flipped: how many of them, the first, take all their values.
        seed: of the values of the others.
        encode: from bits of -1 and 1 to what the network is given.

    Returns:
        the symmetry, acting on ``2 ** flipped`` examples for each of a few values of the other bits.
    """
    values = 1 << flipped
    codes = torch.arange(values)
    cube = 1 - 2 * ((codes[:, None] >> torch.arange(flipped)) & 1)
    fills = FILLS if n > flipped else 1
    rest = 2 * torch.randint(0, 2, (fills, n - flipped), generator=torch.Generator().manual_seed(seed)) - 1
    examples = torch.cat([cube.repeat(fills, 1), rest.repeat_interleave(values, 0)], 1).float()
    starts = torch.arange(fills).repeat_interleave(values) * values
    moves = [codes ^ (1 << bit) for bit in range(flipped)]
    moves += [_exchanged(codes, bit) for bit in range(k, flipped - 1)]
    signs = torch.ones(len(moves), 1, dtype=torch.long)
    signs[:k] = -1
    inputs = torch.stack([starts + move.repeat(fills) for move in moves])
    name = f"flips of {flipped} bits, permutations of the irrelevant ones"
    return Symmetry(name, inputs, torch.zeros_like(signs), signs, encode(examples))


def _exchanged(codes: Tensor, bit: int) -> Tensor:
    """The codes with a bit and the next one exchanged."""
    differ = ((codes >> bit) ^ (codes >> (bit + 1))) & 1
    return codes ^ (differ * (3 << bit))


def walsh_functions(symmetry: Symmetry, k: int, flipped: int) -> Factors:
    """Products of subsets of the flipped bits, each a factor of its own.

    Args:
        symmetry: of `bit_flips`.
        k: relevant bits.
        flipped: bits that take all their values.

    Returns:
        factors named by their bits, counted from 1; the correct one is the product of the first k.
    """
    values = 1 << flipped
    names = ["1" if not s else "x" + ".".join(str(i + 1) for i in range(flipped) if s >> i & 1) for s in range(values)]
    index = torch.arange(symmetry.n_examples).view(-1, values).T
    axis = FactorAxis("bits", index, walsh_rows(flipped), torch.arange(values))
    return Factors("Walsh function", tuple(names), (axis,), None, constant=0, correct=((1 << k) - 1,))
