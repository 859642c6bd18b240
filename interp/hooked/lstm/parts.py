"""The parts of an LSTM: its config, embedding, layers and unembedding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch._C._functorch import peek_interpreter_stack  # torch has no public way to ask; here since 2.0

from interp.errors import InterpError
from interp.hooked.base import Config, HookPoint
from interp.hooked.dropout import check_rate

STEP_POINTS = ("hook_i", "hook_f", "hook_g", "hook_o", "hook_c", "hook_h")  # in the order in which they are passed


@dataclass(frozen=True)
class LSTMConfig(Config):
    """Shape of a `HookedLSTM`; ``n_ctx`` is the length of the longest sequence.

    ``dropout`` acts on the embedding, on what a layer hands to the next, and before the unembedding; never on the state
    that a layer hands to its own next step.
    """

    kind: ClassVar[str] = "lstm"

    d_vocab: int
    d_embed: int
    d_hidden: int
    n_layers: int
    d_out: int
    n_ctx: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("d_vocab", "d_embed", "d_hidden", "n_layers", "d_out", "n_ctx"):
            if getattr(self, name) < 1:
                raise InterpError(f"LSTMConfig.{name} must be at least 1, got {getattr(self, name)}")
        check_rate(self.dropout)


class Embed(nn.Module):
    def __init__(self, config: LSTMConfig):
        super().__init__()
        self.W_E = nn.Parameter(torch.zeros(config.d_vocab, config.d_embed))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.W_E[tokens]


class Layer(nn.Module):
    """One layer over all steps, with torch.nn.LSTM's equations and its order of gates: i, f, g, o.

    ``W_ih [d_in, 4 * hidden]``, ``W_hh [hidden, 4 * hidden]``, ``b_ih`` and ``b_hh [4 * hidden]``. The gates' hook
    points pass their values, behind the sigmoid or tanh.
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

    def forward(self, x: Tensor, fused: bool) -> Tensor:
        """``x [batch, pos, d_in]`` to the hidden states ``[batch, pos, hidden]``.

        ``fused`` allows torch's kernel, which is used where no hook point is watched and no `torch.func` transform is
        at work: it has no rule for ``vmap``.
        """
        transformed = peek_interpreter_stack() is not None
        if fused and not transformed and not any(point.watched for point in self._points(x.shape[1])):
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
        # cuDNN wants torch's [out, in] weights in one piece of memory, and warns and copies where they are not
        pieces = (self.W_ih.T, self.W_hh.T, self.b_ih, self.b_hh)
        packed = torch.cat([p.reshape(-1) for p in pieces]).split([p.numel() for p in pieces])
        weights = [flat.view(p.shape) for flat, p in zip(packed, pieces, strict=True)]
        zeros = x.new_zeros(1, x.shape[0], self.d_hidden)
        return torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, False, False, True)[0]


class Unembed(nn.Module):
    def __init__(self, config: LSTMConfig):
        super().__init__()
        self.W_U = nn.Parameter(torch.zeros(config.d_hidden, config.d_out))
        self.b_U = nn.Parameter(torch.zeros(config.d_out))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.W_U + self.b_U
