"""Groups by their tables: which tables are groups, and which groups are cyclic."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from interp import GroupComposition, InterpError
from interp.tasks import make_task, task_from_dict, task_to_dict


def symmetric(n: int) -> list[list[int]]:
    """Multiplication table of all permutations of n things."""
    elements = list(itertools.permutations(range(n)))
    index = {e: i for i, e in enumerate(elements)}
    return [[index[tuple(a[b[i]] for i in range(n))] for b in elements] for a in elements]


def cyclic(n: int, names: list[int] | None = None) -> np.ndarray:
    """Z_n, its elements renamed."""
    names = names or list(range(n))
    table = np.empty((n, n), dtype=int)
    for a, b in itertools.product(range(n), repeat=2):
        table[names[a], names[b]] = names[(a + b) % n]
    return table


def test_labels_are_the_table() -> None:
    """Row a, column b holds a * b."""
    table = symmetric(3)
    task = GroupComposition(table, train_fraction=0.5)
    assert task.labels.tolist() == [table[a][b] for a, b in task.pairs.tolist()]
    assert task.inputs[-1].tolist() == [5, 5, 6]


def test_renamed_cyclic_groups_are_found() -> None:
    """However the elements are called, exponents add up; other groups say what they are."""
    task = GroupComposition(cyclic(6, [3, 1, 4, 0, 5, 2]))
    structure = task.cyclic()
    assert not isinstance(structure, str)
    a, b = task.pairs.T
    assert ((structure.left[a] + structure.right[b]) % 6).tolist() == structure.out[task.labels].tolist()
    klein = [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
    assert "abelian, but not cyclic" in str(GroupComposition(klein).cyclic())
    assert "not abelian" in str(GroupComposition(symmetric(3)).cyclic())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0, 1], [1, 1]], "row 1 .*repeats"), ([[0, 1], [0, 1]], "column 0 .*repeats"),
        ([[0, 1, 2], [1, 2, 0]], "square"), ([[0, 5], [5, 0]], "elements 0..1"), ([[0]], "at least 2"),
        ([[0.5, 1], [1, 0]], "whole numbers"), ([[0, 1], [1]], "square of whole numbers"),
        ([[1, 0, 2], [2, 1, 0], [0, 2, 1]], "no neutral element"),
        ([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]], "not associative"),
    ],
)  # fmt: skip
def test_what_is_no_group(table: object, message: str) -> None:
    """The law that is broken is named, with elements."""
    with pytest.raises(InterpError, match=message):
        GroupComposition(table)


def test_tables_from_files(tmp_path: Path) -> None:
    """A CSV file gives the task; its spec names the file, its JSON holds the table."""
    path = tmp_path / "s3.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in symmetric(3)))
    task = make_task(f"group:table={path},train_fraction=0.5,seed=4")
    assert task == GroupComposition(symmetric(3), 0.5, 4, source=str(path))
    assert make_task(task.spec()) == task
    path.unlink()
    assert task_from_dict(task_to_dict(task)) == task
    with pytest.raises(InterpError, match="no table at"):
        make_task(f"group:table={path}")
    path.write_text("0,1\n1,x\n")
    with pytest.raises(InterpError, match="row 2, column 2"):
        make_task(f"group:table={path}")
