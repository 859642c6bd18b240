"""What the field calls the irreducible representations of a group, by their characters.

- every group: ``trivial``;
- cyclic: ``freq_k``, the character 2 cos(2 pi k j / n) on the j-th power of a generator: the first element that is one;
- symmetric, from S_3 on: ``sign``, ``standard`` (a permutation's fixed points less one), ``standard_sign``, and by group and
  degree for the others, such as ``s5_6d``; with a letter where several have one degree: ``s5_5d_a`` is (2, 2, 1), ``s5_5d_b``
  (3, 2). The letters are those of Chughtai et al. 2023, https://arxiv.org/abs/2302.03025; partitions rise from letter to
  letter, and fall for S_6;
- alternating, from A_4 on: ``standard`` and, by group and degree, ``a5_3d_a``, ``a5_3d_b`` and ``a5_5d_a``;
- dihedral of 2 n elements, n above 3: ``sign`` (1 on rotations, -1 on reflections), ``freq_k`` by the rotation, and for even
  n ``freq_0_a`` and ``freq_0_b``, which turn the sign of the rotation;
- any other: the degree and a letter, ``2d_a``.

Where an automorphism exchanges two representations (``a5_3d_a`` and ``a5_3d_b``; ``standard`` of S_6), names depend on the
order of the elements, as they must: the first of them has the larger character on the first element where they differ.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from interp.groups.classes import Classes
from interp.groups.symmetric import Partition, character, class_size, partitions

LARGEST = 7  # points of the symmetric groups that are recognised: 5,040 elements
FALLING = {6}  # symmetric groups whose letters follow falling partitions
PUBLISHED = {"a5_5d": "a5_5d_a"}  # names that the rule would shorten
CLOSE = 1e-6

Named = dict[str, int]  # names in the order in which they are listed, and the rows that they name


def names_of(characters: np.ndarray, dims: Sequence[int], classes: Classes) -> Named:
    """Names of irreducible representations, the trivial one first.

    Args:
        characters: real characters on the elements, ``[r, n]``; complex-conjugate pairs added.
        dims: the degree of each, of a pair both together.
        classes: of the group.

    Returns:
        A name for every row, in the order in which they are listed.
    """
    trivial = int(np.flatnonzero(np.abs(characters - 1).max(1) < CLOSE)[0])
    for family in (_cyclic, _symmetric, _alternating, _dihedral):
        found = family(characters, classes)
        if found is not None:
            return {"trivial": trivial, **found}
    rest = [r for r in ranked(characters) if r != trivial]
    return {"trivial": trivial, **_lettered(rest, dims, "")}


def ranked(characters: np.ndarray) -> list[int]:
    """Rows by degree; of equal degree the larger value on the first element where they differ is first."""
    rounded = characters.round(6) + 0.0
    return sorted(range(len(rounded)), key=lambda r: (rounded[r].max(), (-rounded[r]).tolist()))


def _lettered(rows: Sequence[int], dims: Sequence[int], prefix: str) -> Named:
    """``2d`` or, where several have one degree, ``2d_a``, ``2d_b``, ...; by degree, then as given."""
    count, seen, found = Counter(dims[r] for r in rows), Counter[int](), {}
    for r in sorted(rows, key=lambda r: dims[r]):
        name = f"{prefix}{dims[r]}d"
        if count[dims[r]] > 1:
            name += f"_{letters(seen[dims[r]])}"
            seen[dims[r]] += 1
        found[PUBLISHED.get(name, name)] = r
    return found


def letters(i: int) -> str:
    """The i-th letter: from a to z, then aa, ab, ...

    Args:
        i: from 0.

    Returns:
        One or more letters.

    >>> letters(0), letters(26)
    ('a', 'aa')
    """
    return (letters(i // 26 - 1) if i >= 26 else "") + string.ascii_lowercase[i % 26]


def _row(characters: np.ndarray, wanted: np.ndarray) -> int | None:
    """The row that holds these values."""
    rows = np.flatnonzero(np.abs(characters - wanted).max(1) < CLOSE)
    return int(rows[0]) if len(rows) else None


def _whole(rows: dict[str, int | None]) -> Named | None:
    """The names, if every one of them was found."""
    return None if None in rows.values() else {name: r for name, r in rows.items() if r is not None}


def _cyclic(characters: np.ndarray, classes: Classes) -> Named | None:
    n = len(classes.table)
    generators = np.flatnonzero(classes.orders == n)
    if not len(generators):
        return None
    powers, j = classes.powers(int(generators[0])), np.arange(n)
    wave = {k: np.cos(2 * math.pi * (k * j % n) / n) * (1 if 2 * k == n else 2) for k in range(1, n // 2 + 1)}
    return _whole({f"freq_{k}": _row(characters[:, powers], w) for k, w in wave.items()})


def _dihedral(characters: np.ndarray, classes: Classes) -> Named | None:
    n = len(classes.table) // 2
    rotations = np.flatnonzero(classes.orders == n)
    if n < 3 or len(classes.table) % 2 or not len(rotations):
        return None
    turns, j = classes.powers(int(rotations[0])), np.arange(n)
    mirrors = np.setdiff1d(np.arange(2 * n), turns)
    if (classes.orders[mirrors] != 2).any():
        return None
    sign = np.ones(2 * n)
    sign[mirrors] = -1
    found: dict[str, int | None] = {"sign": _row(characters, sign)}
    for k in range(1, (n - 1) // 2 + 1):
        wave = np.zeros(2 * n)
        wave[turns] = 2 * np.cos(2 * math.pi * (k * j % n) / n)
        found[f"freq_{k}"] = _row(characters, wave)
    if n % 2 == 0:
        half = [r for r in ranked(characters) if np.abs(characters[r, turns] - np.where(j % 2, -1, 1)).max() < CLOSE]
        found |= {f"freq_{n // 2}_{letter}": r for letter, r in zip("ab", half, strict=True)}
    return _whole(found)


def _symmetric(characters: np.ndarray, classes: Classes) -> Named | None:
    points = {math.factorial(m): m for m in range(3, LARGEST + 1)}
    n = points.get(len(classes.table), 0)
    for standard in _of_degree(characters, n - 1, classes) if n else ():
        cycles = _cycles(characters[standard] + 1, classes, n)
        if cycles is None or any(cycles.count(mu) != class_size(n, mu) for mu in partitions(n)):
            continue
        found = {shape: _row(characters, np.array([character(shape, mu) for mu in cycles])) for shape in partitions(n)}
        if None not in found.values():
            return _of_shapes(n, {shape: r for shape, r in found.items() if r is not None})
    return None


def _of_shapes(n: int, rows: dict[Partition, int]) -> Named:
    """Names of Specht modules: the four that the field names, then degree and letter."""
    ones = (1,) * n
    known = {"sign": ones, "standard": (n - 1, 1), "standard_sign": (2, *ones[2:])}
    named = {name: rows[shape] for name, shape in known.items()}
    if n == 3:
        del named["standard_sign"]  # (2, 1) is its own conjugate
    rest = [rows[shape] for shape in sorted(rows, reverse=n in FALLING) if shape not in {(n,), *known.values()}]
    degree = {rows[shape]: character(shape, ones) for shape in rows}
    dims = [degree.get(r, 0) for r in range(max(degree) + 1)]
    return {**named, **_lettered(rest, dims, f"s{n}_")}


def _alternating(characters: np.ndarray, classes: Classes) -> Named | None:
    points = {math.factorial(m) // 2: m for m in range(4, LARGEST + 1)}
    n = points.get(len(classes.table), 0)
    for standard in _of_degree(characters, n - 1, classes) if n else ():
        cycles = _cycles(characters[standard] + 1, classes, n)
        even = [mu for mu in partitions(n) if (n - len(mu)) % 2 == 0]
        if cycles is not None and all(cycles.count(mu) == class_size(n, mu) for mu in even):
            dims = characters[:, classes.neutral].round().astype(int).tolist()
            rest = [r for r in ranked(characters) if r != standard and np.abs(characters[r] - 1).max() > CLOSE]
            return {"standard": standard, **_lettered(rest, dims, f"a{n}_")}
    return None


def _of_degree(characters: np.ndarray, degree: int, classes: Classes) -> Iterator[int]:
    """Rows of a degree, in the order of `ranked`."""
    for r in ranked(characters):
        if abs(characters[r, classes.neutral] - degree) < CLOSE:
            yield r


def _cycles(fixed: np.ndarray, classes: Classes, points: int) -> list[Partition] | None:
    """The cycles of every element as a permutation, from the number of points that its powers fix.

    Args:
        fixed: a permutation character on the elements.
        classes: of the group.
        points: that are permuted.

    Returns:
        Lengths of cycles, falling; None if these are not the numbers of a permutation.
    """
    found: dict[int, Partition] = {}
    for c, element in enumerate(classes.first):
        powers = fixed[classes.powers(int(element))]
        held, parts = {}, []
        for k in range(1, len(powers) + 1):
            if (
                len(powers) % k == 0
            ):  # points in cycles of exactly k: those that g^k fixes, less those of shorter cycles
                held[k] = powers[k % len(powers)] - sum(v for d, v in held.items() if k % d == 0)
                number = held[k] / k
                if number < -CLOSE or abs(number - round(number)) > CLOSE:
                    return None
                parts += [k] * round(number)
        if sum(parts) != points:
            return None
        found[c] = tuple(sorted(parts, reverse=True))
    return [found[int(c)] for c in classes.of]
