"""Cross-entropy of shifted logits: the elementwise work of many ablations at once, in tiles that stay in a core's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.engine.budget import CACHE_ELEMENTS, slices
from interp.tasks import Task

SAFE_EXPONENT = 600.0  # exp of more overflows float64 when summed over many outputs
TILE_GROUPS = 16  # of one tile: few enough that its rows of logits are not read again and again


@dataclass(frozen=True)
class Shifted:
    """The logits of a network, each input's changed by the moves of one group of directions after another.

    Logits are relative to the correct answer's, so that the loss is their ``log sum exp`` less what the correct answer gains.

    Attributes:
        task: judges the answers.
        clean: the logits before any change, relative to the correct answer's.
        labels: the correct answers.
        moves: along every direction.
        reach: what a unit of each direction adds to the logits.
        groups: which directions move together.
    """

    task: Task
    clean: Float[Tensor, "inputs outputs"]
    labels: Int[Tensor, " inputs"]
    moves: Float[Tensor, "inputs directions"]
    reach: Float[Tensor, "directions outputs"]
    groups: Int[Tensor, "groups size"]

    @cached_property
    def stable(self) -> bool:
        """Whether a sum of exponentials cannot overflow."""
        spread = self.moves.abs().amax() * self.reach.abs().amax() * self.groups.shape[1]
        return bool(self.clean.amax() + spread < SAFE_EXPONENT)

    def losses(self, g: slice, n: slice) -> Float[Tensor, "n g"]:
        """The loss of every input after each group's move."""
        index = self.groups[g]
        move = self.moves[n][:, index]  # [n, g, size]
        total = move.new_empty(move.shape[:2])
        for part, near in self._tiles(len(total), len(index)):
            logits = self._logits(self.clean[n][part], move[part, near], index[near])
            total[part, near] = logits.exp_().sum(-1) if self.stable else logits.logsumexp(-1)
        own = torch.einsum("ngk,gkn->ng", move, self.reach[index][..., self.labels[n]])
        return (total.log_() if self.stable else total).sub_(own)

    def right(self, losses: Float[Tensor, "n g"], g: slice, n: slice) -> Bool[Tensor, "n g"]:
        """Whether each input is answered correctly; most losses tell.

        Below ln 2 the correct answer has more than half of the probability, and above ln of the number of answers less than
        its share, which is less than the largest.
        """
        right = losses < math.log(2)
        width = self.clean.shape[1]
        unsure = ((losses <= math.log(width) * (1 + 1e-9) + 1e-9) & ~right).nonzero()
        for part in unsure.split(max(1, CACHE_ELEMENTS // width)):
            i, j = part.unbind(1)
            index = self.groups[g][j]
            move = self.moves[n][i[:, None], index]
            logits = self.clean[n][i] + torch.einsum("uk,ukv->uv", move, self.reach[index])
            right[i, j] = self.task.correct(logits, self.labels[n][i])
        return right

    def _logits(self, clean: Tensor, move: Tensor, index: Tensor) -> Float[Tensor, "n g outputs"]:
        if index.shape[1] == 1:
            return torch.addcmul(clean[:, None], move, self.reach[index[:, 0]])
        return torch.einsum("ngk,gkv->ngv", move, self.reach[index]).add_(clean[:, None])

    def _tiles(self, inputs: int, groups: int) -> Iterator[tuple[slice, slice]]:
        if self.moves.device.type != "cpu":
            yield slice(None), slice(None)  # a GPU needs pieces that fill it
            return
        pairs = max(1, CACHE_ELEMENTS // self.clean.shape[1])
        wide = min(groups, TILE_GROUPS, pairs)
        for near in slices(groups, wide):
            yield from ((part, near) for part in slices(inputs, pairs // wide))
