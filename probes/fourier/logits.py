"""The key frequencies of a network, read off its logits ``[a, b, c]``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes._tensors import as_tensor
from probes.fourier.input_table import sum_spectrum
from probes.fourier.modes import n_frequencies
from probes.fourier.power import ROUNDING, spectrum

NOISE_FACTOR = 20.0


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
    logits = _cube(logits)
    p = logits.shape[0]
    index = torch.arange(p, device=logits.device)
    argument = (index[:, None, None] + index[:, None] - index) % p
    by_argument = torch.zeros(p, dtype=torch.float64, device=logits.device)
    by_argument.index_add_(0, argument.flatten(), logits.double().flatten())
    return spectrum(by_argument[:, None]) / p**2


class LogitShares(NamedTuple):
    """Shares of the logits' variance (mean over inputs removed per output), by frequency ``[p // 2 + 1]``.

    Attributes:
        on_sum: on cos and sin of w_k (a + b), for any output.
        on_difference: on cos and sin of w_k (a + b - c).
        total: the variance itself times the number of entries; shares are 0 where it is 0 up to rounding.
    """

    on_sum: Float[Tensor, "freq"]
    on_difference: Float[Tensor, "freq"]
    total: float


def logit_shares(logits: Float[Tensor, "p p p"]) -> LogitShares:
    """Share of the logits' variance that each frequency explains.

    Args:
        logits: over the input table, ``[a, b, c]``.

    Returns:
        Shares on functions of a + b and of a + b - c, by frequency.

    >>> import math
    >>> a = torch.arange(5, dtype=torch.float64)
    >>> logits = 3 + torch.cos(2 * math.pi * (a[:, None, None] + a[:, None] - a) / 5)
    >>> logit_shares(logits).on_difference.round(decimals=9).tolist()
    [0.0, 1.0, 0.0]
    """
    logits = _cube(logits).double()
    centred = logits - logits.mean((0, 1))
    total = float(centred.pow(2).sum())
    if total <= ROUNDING * float(logits.pow(2).sum()):
        nothing = torch.zeros(logits.shape[0] // 2 + 1, dtype=torch.float64, device=logits.device)
        return LogitShares(nothing, nothing, 0.0)
    return LogitShares(sum_spectrum(centred) / total, trilinear_spectrum(centred) / total, total)


def logit_threshold(p: int) -> float:
    """The share of the logits' variance from which a frequency counts as key: 20 times that of white noise, ``2 / p^3``.

    Never more than half an equal share, which matters for p of at most 6.

    Args:
        p: the modulus.

    Returns:
        A share from 0 to 1.
    """
    return min(NOISE_FACTOR * 2 / p**3, 0.5 / n_frequencies(p))


def logit_frequencies(logits: Float[Tensor, "p p p"]) -> list[int]:
    """The key frequencies of a network: those that its logits are made of.

    A frequency counts if its share of the logits' variance on cos/sin(w_k (a + b - c)) reaches `logit_threshold`. The
    number of frequencies is not fixed, and the embedding plays no part.

    Misleads on networks that are far from trained: a mode passes the threshold long before it does any work.

    Args:
        logits: over the input table, ``[a, b, c]``.

    Returns:
        The frequencies, strongest first.
    """
    logits = _cube(logits)
    share, threshold = logit_shares(logits).on_difference, logit_threshold(logits.shape[0])
    values, order = share[1:].sort(descending=True)
    return [int(k) + 1 for k, v in zip(order, values, strict=True) if v >= threshold]


def _cube(logits: Tensor) -> Tensor:
    logits = as_tensor(logits, "logits")
    p = logits.shape[0] if logits.ndim else 0
    if logits.shape != (p, p, p):
        raise InterpError(
            f"logits over the input table need the shape [p, p, p], got {list(logits.shape)}; of a subject take "
            "probes.cyclic_tables.logit_table(subject)"
        )
    return logits
