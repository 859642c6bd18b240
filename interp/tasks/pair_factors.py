"""Factors of composition in a group: frequencies of Z_n, representations of any other group."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.groups import representations_of
from interp.tasks.cyclic import CyclicStructure, GroupStructure
from interp.tasks.factors import FactorAxis, Factors, fourier_rows


def frequencies(structure: CyclicStructure, pairs: Int[Tensor, "pair 2"]) -> Factors:
    """The frequencies of a task that is addition modulo n, as factors of functions of a, of b and of the answer.

    Args:
        structure: how it is.
        pairs: its input table.

    Returns:
        frequency k joins k and n - k.
    """
    rows, frequency = fourier_rows(structure.order)
    names = tuple(str(k) for k in range(structure.order // 2 + 1))
    return _factors("frequency", names, structure, pairs, rows, frequency)


def representations(structure: GroupStructure, pairs: Int[Tensor, "pair 2"]) -> Factors:
    """The representations of a group, as factors of functions of a, of b and of the answer.

    Args:
        structure: how a task is composition in the group.
        pairs: its input table.

    Returns:
        a factor per irreducible representation, complex-conjugate pairs joined; the constant is the trivial one.
    """
    found = representations_of(structure.table)
    rows, owner = [], []
    for r, (P, rank) in enumerate(zip(found.projections, found.ranks, strict=True)):
        space = torch.linalg.eigh(P).eigenvectors[:, len(P) - rank :]  # eigenvalues ascend from 0 to 1
        rows.append(space.T)
        owner += [r] * rank
    return _factors("representation", found.names, structure, pairs, torch.cat(rows), torch.tensor(owner))


def _factors(
    kind: str, names: tuple[str, ...], structure: CyclicStructure | GroupStructure, pairs: Tensor,
    rows: Float[Tensor, "n n"], owner: Int[Tensor, "n"],
) -> Factors:  # fmt: skip
    table = structure.rows(pairs)
    axes = FactorAxis("a", table, rows, owner), FactorAxis("b", table.T, rows, owner)
    return Factors(kind, names, axes, FactorAxis("answer", structure.columns.unsqueeze(1), rows, owner))
