"""The analysis `progress`: frames whose changes are known, runs that stop short or diverge, and the shipped run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import interp.plugins.measure
from interp import CheckpointSeries, InterpError, Subject
from interp.hooked import HookedModel
from interp.report import write
from interp.snapshot import Snapshot
from probes.analyses import progress as module
from probes.analyses.leads import LEAD_COLUMNS, is_companion, lead_table, main_curves
from tests.models import subject

STEPS = list(range(0, 200, 10))
QUICK = "loss,accuracy,weight_norm,activation_sparsity"


def step_at(at: int, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Low before a step, high from it on."""
    return [high if s >= at else low for s in STEPS]


def framed(curves: Mapping[tuple[str, str], Sequence[float]]) -> pd.DataFrame:
    rows = [(s, 0, m, w, v) for (m, w), values in curves.items() for s, v in zip(STEPS, values, strict=True)]
    rows.sort(key=lambda row: row[0])
    return pd.DataFrame(rows, columns=["step", "member", "measure", "where", "value"])


CURVES = {
    ("early", ""): step_at(50),
    ("accuracy", "train"): step_at(60),
    ("just before", ""): [1 - v for v in step_at(110)],
    ("accuracy", "test"): step_at(120),
    ("with it", "test"): step_at(120, 5, 2),
    ("late", "layer"): step_at(150, 1, 1_000),
    ("vague", ""): list(np.random.default_rng(11).normal(size=20) + 1.2 * np.array(step_at(120))),
    ("constant", ""): [3.0] * 20,
    ("late", "std of layer"): step_at(30),
    ("late", "mean of layer"): step_at(30),
    ("late", "layer squared"): step_at(30),
}


def rows_of(table: pd.DataFrame, window: str) -> dict[str, dict]:
    rows = table[table["window"] == window].to_dict("records")
    return {f"{r['measure']} {r['where']}".strip(): r for r in rows}


def test_which_leads_test_accuracy() -> None:
    """By hand: yes, no and open; intervals that meet at one checkpoint do not overlap."""
    table = lead_table(framed(CURVES), 60, 120)
    assert tuple(table.columns) == LEAD_COLUMNS
    rows = rows_of(table, "whole run")
    leads = {name: row["leads_test_accuracy"] for name, row in rows.items()}
    assert leads == {
        "early": "yes", "accuracy train": "yes", "just before": "yes", "accuracy test": "open", "with it test": "open",
        "late layer": "no", "vague": "open",
    }  # fmt: skip
    assert rows["vague"]["low"] < 120 < rows["vague"]["high"]
    late = rows["late layer"]
    assert (late["changes_at"], late["low"], late["high"]) == (145, 140, 150)
    assert (late["before"], late["after"], late["explained"]) == pytest.approx((1, 1_000, 1))
    assert (late["after_memorisation"], late["before_generalisation"]) == (85, -25)
    assert (rows["early"]["after_memorisation"], rows["early"]["before_generalisation"]) == (-15, 75)


def test_the_window_behind_memorisation() -> None:
    """What has happened by then is constant there, and the larger, earlier change no longer hides the later."""
    twice = [9.0 if s >= 130 else 8.0 if s >= 30 else 0.0 for s in STEPS]
    table = lead_table(framed({**CURVES, ("twice", ""): twice}), 60, 120)
    whole, behind = rows_of(table, "whole run"), rows_of(table, "after memorisation")
    assert (whole["twice"]["changes_at"], whole["twice"]["leads_test_accuracy"]) == (25, "yes")
    assert (behind["twice"]["changes_at"], behind["twice"]["leads_test_accuracy"]) == (125, "no")
    assert not {"early", "accuracy train"} & set(behind)
    assert min(row["low"] for row in behind.values()) >= 60
    assert table["window"].tolist() == ["whole run"] * len(whole) + ["after memorisation"] * len(behind)
    assert all(part["changes_at"].is_monotonic_increasing for _, part in table.groupby("window"))


@pytest.mark.parametrize("generalised", [None, 120])
def test_never_memorised(generalised: int | None) -> None:
    """One window, and no steps from an event that was not."""
    table = lead_table(framed(CURVES), None, generalised)
    assert set(table["window"]) == {"whole run"}
    assert table["after_memorisation"].isna().all()
    assert table["before_generalisation"].isna().all() == (generalised is None)
    assert module.last_window(table) == "whole run"


