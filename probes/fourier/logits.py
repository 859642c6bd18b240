"""Spectra of a network's logits ``[a, b, c]`` over the input table: what lies on the waves of the answer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError
from probes._tensors import as_tensor
from probes.fourier.input_table import sum_spectrum
from probes.fourier.power import ROUNDING, spectrum


def trilinear_spectrum(logits: Float[Tensor, "p p p"]) -> Float[Tensor, "freq"]:
    """Power of logits on functions of a + b - c, by frequency: on cos and sin(w_k (a + b - c)), in float64.

    A network that adds modulo p by trigonometric identities writes logits of this form (Nanda et al. 2023,
    https://arxiv.org/abs/2301.05217); a network that memorises has next to no power on it.

    Args:
        logits: over the input table, ``[a, b, c]``.

    Returns:
        ``[p // 2 + 1]``; index 0 is the constant.

    >>> import math
    >>> a = torch.arange(5, dtype=torch.float64)
    >>> logits = torch.cos(2 * math.pi * (a[:, None, None] + a[:, None] - a) / 5)
    >>> trilinear_spectrum(logits).round(decimals=9).tolist()
    [0.0, 62.5, 0.0]
    """
    logits = as_cube(logits)
    _, sums = by_argument(logits)
    return spectrum(sums[:, None]) / logits.shape[0] ** 2


def by_argument(logits: Float[Tensor, "p p p"]) -> tuple[Int[Tensor, "p p p"], Float[Tensor, " p"]]:
    """Sums of logits over all entries with the same a + b - c.

    Args:
        logits: over the input table, ``[a, b, c]``.

    Returns:
        a + b - c modulo p of every entry, and the sums in float64.
    """
    p = logits.shape[0]
    index = torch.arange(p, device=logits.device)
    argument = (index[:, None, None] + index[:, None] - index) % p
    sums = torch.zeros(p, dtype=torch.float64, device=logits.device)
    return argument, sums.index_add_(0, argument.flatten(), logits.double().flatten())


class LogitShares(NamedTuple):
    """Shares of the logits' variance (mean over inputs removed per output), by frequency ``[p // 2 + 1]``.

    Attributes:
        on_sum: on cos and sin of w_k (a + b), for any output.
        on_difference: on cos and sin of w_k (a + b - c).
        total: the variance itself times the number of entries; shares are 0 where it is 0 up to rounding.
        by_output: at the frequency along c, for any inputs; index 0 is what does not depend on c.
    """

    on_sum: Float[Tensor, "freq"]
    on_difference: Float[Tensor, "freq"]
    total: float
    by_output: Float[Tensor, "freq"]


def logit_shares(logits: Float[Tensor, "p p p"]) -> LogitShares:
    """Share of the logits' variance that each frequency explains.

    Args:
        logits: over the input table, ``[a, b, c]``.

    Returns:
        Shares on functions of a + b and of a + b - c, and along c, by frequency.

    >>> import math
    >>> a = torch.arange(5, dtype=torch.float64)
    >>> logits = 3 + torch.cos(2 * math.pi * (a[:, None, None] + a[:, None] - a) / 5)
    >>> logit_shares(logits).on_difference.round(decimals=9).tolist()
    [0.0, 1.0, 0.0]
    """
    logits = as_cube(logits).double()
    centred = logits - logits.mean((0, 1))
    total = float(centred.pow(2).sum())
    if total <= ROUNDING * float(logits.pow(2).sum()):
        nothing = torch.zeros(logits.shape[0] // 2 + 1, dtype=torch.float64, device=logits.device)
        return LogitShares(nothing, nothing, 0.0, nothing)
    by_output = spectrum(centred.permute(2, 0, 1)) / total
    return LogitShares(sum_spectrum(centred) / total, trilinear_spectrum(centred) / total, total, by_output)


def as_cube(logits: Float[Tensor, "p p p"]) -> Float[Tensor, "p p p"]:
    """Logits over the input table, checked.

    Args:
        logits: over the input table, ``[a, b, c]``.

    Returns:
        The same as a tensor.

    Raises:
        InterpError: the shape is not ``[p, p, p]``.
    """
    logits = as_tensor(logits, "logits")
    p = logits.shape[0] if logits.ndim else 0
    if logits.shape != (p, p, p):
        raise InterpError(
            f"logits over the input table need the shape [p, p, p], got {list(logits.shape)}; of a subject take "
            "probes.cyclic_tables.logit_table(subject)"
        )
    return logits
