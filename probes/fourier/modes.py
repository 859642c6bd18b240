"""The Fourier basis of Z_p, and its frequencies."""

from __future__ import annotations

from collections.abc import Sequence

from interp.errors import InterpError
from interp.tasks.factors import fourier_rows
from probes.basis import Basis


def n_frequencies(p: int) -> int:
    """Number of non-constant frequencies of Z_p: 1 to p // 2; for even p the last is the alternating one.

    Args:
        p: the modulus.

    Returns:
        ``p // 2``.

    >>> n_frequencies(113), n_frequencies(8)
    (56, 4)
    """
    return p // 2


def basis(p: int) -> Basis:
    """The real orthonormal Fourier basis of functions on Z_p.

    ``1/sqrt(p)``; then, for k = 1..(p-1)/2, ``sqrt(2/p) cos(2 pi k t / p)`` and ``sqrt(2/p) sin(2 pi k t / p)``; then,
    for even p, the alternating vector ``(-1)^t / sqrt(p)``. Nanda et al. 2023, Progress measures for grokking via
    mechanistic interpretability, https://arxiv.org/abs/2301.05217.

    Args:
        p: the modulus, at least 2.

    Returns:
        ``p`` directions of length ``p`` in float64, named ``1``, ``cos k``, ``sin k``.

    Raises:
        InterpError: a modulus that is not a whole number of at least 2.

    >>> basis(4).names
    ('1', 'cos 1', 'sin 1', 'cos 2')
    """
    if not isinstance(p, int) or p < 2:
        raise InterpError(f"the Fourier basis needs a whole number p of at least 2, got {p!r}")
    rows, frequencies = fourier_rows(p)
    names = ["1", *(f"{wave} {k}" for k in range(1, p // 2 + 1) for wave in ("cos", "sin"))]
    return Basis(rows, tuple(names[: len(frequencies)]))


def check_frequencies(frequencies: Sequence[int], p: int) -> None:
    """Check that every frequency is one of Z_p.

    Args:
        frequencies: whole numbers.
        p: the modulus.

    Raises:
        InterpError: a frequency outside 1..p // 2.
    """
    wrong = [k for k in frequencies if not (isinstance(k, int) and 1 <= k <= n_frequencies(p))]
    if wrong:
        raise InterpError(f"frequencies of Z_{p} are 1 to {n_frequencies(p)}; got {wrong}")


def frequency_basis(p: int, frequencies: list[int]) -> Basis:
    """The cosine and sine directions of some frequencies: two each, one for p/2.

    Args:
        p: the modulus.
        frequencies: of Z_p, 1 to p // 2.

    Returns:
        The directions, in the order of ``frequencies``.
    """
    check_frequencies(frequencies, p)
    full = basis(p)
    return full.select([n for k in frequencies for n in (f"cos {k}", f"sin {k}") if n in full.names])
