"""Joint analyses: what sees several networks together, in `interp.compare` and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

import interp
from interp import InterpError, MissingCapability, Subject
from interp._util.registry import Plugin
from interp.errors import UnknownName
from interp.plugins.analysis import analyses
from interp.plugins.joint import JointAnalysis, joint_analyses, joint_analysis
from interp.plugins.outcome import Stopped
from interp.plugins.result import Result
from interp.report import write_comparison


@joint_analysis("distance", needs=("weights",), summary="How far apart weights are")
def distance(subjects: Mapping[str, Subject], *, power: float = 2.0) -> Result:
    """Distance of all weights from the first network's.

    Args:
        subjects: by name.
        power: of the norm.

    Returns:
        the distances.
    """
    first, *others = (torch.cat([p.detach().flatten() for p in s.model.parameters()]) for s in subjects.values())
    found = [float((o - first).abs().pow(power).sum() ** (1 / power)) for o in others]
    return Result(metrics={"distance": found[0]}, headline=f"{' and '.join(subjects)} are {found[0]:.3g} apart")


def network(name: str, seed: int) -> Subject:
    model = interp.HookedMLP(interp.MLPConfig((4,), 3, d_in=2)).init_weights(seed=seed)
    return Subject(name, model)


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the joint analyses given be the only ones."""

    def only(*given: JointAnalysis) -> None:
        found = {a.name: Plugin(a.name, "t", value=a) for a in given}
        monkeypatch.setattr("interp.plugins.joint.load_group", lambda _: found)

    return only


def test_it_sees_the_networks_together(register: Callable[..., None]) -> None:
    """By name, in their order, in the precision of the comparison; options reach it."""
    register(distance)
    pair = [network("a", 0), network("b", 1)]
    found = interp.compare(pair, only="distance")
    assert found.together["distance"].headline.startswith("a and b are ")
    assert found.outcomes == {"a": {}, "b": {}}
    weights = [torch.cat([p.detach().flatten() for p in s.model.double().parameters()]) for s in pair]
    one = interp.compare(pair, only=["distance"], options={"distance": {"power": 1}})
    assert one.together["distance"].metrics["distance"] == pytest.approx(float((weights[0] - weights[1]).abs().sum()))
    assert one.together["distance"].context["options"] == {"power": 1.0}


def test_it_runs_by_default_beside_the_others(register: Callable[..., None]) -> None:
    """Where two networks have what it needs; one that lacks it is left out, with a note."""
    register(distance, joint_analysis("drawn", needs=("image",), summary="x")(distance.function))
    found = interp.compare([network("a", 0), network("b", 1)])
    assert set(found.together) >= {"distance"}
    assert "drawn" not in found.together
    assert found.skipped == {}
    asked = interp.compare([network("a", 0), network("b", 1)], only=["distance", "drawn"])
    assert "needs an image network" in asked.skipped["drawn"]


def test_it_is_called_by_itself() -> None:
    """Outside a comparison it raises what it lacks."""
    assert distance({"a": network("a", 0), "b": network("b", 0)}).metrics["distance"] == 0
    with pytest.raises(MissingCapability, match="distance needs two networks"):
        distance({"a": network("a", 0)})


def test_names_and_options_are_checked_first(register: Callable[..., None]) -> None:
    """Before anything runs."""
    register(distance)
    pair = [network("a", 0), network("b", 1)]
    with pytest.raises(UnknownName, match="did you mean 'distance'"):
        interp.compare(pair, only="distanc")
    with pytest.raises(InterpError, match="power"):
        interp.compare(pair, only="distance", options={"distance": {"powr": 1}})
    with pytest.raises(TypeError, match="most"):
        joint_analysis("x", summary="")(lambda subjects, most: Result())


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), InterpError("said")])
def test_one_that_fails_is_alone(register: Callable[..., None], error: BaseException, tmp_path: Path) -> None:
    """The others' results stay; the page and result.json say why."""

    def breaks(subjects: Mapping[str, Subject]) -> Result:
        raise error

    register(joint_analysis("broken", summary="x")(breaks), distance)
    found = interp.compare([network("a", 0), network("b", 1)], only="broken,distance")
    assert str(error) in found.failed["broken"]
    assert "distance" in found.together
    page = write_comparison(found, tmp_path / "report")
    data = json.loads((page.parent / "result.json").read_text())
    assert data["comparisons"]["broken"]["status"] == "failed"
    assert "All metrics" not in page.read_text()


def test_ctrl_c_keeps_what_is_done(register: Callable[..., None]) -> None:
    """As with analyses of one network."""

    def interrupted(subjects: Mapping[str, Subject]) -> Result:
        raise KeyboardInterrupt

    register(joint_analysis("second", summary="x")(interrupted), joint_analysis("first", summary="x", order=1)(
        distance.function))  # fmt: skip
    with pytest.raises(Stopped) as stop:
        interp.compare([network("a", 0), network("b", 1)], only="first,second")
    assert "first" in stop.value.found.together
    assert "stopped" in stop.value.found.failed["second"]


def test_every_one_of_ours_loads_and_has_a_name_of_its_own() -> None:
    """None is broken, and none shares its name with an analysis of one network."""
    good, broken = joint_analyses()
    assert not broken
    assert not set(good) & set(analyses()[0])
