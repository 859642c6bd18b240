"""Initial weights: the schemes by which a model's parameters are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from interp.hooked.base import HookedModel

STD_CUT_AT_TWO = 0.87962566103423978  # standard deviation of a standard normal cut at -2 and 2


@torch.no_grad()
def normal(model: HookedModel, generator: torch.Generator, scale: float) -> None:
    """Matrices normal with variance ``scale**2 / fan_in``, biases 0, weights of norms 1."""
    for name, parameter in model.named_parameters():
        std = model.init_std(name, parameter)
        if std is None:
            parameter.fill_(1.0 if name.endswith(".w") else 0.0)
        else:
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * std * scale
            parameter.copy_(noise.to(parameter.dtype))


@torch.no_grad()
def truncated(model: HookedModel, generator: torch.Generator, scale: float) -> None:
    """As `normal`, with matrices drawn from a normal cut at two of its standard deviations, of the same variance.

    Source: the ``lecun_normal`` of Flax, by which Kumar et al. 2025 train their CPPNs.
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
def torch_default(model: HookedModel, generator: torch.Generator, scale: float) -> None:
    """What torch's own modules draw when they are built in the order of the model's parameters, times ``scale``."""
    model.init_like_torch(TorchDraws(generator, scale))


class TorchDraws:
    """Fills parameters with the numbers that torch's modules draw, to the last bit.

    Source: the ``reset_parameters`` of torch.nn's Embedding, Linear and LSTM. Numbers are drawn in float32 on the CPU,
    as torch does by default, and in torch's ``[out, in]`` shapes, whose order decides which number goes where.
    """

    def __init__(self, generator: torch.Generator, scale: float):
        self.generator, self.scale = generator, scale

    def embedding(self, table: Tensor) -> None:
        """``nn.Embedding``: N(0, 1); ``table [d_vocab, d_embed]``."""
        self._fill(table, nn.init.normal_(_blank(table), generator=self.generator))

    def linear(self, weight: Tensor, bias: Tensor | None) -> None:
        """``nn.Linear``: U(-1/sqrt(in), 1/sqrt(in)); ``weight [in, out]``, ``bias [out]``, in this order."""
        # 1/sqrt(in) by this detour, as in nn.Linear, because it rounds differently
        self._fill(weight.T, nn.init.kaiming_uniform_(_blank(weight.T), a=math.sqrt(5), generator=self.generator))
        if bias is not None:  # without a bias nn.Linear draws none, and what follows moves up
            self._uniform(bias, 1 / math.sqrt(weight.shape[0]))

    def lstm_layer(self, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> None:
        """One layer of ``nn.LSTM``: all U(-1/sqrt(hidden), 1/sqrt(hidden)); ``w_ih [in, 4 * hidden]``."""
        for parameter in (w_ih.T, w_hh.T, b_ih, b_hh):
            self._uniform(parameter, 1 / math.sqrt(w_hh.shape[0]))

    def _uniform(self, parameter: Tensor, bound: float) -> None:
        self._fill(parameter, nn.init.uniform_(_blank(parameter), -bound, bound, generator=self.generator))

    def _fill(self, parameter: Tensor, drawn: Tensor) -> None:
        parameter.copy_(
            (drawn.to(torch.promote_types(parameter.dtype, torch.float32)) * self.scale).to(parameter.dtype)
        )


def _blank(like: Tensor) -> Tensor:
    """A float32 tensor of that shape to draw into, contiguous whatever ``like`` is a view of."""
    return torch.empty(like.shape, dtype=torch.float32)


SCHEMES: dict[str, Callable[[HookedModel, torch.Generator, float], None]] = {
    "normal": normal,
    "truncated": truncated,
    "torch": torch_default,
}
