"""Groups by name: the laws, class counts and orders that books give, and constructions from matrices."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from interp import GroupComposition, InterpError
from interp.tasks import make_task, task_from_dict, task_to_dict
from interp.tasks.groups import check_group
from interp.tasks.named_groups import group_name, named_table

# name: order, number of conjugacy classes, {order of an element: how many have it}
KNOWN = {
    "C_6": (6, 6, {1: 1, 2: 1, 3: 2, 6: 2}),
    "S_3": (6, 3, {1: 1, 2: 3, 3: 2}),
    "D_3": (6, 3, {1: 1, 2: 3, 3: 2}),
    "D_4": (8, 5, {1: 1, 2: 5, 4: 2}),
    "D_2": (4, 4, {1: 1, 2: 3}),
    "A_4": (12, 4, {1: 1, 2: 3, 3: 8}),
    "S_4": (24, 5, {1: 1, 2: 9, 3: 8, 4: 6}),
    "A_5": (60, 5, {1: 1, 2: 15, 3: 20, 5: 24}),
    "S_5": (120, 7, {1: 1, 2: 25, 3: 20, 4: 30, 5: 24, 6: 20}),
    "C_2xC_4": (8, 8, {1: 1, 2: 3, 4: 4}),
    "C_2xC_3": (6, 6, {1: 1, 2: 1, 3: 2, 6: 2}),
    "S_3xC_2": (12, 6, {1: 1, 2: 7, 3: 2, 6: 2}),
}


def element_order(table: np.ndarray, element: int) -> int:
    """How many factors of it give the neutral element, 0."""
    power, n = element, 1
    while power != 0:
        power, n = table[power, element], n + 1
    return n


def conjugacy_classes(table: np.ndarray) -> int:
    """Number of sets {g a g^-1}."""
    inverse = np.argwhere(table == 0)[:, 1]
    return len({frozenset(int(table[table[g, a], inverse[g]]) for g in range(len(table))) for a in range(len(table))})


@pytest.mark.parametrize("name", KNOWN)
def test_groups_are_those_of_the_books(name: str) -> None:
    """Group laws, neutral element first, order, classes, and how many elements have each order."""
    order, classes, orders = KNOWN[name]
    table = named_table(name)
    check_group(table)
    assert table[0].tolist() == table[:, 0].tolist() == list(range(order))
    assert conjugacy_classes(table) == classes
    assert dict(Counter(element_order(table, a) for a in range(order))) == orders


@pytest.mark.parametrize("n", [3, 4])
def test_permutations_as_matrices(n: int) -> None:
    """a * b is the product of the matrices that move e_i to e_a(i); so b acts first."""
    matrices = [np.eye(n)[:, list(p)] for p in itertools.permutations(range(n))]
    table = named_table(f"S_{n}")
    for a, b in itertools.product(range(math.factorial(n)), repeat=2):
        assert (matrices[a] @ matrices[b] == matrices[table[a, b]]).all()
    signs = [round(np.linalg.det(m)) for m in matrices]
    even = [m for m, sign in zip(matrices, signs, strict=True) if sign == 1]
    table = named_table(f"A_{n}")
    for a, b in itertools.product(range(len(even)), repeat=2):
        assert (even[a] @ even[b] == even[table[a, b]]).all()


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_dihedral_groups_as_matrices(n: int) -> None:
    """r^k is the rotation by 2 pi k / n, n + k that after a reflection."""
    turn = 2 * np.pi / n * np.arange(n)
    rotations = np.array([[[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]] for t in turn])
    table = named_table(f"D_{n}")
    assert len(table) == 2 * n
    matrices = np.concatenate([rotations, rotations @ np.diag([1.0, -1.0])])
    np.testing.assert_allclose(matrices[:, None] @ matrices, matrices[table], atol=1e-12)


def test_products_act_on_both_parts() -> None:
    """(a, b) * (c, d) = (a c, b d), with (a, b) as a * 2 + b."""
    table, left = named_table("S_3xC_2"), named_table("S_3")
    for a, b, c, d in itertools.product(range(6), range(2), range(6), range(2)):
        assert table[2 * a + b, 2 * c + d] == 2 * left[a, c] + (b + d) % 2


@pytest.mark.parametrize(
    ("text", "name"),
    [("c6", "C_6"), ("Z_6", "C_6"), ("s_3XZ2", "S_3xC_2"), ("D4×a_4", "D_4xA_4"), (" S3 ", "S_3"), ("S_03", "S_3")],
)
def test_spellings(text: str, name: str) -> None:
    """Case, underscores and Z make no difference; the task says the canonical name and comes back from it."""
    assert group_name(text) == name
    task = GroupComposition(text, seed=2)
    assert task.source == name
    assert task.spec().startswith(f"group:table={name},")
    assert make_task(task.spec()) == task == task_from_dict(task_to_dict(task))
    assert task_to_dict(task)["table"] == name


def test_cyclic_products_are_found() -> None:
    """C_2 x C_3 is C_6; C_2 x C_4 is not C_8."""
    assert not isinstance(GroupComposition("C_2xC_3").cyclic(), str)
    assert "abelian, but not cyclic" in str(GroupComposition("C_2xC_4").cyclic())
    assert "not abelian" in str(GroupComposition("D_3").cyclic())


def test_a_name_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file called S_3 does not change what S_3 means; ``./S_3`` and a Path are the file."""
    (tmp_path / "S_3").write_text("0,1\n1,0\n")
    monkeypatch.chdir(tmp_path)
    assert make_task("group:table=S_3").n_outputs == 6
    task = make_task("group:table=./S_3,train_fraction=0.5")
    assert task.n_outputs == 2
    assert GroupComposition(Path("S_3"), 0.5) == task == make_task(task.spec())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("S_7", "order between 2 and 720"), ("C_721", "order between 2"), ("D_361", "2 n elements"), ("C_1", "between 2"),
        ("S_0xC_2", "between 2"), ("S_999999999", "between 2"), ("C_9xC_99", "between 2"),
        ("Q_8", "no table at Q_8, and 'Q_8' is not the name of a group .*S_3"), ("S_3x", "not the name"),
        ("", "not the name of a group"),
        (3, "square"), (None, "whole numbers"), ([], "square|whole"), ("a\0b", "no table"),
    ],
)  # fmt: skip
def test_what_is_neither(table: object, message: str) -> None:
    """Too large, too small, or no name at all."""
    with pytest.raises(InterpError, match=message):
        GroupComposition(table)


def test_a_source_that_is_another_group() -> None:
    """A table that is not the named one's is refused, so that a spec never lies."""
    with pytest.raises(InterpError, match="not that of S_3"):
        GroupComposition([[0, 1], [1, 0]], source="S_3")
    with pytest.raises(InterpError, match="needs table: write group:table="):
        make_task("group:seed=1")
