"""The analysis `clock_or_pizza` on networks written by hand, and on the run that ships."""

from __future__ import annotations

import numpy as np
import pytest

from interp import HookedMLP, MLPConfig, ModularArithmetic, Subject, analyze
from interp.tasks import SparseParity
from probes.analyses.clock_or_pizza import clock_or_pizza
from tests.probes.by_hand import TASKS, written
from tests.probes.test_clock_pizza import pizza


def test_a_clock_and_a_pizza() -> None:
    """Named by their right logits; what the measures cannot say of such a network stands in the notes."""
    clock = clock_or_pizza(written(TASKS["add"], [3]), n_triples=13**3)
    assert clock.metrics["algorithm"] == "clock"
    assert clock.metrics["distance_irrelevance"] == 1
    assert clock.metrics["gradient_symmetricity"] == pytest.approx(0, abs=1e-10)
    assert clock.metrics["circularity"] == pytest.approx(1)
    assert list(clock.tables["circles"]["frequency"]) == [3] * 4  # both operands' tables
    assert any("its own embedding" in note for note in clock.notes)
    other = clock_or_pizza(pizza(11, 2), n_triples=100)
    assert other.metrics["algorithm"] == "pizza"
    assert other.metrics["distance_irrelevance"] == 0
    assert other.metrics["gradient_symmetricity"] == pytest.approx(1)
    assert other.metrics["triples"] == 100
    assert any("symmetric whatever" in note for note in other.notes)
    assert "pizza by its distance irrelevance of 0.00" in other.headline
    assert other.verdict == [("clock or pizza", "pizza")]


def test_the_figure_shows_rows_by_distance() -> None:
    """A pizza's rows are constant and differ; |cos(w d / 2)| down the rows."""
    figure = clock_or_pizza(pizza(11, 2), n_triples=10).figures["right logits"]
    shown = np.asarray(figure.data[0]["z"])  # pyright: ignore[reportIndexIssue]  plotly's traces are untyped
    assert shown.shape == (11, 11)
    assert np.ptp(shown, 1).max() < 1e-10
    assert shown[:, 0] / shown[0, 0] == pytest.approx(np.abs(np.cos(2 * np.pi * np.arange(11) / 11)))


def test_the_demo_is_a_clock(demo: Subject) -> None:
    """In the ranges of the paper's clocks (distance irrelevance 0.85, gradient symmetricity 0.33, circular embedding)."""
    found = clock_or_pizza(demo).metrics
    assert found["algorithm"] == "clock"
    assert found["distance_irrelevance"] == pytest.approx(0.791, abs=1e-3)
    assert found["gradient_symmetricity"] == pytest.approx(0.300, abs=1e-3)
    assert found["circularity"] == pytest.approx(0.989, abs=1e-3)
    assert (
        clock_or_pizza(demo, n_triples=100, seed=1).metrics["gradient_symmetricity"] != found["gradient_symmetricity"]
    )


def test_a_network_that_does_not_add_is_said_so() -> None:
    """Random weights: the measures have values, and a note says that they mean little."""
    model = HookedMLP(MLPConfig((4,), 7, d_vocab=7, d_embed=3)).init_weights(0)
    task = ModularArithmetic(7, "add", 0.5)
    assert any("answers only" in note for note in clock_or_pizza(Subject("random", model, task.fit(model))).notes)


def test_skipped_with_the_reason() -> None:
    """No task of addition, or no embeddings."""
    parity = SparseParity(n=6, k=2, n_train=10)
    model = HookedMLP(MLPConfig((4,), 1, d_in=6)).init_weights(0)
    assert analyze(Subject("parity", model, parity), "clock_or_pizza")["clock_or_pizza"].status == "skipped"
    vectors = HookedMLP(MLPConfig((4,), 5, d_in=10)).init_weights(0)
    task = ModularArithmetic(5, "add", 0.5)
    outcome = analyze(Subject("vectors", vectors, task.fit(vectors)), "clock_or_pizza")["clock_or_pizza"]
    assert outcome.status == "skipped"
    assert "takes vectors" in outcome.reason
