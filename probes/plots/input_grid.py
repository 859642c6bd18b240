"""The input table of a task on two symbols as a grid, thinned where it is large."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from interp.errors import MissingCapability
from interp.tasks import BinaryOperation, Task

MOST = 128  # rows and columns


class InputGrid(NamedTuple):
    """Which examples stand where.

    Attributes:
        examples: indices of the examples that are shown, in the order in which they are run.
        cells: row and column of each, ``[example, 2]``.
        symbols: of the rows and of the columns.
        thinned: what to say where symbols were left out; empty otherwise.
    """

    examples: Int[Tensor, "example"]
    cells: Int[Tensor, "example 2"]
    symbols: list[int]
    thinned: str

    def fill(self, values: Tensor) -> Tensor:
        """Values of the examples ``[example, ...]`` as maps ``[..., row, column]``; NaN where the table has no pair."""
        n = len(self.symbols)
        made = torch.full((*values.shape[1:], n, n), torch.nan, dtype=torch.float64)
        made[..., self.cells[:, 0], self.cells[:, 1]] = values.movedim(0, -1).double().cpu()
        return made


def input_grid(task: Task, most: int = MOST) -> InputGrid:
    """The input table of a task, first operand down, second across.

    Args:
        task: an operation on two symbols.
        most: rows and columns; of more symbols every second, third, ... is shown.

    Returns:
        the grid.

    Raises:
        MissingCapability: another task.
    """
    if not isinstance(task, BinaryOperation):
        raise MissingCapability(
            f"{task.name}: a map over the input table needs an operation on two symbols, such as modular or group"
        )
    every = -(-task.n_symbols // most)
    shown = list(range(0, task.n_symbols, every))
    said = "" if every == 1 else f" (every {every}{_ending(every)} symbol)"
    pairs = task.pairs
    chosen = ((pairs % every == 0).all(1)).nonzero()[:, 0]
    return InputGrid(chosen, pairs[chosen] // every, shown, said)


def _ending(n: int) -> str:
    return {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n not in (11, 12, 13) else 0, "th")
