"""What a command says while it works, what Ctrl-C leaves, and that the same command goes on from there."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.progress import Progress

import interp
from interp._util import estimate
from interp.plugins.outcome import Stopped
from interp.report.output import KEPT
from tests.interp.cli.console import Ran, Run, make_mlp

NAMED = ("analyze", "mlp.safetensors", "--only", "performance,weights,svd")
FIGURE = re.compile(r"\d+(\.\d+)?")


def told(ran: Ran) -> list[str]:
    """The log with every number of seconds as S."""
    return [re.sub(r"\d+\.\d s", "S s", line) for line in ran.log]


def test_a_line_per_analysis(run: Run, work: Path) -> None:
    """Without a terminal: each with its place and its seconds, in the order of the report; nothing else."""
    ran = run(*NAMED)
    assert (ran.code, ran.err) == (0, "")
    assert told(ran) == ["performance (1 of 3): S s", "svd (2 of 3): S s", "weights (3 of 3): S s"]
    assert logging.getLogger("interp").level == logging.NOTSET  # as it was
    found = json.loads((work / "report" / "result.json").read_text())["analyses"]
    seconds = [float(FIGURE.findall(line)[-1]) for line in ran.log]
    assert seconds == pytest.approx([part["context"]["seconds"] for part in found.values()], abs=0.06)


def test_quiet(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing, unless something goes wrong."""
    assert run(*NAMED, "--quiet") == Ran(0, "", "")
    monkeypatch.setattr("probes.analyses.performance.score", lambda *_: 1 / 0)
    ran = run(*NAMED, "-q")
    assert (ran.code, ran.out, ran.log) == (1, "", ())
    assert ran.err == "failed performance: ZeroDivisionError: division by zero\n"
    assert run(*NAMED, "-q", "-v").code == 2


def test_json(run: Run, work: Path) -> None:
    """Standard output is the file, and nothing else; an error leaves it empty."""
    ran = run(*NAMED, "--json")
    assert json.loads(ran.out) == json.loads((work / "report" / "result.json").read_text())
    assert len(ran.log) == 3
    ran = run(*NAMED, "--json", "--set", "svd.none=1")
    assert (ran.code, ran.out) == (2, "")


def test_the_library_logs(caplog: pytest.LogCaptureFixture) -> None:
    """To the logger interp; what failed as an error, with the reason."""

    @interp.analysis("broken", summary="fails")
    def broken(subject: interp.Subject) -> interp.Result:
        raise RuntimeError("no")

    with caplog.at_level(logging.INFO, "interp"):
        interp.analyze(make_mlp(0), only=["weights", broken])
    (one, other) = caplog.records
    assert re.fullmatch(r"weights \(1 of 2\): \d\.\d s", one.getMessage())
    assert (one.levelno, other.levelno, one.name) == (logging.INFO, logging.ERROR, "interp")
    assert other.getMessage().endswith("RuntimeError: no")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Iterator[list[str]]]:
    """``with terminal(80) as shown``: standard error is a terminal of that width; what it got is in ``shown`` at the end."""

    @contextmanager
    def opened(columns: int) -> Iterator[list[str]]:
        ours, theirs = os.openpty()
        got, shown = bytearray(), []

        def drain() -> None:
            with open(ours, "rb", buffering=0, closefd=False) as master:
                try:
                    while part := master.read(4096):
                        got.extend(part)
                except OSError:  # the other end is closed
                    pass

        reader = threading.Thread(target=drain)
        reader.start()
        for name in ("TERMINAL_WIDTH", "FORCE_COLOR", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        with open(theirs, "w") as stream, monkeypatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            yield shown
        reader.join(10)
        os.close(ours)
        shown.append(got.decode())

    return opened


@pytest.mark.parametrize("columns", [100, 40])
def test_a_bar(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch, terminal: Callable, columns: int) -> None:
    """On a terminal: which analysis, its place among all, and inside a long one how far it is and how long the rest takes."""
    monkeypatch.setattr(estimate, "QUIET", -1.0)

    clock, bars, start = [0.0], [], Progress.start
    monkeypatch.setattr(estimate.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(Progress, "start", lambda self: (bars.append(self), start(self)))

    def slow(*_: object) -> None:
        progress = estimate.told("parts")
        clock[0] += 30
        progress(1, 4)
        bars[0].refresh()
        raise interp.MissingCapability("that is all")

    monkeypatch.setattr("probes.analyses.performance.score", slow)
    with terminal(columns) as shown:
        ran = run("analyze", "mlp.safetensors", "--only", "weights,performance")
    assert "weights" in ran.out
    assert "\x1b" not in ran.out
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown[0])
    assert re.search(r"performance +[━╸╺ ]*1 of 2 0:00:0", text), text
    assert re.search(r"1 of 4 parts, about (2 min left|.*…)", text), text
    assert ("━" in text) is (columns == 100)
    assert max(map(len, re.split(r"[\r\n]", text.partition("skipped")[0]))) <= columns


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], contextmanager]:
    """``with interrupted(NAME)``: Ctrl-C arrives where the function of that name is called."""

    @contextmanager
    def at(name: str) -> Iterator[None]:
        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(name, stop)
            yield

    return at


