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
from typing_extensions import override

from interp._util import wrong_files
from interp._util.files import is_file
from interp.errors import InterpError, UnreadableFile
from interp.tasks.binary import BinaryOperation
from interp.tasks.cyclic import CyclicStructure, GroupStructure
from interp.tasks.named_groups import FORMS, group_name, named_table
from interp.tasks.pair_checks import check_split
from interp.tasks.pair_symmetry import Move, group_translations

Table = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class GroupComposition(BinaryOperation):
    """``a * b`` in a finite group: row a, column b of its table holds a * b.

    A group's name is never read as a file name: write ``./S_3`` for a file with that name.

    >>> GroupComposition("s3").spec()
    'group:table=S_3,train_fraction=0.3,seed=0,split=python'

    Attributes:
        table: a name (cyclic ``C_6`` or ``Z_6``, symmetric ``S_3``, alternating ``A_4``, dihedral ``D_4`` of order 8,
            products such as ``C_2xC_4``; see `named_groups` for the order of the elements), the path of a CSV file of
            whole numbers, or the rows: a tuple of tuples, a nested list, an array.
        train_fraction: share of the pairs that are trained on.
        seed: of the split.
        split: how the pairs are shuffled, see `BinaryOperation`.
        equals_token: whether the inputs end in ``=``.
        source: the name or the file that the table is from; `spec` shows it instead of the table.
        loss: one of `LOSSES`.
        form: what stands where, see `BinaryOperation`.
        encoding: tokens or vectors, see `BinaryOperation`.
        n_train: number of pairs that are trained on, instead of ``train_fraction``.

    Raises:
        InterpError: neither a name nor a file, a group that is too large, or a table that is not square, not a Latin
            square, without a neutral element, or not associative.
    """

    name: ClassVar[str] = "group"
    summary: ClassVar[str] = "composition in a finite group, named or given by its table"
    HELP: ClassVar[dict[str, str]] = {
        **BinaryOperation.HELP,
        "table": f"a group's name ({FORMS}) or a CSV file of its table",
        "source": "where the table is from",
    }

    table: Any = field(repr=False)
    train_fraction: float = 0.3
    seed: int = 0
    split: str | tuple[int, ...] = "python"
    equals_token: bool = True
    source: str | None = field(default=None, repr=False)
    loss: str = "cross_entropy"
    form: str = ""
    encoding: str = "tokens"
    n_train: int | None = None

    def __post_init__(self) -> None:
        table, source = self.table, self.source
        if isinstance(table, (str, Path)):
            table, source = _from_text(table)
        known = source if source is not None and group_name(str(source)) == source else None
        array = named_table(known) if known else None
        if array is None or not np.array_equal(array, table):  # a named group's table needs no check
            if known:
                raise InterpError(f"group: the table is not that of {known}, which was given as its source")
            array = _as_array(table)
            check_group(array)
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "table", tuple(map(tuple, array.tolist())))
        check_split(self)

    @property
    @override
    def n_symbols(self) -> int:
        return len(self.table)

    @property
    @override
    def purpose(self) -> str:
        known = group_name(str(self.source)) if self.source is not None else None
        return f"composes the elements of {known or f'a group of order {self.n_symbols}'}"

    @override
    def make_pairs(self) -> Tensor:
        return torch.cartesian_prod(torch.arange(self.n_symbols), torch.arange(self.n_symbols))

    @override
    def make_labels(self) -> Tensor:
        return torch.tensor(self.table).flatten()

    @override
    def cyclic(self) -> CyclicStructure | str:
        if reason := self._no_logits():
            return reason
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
            "do not describe it: its irreducible representations do (analysis representations)"
        )

    @override
    def moves(self) -> tuple[str, list[Move]]:
        return "left and right translations of the group", group_translations(torch.tensor(self.table))

    @override
    def group(self) -> GroupStructure | str:
        if reason := self._no_logits():
            return reason
        structure, elements = self.cyclic(), torch.arange(self.n_symbols)
        if isinstance(structure, CyclicStructure):
            return structure.group()
        return GroupStructure(torch.tensor(self.table), elements, elements, elements)

    @classmethod
    @override
    def option_names(cls) -> list[str]:
        return [name for name in super().option_names() if name != "source"]

    @override
    def spec_options(self) -> dict[str, Any]:
        return {**super().spec_options(), "table": self.source or f"<{self.n_symbols} elements>"}

    @override
    def stored(self) -> dict[str, Any]:
        """Its fields, with a named group's table as its name."""
        named = self.source is not None and group_name(self.source) == self.source
        return {**super().stored(), **({"table": self.source} if named else {})}


