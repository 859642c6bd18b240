"""Comparison: of whatever a user has, and analyses that fail by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from interp import CPPNConfig, HookedCPPN, InterpError, Subject
from interp._util.registry import Plugin
from interp.errors import UnknownName
from interp.plugins.analysis import Analysis, Result, analysis
from interp.report.comparison import compare
from interp.tasks import ImageTask
from interp.training.launch import train
from tests.interp.picbreeder.genomes import small, written
from tests.models import subject


def picture(folder: Path) -> Path:
    path = folder / "target.png"
    Image.linear_gradient("L").resize((8, 8)).save(path)
    return path


def trained(folder: Path, out: Path, members: list[dict[str, float]], **settings: object) -> Path:
    task = ImageTask(str(picture(folder)), size=8)
    config = CPPNConfig("1;cache:1,sin:2")
    return train(task, config, members=members, out=out, steps=2, device="cpu", **settings).path


def cppn(name: str, seed: int = 0) -> Subject:
    return Subject(name, HookedCPPN(CPPNConfig("2;gaussian:2,sin:1")).double().init_weights(seed, 2.0))


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the analyses given be the only ones."""

    def only(*given: Analysis) -> None:
        monkeypatch.setattr(
            "interp.plugins.analysis.load_group", lambda _: {a.name: Plugin(a.name, "t", value=a) for a in given}
        )
        monkeypatch.setattr("interp.plugins.joint.load_group", lambda _: {})

    return only


def counting(name: str = "counting", compared: Callable[[Mapping[str, Result]], object] | None = None) -> Analysis:
    """An analysis that finds the number of parameters; ``compared`` is what it says of several."""

    @analysis(name, needs=("weights",), summary="Counts.")
    def count(subject: Subject) -> Result:
        return Result(metrics={"parameters": sum(p.numel() for p in subject.model.parameters())})

    if compared is not None:
        count.compares(compared)  # pyright: ignore[reportArgumentType]
    return count


def test_fewer_than_two() -> None:
    for given in ({}, {"a": cppn("a")}, [cppn("a")], cppn("a"), cppn("a").model, []):
        with pytest.raises(InterpError, match="two networks or more"):
            compare(given)


def test_two_of_one_name(register: Callable[..., None]) -> None:
    """None is passed over in silence; by name they are told apart."""
    register(counting())
    one, other = cppn("a"), cppn("a", 1)
    with pytest.raises(InterpError, match=r"two of the networks are called 'a'.*interp\.compare\(\{"):
        compare([cppn("b"), one, other])
    found = compare({"first": one, "second": other})
    assert {name: id(s) for name, s in found.subjects.items()} == {"first": id(one), "second": id(other)}


def test_paths_models_and_subjects(tmp_path: Path, register: Callable[..., None]) -> None:
    """Whatever a user has, mixed: a path is loaded, a run is its members, a model is named by its class."""
    register(counting())
    run = trained(tmp_path, tmp_path / "toy", [{"seed": 0}, {"seed": 1}])
    genome = written(tmp_path, small().xml())
    found = compare([cppn("mine"), run, str(genome), cppn("other").model], "counting", device="cpu")
    assert list(found.subjects) == ["mine", "toy seed=0", "toy seed=1", "genome.xml", "HookedCPPN"]
    named = compare({"old": genome, "new": str(genome)}, [counting()])
    assert [s.name for s in named.subjects.values()] == list(named.subjects) == ["old", "new"]
    assert list(named.outcomes["new"]) == ["counting"]
    assert list(compare(run, device="cpu").subjects) == ["toy seed=0", "toy seed=1"]


@pytest.mark.parametrize("given", [3, [3, 4], [torch.nn.Linear(2, 2)] * 2, [HookedCPPN, HookedCPPN], None])
def test_networks_of_another_kind(given: Any) -> None:
    """A sentence that says what is wanted."""
    with pytest.raises(InterpError, match="a Subject is needed, got"):
        compare(given)


def test_nothing_in_common(register: Callable[..., None]) -> None:
    """No analysis applies to two of them: an error that says where to look."""

    @analysis("pictures", needs=("image",), summary="Of images.")
    def pictures(subject: Subject) -> Result:
        return Result()

    register(pictures)
    with pytest.raises(InterpError, match="no analysis applies to two of a, shared concat"):
        compare([cppn("a"), subject("shared concat")])
    with pytest.raises(UnknownName, match="did you mean 'pictures'"):
        compare([cppn("a"), cppn("b")], only=["picture"])