def comparable(folder: Path) -> dict:
    """A report's result.json without seconds, and its tables."""
    text = re.sub(r'"seconds": [\d.]+', "", (folder / "result.json").read_text())
    return {"json": text} | {p.name: p.read_bytes() for p in (folder / "tables").iterdir()}


WEIGHTS = "probes.analyses.weights.finite_claims"


def test_ctrl_c_and_the_same_command_again(
    run: Run, work: Path, interrupted: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report holds what is done and names the rest; the same command computes the rest alone, and ends where one did."""
    assert run(*NAMED, "-o", "whole").code == 0
    with interrupted(WEIGHTS):
        ran = run(*NAMED)
    assert (ran.code, ran.out) == (130, "")
    assert ran.said == (
        "error: interrupted; 2 analyses are finished and in report/index.html; go on with the same command"
    )
    found = json.loads((work / "report" / "result.json").read_text())["analyses"]
    assert [part["status"] for part in found.values()] == ["ok", "ok", "stopped"]
    assert "go on with the same command" in found["weights"]["reason"]
    page = (work / "report" / "index.html").read_text().partition("plotly.js v")[0]
    assert re.search(r"Stopped</b> before these were finished: weights", page)
    with monkeypatch.context() as patch:
        patch.setattr("probes.analyses.performance.score", lambda *_: 1 / 0)
        ran = run(*NAMED)
    assert (ran.code, ran.err) == (0, "note: 2 analyses were taken from the interrupted report\n")
    assert told(ran)[:2] == [
        f"{n}: taken from the interrupted report" for n in ("performance (1 of 3)", "svd (2 of 3)")
    ]
    assert comparable(work / "report") == comparable(work / "whole")
    assert not (work / "report" / KEPT).exists()
    assert told(run(*NAMED))[0] == "performance (1 of 3): S s"  # nothing is left of it


def test_what_differs_is_computed_again(run: Run, work: Path, interrupted: Callable) -> None:
    """Other options, seeds, dtypes and weights; and a file that was damaged or exchanged."""
    with interrupted(WEIGHTS):
        assert run(*NAMED).code == 130
        kept = work / "report" / KEPT
        for more in (("--seed", 1), ("--dtype", "float32"), ("--task", "modular:p=7,seed=3")):
            assert "performance (1 of 3): S s" in told(run(*NAMED, *more))
        assert run(*NAMED).code == 130
        for content in (b"", b"[]", b'{"interp_result": 1, "result": {}}', b"[" * 1000, b"\xff"):
            for file in kept.iterdir():
                file.write_bytes(content)
            ran = run(*NAMED)
            assert ran.code == 130
            assert "performance (1 of 3): S s" in told(ran)
            assert any(f"{KEPT}/" in line and "is not used" in line for line in ran.log)
        file.rename(work / "elsewhere")
        file.symlink_to(work / "elsewhere")
        assert any("symbolic link" in line for line in run(*NAMED).log)
        interp.save(make_mlp(seed=5), work / "mlp.safetensors", task=interp.ModularArithmetic(7), force=True)
        assert "performance (1 of 3): S s" in told(run(*NAMED))


def test_ctrl_c_in_a_comparison(run: Run, work: Path, interrupted: Callable) -> None:
    """The networks' finished analyses are kept, and the comparison is made at the end."""
    argv = ("compare", "mlp.safetensors", "chain.pt", "--only", "svd,weights", "--task", "modular:p=7")
    with interrupted(WEIGHTS):
        ran = run(*argv)
    assert ran.code == 130
    assert "1 analysis is finished" in ran.said
    found = json.loads((work / "report" / "result.json").read_text())["subjects"]
    assert [[part["status"] for part in one["analyses"].values()] for one in found.values()] == [
        ["ok", "stopped"],
        ["stopped", "stopped"],
    ]
    ran = run(*argv)
    assert ran.code == 0
    assert told(ran)[0] == "mlp.safetensors: svd (1 of 4): taken from the interrupted report"
    assert told(ran)[-1] == "chain.pt: weights (4 of 4): S s"


def test_a_keyboard_interrupt_in_a_notebook() -> None:
    """`interp.analyze` raises it with what is done."""

    @interp.analysis("stop", summary="is stopped", order=1000)
    def stop(subject: interp.Subject) -> interp.Result:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        interp.analyze(make_mlp(0), only=["weights", stop])
    assert isinstance(caught.value, Stopped)
    assert {name: one.status for name, one in caught.value.found.items()} == {"weights": "ok", "stop": "stopped"}
