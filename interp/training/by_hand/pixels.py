"""A CPPN's colours and their squared error: the gradient of hue, saturation and value, written out."""

from __future__ import annotations

import torch
from torch import Tensor

# every colour misses clip(sign |hue - centre| + offset, 0, 1) of the saturated value; see `interp.hooked.cppn.colour.rgb`
CENTRES, SIGNS, OFFSETS = (3.0, 2.0, 4.0), (-1.0, 1.0, 1.0), (2.0, -1.0, -1.0)


class ColourError:
    """The gradient of ``3/2 * sum(factor * mean((rgb - target)^2))``, with memory for some pixels.

    Args:
        like: gives dtype and device.
        n: pixels.
    """

    def __init__(self, like: Tensor, n: int):
        self._centres, self._signs, self._offsets = (
            like.new_tensor(v).unsqueeze(-1) for v in (CENTRES, SIGNS, OFFSETS)
        )
        self._six, self._turns = like.new_tensor(6.0), -6 * self._signs
        self._miss, self._away, self._error, self._line = (like.new_empty(3, n) for _ in range(4))
        self._hue, self._saturation, self._value, self._faded = (like.new_empty(n) for _ in range(4))

    def backward(self, hsv: Tensor, target: Tensor, factor: Tensor | None) -> None:
        """Replace hue, saturation and value ``[3, n]`` by their gradient.

        Args:
            hsv: the network's outputs; overwritten.
            target: colours ``[3, n]``.
            factor: what every pixel counts ``[n]``; None: 1.
        """
        (h, s, v), error, away, line = hsv, self._error, self._away, self._line
        hue, saturation, value, faded = self._hue, self._saturation, self._value, self._faded
        torch.sub(h, torch.floor(h, out=hue), out=hue).mul_(self._six)
        torch.clamp(s, 0, 1, out=saturation)
        torch.clamp_max(torch.abs(v, out=faded), 1, out=value)
        v.sign_().mul_(torch.eq(faded, value, out=faded))  # clamp passes the gradient where it changes nothing
        torch.mul(value, saturation, out=faded)
        torch.sub(hue, self._centres, out=away)
        torch.addcmul(self._offsets, torch.abs(away, out=line), self._signs, out=line)
        miss = torch.clamp(line, 0, 1, out=self._miss)
        torch.addcmul(value, faded, miss, value=-1, out=error).sub_(target)
        if factor is not None:
            error.mul_(factor)
        away.sign_().mul_(torch.eq(line, miss, out=line)).mul_(error)
        torch.sum(away.mul_(self._turns), 0, out=h).mul_(faded)
        missed = torch.sum(miss.mul_(error), 0, out=hue)
        lit = torch.sum(error, 0, out=faded).addcmul_(saturation, missed, value=-1)
        v.mul_(lit)
        s.copy_(torch.eq(s, saturation, out=saturation).mul_(missed).mul_(value).neg_())
