"""Strangers' analyses: the example is installed and run as a user would, and broken ones stop nobody."""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import plotly.graph_objects as go
import pytest
import torch

import interp
from interp._util.registry import load_group
from interp.errors import UnknownName
from interp.plugins.analysis import Result, analyses, analysis
from interp.report import write
from tests.conftest import DEMO, ROOT
from tests.interp.cli.conftest import run  # noqa: F401
from tests.interp.cli.console import Run
from tests.interp.report.pages import read
from tests.models import make, subject

EXAMPLE = ROOT / "examples" / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example plugin, installed by pip into a folder of its own, without the network."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("build", "dist", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    argv = [*pip, "--target", str(folder / "site"), str(folder / "source")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def command(site: Path, *argv: str, cwd: Path) -> str:
    """What ``interp`` prints with a folder of packages on its path."""
    environment = os.environ | {"PYTHONPATH": str(site), "COLUMNS": "300", "OMP_NUM_THREADS": "1"}
    words = [str(Path(sys.executable).with_name("interp")), *argv]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr
    return done.stdout


@contextmanager
def plugged(site: Path) -> Iterator[None]:
    """A folder of packages on this process's path; after the block they are not installed any more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        load_group.cache_clear()
        try:
            yield
        finally:
            load_group.cache_clear()


Here = Callable[..., str]


@pytest.fixture
def here(installed: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """`command` with the example installed, in this process: that saves the imports."""
    monkeypatch.chdir(tmp_path)

    def in_process(*argv: str) -> str:
        with plugged(installed):
            ran = run(*argv)
        assert (ran.code, ran.err) == (0, "")
        return ran.out

    return in_process


def test_the_example_is_listed(here: Here) -> None:
    """With its summary beside the suite's own; asked for by name, with its needs and option."""
    rows = {line.split()[0]: line for line in here("analyses").splitlines() if line.strip()}
    assert {"dead_units", "fourier", "weights"} <= set(rows)
    assert "Hidden units that never fire" in rows["dead_units"]
    whole = " ".join(here("analyses", "dead_units").split())
    for part in ("Needs activations", "Needs input_table", "Option tolerance: float = 0.0"):
        assert part in whole


def test_the_example_runs(installed: Path, tmp_path: Path) -> None:
    """On the demo run, with its option set from the command line."""
    argv = ["analyze", str(DEMO), "--only", "dead_units", "--set", "dead_units.tolerance=0.1"]
    argv.append("--quiet")
    assert command(installed, *argv, cwd=tmp_path) == ""
    part = read(tmp_path / "report")[1]["analyses"]["dead_units"]
    assert (part["status"], part["context"]["options"]) == ("ok", {"tolerance": 0.1})
    assert part["metrics"]["units"] == 192
    assert (tmp_path / "report" / "tables" / "dead_units.by_layer.csv").is_file()


def test_the_example_compares_networks(here: Here, tmp_path: Path) -> None:
    """Its joint analysis is listed as one, and runs in a comparison with its option."""
    listed = {line.split()[0]: line for line in here("analyses").splitlines() if line.strip()}
    assert listed["weight_distance"].rstrip().endswith("(interp compare)")
    assert "interp compare A B --only weight_distance --set weight_distance.power=2.0" in here(
        "analyses", "weight_distance"
    )
    pair = ["compare", str(DEMO), str(DEMO), "--step", "200", "--step", "8000", "--only", "weight_distance"]
    said = here(*pair, "--set", "weight_distance.power=1")
    assert "weight_distance: At most " in said
    data = read(tmp_path / "report")[1]
    assert data["comparisons"]["weight_distance"]["metrics"]["largest"] > 0
    assert "All metrics" not in (tmp_path / "report" / "index.html").read_text()


def test_the_example_task_is_trained_loaded_and_analysed(here: Here, tmp_path: Path) -> None:
    """From the command line by its own recipe; the run loads by the task's name, and the other two plugins run on it."""
    assert "vote" in here("train", "--help")
    here("train", "vote", "--n", "4", "--seed", "3", "--out", "run")
    stored = json.loads((tmp_path / "run" / "run.json").read_text())["task"]
    assert stored == {
        "name": "vote", "n": 4, "train_fraction": 0.75, "seed": 3, "loss": "bce", "package": "interp-plugin-example",
    }  # fmt: skip
    only = ["--only", "dead_units,progress", "--set", "progress.measures=bias_norm,accuracy"]
    here("analyze", "run", *only)
    parts = read(tmp_path / "report")[1]["analyses"]
    assert {name: part["status"] for name, part in parts.items()} == {"dead_units": "ok", "progress": "ok"}
    assert parts["dead_units"]["metrics"]["units"] == 16


