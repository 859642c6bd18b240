"""Cross-entropy and margins of shifted logits: the elementwise work of many ablations, in tiles that fit a core's cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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

    Attributes:
        task: judges the answers.
        clean: the logits before any change.
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
        """The cross-entropy of every input after each group's move; the logits must be relative to the correct one's."""
        if not self.stable:
            return self._over_outputs(lambda logits: logits.logsumexp(-1), g, n).sub_(self._gain(g, n))
        return self._over_outputs(lambda logits: logits.exp_().sum(-1), g, n).log_().sub_(self._gain(g, n))

    def margins(self, g: slice, n: slice) -> tuple[Float[Tensor, "n g"], Bool[Tensor, "n g"]]:
        """Logit differences: the correct answer's less the largest of the others; and whether the answer is correct."""
        own = self.clean.gather(1, self.labels[:, None])[n] + self._gain(g, n)
        margin = own.double() - self._over_outputs(lambda logits: logits.amax(-1), g, n, self._others).double()
        right = margin > 0
        self._judge(right, margin == 0, g, n)  # of equal logits the first is the network's answer
        return margin, right

    @cached_property
    def _others(self) -> Float[Tensor, "inputs outputs"]:
        return self.clean.scatter(1, self.labels[:, None], -torch.inf)

    def _over_outputs(
        self, reduce: Callable[[Tensor], Tensor], g: slice, n: slice, clean: Tensor | None = None
    ) -> Float[Tensor, "n g"]:
        """A number for the logits of every input after each group's move, tile by tile."""
        clean, index = (self.clean if clean is None else clean)[n], self.groups[g]
        move = self.moves[n][:, index]  # [n, g, size]
        found = move.new_empty(move.shape[:2])
        for part, near in self._tiles(len(found), len(index)):
            found[part, near] = reduce(self._logits(clean[part], move[part, near], index[near]))
        return found

    def _gain(self, g: slice, n: slice) -> Float[Tensor, "n g"]:
        """What each group's move adds to the correct answer's logit."""
        index = self.groups[g]
        return torch.einsum("ngk,gkn->ng", self.moves[n][:, index], self.reach[index][..., self.labels[n]])

    def right(self, losses: Float[Tensor, "n g"], g: slice, n: slice) -> Bool[Tensor, "n g"]:
        """Whether each input is answered correctly; most losses tell.

        Below ln 2 the correct answer has more than half of the probability, and above ln of the number of answers less than
        its share, which is less than the largest.

        Returns:
            the answers' verdicts.
        """
        right, most = losses < math.log(2), math.log(self.clean.shape[1])
        self._judge(right, (losses <= most * (1 + 1e-9) + 1e-9) & ~right, g, n)
        return right

    def _judge(self, right: Tensor, unsure: Tensor, g: slice, n: slice) -> None:
        """Write into ``right``, where it is unsure, what the logits say."""
        for part in unsure.nonzero().split(max(1, CACHE_ELEMENTS // self.clean.shape[1])):
            i, j = part.unbind(1)
            index = self.groups[g][j]
            move = self.moves[n][i[:, None], index]
            logits = self.clean[n][i] + torch.einsum("uk,ukv->uv", move, self.reach[index])
            right[i, j] = self.task.correct(logits, self.labels[n][i])

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
