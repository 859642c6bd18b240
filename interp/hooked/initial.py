"""Initial weights: the schemes by which a model's parameters are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

STD_CUT_AT_TWO = 0.87962566103423978  # standard deviation of a standard normal cut at -2 and 2


class Initialisable(Protocol):
    """What the schemes need of a model."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters, in the order in which they are drawn."""
        ...

    def init_std(self, name: str, parameter: Tensor) -> float | None:
        """Standard deviation of a matrix's initial entries; None for biases and norms."""
        ...

    def init_like_torch(self, draws: TorchDraws) -> None:
        """Fill the parameters in the order in which torch's modules would be built."""
        ...


@torch.no_grad()
def normal(model: Initialisable, generator: torch.Generator, scale: float) -> None:
    """Matrices normal with variance ``scale**2 / fan_in``, biases 0, weights of norms 1."""
    for name, parameter in model.named_parameters():
        std = model.init_std(name, parameter)
        if std is None:
            parameter.fill_(1.0 if name.endswith(".w") else 0.0)
        else:
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * std * scale
            parameter.copy_(noise.to(parameter.dtype))


@torch.no_grad()
def truncated(model: Initialisable, generator: torch.Generator, scale: float) -> None:
    """As `normal`, with matrices drawn from a normal cut at two of its standard deviations, with the same variance.

    This is Flax's ``lecun_normal``, with which the CPPNs of Kumar et al. 2025 are trained
    (https://arxiv.org/abs/2505.11581).
    """
    normal(model, generator, 1.0)
    for name, parameter in model.named_parameters():
        std = model.init_std(name, parameter)
        if std is not None:
            drawn = nn.init.trunc_normal_(
                torch.empty(parameter.shape, dtype=torch.float64), a=-2.0, b=2.0, generator=generator
            )
            parameter.copy_((drawn * std * scale / STD_CUT_AT_TWO).to(parameter.dtype))


@torch.no_grad()
def torch_default(model: Initialisable, generator: torch.Generator, scale: float) -> None:
    """What torch's own modules draw when built in the order of the model's parameters, times ``scale``."""
    model.init_like_torch(TorchDraws(generator, scale))


class TorchDraws:
    """Fills parameters with the numbers that torch's modules draw, to the last bit.

    Follows ``reset_parameters`` of ``torch.nn.Embedding``, ``Linear``, ``RNN``, ``GRU`` and ``LSTM``. Numbers are drawn in
    float32 on the CPU, as torch does by default, and in torch's ``[out, in]`` shapes, whose order decides which number goes
    where.

    Args:
        generator: what draws.
        scale: factor on every number.
    """

    def __init__(self, generator: torch.Generator, scale: float):
        self.generator, self.scale = generator, scale

    def embedding(self, table: Tensor) -> None:
        """``nn.Embedding``: N(0, 1); ``table [d_vocab, d_embed]``."""
        self._fill(table, nn.init.normal_(_blank(table), generator=self.generator))

    def linear(self, weight: Tensor, bias: Tensor | None) -> None:
        """``nn.Linear``: U(-1/sqrt(in), 1/sqrt(in)); ``weight [in, out]``, ``bias [out]``, in this order."""
        # computed as nn.Linear does, since 1/sqrt(in) would round differently
        self._fill(weight.T, nn.init.kaiming_uniform_(_blank(weight.T), a=math.sqrt(5), generator=self.generator))
        if bias is not None:  # without a bias nn.Linear draws nothing for it, which shifts all later draws
            self._uniform(bias, 1 / math.sqrt(weight.shape[0]))

    def recurrent_layer(self, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None) -> None:
        """One layer of ``nn.RNN``, ``GRU`` or ``LSTM``: all U(-1/sqrt(hidden), 1/sqrt(hidden)); ``w_ih [in, gates * hidden]``."""
        for parameter in (w_ih.T, w_hh.T, b_ih, b_hh):
            if parameter is not None:
                self._uniform(parameter, 1 / math.sqrt(w_hh.shape[0]))

    def _uniform(self, parameter: Tensor, bound: float) -> None:
        self._fill(parameter, nn.init.uniform_(_blank(parameter), -bound, bound, generator=self.generator))

    def _fill(self, parameter: Tensor, drawn: Tensor) -> None:
        parameter.copy_(
            (drawn.to(torch.promote_types(parameter.dtype, torch.float32)) * self.scale).to(parameter.dtype)
        )


def _blank(like: Tensor) -> Tensor:
    """A contiguous float32 tensor of the same shape to draw into."""
    return torch.empty(like.shape, dtype=torch.float32)


SCHEMES: dict[str, Callable[[Initialisable, torch.Generator, float], None]] = {
    "normal": normal,
    "truncated": truncated,
    "torch": torch_default,
}
