"""``interp measures``, ``interp analyze --every --executor``, and progress on the terminal."""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from interp import InterpError
from interp.cli.options import shared_options
from interp.history.progress import progress
from interp.plugins.measure import measure, measures
from tests.interp.cli.console import Refused, Run
from tests.interp.history.test_progress import STEPS, fresh, same, trained  # noqa: F401
from tests.interp.plugins.test_measure import Only, only  # noqa: F401

NAMES = ["loss", "weight_norm", "local_complexity"]


@pytest.fixture
def runs(trained: Path, work: Path) -> Path:
    """The working folder, with a run of two members in it."""
    shutil.copytree(trained, work / "runs")
    return work


def rows(out: str) -> dict[str, str]:
    return {line.split()[0]: line.rstrip() for line in out.splitlines() if line.split()}


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report" / "result.json").read_text())["analyses"]


def test_measures(run: Run, work: Path) -> None:
    """Every measure in order, with its summary; by its name with its options, their types and defaults."""
    ran = run("measures")
    assert (ran.code, ran.err) == (0, "")
    assert list(rows(ran.out))[: len(measures()[0])] == list(measures()[0])
    said = " ".join(run("measures", "local_complexity").out.split())
    for part in ("masks: int = 4", "Needs activations", "Needs task", "one of train, test, all = train"):
        assert part in said


def test_measures_of_a_file(run: Run, work: Path) -> None:
    """Which apply, and why others do not; a task that is typed counts."""
    found = rows(run("measures", "mlp.safetensors").out)
    assert all(found[n].split()[1] == "yes" for n in ("loss", "weight_norm", "mode_power"))
    ran = run("measures", "chain.pt")
    assert [rows(ran.out)[n].split()[1] for n in ("weight_norm", "loss")] == ["yes", "no"]
    assert "needs a task, and none is known: give one" in ran.out
    assert rows(run("measures", "chain.pt", "--task", "modular:p=7").out)["loss"].split()[1] == "yes"


def test_a_broken_plugin(run: Run, runs: Path, only: Only) -> None:
    """Its line says why it did not load; and a report over all measures does not pass over it in silence."""
    only(measure("good", summary="fine")(lambda snapshot: 1.0), gone="No module named '[gone]'")
    found = rows(run("measures").out)
    assert "No module named '[gone]'" in found["gone"]
    assert run("analyze", "runs", "--only", "progress").code == 0
    assert any("gone" in note for note in result(runs)["progress"]["notes"])


def test_every(run: Run, runs: Path) -> None:
    """--every reaches the analyses that have it; one set by name goes before it; nothing is said on standard error."""
    ran = run("analyze", "runs", "--only", "progress,densities", "--every", 2, "--set", "densities.every=3")
    assert (ran.code, ran.err) == (0, "")
    found = result(runs)
    assert found["progress"]["metrics"]["checkpoints"] == 2
    assert [found[n]["context"]["options"]["every"] for n in ("progress", "densities")] == [2, 3]
    table = pd.read_csv(runs / "report" / "tables" / "progress.measures.csv", keep_default_na=False)
    assert sorted(set(table["step"])) == [10, 30]
    assert same(table, progress(runs / "runs", every=2))


def test_shared_options() -> None:
    """What was typed, if an analysis that was asked for has it."""
    assert shared_options(None, every=2, executor=None) == {"every": 2}
    assert shared_options(["progress"], every=2, executor="process:2") == {"every": 2, "executor": "process:2"}
    with pytest.raises(InterpError, match="none of svd has the option --every"):
        shared_options(["svd"], every=2)
    with pytest.raises(InterpError, match="unknown executor"):
        shared_options(None, executor="foo:2")


@pytest.mark.slow
def test_executor(run: Run, runs: Path) -> None:
    """Two processes write the table that one does."""
    argv = ("analyze", "runs", "--only", "progress", "--every", 2, "--set", "progress.cache=false")
    assert run(*argv, "--executor", "process:2").code == 0
    table = (runs / "report" / "tables" / "progress.measures.csv").read_bytes()
    assert run(*argv, "--force").code == 0
    assert (runs / "report" / "tables" / "progress.measures.csv").read_bytes() == table


@pytest.mark.parametrize(
    ("argv", "message"),
    [(("measures", "none.pt"), "none.pt"), (("measures", "mlp.safetensors", "--task", "nothing"), "unknown task"),
     (("analyze", "runs", "--every", 0), "every"), (("analyze", "runs", "--executor", "proces:2"), "did you mean 'process:N'"),
     (("analyze", "runs", "--executor", "process:x"), "write process:4"), (("analyze", "runs", "--member", 2), "no member 2"),
     (("analyze", "runs", "--set", "progress.measures=lss"), "unknown measure 'lss'; did you mean 'loss'"),
     (("analyze", "runs", "--set", "progress.settings=local_complexity.maks=1"), "did you mean 'masks'"),
     (("analyze", "runs", "--set", "progress.settings=local_complexity.masks=0"), "local_complexity: masks must be at least 1"),
     (("analyze", "runs", "--set", "progress.settings=local_complexity.masks=x"), "must be int, got 'x'"),
     (("analyze", "runs", "--set", "progress.settings=masks"), "write NAME.OPTION=VALUE"),
     (("analyze", "runs", "--set", "progress.evry=2"), "did you mean 'every'")],
)  # fmt: skip
def test_bad_input(refused: Refused, runs: Path, argv: tuple[object, ...], message: str) -> None:
    """Exit code 2, one message, nothing on standard output, nothing written."""
    only = () if argv[0] == "measures" else ("--only", "progress")
    assert message in refused(*argv, *only)


def test_a_damaged_checkpoint_in_a_run(run: Run, runs: Path) -> None:
    """The report is written, and says which step was left out."""
    (runs / "runs" / "checkpoints" / f"step_{10:08}.safetensors").write_bytes(b"")
    assert run("analyze", "runs", "--only", "progress").code == 0
    notes = result(runs)["progress"]["notes"]
    assert any(note.startswith("Step 10 was left out: ") for note in notes)


def test_progress_is_told_on_standard_error_alone(run: Run, runs: Path) -> None:
    """How many checkpoints are measured is in the log of one who wants to know; standard output holds the summary alone."""
    ran = run("analyze", "runs", "--only", "progress", "--verbose")
    assert "4 of 4 checkpoints measured" in ran.log
    assert "checkpoints measured" not in ran.out


def test_help_imports_nothing_heavy() -> None:
    """Nor does the module of shared options."""
    script = (
        "import sys, interp.cli as cli\nsys.argv = ['interp', 'measures', '--help']\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print('HEAVY', [m for m in ('torch', 'transformer_lens', 'pandas', 'plotly') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stdout + done.stderr
    assert "Example: interp measures" in done.stdout