def test_a_run_of_a_task_that_is_not_installed(here: Here, tmp_path: Path) -> None:
    """The message names the task, and the package that brings it; its own weights load with another task."""
    here("train", "vote", "--n", "4", "--steps", "2", "--out", "run")
    with pytest.raises(UnknownName, match=r"run.*unknown task 'vote'.*interp-plugin-example, which is not installed"):
        interp.load(tmp_path / "run", device="cpu")
    bits = interp.SparseParity(n=4, k=1, n_train=3, loss="bce")
    assert interp.load(tmp_path / "run", task=bits, device="cpu").model.config.to_dict()["hidden"] == (16,)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_the_example_task_is_what_it_says(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """All ballots, each once, counted by hand in Python; a tie does not pass."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    task = importlib.import_module("interp_plugin_example").WeightedVote(n=n)
    ballots = list(itertools.product((-1, 1), repeat=n))
    assert sorted(map(tuple, task.inputs.int().tolist())) == ballots
    for ballot, label in zip(task.inputs.int().tolist(), task.labels.tolist(), strict=True):
        assert label == int(sum((i + 1) * vote for i, vote in enumerate(ballot)) > 0)
    assert sorted([*task.train_indices.tolist(), *task.test_indices.tolist()]) == list(range(2**n))


@pytest.mark.parametrize(("tolerance", "dead"), [(0.0, 3), (0.01, 4)])
def test_the_example_counts(monkeypatch: pytest.MonkeyPatch, tolerance: float, dead: int) -> None:
    """Three units that cannot fire and one that hardly does are exactly those that it finds."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    dead_units = importlib.import_module("interp_plugin_example").dead_units
    model = make("shared concat")
    with torch.no_grad():
        model.get_parameter("layers.0.W")[:, :4] = 0
        model.get_parameter("layers.0.b").fill_(100)
        model.get_parameter("layers.0.b")[:4] = torch.tensor([-1.0, -2.0, 0.0, 0.005])
    task = interp.ModularArithmetic(7).fit(model)
    found = dead_units(interp.Subject("by hand", model, task), tolerance=tolerance)
    assert found.metrics == {"dead": dead, "units": 9}
    assert found.tables["by layer"].to_dict("records") == [{"layer": "layers.0.hook_post", "units": 9, "dead": dead}]


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write a distribution by hand, one module with one entry point, and put it on this process's path."""

    def one(distribution: str, entry: str, body: str, attribute: str = "it") -> None:
        site, module = tmp_path / distribution, distribution.replace("-", "_")
        info = site / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[interp.analyses]\n{entry} = {module}:{attribute}\n")
        (site / f"{module}.py").write_text(f"from interp.plugins.analysis import Result, analysis\n{body}\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, module, raising=False)  # another test may have had one of that name
        load_group.cache_clear()

    yield one
    load_group.cache_clear()


GOOD = '@analysis("{name}", summary="s")\ndef it(subject):\n    return Result({{"answer": 42}})'


def test_a_name_registered_twice(install: Install) -> None:
    """It is refused for both, and both owners are named; nothing else is affected."""
    install("first-plugin", "ours", GOOD.format(name="ours"))
    install("second-plugin", "ours", GOOD.format(name="ours"))
    good, broken = analyses()
    assert set(broken) == {"ours"}
    assert all(part in broken["ours"] for part in ("'ours'", "first-plugin", "second-plugin", "rename"))
    assert {"fourier", "weights"} <= set(good)


def test_a_name_of_ours(install: Install, tmp_path: Path) -> None:
    """A stranger cannot take a name of the suite's in silence: the report says who tried."""
    install("greedy-plugin", "weights", GOOD.format(name="weights"))
    one = subject("shared concat")
    write(one, interp.analyze(one, ["weights", "svd"]), tmp_path / "out")
    page, found = read(tmp_path / "out")
    assert found["analyses"]["svd"]["status"] == "ok"
    assert all(owner in page.red[0] for owner in ("'weights'", "greedy-plugin", "interp-suite"))


BROKEN: dict[str, tuple[str, str, str]] = {
    "an import that is missing": ("import no_such_module", "it", "No module named 'no_such_module'"),
    "an error on import": ("raise RuntimeError('at once')", "it", "RuntimeError: at once"),
    "an exit on import": ("import sys\nsys.exit(3)", "it", "SystemExit"),
    "no such object": (GOOD.format(name="ours"), "gone", "has no attribute 'gone'"),
    "another name": (GOOD.format(name="theirs"), "it", "not an analysis of that name"),
    "no analysis": ("def it(subject): ...", "it", "not an analysis of that name"),
    "a positional option": (
        '@analysis("ours", summary="s")\ndef it(subject, top: int = 1): ...', "it", "'top' must be keyword-only"
    ),
    "an option without a default": (
        '@analysis("ours", summary="s")\ndef it(subject, *, top: int): ...', "it", "'top' must be keyword-only, with a type"
    ),
    "an option without a type": (
        '@analysis("ours", summary="s")\ndef it(subject, *, top=1): ...', "it", "'top' must be keyword-only, with a type"
    ),
    "no subject": ('@analysis("ours", summary="s")\ndef it(): ...', "it", "the function takes no subject"),
    "an unknown need": (
        '@analysis("ours", needs=("wieghts",), summary="s")\ndef it(subject): ...', "it", "capabilities are weights"
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", BROKEN)
def test_a_plugin_that_does_not_load(install: Install, tmp_path: Path, row: str) -> None:
    """One red line with the reason, in the report and in the listing; the other analyses run."""
    body, attribute, reason = BROKEN[row]
    install("broken-plugin", "ours", body, attribute)
    assert reason in analyses()[1]["ours"]
    one = subject("shared concat")
    write(one, interp.analyze(one, ["ours", "weights"]), tmp_path / "out")
    page, found = read(tmp_path / "out")
    assert {n: p["status"] for n, p in found["analyses"].items()} == {"weights": "ok", "ours": "failed"}
    assert page.red[0].startswith("ours failed: ")
    assert reason in page.red[0]


def leave(subject: interp.Subject) -> Result:
    raise SystemExit(3)


def stop(subject: interp.Subject) -> Result:
    raise RuntimeError("stopped")


def verdict_of_a_number(subject: interp.Subject) -> Result:
    return Result(verdict=[("loss", 0.5)])  # type: ignore[list-item]


def figure_of_another_kind(subject: interp.Subject) -> Result:
    return Result(figures={"f": "no figure"})  # type: ignore[dict-item]


# what is wrong with the result: the function that returns it, and a word that the red line must hold
RESULTS: dict[str, tuple[Callable[[interp.Subject], Result], str]] = {
    "raises": (stop, "stopped"),
    "exits": (leave, "SystemExit"),
    "no Result": (lambda _: {"x": 1}, "dict"),  # type: ignore[dict-item,return-value]
    "a lead that is not a figure": (lambda _: Result(lead="gone"), "gone"),
    "a figure that is none": (figure_of_another_kind, "figure"),
    "a verdict that is not text": (verdict_of_a_number, "('loss', 0.5)"),
    "a table that is none": (lambda _: Result(tables={"t": [1, 2]}), "table"),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("row", RESULTS)
def test_a_plugin_that_misbehaves(tmp_path: Path, register: Callable[..., None], row: str) -> None:
    """Whatever an analysis does or returns, it is one red line, and the others are reported."""
    function, word = RESULTS[row]

    def good(subject: interp.Subject) -> Result:
        return Result({"answer": 42}, figures={"f": go.Figure()})

    def bad(subject: interp.Subject) -> Result:
        return function(subject)

    register(analysis("bad", summary="s")(bad), analysis("good", summary="s")(good))
    one = subject("shared concat")
    write(one, interp.analyze(one), tmp_path / "out")
    page, found = read(tmp_path / "out")
    assert {n: p["status"] for n, p in found["analyses"].items()} == {"bad": "failed", "good": "ok"}
    assert page.red[0].startswith("bad failed: ")
    assert word in page.red[0]


@pytest.mark.parametrize(
    "metrics", [{"correct": 5}, {"correct": "many", "total": "all"}, {"logit_variance_explained": "x"}]
)
def test_metrics_of_any_name(tmp_path: Path, register: Callable[..., None], metrics: dict[str, object]) -> None:
    """A stranger may call a metric as one of the suite's: the report is written, and the metric is in it."""

    def ours(subject: interp.Subject) -> Result:
        return Result(dict(metrics))

    register(analysis("ours", summary="s")(ours))
    one = subject("shared concat")
    write(one, interp.analyze(one), tmp_path / "out")
    assert read(tmp_path / "out")[1]["analyses"]["ours"]["metrics"] == metrics


def test_a_name_with_a_path_in_it() -> None:
    """An analysis' name never leads its tables out of the folder for tables: such a name is refused at once."""
    with pytest.raises(TypeError, match="letters, digits"):
        analysis("../ours", summary="s")
