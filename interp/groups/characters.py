"""Irreducible characters of a finite group, from its multiplication table alone.

Central functions f act on the group's functions by convolution, and the irreducible characters are the joint eigenvectors
of all of them (Burnside). One random f suffices: its eigenvalues differ. What comes out is exact to rounding, since the
eigenvalues of rho(g) are roots of unity: their multiplicities are whole numbers, and a character is rebuilt from them.
"""

from __future__ import annotations

import numpy as np

from interp.errors import InterpError
from interp.groups.classes import Classes

TRIES = 8  # random functions, until the eigenvalues of one differ enough
NEAR = 0.02  # how far a multiplicity may be from a whole number


def irreducible_characters(classes: Classes) -> np.ndarray:
    """The complex irreducible characters on the classes.

    Args:
        classes: of the group.

    Returns:
        ``[r, r]`` complex: a row per representation (in no particular order), a column per class.

    Raises:
        InterpError: the characters break the orthogonality relations, so the table is not that of a group.

    >>> from interp.groups.classes import classes_of
    >>> a = np.arange(2)
    >>> sorted(irreducible_characters(classes_of((a[:, None] + a) % 2)).real.tolist())
    [[1.0, -1.0], [1.0, 1.0]]
    """
    for seed in range(TRIES):
        found = _rounded(_eigenvectors(classes, seed), classes)
        if found is not None and is_orthogonal(found, classes):
            return found
    raise InterpError(
        "group: no irreducible characters fit the table (they break the orthogonality relations); is it associative?"
    )


def is_orthogonal(characters: np.ndarray, classes: Classes) -> bool:
    """Whether rows and columns of a character table are orthogonal, as those of a group are, with degrees that divide n."""
    n = len(classes.table)
    rows = characters @ (classes.sizes[:, None] * characters.conj().T) / n
    columns = characters.conj().T @ characters * classes.sizes / n
    eye = np.eye(len(characters))
    degrees = np.real(characters[:, classes.of[classes.neutral]])
    whole = np.abs(degrees - degrees.round()).max() < 1e-9 and not (n % degrees.round()).any()
    return bool(np.abs(rows - eye).max() < 1e-8 and np.abs(columns - eye).max() < 1e-8 and whole)


def _eigenvectors(classes: Classes, seed: int) -> np.ndarray:
    """Eigenvectors of the convolution by a random central function, scaled to characters."""
    r, n = len(classes.sizes), len(classes.table)
    generator = np.random.default_rng(seed)
    f = generator.standard_normal(r) + 1j * generator.standard_normal(r)
    f = f + f[classes.of[classes.inverse[classes.first]]].conj()  # a Hermitian operator
    operator = np.zeros((r, r), dtype=complex)
    for k, x in enumerate(classes.first):  # (f * 1_class)(x) = sum over y in the class of f(x y^-1)
        values = f[classes.of[classes.table[x, classes.inverse]]]
        operator[k] = np.bincount(classes.of, values.real, r) + 1j * np.bincount(classes.of, values.imag, r)
    scale = np.sqrt(classes.sizes)
    _, vectors = np.linalg.eigh(scale[:, None] * operator / scale)
    rows = (vectors / scale[:, None]).T
    rows /= rows[:, classes.of[classes.neutral], None]
    return rows * np.sqrt(n / (np.abs(rows) ** 2 @ classes.sizes))[:, None]


def _rounded(rows: np.ndarray, classes: Classes) -> np.ndarray | None:
    """Characters from whole multiplicities of the eigenvalues of rho(g); None if these are not whole, or negative."""
    exact = np.full_like(rows, np.nan)
    for c in np.argsort(-classes.orders[classes.first], kind="stable"):  # the powers of long cycles cover most classes
        if np.isnan(exact[:, c]).any():
            cycle = classes.of[classes.powers(int(classes.first[c]))]
            multiplicity = np.fft.fft(rows[:, cycle]) / len(cycle)
            whole = multiplicity.real.round()
            if np.abs(multiplicity - whole).max() > NEAR or whole.min() < 0:
                return None
            exact[:, cycle] = np.fft.ifft(whole) * len(cycle)
    return exact
