"""Representations of finite groups: laws that all must obey, and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from interp.errors import InterpError, UnknownName
from interp.groups import Representations, representations_of
from interp.groups.symmetric import character, partitions
from interp.tasks.named_groups import named_table

GROUPS = (
    "C_2", "C_7", "C_12", "S_3", "S_4", "S_5", "A_4", "A_5", "D_4", "D_5", "D_12", "C_2xC_2", "C_3xC_6", "S_3xC_3", "S_3xS_3",
    "Q_8", "SL_2_3",
)  # fmt: skip


def quaternions() -> np.ndarray:
    """Q_8: 1, -1, i, -i, j, -j, k, -k as complex 2 x 2 matrices, multiplied out."""
    i, j = np.array([[1j, 0], [0, -1j]]), np.array([[0, 1], [-1, 0]], dtype=complex)
    units = [np.eye(2), i, j, i @ j]
    return from_matrices([s * u for u in units for s in (1, -1)])


def special_linear() -> np.ndarray:
    """SL(2, 3): the 24 matrices over the field of three elements with determinant 1."""
    every = [np.array(e).reshape(2, 2) for e in itertools.product(range(3), repeat=4)]
    return from_matrices([m for m in every if (m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]) % 3 == 1], 3)


def from_matrices(elements: list[np.ndarray], modulus: int | None = None) -> np.ndarray:
    """The table of matrices, by looking every product up."""

    def find(m: np.ndarray) -> int:
        m = m if modulus is None else m % modulus
        return next(i for i, e in enumerate(elements) if np.allclose(e, m))

    return np.array([[find(a @ b) for b in elements] for a in elements])


def table_of(name: str) -> np.ndarray:
    made = {"Q_8": quaternions, "SL_2_3": special_linear}
    return made[name]() if name in made else named_table(name)


def shuffled(table: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same group with its elements in another order; new element i is old element order[i]."""
    order = np.random.default_rng(seed).permutation(len(table))
    return np.argsort(order)[table[np.ix_(order, order)]], order


def brute_projection(every: Representations, row: int) -> torch.Tensor:
    """Sum over the group of d / |G| chi(g) R(g), with R(g) the right translation as a permutation matrix."""
    n, found = every.order, torch.zeros(every.order, every.order, dtype=torch.float64)
    for g in range(n):
        translation = torch.zeros(n, n, dtype=torch.float64)
        translation[torch.arange(n), every.table[:, g]] = 1
        found += every.degrees[row] / n * every.characters[row, g] * translation
    return found


@pytest.mark.parametrize("name", GROUPS)
def test_projections_are_orthogonal_and_sum_to_the_identity(name: str) -> None:
    """They are idempotent, orthogonal to each other, and of the stated rank."""
    every = representations_of(table_of(name))
    parts = every.projections
    assert torch.allclose(parts.sum(0), torch.eye(every.order, dtype=torch.float64), atol=1e-12)
    assert torch.equal(parts, parts.transpose(1, 2))
    products = torch.einsum("rij,sjk->rsik", parts, parts)
    wanted = torch.zeros_like(products)
    wanted[range(len(every)), range(len(every))] = parts
    assert torch.allclose(products, wanted, atol=1e-12)
    assert [round(float(p.trace())) for p in parts] == list(every.ranks)


@pytest.mark.parametrize("name", GROUPS)
def test_projections_equal_sums_over_the_group(name: str) -> None:
    """One translation at a time."""
    every = representations_of(table_of(name))
    if every.order <= 36:
        for row in range(len(every)):
            assert torch.allclose(brute_projection(every, row), every.projection([every.names[row]]), atol=1e-12)


@pytest.mark.parametrize("name", GROUPS)
def test_projections_commute_with_translations_from_both_sides(name: str) -> None:
    """P(g x, g y) = P(x, y) = P(x g, y g)."""
    every = representations_of(table_of(name))
    for part in every.projections[:4]:
        for g in range(0, every.order, 5):
            left, right = every.table[g], every.table[:, g]
            assert torch.allclose(part[left][:, left], part, atol=1e-14)
            assert torch.allclose(part[right][:, right], part, atol=1e-14)


