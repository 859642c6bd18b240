"""Composition in a finite group, given by its multiplication table."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from interp.errors import InterpError
from interp.tasks.base import BinaryOperation, CyclicStructure, check_split

Table = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class GroupComposition(BinaryOperation):
    """``a * b`` in the group whose table is given: row a, column b holds a * b.

    Attributes:
        table: the rows, as a tuple of tuples, a nested list, an array, or the path of a CSV file of whole numbers.
        source: where the table was read from; it stands for the table in `spec`.

    Raises:
        InterpError: a table that is not square, not a Latin square, without a neutral element, or not associative.
    """

    name: ClassVar[str] = "group"

    table: Any = field(repr=False)
    train_fraction: float = 0.3
    seed: int = 0
    split: str = "python"
    equals_token: bool = True
    source: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        table = self.table
        if isinstance(table, (str, Path)):
            object.__setattr__(self, "source", str(table))
            table = read_table(Path(table))
        try:
            array = np.asarray(table)
            if array.dtype.kind not in "iu":
                raise ValueError("entries are not whole numbers")
        except ValueError as error:
            raise InterpError(f"group: the table is no square of whole numbers ({error})") from None
        check_group(array)
        object.__setattr__(self, "table", tuple(map(tuple, array.tolist())))
        check_split(self)

    @property
    def n_symbols(self) -> int:
        return len(self.table)

    def _make_pairs(self) -> Tensor:
        return torch.cartesian_prod(torch.arange(self.n_symbols), torch.arange(self.n_symbols))

    def _make_labels(self) -> Tensor:
        return torch.tensor(self.table).flatten()

    def cyclic(self) -> CyclicStructure | str:
        n, neutral = self.n_symbols, self.table.index(tuple(range(self.n_symbols)))
        longest = 1
        for generator in range(n):
            powers = [neutral]
            while (nxt := self.table[powers[-1]][generator]) != neutral:
                powers.append(nxt)
            longest = max(longest, len(powers))
            if len(powers) == n:
                logs = torch.empty(n, dtype=torch.long)
                logs[torch.tensor(powers)] = torch.arange(n)
                return CyclicStructure(n, logs, logs, logs)
        array = np.asarray(self.table)
        kind = "abelian, but not cyclic" if (array == array.T).all() else "not abelian"
        return (
            f"the group of {n} elements is {kind} (no element has an order above {longest}), so Fourier modes of Z_n "
            "do not describe it: its irreducible representations would"
        )

    def spec_options(self) -> dict[str, Any]:
        options = {k: v for k, v in super().spec_options().items() if k not in ("table", "source")}
        return {"table": self.source or f"<{self.n_symbols} elements>", **options}


def read_table(path: Path) -> list[list[int]]:
    """Rows of whole numbers from a CSV file.

    Raises:
        InterpError: a missing file, or a cell that is no whole number (its row and column are named).
    """
    if not path.is_file():
        raise InterpError(f"group: no table at {path}")
    rows = []
    with path.open(newline="", encoding="utf-8", errors="replace") as lines:
        for r, cells in enumerate(csv.reader(lines), start=1):
            if not cells:
                continue
            try:
                rows.append([int(cell) for cell in cells])
            except ValueError:
                bad = next((i for i, c in enumerate(cells, start=1) if not re.fullmatch(r"\s*-?[0-9]+\s*", c)), "?")
                raise InterpError(f"group: {path}, row {r}, column {bad}: no whole number") from None
    return rows


def check_group(table: np.ndarray) -> None:
    """Refuse a table that is not a group's, naming the law and the elements that break it."""
    n = len(table)
    if table.ndim != 2 or table.shape != (n, n) or n < 2:
        raise InterpError(f"group: the table must be square with at least 2 rows, got shape {list(table.shape)}")
    if table.min() < 0 or table.max() >= n:
        raise InterpError(f"group: entries must be the elements 0..{n - 1}, got {table.min()}..{table.max()}")
    elements = np.arange(n)
    for axis, kind in ((1, "row"), (0, "column")):
        bad = np.nonzero((np.sort(table, axis=axis) != (elements if axis else elements[:, None])).any(axis=axis))[0]
        if len(bad):
            raise InterpError(f"group: {kind} {bad[0]} of the table repeats an element, so this is no group")
    neutral = np.nonzero((table == elements).all(axis=1))[0]
    if not len(neutral) or not (table[:, neutral[0]] == elements).all():
        raise InterpError("group: the table has no neutral element, so this is no group")
    for c in range(n):  # (a * b) * c against a * (b * c), one plane at a time: n^2 memory
        left, right = table[table, c], table[:, table[:, c]]
        if not (left == right).all():
            a, b = np.argwhere(left != right)[0]
            raise InterpError(f"group: ({a}*{b})*{c} differs from {a}*({b}*{c}): not associative, so no group")
