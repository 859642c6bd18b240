"""Densities of weights through a run, by numpy; constants and weights that are not finite."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import interp
from interp import InterpError, Subject
from probes.analyses.densities import densities
from tests.models import subject
from tests.probes.analyses.histories import filled, history


def test_densities_of_a_history() -> None:
    """Every matrix by numpy, stacks of heads as one, at edges that all steps share; biases are not matrices."""
    one = subject("layer norm")
    other = replace(one, model=filled(one, 0.0, slice(0, 40)))
    run = history(one, {0: other.model, 70: filled(one, 5.0, slice(0, 9)), 1_000: one.model})
    found = densities(run, bins=30)
    table, weights = found.tables["densities"], dict(one.model.named_parameters())
    names = [n for n, w in weights.items() if w.ndim > 1 and ".b_" not in n]
    assert set(table["parameter"]) == set(names[:12])
    assert (found.metrics["matrices"], found.metrics["checkpoints"]) == (len(names), 3)
    assert any("blocks.0.attn.W_Q" in n for n in names)
    for (step, name), part in table.groupby(["step", "parameter"]):
        middle, width = part["weight"].to_numpy(), np.diff(part["weight"])[0]
        edges = np.append(middle - width / 2, middle[-1] + width / 2)
        values = dict(run.series.at(step).named_parameters())[name].detach().numpy().ravel()  # type: ignore[union-attr]
        counts = np.histogram(values, edges)[0]
        assert part["density"].to_numpy() == pytest.approx(counts / len(values) / width)
        assert counts.sum() / len(values) >= 0.99
    assert np.ptp(table.groupby(["parameter", "step"])["weight"].first().unstack().to_numpy(), axis=1).max() == 0
    for name in names[:12]:
        assert np.shape(found.figures[name].data[0].z) == (30, 3)
        assert [t.name for t in found.figures[f"{name} curves"].data] == ["step 0", "step 70", "step 1,000"]


@pytest.mark.parametrize("value", [0.0, 2.5, math.nan, math.inf])
@pytest.mark.parametrize("step", [0, 10, 20])
def test_densities_of_constants_and_of_what_is_not_finite(value: float, step: int) -> None:
    """At any step: every number of the result is finite, and the entries inside the edges are counted."""
    one = subject("shared concat")
    models = {s: filled(one, value) if s == step else one.model for s in (0, 10, 20)}
    table = densities(history(one, models)).tables["densities"]
    assert np.isfinite(table[["weight", "density"]].to_numpy()).all()
    own = table[table["parameter"] == next(n for n, p in one.model.named_parameters() if p.ndim > 1)]
    share = {s: part["density"].sum() * np.diff(part["weight"])[0] for s, part in own.groupby("step")}
    assert share[step] == pytest.approx(1.0 if math.isfinite(value) else 0.0)
    assert all(0.9 < share[s] <= 1 + 1e-9 for s in share if s != step)


def test_constant_matrices_of_one_entry() -> None:
    """Everything the same at all steps: a bin with all, none is divided by a width of 0."""
    model = interp.HookedMLP(interp.MLPConfig((1,), 1, d_in=1)).double().init_weights(0)
    found = densities(history(Subject("one", model), {0: model, 5: model}), bins=4)
    for _, part in found.tables["densities"].groupby(["step", "parameter"]):
        assert part["density"].max() * np.diff(part["weight"])[0] == pytest.approx(1)
        assert (part["density"] > 0).sum() == 1


def test_refusals_of_densities(demo: Subject) -> None:
    """A single bin, a single step, a network without a history."""
    for options in ({"bins": 1}, {"steps": 1}, {"every": 0}):
        with pytest.raises(InterpError, match="must be at least"):
            densities(demo, **options)
    assert interp.analyze(subject("plain"), ["densities"])["densities"].status == "skipped"