@pytest.mark.parametrize("name", GROUPS)
def test_matrices_multiply_as_the_elements_do(name: str) -> None:
    """They are orthogonal, and their traces are the characters."""
    every = representations_of(table_of(name))
    for row, rep in enumerate(every.names):
        rho = every.matrices(rep)
        assert torch.allclose(torch.einsum("aij,bjk->abik", rho, rho), rho[every.table], atol=1e-10)
        assert torch.allclose(rho @ rho.mT, torch.eye(rho.shape[1], dtype=torch.float64), atol=1e-10)
        times = 2 if every.kinds[row] == "quaternionic" else 1
        assert torch.allclose(torch.einsum("gii->g", rho), times * every.characters[row], atol=1e-10)


@pytest.mark.parametrize("name", GROUPS)
def test_matrix_entries_span_the_part_of_their_representation(name: str) -> None:
    """Peter and Weyl: power by characters is power on matrix entries."""
    every = representations_of(table_of(name))
    values = torch.randn(every.order, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for row, rep in enumerate(every.names):
        entries = torch.linalg.svd(every.matrices(rep).flatten(1), full_matrices=False)
        span = entries.U[:, entries.S > 1e-8]
        assert span.shape[1] == every.ranks[row]
        assert torch.allclose((span.T @ values).pow(2).sum(), every.power(values)[row], atol=1e-10)
    assert torch.allclose(every.power(values).sum(), values.pow(2).sum())


@pytest.mark.parametrize("name", ["S_4", "S_5", "A_4", "D_5", "D_12", "Q_8", "C_12"])
def test_names_and_characters_do_not_depend_on_the_order_of_elements(name: str) -> None:
    """Where no automorphism exchanges representations of one name."""
    table = table_of(name)
    other, order = shuffled(table)
    one, two = representations_of(table), representations_of(other)
    assert two.names == one.names
    if name in ("S_4", "S_5", "A_4"):
        assert torch.allclose(two.characters, one.characters[:, torch.from_numpy(order)], atol=1e-12)


@pytest.mark.parametrize("n", [3, 4, 5])
def test_symmetric_groups_equal_the_murnaghan_nakayama_rule(n: int) -> None:
    """Each character is that of one partition; sign and standard are what they are called."""
    every = representations_of(named_table(f"S_{n}"))
    permutations = list(itertools.permutations(range(n)))
    fixed = torch.tensor([sum(p[i] == i for i in range(n)) for p in permutations], dtype=torch.float64)
    sign = torch.tensor([np.linalg.det(np.eye(n)[list(p)]) for p in permutations])
    assert torch.allclose(every.characters[every.names.index("standard")], fixed - 1, atol=1e-12)
    assert torch.allclose(every.characters[every.names.index("sign")], sign, atol=1e-12)
    cycles = [_cycles(p) for p in permutations]
    closed = [[float(character(shape, mu)) for mu in cycles] for shape in partitions(n)]
    assert sorted(every.characters.round().tolist()) == sorted(closed)


def _cycles(permutation: tuple[int, ...]) -> tuple[int, ...]:
    left, found = set(range(len(permutation))), []
    while left:
        start = point = min(left)
        length = 0
        while length == 0 or point != start:
            left.discard(point)
            point, length = permutation[point], length + 1
        found.append(length)
    return tuple(sorted(found, reverse=True))


def test_the_letters_of_the_symmetric_group_are_the_published_ones() -> None:
    """s5_5d_a is the Specht module of (2, 2, 1), which is -1 on a transposition; s5_5d_b that of (3, 2)."""
    every = representations_of(named_table("S_5"))
    assert every.names == ("trivial", "sign", "standard", "standard_sign", "s5_5d_a", "s5_5d_b", "s5_6d")
    transposition = 1  # in lexicographic order the second permutation exchanges the last two points
    assert every.characters[:, transposition].round().tolist() == [1, -1, 2, -2, -1, 1, 0]


def test_cyclic_frequencies_are_cosines() -> None:
    """freq_k of Z_n is cos of w_k, twice but for n / 2."""
    every, j = representations_of(named_table("C_12")), torch.arange(12, dtype=torch.float64)
    for k in range(1, 7):
        wave = torch.cos(2 * math.pi * k * j / 12) * (1 if k == 6 else 2)
        assert torch.allclose(every.characters[every.names.index(f"freq_{k}")], wave, atol=1e-12)


@pytest.mark.parametrize("n", [5, 6, 61])
def test_dihedral_frequencies_are_traces_of_rotations_and_reflections(n: int) -> None:
    """2 cos on rotations and 0 on reflections; sign is 1 and -1."""
    every, j = representations_of(named_table(f"D_{n}")), torch.arange(n, dtype=torch.float64)
    zeros, ones = torch.zeros(n, dtype=torch.float64), torch.ones(n, dtype=torch.float64)
    assert torch.allclose(every.characters[1], torch.cat([ones, -ones]), atol=1e-12)
    for k in range(1, (n - 1) // 2 + 1):
        wave = torch.cat([2 * torch.cos(2 * math.pi * k * j / n), zeros])
        assert torch.allclose(every.characters[every.names.index(f"freq_{k}")], wave, atol=1e-12)
    assert sum(name.startswith(f"freq_{n // 2}_") for name in every.names) == (2 if n % 2 == 0 else 0)


def test_the_alternating_group_has_golden_ratios() -> None:
    """The characters of degree 3 of A_5 are 1 plus or minus the root of 5, halved, on cycles of five."""
    every = representations_of(named_table("A_5"))
    assert every.names == ("trivial", "standard", "a5_3d_a", "a5_3d_b", "a5_5d_a")
    golden = {round((1 + s * math.sqrt(5)) / 2, 9) for s in (1, -1)}
    for row in (2, 3):
        assert set(every.characters[row].numpy().round(9).tolist()) == {3, -1, 0} | golden


def test_quaternions_have_matrices_of_twice_the_degree() -> None:
    """Q_8 and D_4 have one character table; Q_8 acts on four real dimensions, and is told apart."""
    quaternion, dihedral = representations_of(quaternions()), representations_of(named_table("D_4"))
    assert quaternion.kinds[-1] == "quaternionic"
    assert quaternion.matrices(quaternion.names[-1]).shape == (8, 4, 4)
    assert dihedral.matrices("freq_1").shape == (8, 2, 2)
    assert quaternion.names == ("trivial", "1d_a", "1d_b", "1d_c", "2d")


def test_conjugate_pairs_are_one_part() -> None:
    """A_4 has two complex characters of degree 1 whose sum is real: 2 on the even permutations of order 1 and 2, -1 else."""
    every = representations_of(named_table("A_4"))
    row = every.names.index("a4_2d")
    assert (every.kinds[row], every.dims[row], every.degrees[row], every.ranks[row]) == ("complex", 2, 1, 2)
    assert sorted(every.characters[row].round().tolist()) == [-1] * 8 + [2] * 4


def test_a_product_has_products_of_characters() -> None:
    """The characters of S_3 x S_3 are the nine products."""
    one, both = representations_of(named_table("S_3")), representations_of(named_table("S_3xS_3"))
    products = [(a[:, None] * b).flatten().round() for a in one.characters for b in one.characters]
    assert sorted(p.tolist() for p in products) == sorted(both.characters.round().tolist())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["S_6", "C_720", "D_360", "C_2xC_360"])
def test_groups_of_720_elements(name: str) -> None:
    """Ranks fill the space, and the second orthogonality relation holds: characters of the neutral element."""
    every = representations_of(named_table(name))
    weights = torch.tensor(every.degrees, dtype=torch.float64)
    peak = torch.zeros(720, dtype=torch.float64)
    peak[0] = 720
    assert torch.allclose(weights @ every.characters, peak, atol=1e-9)


def test_what_is_no_group_is_refused() -> None:
    """A repeated entry; a Latin square with a neutral element that is not associative."""
    with pytest.raises(InterpError, match="repeats an element"):
        representations_of([[0, 1], [1, 1]])
    loop = [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]]
    with pytest.raises(InterpError, match="not a group|is it associative"):
        representations_of(loop)


def test_an_unknown_name_suggests_the_nearest() -> None:
    """Here ``sing``."""
    with pytest.raises(UnknownName, match="sign"):
        representations_of(named_table("S_4")).indices(["sing"])
