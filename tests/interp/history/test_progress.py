"""One pass over a run: each checkpoint opened and forwarded once, and the numbers of single measures on single files."""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import interp
from interp import InterpError
from interp.checkpoints import source
from interp.errors import UnknownName, UnreadableFile
from interp.history.progress import progress, track
from interp.plugins.measure import choose, measure, measures
from interp.series import CheckpointSeries
from tests.conftest import DEMO
from tests.interp.plugins.test_measure import Only, only  # noqa: F401
from tests.interp.test_snapshot import Count
from tests.models import subject

STEPS = [0, 10, 20, 30]
PLAIN = [n for n, one in measures()[0].items() if one.anchor is None]


@pytest.fixture(autouse=True)
def fresh(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    path = tmp_path_factory.mktemp("cache") / "measures.sqlite"
    monkeypatch.setenv("INTERP_CACHE", str(path))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two MLPs on (a + b) mod 7, four checkpoints."""
    spec, model, members = "modular:p=7,train_fraction=0.5", "mlp:hidden=8,d_embed=4", [{"seed": 0}, {"seed": 1}]
    out = tmp_path_factory.mktemp("runs") / "run"
    return interp.train(spec, model, steps=30, checkpoints="every:10", members=members, out=out).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []
    read = source.read
    monkeypatch.setattr(source, "read", lambda path: (names.append(path.name), read(path))[1])
    return names


def table(frame: pd.DataFrame) -> dict[tuple[Any, ...], float]:
    """Values by step, member, measure and place; every place is told once."""
    rows = {tuple(row[:4]): row[4] for row in frame.itertuples(index=False)}
    assert len(rows) == len(frame)
    return rows


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Bit for bit, NaN equal to NaN, rows in the same order."""
    return one[["step", "member", "measure", "where"]].equals(other[["step", "member", "measure", "where"]]) and (
        one["value"].astype(float).to_numpy().tobytes() == other["value"].astype(float).to_numpy().tobytes()
    )


def alone(
    path: Path, member: int, settled: dict[str, dict[str, Any]], steps: list[int]
) -> dict[tuple[Any, ...], float]:
    """Every measure by itself, on every checkpoint loaded anew."""
    found = {}
    for step in steps:
        for name, options in settled.items():
            values = choose([name])[name](interp.load(path, member=member, step=step), **options)
            found |= {(step, member, name, where): value for where, value in values.items()}
    return found


@pytest.mark.parametrize("member", [0, 1])
def test_values_of_a_trained_run(trained: Path, member: int) -> None:
    """All measures of a member in one pass: those of single measures on freshly loaded checkpoints, bit for bit."""
    found = track(interp.load(trained, member=member))
    assert found.errors == {}
    applied = {name: options for name, options in found.options.items() if name not in found.skipped}
    assert len(applied) >= 14
    assert table(found.frame) == alone(trained, member, applied, STEPS)


def test_values_of_a_transformer(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo run, with measures that its last checkpoint settles; then nothing is opened or forwarded again."""
    names = ["loss", "accuracy", "weight_norm", "activation_sparsity", "restricted_loss", "mode_power", "gradient_norm"]
    one = interp.load(DEMO)
    found = track(one, names, every=4)
    assert found.frame["step"].unique().tolist() == [1200, 3400, 8000]
    assert found.options["mode_power"]["frequencies"]
    assert table(found.frame) == alone(DEMO, 0, found.options, [1200, 3400, 8000])
    again = interp.load(DEMO)
    opened.clear()
    count = Count(monkeypatch, type(again.model))
    second = track(again, names, every=4)
    assert (second.computed, second.cached, opened, count.sizes) == (0, found.computed, [], [])
    assert same(found.frame, second.frame)


@pytest.mark.parametrize("names", [PLAIN[:1], PLAIN, None])
def test_opened_and_forwarded_once(
    trained: Path, opened: list[str], names: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many measures there are; sweeps have a clean network of their own, and the last settles options for all."""
    one = interp.load(trained)
    opened.clear()
    count = Count(monkeypatch, type(one.model))
    track(one, names, cache=False)
    assert sorted(opened) == [f"step_{s:08}.safetensors" for s in STEPS]
    swept = names is None or "sweep_factors" in names
    # the gradient's pass is of the train set alone
    assert count.sizes.count(49) == len(STEPS) * (1 + swept) + (names is None)


def test_all_members_of_a_run(trained: Path) -> None:
    """A Run gives all its members, a path the first, members= those asked for; each has the numbers of its own network."""
    run = interp.Run(trained)
    everything = progress(run, ["weight_norm", "loss"])
    assert everything["member"].unique().tolist() == [0, 1]
    assert everything.dtypes.astype(str).to_dict() == {
        "step": "int64", "member": "int64", "measure": "str", "where": "str", "value": "float64"
    }  # fmt: skip
    for member in (0, 1):
        part = everything.query("member == @member").reset_index(drop=True)
        assert same(part, progress(trained, ["weight_norm", "loss"], members=[member]))
        for step in STEPS:
            model = run.subject(member, step).model
            norm = sum(p.double().square().sum() for p in model.parameters()).sqrt().item()  # type: ignore[union-attr]
            assert table(part)[step, member, "weight_norm", "all"] == pytest.approx(norm, rel=1e-12)
    assert progress(str(trained), ["loss"])["member"].unique().tolist() == [0]
    assert progress(run, ["loss"], members=[1])["member"].unique().tolist() == [1]


@pytest.mark.parametrize("wrong", [[2], [-1], []])
def test_members_that_are_not(trained: Path, wrong: list[int]) -> None:
    """There is no such member, or none was asked for: a sentence."""
    with pytest.raises(InterpError, match="member"):
        progress(interp.Run(trained), ["loss"], members=wrong)


def test_every(trained: Path, only: Only) -> None:
    """Checkpoints and costly measures are counted back from the last, which is always measured."""
    cheap = measure("cheap", summary="")(lambda snapshot: snapshot.step)
    costly = measure("costly", summary="", every=3)(lambda snapshot: snapshot.step)
    only(cheap, costly)
    whole, half = progress(trained, cache=False), progress(trained, every=2, cache=False)
    assert {n: rows["value"].tolist() for n, rows in whole.groupby("measure")} == {"cheap": STEPS, "costly": [0, 30]}
    assert {n: rows["value"].tolist() for n, rows in half.groupby("measure")} == {"cheap": [10, 30], "costly": [30]}
    assert progress(trained, every=100, cache=False)["step"].unique().tolist() == [30]


def test_a_series_alone(trained: Path) -> None:
    """Weights are measured; what needs a task is left out, and says so."""
    run = interp.Run(trained)
    frame = progress(run.series(0))
    assert {"weight_norm", "weight_entropy"} <= set(frame["measure"])
    assert not {"loss", "rqi"} & set(frame["measure"])
    assert "needs a task, and none is known" in frame.attrs["skipped"]["loss"]
    assert same(progress(run.series(0), ["weight_norm"]), progress(run, ["weight_norm"], members=[0]))


def test_in_memory() -> None:
    """What no file holds is measured as it is: edits of its weights count at once, and so does another activation."""
    one = subject("shared concat")
    before = track(one, ["loss"])
    with torch.no_grad():
        one.model.W_U.mul_(2)
    after = track(one, ["loss"])
    model = type(one.model)(replace(one.model.config, act_fn="tanh")).double()
    model.load_state_dict(one.model.state_dict())
    other = track(replace(one, model=model), ["loss"])
    assert before.computed == after.computed == other.computed == 1
    assert table(other.frame)[0, 0, "loss", "all"] == choose(["loss"])["loss"](replace(one, model=model))["all"]


def test_empty_results_have_columns_and_types(trained: Path) -> None:
    """Nothing asked for, or nothing that applies: a table without rows that can be worked with as any other."""
    expected = progress(trained, ["loss"]).iloc[:0]
    for frame in (progress(trained, []), progress(interp.Run(trained).series(0), ["loss"])):
        assert len(frame) == 0
        assert list(frame.columns) == list(expected.columns)
        assert frame.dtypes.to_dict() == expected.dtypes.to_dict()


@pytest.mark.parametrize(
    ("source", "way"),
    [(torch.nn.Linear(2, 2), r"interp\.wrap\(module"), (3, "an int"), (interp.Run, "the class Run"), (["a"], "a list")],
)  # fmt: skip
def test_sources_of_another_kind(source: Any, way: str) -> None:
    """The message says what is wanted, and how to get there from what was given."""
    for call in (progress, track):
        with pytest.raises(InterpError, match=f"a Subject is needed, got.*{way}"):
            call(source)


def test_a_model_is_measured_by_its_weights() -> None:
    """What needs a task says so."""
    model = subject("plain").model
    found = track(model, "weight_norm, loss")
    assert "needs a task, and none is known" in found.skipped["loss"]
    assert same(found.frame, progress(model, ["weight_norm"]))
    assert table(found.frame)[0, 0, "weight_norm", "all"] == choose("weight_norm")["weight_norm"](model)["all"]


def test_members_of_another_kind(trained: Path) -> None:
    """A number is one member; where there is none to choose, that is said; none at all is nothing to measure."""
    assert progress(trained, ["weight_norm"], members=1)["member"].unique().tolist() == [1]
    for single in (subject("plain"), interp.Run(trained).series(0)):
        with pytest.raises(InterpError, match="members chooses networks of a Run or a path"):
            progress(single, ["weight_norm"], members=[0])
    with pytest.raises(InterpError, match="members is empty"):
        progress(trained, ["weight_norm"], members=[])


def test_names_and_options_are_checked_first(trained: Path, opened: list[str]) -> None:
    """Before anything is opened; options of a measure that was not asked for, too."""
    one = interp.load(trained)
    opened.clear()
    wrong: list[tuple[Any, Any]] = [(["lss"], {}), (["loss"], {"lss": {}}), (["local_complexity"], {"local_complexity": {
        "maks": 1}}), (["loss"], {"local_complexity": {"maks": 1}})]  # fmt: skip
    for names, options in wrong:
        with pytest.raises(UnknownName, match="did you mean"):
            track(one, names, options=options)
    assert opened == []


def test_a_repeated_step(trained: Path, tmp_path: Path) -> None:
    """The first file by name is used, and a note names both."""
    folder = Path(shutil.copytree(trained / "checkpoints", tmp_path / "steps"))
    shutil.copy(folder / "step_00000000.safetensors", folder / "iter_10.safetensors")
    one = interp.load(folder)
    assert one.series is not None
    assert one.series.steps == STEPS
    assert torch.equal(one.series.at(10).W_U, one.series.at(0).W_U)
    note = "step 10 occurs more than once: iter_10.safetensors is used, step_00000010.safetensors is left out"
    assert note in one.provenance.notes


def test_no_checkpoints(tmp_path: Path) -> None:
    """A folder without any, and a series of none: a sentence."""
    with pytest.raises(UnreadableFile, match="folder without checkpoints"):
        progress(tmp_path)
    with pytest.raises(InterpError, match="no checkpoints"):
        progress(CheckpointSeries((), lambda entry: pytest.fail("opened")))