def _from_text(text: str | Path) -> tuple[Any, str]:
    """The table with a name or in a file, and what to call its source."""
    name = group_name(str(text))
    if isinstance(text, str) and name is not None:
        return named_table(name), name
    # a Path is always a file, even one with the name of a group
    return read_table(Path(text)), f"./{text}" if name else str(text)


def _as_array(table: Any) -> np.ndarray:
    try:
        array = np.asarray(table)
        if array.dtype.kind not in "iu":
            raise ValueError("entries are not whole numbers")
    except ValueError as error:
        raise InterpError(f"group: the table is not a square of whole numbers ({error})") from None
    return array


def read_table(path: Path) -> list[list[int]]:
    """Rows of whole numbers from a CSV file.

    Args:
        path: of the file.

    Returns:
        The rows; empty lines are skipped.

    Raises:
        InterpError: a missing file, or a cell that is not a whole number (its row and column are named).
        UnreadableFile: the file cannot be read.
    """
    if not is_file(path):
        raise InterpError(f"group: no table at {path}, and {str(path)!r} is not the name of a group ({FORMS})")
    wrong_files.refuse(path)
    rows = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnreadableFile(f"group: {path} cannot be read ({error.strerror})") from None
    for r, cells in enumerate(csv.reader(text.splitlines()), start=1):
        if not cells:
            continue
        try:
            rows.append([int(cell) for cell in cells])
        except ValueError:
            bad = next((i for i, c in enumerate(cells, start=1) if not re.fullmatch(r"\s*-?[0-9]+\s*", c)), "?")
            raise InterpError(f"group: {path}, row {r}, column {bad}: not a whole number") from None
    return rows


def check_group(table: np.ndarray) -> None:
    """Refuse a table that is not a group's.

    Args:
        table: row a, column b holds a * b.

    Raises:
        InterpError: it breaks a law of groups; the law and the elements are named.
    """
    n = len(table) if table.ndim else 0
    if table.shape != (n, n) or n < 2:
        raise InterpError(f"group: the table must be square with at least 2 rows, got shape {list(table.shape)}")
    if table.min() < 0 or table.max() >= n:
        raise InterpError(f"group: entries must be the elements 0..{n - 1}, got {table.min()}..{table.max()}")
    elements = np.arange(n)
    for axis, kind in ((1, "row"), (0, "column")):
        bad = np.nonzero((np.sort(table, axis=axis) != (elements if axis else elements[:, None])).any(axis=axis))[0]
        if len(bad):
            raise InterpError(f"group: {kind} {bad[0]} of the table repeats an element, so this is not a group")
    neutral = np.nonzero((table == elements).all(axis=1))[0]
    if not len(neutral) or not (table[:, neutral[0]] == elements).all():
        raise InterpError("group: the table has no neutral element, so this is not a group")
    for c in range(n):  # (a * b) * c against a * (b * c), one plane at a time: n^2 memory
        left, right = table[table, c], table[:, table[:, c]]
        if not (left == right).all():
            a, b = np.argwhere(left != right)[0]
            raise InterpError(f"group: ({a}*{b})*{c} differs from {a}*({b}*{c}): not associative, so not a group")
