"""The parts of a recurrent network: cells, layers and read-out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError
from interp.hooked.activation_functions import make_activation
from interp.hooked.hook_point import HookPoint
from interp.hooked.inputs import inside_transform
from interp.hooked.rnn.config import GATES, RNNConfig

STEP_POINTS = {  # in the order in which a step passes them
    "rnn": ("hook_pre", "hook_state"),
    "gru": ("hook_reset", "hook_update", "hook_candidate", "hook_state"),
    "lstm": ("hook_i", "hook_f", "hook_g", "hook_o", "hook_c", "hook_state"),
}
KERNELS = {"gru": torch.gru, "tanh": torch.rnn_tanh, "relu": torch.rnn_relu}


class Cell(nn.Module):
    """One direction of a layer, with the equations of ``torch.nn.RNN``, ``GRU`` or ``LSTM`` and their order of gates.

    Weights are ``W_ih [d_in, gates * hidden]``, ``W_hh [hidden, gates * hidden]``, ``b_ih`` and ``b_hh [gates * hidden]``;
    gates are r, z, n of a GRU and i, f, g, o of an LSTM. Hook points come after the sigmoid or tanh; ``hook_pre`` of an
    ``"rnn"`` comes before its activation function.

    Args:
        d_in: width of the input.
        config: the model's.
        entry: whether it also has the layer's ``hook_input``.
    """

    hook_pre: HookPoint
    hook_state: HookPoint
    hook_reset: HookPoint
    hook_update: HookPoint
    hook_candidate: HookPoint
    hook_i: HookPoint
    hook_f: HookPoint
    hook_g: HookPoint
    hook_o: HookPoint
    hook_c: HookPoint

    def __init__(self, d_in: int, config: RNNConfig, entry: bool = False):
        super().__init__()
        if entry:  # first, so that hook points stand in the order in which they fire
            self.hook_input = HookPoint("batch", "pos", "unit")
        self.config, self.act = config, make_activation(config.act_fn)
        width = GATES[config.cell] * config.d_hidden
        self.W_ih = nn.Parameter(torch.zeros(d_in, width))
        self.W_hh = nn.Parameter(torch.zeros(config.d_hidden, width))
        if config.bias:
            self.b_ih, self.b_hh = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        if config.learned_start:
            self.h_0 = nn.Parameter(torch.zeros(config.d_hidden))
            if config.cell == "lstm":
                self.c_0 = nn.Parameter(torch.zeros(config.d_hidden))
        for name in STEP_POINTS[config.cell]:
            setattr(self, name, HookPoint("batch", "unit"))
        if config.n_ctx is not None:
            self.hook_step = nn.ModuleList(HookPoint("batch", "unit") for _ in range(config.n_ctx))

    def states(self, x: Tensor, fused: bool) -> Tensor:
        """The hidden states ``[batch, pos, hidden]`` of ``x [batch, pos, d_in]``; ``fused`` allows torch's kernel."""
        kernel = self.config.cell != "rnn" or self.config.act_fn in KERNELS
        # the kernel passes no hook points and has no rule for vmap
        if fused and kernel and not inside_transform() and not self._watched(x.shape[1]):
            return self._fused(x)
        return self._step_by_step(x)

    def _watched(self, n_pos: int) -> bool:
        points = [getattr(self, name) for name in STEP_POINTS[self.config.cell]]
        if self.config.n_ctx is not None:
            points += list(self.hook_step)[:n_pos]
        return any(point.watched for point in points)

    def _start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Initial hidden and cell state ``[batch, hidden]``."""
        zeros = x.new_zeros(x.shape[0], self.config.d_hidden)
        if not self.config.learned_start:
            return zeros, zeros
        return zeros + self.h_0, zeros + self.c_0 if self.config.cell == "lstm" else zeros

    def _step_by_step(self, x: Tensor) -> Tensor:
        step = {"rnn": self._rnn, "gru": self._gru, "lstm": self._lstm}[self.config.cell]
        arriving = x @ self.W_ih  # [batch, pos, gates * hidden]: all steps at once
        if self.config.bias:
            arriving = arriving + self.b_ih
        h, c = self._start(x)
        states: list[Tensor] = []
        for t, now in enumerate(arriving.unbind(1)):
            recurrent = h @ self.W_hh + self.b_hh if self.config.bias else h @ self.W_hh
            h, c = step(now, recurrent, h, c)
            if self.config.n_ctx is not None:
                h = self.hook_step[t](h)
            states.append(h)
        return torch.stack(states, dim=1)

    def _rnn(self, now: Tensor, recurrent: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return self.hook_state(self.act(self.hook_pre(now + recurrent))), c

    def _gru(self, now: Tensor, recurrent: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        (r, z, n), (r_h, z_h, n_h) = now.chunk(3, -1), recurrent.chunk(3, -1)
        r, z = self.hook_reset(torch.sigmoid(r + r_h)), self.hook_update(torch.sigmoid(z + z_h))
        n = self.hook_candidate(torch.tanh(n + r * n_h))
        return self.hook_state((1 - z) * n + z * h), c

    def _lstm(self, now: Tensor, recurrent: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = (now + recurrent).chunk(4, -1)
        i, f = self.hook_i(torch.sigmoid(i)), self.hook_f(torch.sigmoid(f))
        g, o = self.hook_g(torch.tanh(g)), self.hook_o(torch.sigmoid(o))
        c = self.hook_c(f * c + i * g)
        return self.hook_state(o * torch.tanh(c)), c

    def _fused(self, x: Tensor) -> Tensor:
        biases = (self.b_ih, self.b_hh) if self.config.bias else ()
        # cuDNN wants torch's [out, in] weights in one piece of memory; otherwise it warns and copies them
        pieces = (self.W_ih.T, self.W_hh.T, *biases)
        packed = torch.cat([p.reshape(-1) for p in pieces]).split([p.numel() for p in pieces])
        weights = [flat.view(p.shape) for flat, p in zip(packed, pieces, strict=True)]
        h, c = (state.unsqueeze(0) for state in self._start(x))
        settings = (weights, self.config.bias, 1, 0.0, False, False, True)  # one layer, one direction, batch first
        if self.config.cell == "lstm":
            return torch.lstm(x, (h, c), *settings)[0]
        return KERNELS["gru" if self.config.cell == "gru" else self.config.act_fn](x, h, *settings)[0]


class Layer(Cell):
    """One layer: what it reads, a cell that runs forwards, and for a bidirectional network ``reverse``, from the end."""

    def __init__(self, d_in: int, config: RNNConfig):
        super().__init__(d_in, config, entry=True)
        if config.bidirectional:
            self.reverse = Cell(d_in, config)

    @override
    def forward(self, x: Tensor, fused: bool) -> Tensor:
        """The states that it passes on ``[batch, pos, width_state]``."""
        return self.after_input(self.hook_input(x), fused)

    def after_input(self, x: Tensor, fused: bool) -> Tensor:
        """The same, from its ``hook_input``."""
        longest = self.config.n_ctx
        if x.shape[1] < 1 or (longest is not None and x.shape[1] > longest):
            limit = "at least 1" if longest is None else f"1 to {longest}"
            raise InterpError(f"{x.shape[1]} positions given; the model takes {limit}")
        states = self.states(x, fused)
        if not self.config.bidirectional:
            return states
        return torch.cat([states, self.reverse.states(x.flip(1), fused).flip(1)], -1)


class Unembed(nn.Module):
    """The read-out ``W_U [width_state, d_out]`` and a bias unless switched off."""

    def __init__(self, config: RNNConfig):
        super().__init__()
        self.bias = config.unembed_bias
        self.W_U = nn.Parameter(torch.zeros(config.width_state, config.d_out or 0))
        if self.bias:
            self.b_U = nn.Parameter(torch.zeros(config.d_out or 0))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Outputs ``[..., d_out]``."""
        return x @ self.W_U + self.b_U if self.bias else x @ self.W_U
