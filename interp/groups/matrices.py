"""Matrices of an irreducible representation, cut out of the regular representation."""

from __future__ import annotations

import numpy as np

from interp.errors import InterpError
from interp.groups.classes import Classes

TRIES = 8
APART = 1e-4  # gap to the next eigenvalue, relative to the largest


def orthogonal_matrices(classes: Classes, projection: np.ndarray, size: int) -> np.ndarray:
    """Real orthogonal matrices of one representation.

    Within its part of the functions on the group, a random symmetric operator that commutes with all left translations has
    eigenspaces that are irreducible; the left translations of one of them are the matrices.

    Args:
        classes: of the group.
        projection: on the representation's part of the functions on the group, ``[n, n]``.
        size: of the matrices: the dimension of the real representation.

    Returns:
        ``[n, size, size]``.

    Raises:
        InterpError: no eigenspace stands apart from the others.
    """
    n, rank = len(classes.table), round(float(np.trace(projection)))
    _, vectors = np.linalg.eigh(projection)
    part = vectors[:, n - rank :]
    for seed in range(TRIES):
        f = np.random.default_rng(seed).standard_normal(n)
        f = f + f[classes.inverse]
        values, inner = np.linalg.eigh(part.T @ f[classes.table[classes.inverse]] @ part)
        spread = np.ptp(values[:size])
        gap = np.inf if rank == size else values[size] - values[size - 1]
        if gap > APART * np.abs(values).max() > 100 * spread:
            basis = part @ inner[:, :size]
            moved = basis[classes.table[classes.inverse]]  # (L_g h)(x) = h(g^-1 x)
            return np.einsum("xi,gxj->gij", basis, moved)
    raise InterpError("group: the matrices of a representation were not found; please report the table")
