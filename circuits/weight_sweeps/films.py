"""Films of a weight sweep over the input table: how the logits of one answer change along a direction."""

from __future__ import annotations

import torch

from circuits.weight_sweeps.directions import Direction
from circuits.weight_sweeps.moves_of_model import moves_of
from circuits.weight_sweeps.network_sweep import NetworkSweep, examples_of
from circuits.weight_sweeps.plain_moves import Moves
from interp.pictures import Picture, from_signed, sheet

RANKS = (0.25, 0.5, 0.75, 1.0)  # of effect
FACTORS = (-2.0, -1.0, 1.0, 2.0)  # of the step
SIDE = 96  # pixels that a tile has at least


def table_films(
    sweep: NetworkSweep,
    moves: Moves | None = None,
    ranks: tuple[float, ...] = RANKS,
    factors: tuple[float, ...] = FACTORS,
) -> Picture | None:
    """Films of some directions: changes of the logit of answer 0 over the input table ``[a, b]``.

    Stripes along the diagonals are functions of a + b, as modular addition needs; stripes along an axis are functions of one
    operand.

    Args:
        sweep: of a network whose inputs are a table of pairs.
        moves: of the network, where they are at hand.
        ranks: of effect, from 0 (the smallest change) to 1, at which directions are shown.
        factors: of each direction's step, at which it is shown.

    Returns:
        one sheet, a row per direction; None where the inputs are not a table of pairs.
    """
    axes = sweep.meter.factors.inputs
    if len(axes) != 2 or axes[0].index.shape[0] != axes[0].index.shape[1] or sweep.counted().empty:
        return None
    task = sweep.subject.require_task()
    moves = moves or moves_of(sweep.subject.model, task, examples_of(task, len(task.inputs))[0])
    table = axes[0].index.to(moves.base.device)
    clean = moves.base - moves.base.mean(-1, keepdim=True)
    rows, names = [], []
    for rank in ranks:
        i = sweep.by_effect(rank)
        step = float(sweep.steps[i].abs().max())
        tiles = [_tile(clean[:, 0][table])]
        tiles += [_tile(_change(moves, sweep.directions[i], step * factor)[table]) for factor in factors]
        rows.append(tiles)
        names.append(str(sweep.directions[i]))
    return sheet(rows, rows=names, columns=["clean", *(f"{factor:+g} steps" for factor in factors)])


def _change(moves: Moves, direction: Direction, step: float) -> torch.Tensor:
    change = moves.change(direction, step).centred()
    return change.dense()[:, 0]


def _tile(values: torch.Tensor) -> Picture:
    """A map scaled to its largest value, each cell large enough to be seen."""
    scaled = values / values.abs().max().clamp_min(1e-30)
    cell = max(1, -(-SIDE // len(values)))
    return Picture(from_signed(scaled).repeat_interleave(cell, 0).repeat_interleave(cell, 1))