def test_without_test_accuracy_nothing_leads_it() -> None:
    """No test part: the column is empty, the changes are there."""
    table = lead_table(framed({k: v for k, v in CURVES.items() if k != ("accuracy", "test")}), 60, None)
    assert set(table["leads_test_accuracy"]) == {""}
    assert {"early", "late layer"} <= set(rows_of(table, "whole run"))


def test_companions_stand_for_nothing() -> None:
    """A spread, a mean per example and a square lead no table, and are no measure's main curve."""
    table = lead_table(framed(CURVES), 60, 120)
    assert not any(map(is_companion, table["where"]))
    main = main_curves(table)
    assert not main.duplicated(["window", "measure"]).any()
    assert set(main.query("measure == 'accuracy'")["where"]) == {"test"}
    both = lead_table(framed({("m", "a"): CURVES["vague", ""], ("m", "b"): step_at(90)}), None, None)
    assert main_curves(both)["where"].tolist() == ["b"]  # the change that explains most


def test_headlines() -> None:
    """Names of what leads, and words for nothing, of empty tables, too."""
    table = lead_table(framed(CURVES), 60, 120)
    said = module._headline(table, 20, 60, 120, 0.9)
    assert said.startswith(
        "20 checkpoints: memorised by step 60, generalised by step 120 (accuracy stays at or above 0.9); "
    )
    assert said.endswith("just before changes before test accuracy (step 115)")
    table = lead_table(framed({("accuracy", "test"): step_at(120)}), 60, 120)
    assert module._headline(table, 20, 60, 120, 0.9).endswith("; no measure changes before test accuracy (step 115)")
    everything = lead_table(framed({**{(f"m{i}", ""): step_at(50) for i in range(9)}, **CURVES}), None, 120)
    assert "and 5 more change before" in module._headline(everything, 20, None, 120, 0.9)  # 9, early and just before
    for empty in (framed({}), framed({("constant", ""): [1.0] * 20})):
        for memorised in (None, 60):
            nothing = lead_table(empty, memorised, None)
            assert len(nothing) == len(main_curves(nothing)) == 0
            assert "generalised never" in module._headline(nothing, 20, memorised, None, 0.9)


def test_settings_reach_their_measures(demo: Subject) -> None:
    """Several options with spaces between them: the measure with its own."""
    settings = " activation_sparsity.tau = 0.5; local_complexity.masks=2 ;"
    found = module.progress_analysis(demo, measures="activation_sparsity", settings=settings, every=20).tables["last"]
    measured = interp.plugins.measure.choose(["activation_sparsity"])["activation_sparsity"].function(
        Snapshot(demo), tau=0.5
    )
    assert dict(zip(found["where"], found["value"], strict=True)) == pytest.approx(measured)


def test_refusals_of_settings(demo: Subject) -> None:
    """Told how to write them."""
    for text in ("masks=8", "local_complexity.masks", "=8", ".masks=8", "local_complexity.=8", "loss.a=1;c"):
        with pytest.raises(InterpError, match="OPTION=VALUE, such as local_complexity.masks=8"):
            module.progress_analysis(demo, settings=text)


def test_refusals(demo: Subject) -> None:
    """Names that are none, and a threshold that no accuracy has."""
    for options in ({"measures": "los"}, {"settings": "los.a=1"}, {"threshold": 1.5}):
        with pytest.raises(InterpError, match=r"did you mean|between 0 and 1"):
            module.progress_analysis(demo, **options)


