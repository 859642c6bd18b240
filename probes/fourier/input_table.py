"""Power by frequency over the input table ``[a, b]``: 2-D spectra, functions of a + b, the frequencies of neurons."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes._tensors import as_tensor
from probes.fourier.power import ROUNDING, spectrum


def spectrum_2d(values: Float[Tensor, "p p ..."]) -> Float[Tensor, "freq freq"]:
    """Power over the input table by frequency in a and in b, summed over further axes, in float64.

    Args:
        values: over the input table, ``[p, p, ...]``.

    Returns:
        ``[p // 2 + 1, p // 2 + 1]``. Entry (k, l) is the power on all products of a cosine or sine of frequency k in a
        with one of frequency l in b; all entries sum to the squared norm. Entry (0, 0) is the mean.

    >>> import math
    >>> a = torch.arange(5, dtype=torch.float64)
    >>> wave = torch.cos(2 * math.pi * (a[:, None] + a) / 5)
    >>> spectrum_2d(wave)[1, 1].item() - wave.pow(2).sum().item() < 1e-9
    True
    """
    values = as_table(values)
    p = values.shape[0]
    power = _power_2d(values).sum(-1)
    return _fold(_fold(power, p).T, p).T


def sum_spectrum(values: Float[Tensor, "p p ..."]) -> Float[Tensor, "freq"]:
    """Power on functions of a + b, by frequency: on ``cos`` and ``sin(w_k (a + b))``, in float64.

    Args:
        values: over the input table, ``[p, p, ...]``.

    Returns:
        ``[p // 2 + 1]``, summed over further axes; index 0 is the constant.

    >>> import math
    >>> a = torch.arange(5, dtype=torch.float64)
    >>> wave = torch.cos(2 * math.pi * 2 * (a[:, None] + a) / 5)
    >>> sum_spectrum(wave).round(decimals=9).tolist()
    [0.0, 0.0, 12.5]
    """
    values = as_table(values)
    p = values.shape[0]
    flat = values.double().reshape(p * p, -1)
    index = torch.arange(p, device=values.device)
    by_sum = torch.zeros(p, flat.shape[1], dtype=torch.float64, device=values.device)
    by_sum.index_add_(0, ((index[:, None] + index) % p).flatten(), flat)
    return spectrum(by_sum) / p  # p pairs share each sum, and each was added, not averaged


def neuron_shares(values: Float[Tensor, "p p units"], chunk: int = 64) -> Float[Tensor, "freq units"]:
    """Share of every neuron's variance that every frequency explains.

    Frequency k of a neuron means cos and sin of w_k a, of w_k b, and their four products: entries (k, 0), (0, k) and
    (k, k) of the 2-D spectrum (Nanda et al. 2023, https://arxiv.org/abs/2301.05217).

    Args:
        values: activations over the input table, ``[p, p, units]``.
        chunk: units transformed at once.

    Returns:
        ``[p // 2 + 1, units]``; row 0 is 0, and so is the column of a neuron that does not vary.
    """
    values = as_table(values)
    p, units = values.shape[0], values.shape[-1]
    out = torch.zeros(p // 2 + 1, units, dtype=torch.float64, device=values.device)
    for start in range(0, units, chunk):
        power = _power_2d(values[..., start : start + chunk])
        whole = power.sum((0, 1))
        power[0, 0] = 0
        total = power.sum((0, 1))
        varies = total > ROUNDING * whole
        folded = _fold(_fold(power, p).transpose(0, 1), p).transpose(0, 1)  # [freq in a, freq in b, units]
        k = torch.arange(1, p // 2 + 1, device=values.device)
        explained = folded[k, 0] + folded[0, k] + folded[k, k]
        safe = total.where(varies, torch.ones_like(total))
        out[1:, start : start + chunk] = torch.where(varies, explained / safe, torch.zeros_like(explained))
    return out


def as_table(values: Tensor) -> Tensor:
    """Values over the input table as a tensor.

    Args:
        values: ``[p, p, ...]``, a tensor, an array or a list.

    Returns:
        the tensor.

    Raises:
        InterpError: another shape.
    """
    values = as_tensor(values, "values")
    if values.ndim < 2 or values.shape[1] != values.shape[0]:
        raise InterpError(f"values over the input table need the shape [p, p, ...], got {list(values.shape)}")
    return values


def _power_2d(values: Float[Tensor, "p p ..."]) -> Float[Tensor, "p p m"]:
    p = values.shape[0]
    flat = values.double().reshape(p, p, -1)
    return torch.fft.fft2(flat, dim=(0, 1)).abs().pow(2) / p**2


def _fold(power: Tensor, p: int) -> Tensor:
    """Add the powers of k and p - k along the first axis."""
    folded = power[: p // 2 + 1].clone()
    folded[1 : (p + 1) // 2] += power[p // 2 + 1 :].flip(0)
    return folded