def test_what_applies_to_one_alone_is_left_out(register: Callable[..., None]) -> None:
    """By default; asked for by name, it runs where it can and is skipped elsewhere, and is not compared."""
    image = replace(counting("image"), needs=("image",))
    image.compares(lambda results: Result(headline="never"))
    register(image, counting("all"))
    networks = [cppn("a"), subject("shared concat")]
    assert set(compare(networks).outcomes["a"]) == {"all"}
    found = compare(networks, only=["image"])
    assert [found.outcomes[n]["image"].status for n in found.subjects] == ["ok", "skipped"]
    assert found.together == {}


@pytest.mark.parametrize("error", [ValueError("[red]bad"), SystemExit(3), KeyError("x"), RecursionError()])
def test_a_comparison_that_raises_is_alone(register: Callable[..., None], error: BaseException) -> None:
    """The others' results stay, and the reason is kept."""

    def breaks(results: Mapping[str, Result]) -> Result:
        raise error

    register(counting("broken", breaks), counting("whole", lambda r: Result(headline=" and ".join(r))))
    found = compare([cppn("a"), cppn("b")])
    assert found.failed["broken"].startswith(f"{type(error).__name__}: ")
    assert list(found.together) == ["whole"]
    assert found.together["whole"].headline == "a and b"
    assert all(o["broken"].status == "ok" for o in found.outcomes.values())


def test_a_comparison_that_returns_no_result(register: Callable[..., None]) -> None:
    """What a report could not show is a failure of that comparison, not of the report."""
    register(counting("none", lambda r: None), counting("table", lambda r: Result(tables={"x": [1]})))
    found = compare([cppn("a"), cppn("b")])
    assert set(found.failed) == {"none", "table"}
    assert all(reason.startswith("TypeError") for reason in found.failed.values())


def test_an_analysis_that_raises_for_one(register: Callable[..., None]) -> None:
    """Of three, two are compared, in their order."""

    @analysis("picky", needs=("weights",), summary="Fails for b.")
    def picky(subject: Subject) -> Result:
        if subject.name == "b":
            raise ValueError("not b")
        return Result(metrics={"n": 1})

    picky.compares(lambda results: Result(headline=",".join(results)))
    register(picky)
    found = compare({n: cppn(n) for n in ("c", "b", "a")})
    assert found.together["picky"].headline == "c,a"
    assert found.outcomes["b"]["picky"].status == "failed"


def test_scores(register: Callable[..., None]) -> None:
    """A row for each analysis and metric, a column for each subject, empty where one has none."""

    @analysis("some", needs=("weights",), summary="Some.")
    def some(subject: Subject) -> Result:
        return Result(metrics={"both": 1234, **({"own": None} if subject.name == "a" else {"late": 0.5})})

    register(some, counting())
    scores = compare([cppn("a"), cppn("b")], only=["some", "counting"]).scores
    expected = pd.DataFrame(
        [["some", "both", "1,234", "1,234"], ["some", "own", "n/a", ""], ["some", "late", "", "0.5"],
         ["counting", "parameters", "30", "30"]], columns=["analysis", "metric", "a", "b"],
    )  # fmt: skip
    rows = {tuple(r) for r in scores.itertuples(index=False)}
    assert rows == {tuple(r) for r in expected.itertuples(index=False)}
    assert list(scores.columns) == ["analysis", "metric", "a", "b"]


def test_progress_names_subject_and_analysis(register: Callable[..., None]) -> None:
    register(counting())
    told: list[str] = []
    compare([cppn("a"), cppn("b")], progress=told.append)
    assert told == ["a: counting", "b: counting"]


@pytest.mark.parametrize("name", ["metric", "analysis"])
def test_scores_of_a_network_of_any_name(register: Callable[..., None], name: str) -> None:
    """A folder may be called as a column is: the names of analyses and metrics stay, and its own values are there."""
    register(counting())
    (row,) = compare([cppn(name), cppn("b")]).scores.to_numpy().tolist()
    assert row == ["counting", "parameters", "30", "30"]
