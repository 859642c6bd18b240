"""A transformer's MLP, unembedding and loss at the one position that is read, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from interp._util.subnormals import without_subnormals
from interp.tasks.loss import Loss

Parameters = Mapping[str, Tensor]
ROWS = 256  # inputs at once: their neurons stay within a core's own cache


@dataclass
class Sums:
    """Sums over inputs from which all gradients of the weights follow.

    Attributes:
        W_in: its gradient.
        b_in: its gradient.
        through: of ``W_out @ W_U`` ``[neuron, out]``.
        outputs: of the outputs ``[out]``.
        direct: of ``W_U``, as far as it reads the stream after attention.
    """

    W_in: Tensor
    b_in: Tensor
    through: Tensor
    outputs: Tensor
    direct: Tensor

    def add(self, other: Sums) -> None:
        """Add the sums over other inputs."""
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            mine += theirs


class Rest:
    """What follows attention, with ``W_out`` and ``W_U`` as one matrix: nothing stands between them.

    Args:
        weights: of one network, by name.
        criterion: the loss.
        width: outputs that it reads; the first ones.
    """

    def __init__(self, weights: Parameters, criterion: Loss, width: int):
        self._criterion, self._width = criterion, width
        self._w = w = {_short(name): weight for name, weight in weights.items()}
        self._W_U = w["W_U"][:, :width]
        offset = w["b_out"] @ self._W_U if "b_out" in w else self._W_U.new_zeros(width)
        self._offset = offset + w["b_U"][:width] if "b_U" in w else offset
        self._through = w["W_out"] @ self._W_U

    def sums(self) -> Sums:
        """New sums, of no input."""
        shapes = (self._w["W_in"], self._w["W_in"][0], self._through, self._offset, self._W_U)
        return Sums(*(torch.zeros_like(x) for x in shapes))

    @torch.no_grad()
    def add(self, mid: Tensor, labels: Tensor, factor: Tensor, d_mid: Tensor, sums: Sums) -> None:
        """Add to the sums.

        Args:
            mid: the stream after attention ``[n, d_model]``.
            labels: ``[n, ...]``.
            factor: every input's loss counts this much ``[n]``.
            d_mid: the gradient of ``mid`` is written here.
            sums: what is added to.
        """
        post, slope = (mid.new_empty(min(ROWS, len(mid)), len(self._through)) for _ in "ab")
        for start in range(0, len(mid), ROWS):
            part = slice(start, start + ROWS)
            n = len(mid[part])
            self._add(mid[part], labels[part], factor[part], d_mid[part], sums, post[:n], slope[:n])

    def _add(
        self, mid: Tensor, labels: Tensor, factor: Tensor, d_mid: Tensor, sums: Sums, post: Tensor, slope: Tensor
    ) -> None:
        w = self._w
        torch.mm(mid, w["W_in"], out=post)
        (post.add_(w["b_in"]) if "b_in" in w else post).clamp_min_(0)
        outputs = torch.addmm(self._offset, mid, self._W_U).addmm_(post, self._through)
        g = without_subnormals(self._criterion.gradient(outputs, labels).mul_(factor.unsqueeze(-1)))
        sums.through.addmm_(post.T, g)
        sums.direct.addmm_(mid.T, g)
        sums.outputs += g.sum(0)
        torch.mm(g, self._through.T, out=slope)
        torch.ops.aten.threshold_backward.grad_input(slope, post, 0, grad_input=slope)
        sums.W_in.addmm_(mid.T, slope)
        sums.b_in += slope.sum(0)
        torch.mm(g, self._W_U.T, out=d_mid).addmm_(slope, w["W_in"].T)

    def finish(self, sums: Sums, into: Parameters) -> None:
        """Add the gradients of the weights to those of the same names."""
        w, found = self._w, {_short(name): gradient for name, gradient in into.items()}
        d_W_U = found["W_U"][:, : self._width]
        found["W_in"] += sums.W_in
        found["W_out"].addmm_(sums.through, self._W_U.T)
        d_W_U += sums.direct
        d_W_U.addmm_(w["W_out"].T, sums.through)
        if "b_in" in w:
            found["b_in"] += sums.b_in
            found["b_out"].addmv_(self._W_U, sums.outputs)
            d_W_U.addr_(w["b_out"], sums.outputs)
        if "b_U" in w:
            found["b_U"][: self._width] += sums.outputs


def _short(name: str) -> str:
    return name.removeprefix("blocks.0.mlp.").removeprefix("unembed.")
