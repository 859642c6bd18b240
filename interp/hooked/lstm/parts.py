"""The parts of an LSTM: layers and unembedding."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.hooked.hook_point import HookPoint
from interp.hooked.inputs import inside_transform
from interp.hooked.lstm.config import LSTMConfig

STEP_POINTS = ("hook_i", "hook_f", "hook_g", "hook_o", "hook_c", "hook_h")  # in the order in which they are passed


class Layer(nn.Module):
    """One layer over all steps, with the equations of ``torch.nn.LSTM`` and its order of gates: i, f, g, o.

    Weights are ``W_ih [d_in, 4 * hidden]``, ``W_hh [hidden, 4 * hidden]``, ``b_ih`` and ``b_hh [4 * hidden]``. The gates'
    hook points come after the sigmoid or tanh.

    Args:
        d_in: width of the input.
        config: the model's.
    """

    def __init__(self, d_in: int, config: LSTMConfig):
        super().__init__()
        self.d_hidden = config.d_hidden
        self.W_ih = nn.Parameter(torch.zeros(d_in, 4 * config.d_hidden))
        self.W_hh = nn.Parameter(torch.zeros(config.d_hidden, 4 * config.d_hidden))
        self.b_ih = nn.Parameter(torch.zeros(4 * config.d_hidden))
        self.b_hh = nn.Parameter(torch.zeros(4 * config.d_hidden))
        for name in STEP_POINTS:
            setattr(self, name, nn.ModuleList(HookPoint("batch", "unit") for _ in range(config.n_ctx)))

    @override
    def forward(self, x: Tensor, fused: bool) -> Tensor:
        """The hidden states ``[batch, pos, hidden]`` of ``x [batch, pos, d_in]``; ``fused`` allows torch's kernel."""
        # the kernel passes no hook points and has no rule for vmap
        if fused and not inside_transform() and not any(point.watched for point in self._points(x.shape[1])):
            return self._fused(x)
        return self._step_by_step(x)

    def _points(self, n_pos: int) -> Iterator[HookPoint]:
        for name in STEP_POINTS:
            yield from islice(getattr(self, name), n_pos)  # a slice of a ModuleList would be built as a module

    def _step_by_step(self, x: Tensor) -> Tensor:
        arriving = x @ self.W_ih + (self.b_ih + self.b_hh)  # [batch, pos, 4 * hidden]: all steps at once
        h = c = x.new_zeros(x.shape[0], self.d_hidden)
        states: list[Tensor] = []
        points = zip(*(getattr(self, name) for name in STEP_POINTS), strict=True)
        for now, (hook_i, hook_f, hook_g, hook_o, hook_c, hook_h) in zip(arriving.unbind(1), points, strict=False):
            i, f, g, o = (now + h @ self.W_hh).chunk(4, dim=-1)
            i, f = hook_i(torch.sigmoid(i)), hook_f(torch.sigmoid(f))
            g, o = hook_g(torch.tanh(g)), hook_o(torch.sigmoid(o))
            c = hook_c(f * c + i * g)
            h = hook_h(o * torch.tanh(c))
            states.append(h)
        return torch.stack(states, dim=1)

    def _fused(self, x: Tensor) -> Tensor:
        # cuDNN wants torch's [out, in] weights in one piece of memory; otherwise it warns and copies them
        pieces = (self.W_ih.T, self.W_hh.T, self.b_ih, self.b_hh)
        packed = torch.cat([p.reshape(-1) for p in pieces]).split([p.numel() for p in pieces])
        weights = [flat.view(p.shape) for flat, p in zip(packed, pieces, strict=True)]
        zeros = x.new_zeros(1, x.shape[0], self.d_hidden)
        return torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, False, False, True)[0]


class Unembed(nn.Module):
    """``W_U [hidden, d_out]`` and a bias."""

    def __init__(self, config: LSTMConfig):
        super().__init__()
        self.W_U = nn.Parameter(torch.zeros(config.d_hidden, config.d_out))
        self.b_U = nn.Parameter(torch.zeros(config.d_out))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[batch, d_out]``."""
        return x @ self.W_U + self.b_U
