"""Power by frequency of one axis: spectra, shares, Gini coefficient, key frequencies."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes._tensors import as_tensor

MIN_GAP, CLEAN_GAP, FLOOR = 3.0, 1e3, 1e-12
ROUNDING = 1e-24  # what float64 leaves of a constant, as a share of its power


def spectrum(values: Float[Tensor, "p ..."], p: int | None = None) -> Float[Tensor, "freq"]:
    """Power by frequency along the first axis, in float64.

    ``power[k] = sum_j <F_cos_k, v_j>^2 + <F_sin_k, v_j>^2`` over all columns j, with the orthonormal basis of
    `probes.fourier.basis`: the powers sum to the squared norm of ``values``. Nanda et al. 2023, Progress measures for
    grokking via mechanistic interpretability, https://arxiv.org/abs/2301.05217.

    Misleads if the first axis is not in the order of Z_p: cut off rows of other tokens such as ``=`` (``W_E[:p]``), and
    take the unembedding as ``W_U.T[:p]``. Without ``p`` the number of rows is taken for the period.

    Args:
        values: one row per element of Z_p, ``[p, ...]``.
        p: the modulus, if you know it: values with another number of rows are then refused.

    Returns:
        ``[p // 2 + 1]``; index 0 is the constant.

    Raises:
        InterpError: fewer than two rows, or not ``p`` rows.

    >>> import math
    >>> t = torch.arange(7, dtype=torch.float64)
    >>> spectrum(torch.cos(2 * math.pi * 3 * t / 7)[:, None]).round(decimals=6).tolist()
    [0.0, 0.0, 0.0, 3.5]
    """
    values = as_tensor(values, "values")
    rows = values.shape[0] if values.ndim else 0
    if p is not None and rows != p:
        raise InterpError(
            f"a spectrum over Z_{p} needs values with {p} rows, got shape {list(values.shape)}: cut off the rows of other "
            f"tokens (values[:{p}]), and transpose where Z_{p} is another axis (W_U.T)"
        )
    if rows < 2:
        raise InterpError(f"a spectrum needs values with at least 2 rows, got shape {list(values.shape)}")
    power = torch.fft.rfft(values.double().reshape(rows, -1), dim=0).abs().pow(2).sum(1) / rows
    return power * _multiplicity(rows, power.device)


def _multiplicity(p: int, device: torch.device) -> Float[Tensor, "freq"]:
    """2 for frequencies that have a sine, 1 for the constant and p/2: rfft keeps one of each conjugate pair."""
    twice = torch.full((p // 2 + 1,), 2.0, dtype=torch.float64, device=device)
    twice[0] = 1.0
    if p % 2 == 0:
        twice[-1] = 1.0
    return twice


def shares(power: Float[Tensor, "freq"]) -> Float[Tensor, "freq"]:
    """Each frequency's share of the non-constant power.

    Args:
        power: by frequency, the constant first, as `spectrum` returns it.

    Returns:
        ``[freq]``, summing to 1; the constant gets 0. All 0 if only the constant has power.

    >>> shares(torch.tensor([5.0, 3.0, 1.0])).tolist()
    [0.0, 0.75, 0.25]
    """
    power = as_tensor(power, "power")
    varying = power.clone()
    varying[0] = 0
    if _constant(power):
        return torch.zeros_like(varying / 1)
    return varying / varying.sum()


def _constant(power: Tensor) -> bool:
    """Whether only the constant has power, up to what rounding leaves of it."""
    power = power.double()
    return bool(power[1:].sum() <= ROUNDING * power.sum())


def gini(power: Float[Tensor, "freq"]) -> float:
    """Gini coefficient of the non-constant powers: ``sum_i (2 i - n - 1) x_i / (n sum_i x_i)`` over sorted powers x_i.

    Nanda et al. 2023, https://arxiv.org/abs/2301.05217, use it for the sparsity of the embedding's spectrum.

    Args:
        power: by frequency, the constant first, as `spectrum` returns it.

    Returns:
        0 if all frequencies have equal power, or none but the constant has any, near 1 if few hold all of it.

    >>> gini(torch.tensor([9.0, 1.0, 1.0, 1.0])), round(gini(torch.tensor([9.0, 0.0, 0.0, 1.0])), 4)
    (0.0, 0.6667)
    """
    power = as_tensor(power, "power").double()
    x = power[1:].sort().values
    n, total = len(x), x.sum()
    if n == 0 or _constant(power):
        return 0.0
    rank = torch.arange(1, n + 1, dtype=torch.float64, device=x.device)
    return float(((2 * rank - n - 1) * x).sum() / (n * total))


def key_frequencies(power: Float[Tensor, "freq"]) -> list[int]:
    """The key frequencies of weights: those above the sharp gap of a spectrum.

    The shares are sorted, and the list is cut where the ratio of one share to the next is largest. The ratio must be at
    least 3 with at most half of all frequencies (rounded up) above it, or at least 1,000 (a spectrum that is clean to
    rounding). All frequencies together only count as key if there are at most three.

    What the network computes with is better read off its logits (`logit_frequencies`): an embedding may carry a
    frequency that never reaches them, and the reverse.

    Args:
        power: by frequency, the constant first, as `spectrum` returns it.

    Returns:
        The frequencies, strongest first; empty if the spectrum has no gap.

    >>> import math
    >>> t = torch.arange(11, dtype=torch.float64)
    >>> waves = torch.stack([torch.cos(2 * math.pi * 2 * t / 11), 2 * torch.sin(2 * math.pi * 5 * t / 11)], dim=1)
    >>> key_frequencies(spectrum(waves))
    [5, 2]
    """
    power = as_tensor(power, "power").double()
    if _constant(power) or bool(power.isnan().any()):
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
