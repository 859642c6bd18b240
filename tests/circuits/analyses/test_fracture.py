"""The analysis `fracture` on the run that ships, on networks written by hand, and where it does not apply."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuits.analyses.fracture import fracture_analysis
from interp import Subject, analyze
from interp.tasks import ImageTask
from tests.circuits.cppns import dense
from tests.circuits.factor_units.test_fracture import squares, table
from tests.interp.tasks.test_images import gradient, png
from tests.models import subject as of_table


def test_units_become_factored_as_the_network_groks(demo: Subject) -> None:
    """A unit carries 18 of 26 frequencies at first, and little more than one at the end, where its null models carry 18."""
    found = {}
    for step in (0, 200, 3000, None):
        if step is None:
            subject = demo
        else:
            assert demo.series is not None
            subject = Subject("step", demo.series[demo.series.steps.index(step)], demo.task)
        found[step] = fracture_analysis(subject, n_random=1 if step is None else 0)
    per_unit = [r.metrics["factors_per_unit"] for r in found.values()]
    assert per_unit == pytest.approx([18.21, 15.61, 6.00, 1.25], abs=0.05)
    end = found[None]
    assert end.metrics["key_factors"] == ["24", "6", "8"]
    low, high = end.metrics["factors_per_unit_interval"]
    assert low < per_unit[-1] < high < 1.5
    nulls = end.tables["null models"].set_index("network")["factors per unit"]
    assert (nulls.drop("this network") > 17).all()
    assert end.headline.startswith("A unit carries 1.3 [1.2, 1.3] of 26 frequencies (shuffled weights 18.")
    assert end.verdict == [("frequencies carried by a unit", "1.3 of 26")]
    assert found[200].metrics["entangled_key_factors"] == ["24"]
    assert "entangled with others" in found[200].headline
    assert "no key frequency is known" in found[0].headline


def test_networks_by_hand() -> None:
    """Squares: one group of three units; the table: every unit carries all frequencies."""
    made = fracture_analysis(squares(2, 3), n_random=0)
    assert made.metrics["units_per_key_factor"] == pytest.approx(3)
    assert made.metrics["groups_per_key_factor"] == 1
    assert made.metrics["entangled_key_factors"] == []
    assert (made.metrics["units"], made.metrics["carrying_units"], made.metrics["key_units"]) == (6, 6, 6)
    assert made.headline.endswith("a key frequency is carried by 3 units in 1 group")
    shown = made.figures["units by factor"].data[0]
    assert np.asarray(shown["z"]).shape == (6, 5)  # pyright: ignore[reportIndexIssue]  plotly's traces are untyped
    assert fracture_analysis(squares(2, copies=2), n_random=0).metrics["groups_per_key_factor"] == 2
    assert fracture_analysis(table(), n_random=0).metrics["factors_per_unit"] == pytest.approx(5)


def test_a_network_that_does_nothing() -> None:
    """Nothing is carried, and the headline says so."""
    found = fracture_analysis(squares(2, strength=0.0), n_random=0)
    assert found.headline == "No unit of layers.0.hook_post changes the outputs"
    assert found.metrics["factors_per_unit"] is None
    assert found.verdict == []


def test_skipped_with_the_reason(tmp_path: Path) -> None:
    """A picture, and a network without a known hidden layer."""
    picture = Subject("picture", dense(), ImageTask(png(tmp_path / "a.png", gradient(4, 4)), size=4))
    outcome = analyze(picture, "fracture")["fracture"]
    assert (outcome.status, "feature_maps" in str(outcome.reason)) == ("skipped", True)
    outcome = analyze(of_table("no mlp"), "fracture")["fracture"]
    assert (outcome.status, "name a site" in str(outcome.reason)) == ("skipped", True)


def test_an_earlier_layer() -> None:
    """By its name, with the network run once per unit, and no groups."""
    found = fracture_analysis(of_table("deep"), site="layers.0.hook_post", n_random=1)
    assert found.metrics["site"] == "layers.0.hook_post"
    assert found.metrics["groups_per_key_factor"] is None
    assert any("Groups are not sought" in note for note in found.notes)
    assert len(found.tables["null models"]) == 3