def test_the_shipped_run_and_its_report(demo: Subject, tmp_path: Path) -> None:
    """Memorises, then generalises; a figure per measure with both accuracies behind it and both events marked."""
    outcomes = interp.analyze(demo, ["progress"], {"progress": {"measures": QUICK, "every": 2}})
    found = outcomes["progress"].result
    assert found is not None
    m = found.metrics
    late = [s for s, v in demo.curves["train_accuracy"] if v < 0.9]
    assert (
        m["memorised_at_step"]
        == min(s for s, _ in demo.curves["train_accuracy"] if s > max(late))
        < m["generalised_at_step"]
    )
    last = found.tables["measures"].query(f"step == {m['last_step']} and measure == 'loss' and where == 'test'")
    assert m["loss_test"] == last["value"].item() == pytest.approx(demo.curves["test_loss"][-1][1], rel=1e-3)
    assert set(QUICK.split(",")) | {"which leads"} == set(found.figures)
    for name in QUICK.split(","):
        figure = found.figures[name]
        behind = {t.name: t.y[-1] for t in figure.data if t.yaxis == "y2"}
        assert behind == {f"{part} accuracy": demo.curves[f"{part}_accuracy"][-1][1] for part in ("train", "test")}
        assert {s.x0 for s in figure.layout.shapes} == {m["memorised_at_step"], m["generalised_at_step"]}
        assert {a.text for a in figure.layout.annotations} == {"memorised", "generalised"}
        assert not any(is_companion(t.name) for t in figure.data)
    assert found.figures["loss"].layout.yaxis.type == "log"
    text = (write(demo, outcomes, tmp_path / "report").parent / "result.json").read_text()
    assert (
        json.loads(text, parse_constant=pytest.fail)["analyses"]["progress"]["metrics"]["checkpoints"]
        == m["checkpoints"]
    )


def test_one_checkpoint_gives_values_alone() -> None:
    """No curves, no table of changes, and the values as the network has them."""
    one = subject("plain")
    found = module.progress_analysis(one, measures="loss,weight_norm")
    norm = math.sqrt(sum(float(p.detach().square().sum()) for p in one.model.parameters()))
    assert (set(found.tables), found.figures, found.lead) == ({"last"}, {}, None)
    assert found.metrics["checkpoints"] == 1
    assert norm == pytest.approx(
        found.tables["last"].query("measure == 'weight_norm' and where == 'all'")["value"].item()
    )
    assert found.headline == "2 measures at one checkpoint"


def test_slingshots_are_told(demo: Subject) -> None:
    """A train loss that jumps far above its lowest, twice."""
    loss = [1.0, 0.1, 2e-3, 2e-3, 0.9, 2e-3, 2e-3, 0.9, 2e-3]
    jumpy = replace(demo, curves={**demo.curves, "train_loss": [(10 * i, v) for i, v in enumerate(loss)]})
    found = module.progress_analysis(jumpy, measures="weight_norm", every=8)
    assert found.metrics["slingshots"] == 2
    assert any("2 times, at steps 40, 70: slingshots" in note for note in found.notes)


class Diverged(CheckpointSeries):
    """A series whose weights are NaN behind a step."""

    FROM = 1_000

    def at(self, step: int) -> HookedModel:
        model = super().at(step)
        if step > self.FROM:
            for parameter in model.parameters():
                parameter.data.fill_(math.nan)
        return model


def test_weights_that_are_not_finite_are_told(demo: Subject) -> None:
    """A run whose last checkpoints diverged: a note, a gap in what needs numbers, and no NaN among the metrics."""
    broken = replace(demo, series=Diverged(demo.series.entries, demo.series._open), origin={})  # type: ignore
    found = module.progress_analysis(broken, measures="weight_norm,spectral_norm,accuracy", every=4, cache=False)
    steps = sorted(found.tables["measures"]["step"].unique())
    assert found.metrics["checkpoints"] == len(steps) == len(demo.series.steps[::-1][::4])
    bad = [s for s in steps if s > Diverged.FROM]
    assert any(f"at {len(bad)} checkpoints, first at steps {bad[0]:,}" in note for note in found.notes)
    assert found.metrics["weight_norm_all"] is None
    assert found.tables["measures"].query("measure == 'weight_norm' and where == 'all'")["value"].isna().sum() == len(
        bad
    )
    assert all(v is None or math.isfinite(v) for v in found.metrics.values())


def test_a_regression_has_no_accuracy(tmp_path: Path) -> None:
    """An image: no events, no marks, the loss and the weights alone."""
    from PIL import Image

    target = tmp_path / "target.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(target)
    task = f"image:target={target},size=8"
    run = interp.train(task, interp.CPPNConfig("2;gaussian:2,sin:1"), steps=40, checkpoints="every:10", device="cpu")
    found = module.progress_analysis(run.subject(), measures="loss,accuracy,weight_norm")
    assert (found.metrics["memorised_at_step"], found.metrics["generalised_at_step"]) == (None, None)
    assert found.headline == "5 checkpoints: memorised never, generalised never (accuracy stays at or above 0.9)"
    assert not any(t.yaxis == "y2" for t in found.figures["loss"].data)
    assert any("accuracy" in note and "judge" in note for note in found.notes)
