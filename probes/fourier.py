"""Fourier modes of Z_p: bases, spectra and key frequencies. Pure functions of tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes.basis import Basis


def n_frequencies(p: int) -> int:
    """Non-constant frequencies of Z_p: 1 to p // 2; for even p the last is the alternating one.

    >>> n_frequencies(113), n_frequencies(8)
    (56, 4)
    """
    return p // 2


def basis(p: int) -> Basis:
    """The real orthonormal Fourier basis of functions on Z_p, ``p`` directions of length ``p``.

    ``1/sqrt(p)``; then, for k = 1..(p-1)/2, ``sqrt(2/p) cos(2 pi k t / p)`` and ``sqrt(2/p) sin(2 pi k t / p)``; then,
    for even p, the alternating vector ``(-1)^t / sqrt(p)``. Names: ``1``, ``cos k``, ``sin k``.

    Source: METHODS E (Nanda et al. 2023).

    >>> basis(4).names
    ('1', 'cos 1', 'sin 1', 'cos 2')
    """
    if p < 2:
        raise InterpError(f"the Fourier basis needs p of at least 2, got {p}")
    t = torch.arange(p, dtype=torch.float64)
    rows, names = [torch.full((p,), 1 / math.sqrt(p), dtype=torch.float64)], ["1"]
    for k in range(1, p // 2 + 1):
        # k * t is reduced before the multiplication, so that the angle stays small and exact
        angle = 2 * math.pi * ((k * torch.arange(p)) % p).double() / p
        if 2 * k == p:
            rows.append(torch.where(t % 2 == 0, 1.0, -1.0).double() / math.sqrt(p))
            names.append(f"cos {k}")
        else:
            rows += [math.sqrt(2 / p) * torch.cos(angle), math.sqrt(2 / p) * torch.sin(angle)]
            names += [f"cos {k}", f"sin {k}"]
    return Basis(torch.stack(rows), tuple(names))


def check_frequencies(frequencies: Sequence[int], p: int) -> None:
    """Refuse what is no frequency of Z_p.

    Raises:
        InterpError: a frequency outside 1..p // 2.
    """
    wrong = [k for k in frequencies if not (isinstance(k, int) and 1 <= k <= n_frequencies(p))]
    if wrong:
        raise InterpError(f"frequencies of Z_{p} are 1 to {n_frequencies(p)}; got {wrong}")


def frequency_basis(p: int, frequencies: list[int]) -> Basis:
    """The cosine and sine directions of some frequencies, two each (one for p/2)."""
    full = basis(p)
    return full.select([n for k in frequencies for n in (f"cos {k}", f"sin {k}") if n in full.names])


def spectrum(values: Float[Tensor, "p ..."]) -> Float[Tensor, "freq"]:
    """Power by frequency along the first axis, ``[p // 2 + 1]``; index 0 is the constant.

    ``power[k] = sum_j <F_cos_k, v_j>^2 + <F_sin_k, v_j>^2`` over all columns j, with the orthonormal basis above: the
    powers sum to the squared norm of ``values``. Computed in float64.

    Misleads where the first axis is not in the order of Z_p: rows of tokens such as ``=`` must be cut off first.

    >>> t = torch.arange(7, dtype=torch.float64)
    >>> spectrum(torch.cos(2 * math.pi * 3 * t / 7)[:, None]).round(decimals=6).tolist()
    [0.0, 0.0, 0.0, 3.5]
    """
    p = values.shape[0]
    if p < 2:
        raise InterpError(f"a spectrum needs at least 2 rows, got {p}")
    power = torch.fft.rfft(values.double().reshape(p, -1), dim=0).abs().pow(2).sum(1) / p
    return power * _multiplicity(p, power.device)


def _multiplicity(p: int, device: torch.device) -> Float[Tensor, "freq"]:
    """2 for frequencies that have a sine, 1 for the constant and p/2: rfft keeps one of each conjugate pair."""
    twice = torch.full((p // 2 + 1,), 2.0, dtype=torch.float64, device=device)
    twice[0] = 1.0
    if p % 2 == 0:
        twice[-1] = 1.0
    return twice


def shares(power: Float[Tensor, "freq"]) -> Float[Tensor, "freq"]:
    """Each frequency's share of the non-constant power; the constant gets 0, and so does everything where there is none.

    >>> shares(torch.tensor([5.0, 3.0, 1.0])).tolist()
    [0.0, 0.75, 0.25]
    """
    varying = power.clone()
    varying[0] = 0
    total = varying.sum()
    return varying / total.where(total != 0, torch.ones_like(total))


def gini(power: Float[Tensor, "freq"]) -> float:
    """Gini coefficient of the non-constant powers: 0 when all are equal, near 1 when few frequencies hold everything.

    ``sum_i (2 i - n - 1) x_i / (n sum_i x_i)`` over the sorted powers x_1 <= ... <= x_n.

    >>> gini(torch.tensor([9.0, 1.0, 1.0, 1.0])), round(gini(torch.tensor([9.0, 0.0, 0.0, 1.0])), 4)
    (0.0, 0.6667)
    """
    x = power[1:].double().sort().values
    n, total = len(x), x.sum()
    if n == 0 or total == 0:
        return 0.0
    rank = torch.arange(1, n + 1, dtype=torch.float64, device=x.device)
    return float(((2 * rank - n - 1) * x).sum() / (n * total))


MIN_GAP, CLEAN_GAP, FLOOR = 3.0, 1e3, 1e-12
ROUNDING = 1e-24  # what float64 leaves of a constant, as a share of its power


def key_frequencies(power: Float[Tensor, "freq"]) -> list[int]:
    """The frequencies above the sharp gap of a spectrum, strongest first; empty where there is no gap.

    The shares are sorted, and the list is cut where the ratio of one share to the next is largest. The ratio must be at
    least 3 and the frequencies above it at most half of all (rounded up), or the ratio at least 1,000 (a spectrum that is
    clean to rounding). All frequencies together are no key set unless there are at most three.

    For weights. What the network computes with is better read off its logits (`logit_frequencies`): an embedding may
    carry a frequency that never reaches them, and the reverse.

    >>> t = torch.arange(11, dtype=torch.float64)
    >>> waves = torch.stack([torch.cos(2 * math.pi * 2 * t / 11), 2 * torch.sin(2 * math.pi * 5 * t / 11)], dim=1)
    >>> key_frequencies(spectrum(waves))
    [5, 2]
    """
    power = power.double()
    if not power[1:].sum() > ROUNDING * power.sum():
        return []
    share, order = shares(power)[1:].sort(descending=True)
    values, n = share.clamp_min(FLOOR).tolist(), len(share)
    best, cut = 0.0, 0
    for i in range(1, n + 1 if n <= 3 else n):
        ratio = values[i - 1] / (values[i] if i < n else FLOOR)
        clear = ratio >= CLEAN_GAP or (ratio >= MIN_GAP and i <= (n + 1) // 2)
        if clear and values[i - 1] > FLOOR and ratio > best:
            best, cut = ratio, i
    return [int(k) + 1 for k in order[:cut]]


def spectrum_2d(values: Float[Tensor, "p p ..."]) -> Float[Tensor, "freq freq"]:
    """Power over the input table by frequency in a and in b, ``[p // 2 + 1, p // 2 + 1]``, summed over further axes.

    Entry (k, l) holds the power on all products of a cosine or sine of frequency k in a with one of frequency l in b;
    all entries sum to the squared norm. Entry (0, 0) is the mean.

    >>> a = torch.arange(5, dtype=torch.float64)
    >>> wave = torch.cos(2 * math.pi * (a[:, None] + a) / 5)
    >>> spectrum_2d(wave)[1, 1].item() - wave.pow(2).sum().item() < 1e-9
    True
    """
    p = values.shape[0]
    power = _power_2d(values).sum(-1)
    return _fold(_fold(power, p).T, p).T


def _power_2d(values: Float[Tensor, "p p ..."]) -> Float[Tensor, "p p m"]:
    p = values.shape[0]
    if values.ndim < 2 or values.shape[1] != p:
        raise InterpError(f"an input table is [p, p, ...], got {list(values.shape)}")
    flat = values.double().reshape(p, p, -1)
    return torch.fft.fft2(flat, dim=(0, 1)).abs().pow(2) / p**2


def _fold(power: Tensor, p: int) -> Tensor:
    """Add the powers of k and p - k along the first axis."""
    folded = power[: p // 2 + 1].clone()
    folded[1 : (p + 1) // 2] += power[p // 2 + 1 :].flip(0)
    return folded


def sum_spectrum(values: Float[Tensor, "p p ..."]) -> Float[Tensor, "freq"]:
    """Power on functions of a + b alone, by frequency ``[p // 2 + 1]``: on ``cos`` and ``sin(w_k (a + b))``.

    >>> a = torch.arange(5, dtype=torch.float64)
    >>> wave = torch.cos(2 * math.pi * 2 * (a[:, None] + a) / 5)
    >>> sum_spectrum(wave).round(decimals=9).tolist()
    [0.0, 0.0, 12.5]
    """
    p = values.shape[0]
    flat = values.double().reshape(p * p, -1)
    index = torch.arange(p, device=values.device)
    by_sum = torch.zeros(p, flat.shape[1], dtype=torch.float64, device=values.device)
    by_sum.index_add_(0, ((index[:, None] + index) % p).flatten(), flat)
    return spectrum(by_sum) / p  # p pairs share each sum, and each was added, not averaged


def trilinear_spectrum(logits: Float[Tensor, "p p p"]) -> Float[Tensor, "freq"]:
    """Power of logits ``[a, b, c]`` on functions of a + b - c alone, by frequency: on cos and sin(w_k (a + b - c)).

    This is the form that a network which adds modulo p by trigonometric identities writes; a network that memorises
    has next to none of it.

    >>> a = torch.arange(5, dtype=torch.float64)
    >>> logits = torch.cos(2 * math.pi * (a[:, None, None] + a[:, None] - a) / 5)
    >>> trilinear_spectrum(logits).round(decimals=9).tolist()
    [0.0, 62.5, 0.0]
    """
    p = logits.shape[0]
    if logits.shape != (p, p, p):
        raise InterpError(f"logits over the input table are [p, p, p], got {list(logits.shape)}")
    index = torch.arange(p, device=logits.device)
    argument = (index[:, None, None] + index[:, None] - index) % p
    by_argument = torch.zeros(p, dtype=torch.float64, device=logits.device)
    by_argument.index_add_(0, argument.flatten(), logits.double().flatten())
    return spectrum(by_argument[:, None]) / p**2


class LogitShares(NamedTuple):
    """Shares of the logits' variance (mean over inputs removed per output), by frequency ``[p // 2 + 1]``.

    Attributes:
        on_sum: on cos and sin of w_k (a + b), any output.
        on_difference: on cos and sin of w_k (a + b - c).
        total: the variance itself, times the number of entries; shares are 0 where it is 0 up to rounding.
    """

    on_sum: Float[Tensor, "freq"]
    on_difference: Float[Tensor, "freq"]
    total: float


def logit_shares(logits: Float[Tensor, "p p p"]) -> LogitShares:
    """How much of the logits' variance each frequency explains.

    >>> a = torch.arange(5, dtype=torch.float64)
    >>> logits = 3 + torch.cos(2 * math.pi * (a[:, None, None] + a[:, None] - a) / 5)
    >>> logit_shares(logits).on_difference.round(decimals=9).tolist()
    [0.0, 1.0, 0.0]
    """
    logits = logits.double()
    centred = logits - logits.mean((0, 1))
    total = float(centred.pow(2).sum())
    if total <= ROUNDING * float(logits.pow(2).sum()):
        nothing = torch.zeros(logits.shape[0] // 2 + 1, dtype=torch.float64, device=logits.device)
        return LogitShares(nothing, nothing, 0.0)
    return LogitShares(sum_spectrum(centred) / total, trilinear_spectrum(centred) / total, total)


NOISE_FACTOR = 20.0


def logit_threshold(p: int) -> float:
    """The share from which a frequency of the logits is a key one: 20 times that of white noise, ``2 / p^3``.

    Never more than half an equal share, which matters for p of at most 6.
    """
    return min(NOISE_FACTOR * 2 / p**3, 0.5 / n_frequencies(p))


def logit_frequencies(logits: Float[Tensor, "p p p"]) -> list[int]:
    """The frequencies that the logits are made of, strongest first: the key frequencies of a network.

    A frequency counts when its share of the logits' variance on cos/sin(w_k (a + b - c)) reaches `logit_threshold`. No
    fixed number of frequencies, and no look at the embedding.

    Misleads on networks that are far from trained: a mode that only begins to grow is over the threshold long before
    it does any work.
    """
    share, threshold = logit_shares(logits).on_difference, logit_threshold(logits.shape[0])
    values, order = share[1:].sort(descending=True)
    return [int(k) + 1 for k, v in zip(order, values, strict=True) if v >= threshold]


def neuron_shares(values: Float[Tensor, "p p units"], chunk: int = 64) -> Float[Tensor, "freq units"]:
    """For every frequency and neuron, the share of the neuron's variance that the frequency explains.

    Frequency k of a neuron means cos and sin of w_k a, of w_k b, and their four products: entries (k, 0), (0, k) and
    (k, k) of the 2-D spectrum. Row 0 is 0. A neuron that does not vary has shares of 0.
    """
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
