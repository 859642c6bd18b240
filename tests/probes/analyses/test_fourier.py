"""The analyses `fourier` and `neurons` on networks whose answers are known: written by hand, random, constant."""

from __future__ import annotations

import pytest
import torch

from interp import Subject
from probes.analyses.fourier import fourier as fourier_analysis
from probes.analyses.neurons import neurons
from tests.models import make, subject
from tests.probes.by_hand import TASKS, written


@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize("keys", [[2], [1, 4], [3, 5, 2]])
def test_a_network_written_by_hand_gives_back_its_frequencies(name: str, keys: list[int]) -> None:
    """Whatever the operation or the names of the elements: the frequencies, everything on a + b, every neuron tuned."""
    one = written(TASKS[name], keys)
    result = fourier_analysis(one)
    assert sorted(result.metrics["key_frequencies"]) == sorted(keys)
    assert result.metrics["logit_variance_explained"] == pytest.approx(1)
    assert result.metrics["logit_variance_on_a_plus_b_minus_c"] == pytest.approx(1)
    assert sorted(result.metrics["frequencies_in_W_E_left"]) == sorted(keys)
    found = neurons(one)
    # of each product's three squares the sum's own carries the frequency; the single waves squared carry its double
    assert found.metrics["preferring_a_key_frequency"] >= 4 * len(keys)


def test_noise_is_not_called_a_circuit() -> None:
    """A random network has no key frequencies, and the result says that it does not compute with modes."""
    one = subject("plain", seed=3)
    one = Subject("noise", make("plain", 3, scale=0.2), one.task)
    result = fourier_analysis(one)
    assert result.metrics["key_frequencies"] == []
    assert "none" in result.headline


def test_a_network_of_constants() -> None:
    """No variance has no shares: numbers stay numbers, and nothing is called a frequency."""
    one = subject("plain")
    with torch.no_grad():
        one.model.W_U.zero_()
    result = fourier_analysis(one)
    assert result.metrics["logit_variance_explained"] == 0
    assert result.metrics["key_frequencies"] == []
