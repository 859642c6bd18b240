"""Fourier modes of Z_p: basis, spectra and key frequencies, as functions of tensors."""

from __future__ import annotations

from probes.fourier.input_table import neuron_shares, spectrum_2d, sum_spectrum
from probes.fourier.keys import answer_shares, logit_frequencies, logit_threshold
from probes.fourier.logits import LogitShares, logit_shares, trilinear_spectrum
from probes.fourier.modes import basis, check_frequencies, frequency_basis, n_frequencies
from probes.fourier.neuron_fits import fit_neurons
from probes.fourier.power import gini, key_frequencies, shares, spectrum

__all__ = [
    "LogitShares", "answer_shares", "basis", "check_frequencies", "fit_neurons", "frequency_basis", "gini", "key_frequencies",
    "logit_frequencies", "logit_shares", "logit_threshold", "n_frequencies", "neuron_shares", "shares", "spectrum",
    "spectrum_2d", "sum_spectrum", "trilinear_spectrum",
]  # fmt: skip
