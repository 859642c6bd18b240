"""Trigonometric fits of neurons: amplitude and phase of the waves of one frequency over the input table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes.fourier.input_table import as_table, neuron_shares
from probes.fourier.modes import n_frequencies
from probes.fourier.power import ROUNDING

WAVES = {"a": (1, 0), "b": (0, 1), "a+b": (1, 1), "a-b": (1, -1)}  # multiples of the frequency along the two operands


def fit_neurons(
    values: Float[Tensor, "p p units"], frequencies: Sequence[int] | int | None = None, chunk: int = 64
) -> pd.DataFrame:
    """Each neuron as a constant and four waves of one frequency, with the share of its variance that these explain.

        neuron(a, b) ~ mean + A cos(w a + alpha) + B cos(w b + beta) + C cos(w (a + b) + gamma) + D cos(w (a - b) + delta)

    with w = 2 pi k / p. These are the least-squares fits, since waves of different multiples are orthogonal over the table, and
    together they are the polynomials of degree two in cosines and sines that Nanda et al. 2023 fit
    (https://arxiv.org/abs/2301.05217): cos(w a) cos(w b) is half of the last two.

    Args:
        values: activations over the input table ``[p, p, units]``, as `probes.cyclic_tables.neuron_table` gives them.
        frequencies: k, of each unit or of all; by default the one that explains most of the unit's variance.
        chunk: units transformed at once.

    Returns:
        a row per unit: ``unit, frequency, mean, share`` (as `neuron_shares`), and of each wave ``amplitude``, ``phase`` (radians)
        and ``share``, such as ``amplitude a+b``; shares of a unit that does not vary are 0.

    Raises:
        InterpError: values of another shape, or a frequency that there is not.

    >>> import math
    >>> a = torch.arange(7, dtype=torch.float64)
    >>> wave = 3 * torch.cos(2 * math.pi * 2 * (a[:, None] + a) / 7 + 0.5)
    >>> fit = fit_neurons(wave[..., None]).iloc[0]
    >>> [round(float(fit[name]), 6) for name in ("frequency", "share", "amplitude a+b", "phase a+b")]
    [2.0, 1.0, 3.0, 0.5]
    """
    values = as_table(values)
    p, units = values.shape[0], values.shape[-1] if values.ndim == 3 else 0
    if values.ndim != 3:
        raise InterpError(f"neurons over the input table need the shape [p, p, units], got {list(values.shape)}")
    if frequencies is None:
        k = neuron_shares(values, chunk).argmax(0).clamp_min(1)
    else:
        k = torch.tensor(_frequencies(frequencies, n_frequencies(p), units), device=values.device)
    frames = [
        _fitted(values[..., start : start + chunk].double(), k[start : start + chunk])
        for start in range(0, units, chunk)
    ]
    frame = pd.concat(frames, ignore_index=True)
    frame.insert(0, "unit", range(units))
    return frame


def _frequencies(given: Sequence[int] | int, most: int, units: int) -> list[int]:
    try:
        every = [index(f) for f in given] if isinstance(given, Iterable) else [index(given)] * units
    except TypeError:
        every = []
    if len(every) != units or not all(1 <= f <= most for f in every):
        raise InterpError(f"frequencies are one of 1 to {most} for each of {units} units, got {given!r}")
    return every


def _fitted(values: Tensor, k: Tensor) -> pd.DataFrame:
    p, units = values.shape[0], torch.arange(values.shape[-1], device=values.device)
    coefficients = torch.fft.fft2(values, dim=(0, 1)) / p**2
    mean = coefficients[0, 0].real
    variance = (values - mean).square().mean((0, 1))
    constant = variance <= ROUNDING * values.square().mean((0, 1))  # as in `neuron_shares`
    safe = variance.where(~constant, torch.full_like(variance, torch.inf))
    columns: dict[str, Tensor] = {"frequency": k, "mean": mean, "share": torch.zeros_like(mean)}
    for name, (x, y) in WAVES.items():
        found = coefficients[(x * k) % p, (y * k) % p, units]
        whole = 2 * k == p  # its own negative: a cosine alone, and a + b is a - b
        amplitude = found.abs() * torch.where(whole, 0.0 if name == "a-b" else 1.0, 2.0)
        share = amplitude.square() * torch.where(whole, 1.0, 0.5) / safe
        columns |= {f"amplitude {name}": amplitude, f"phase {name}": found.angle(), f"share {name}": share}
        columns["share"] = columns["share"] + share
    return pd.DataFrame({name: column.cpu().numpy() for name, column in columns.items()})
