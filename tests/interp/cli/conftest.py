"""Two ways to run ``interp``, and a folder to run it in."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import torch

import interp
from interp.cli import main
from tests.interp.cli.console import Ran, Refused, Run, make_chain, make_mlp, snapshot

WIDE = {"COLUMNS": "300", "TERMINAL_WIDTH": "300"}
FRUGAL = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # the networks are tiny, and the machine may be busy


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("inspect", path)`` in this process; what escapes `main` counts as exit code 1 and a traceback."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for name, value in WIDE.items():
        monkeypatch.setenv(name, value)

    def in_process(*argv: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["interp", *map(str, argv)])
        code, trace = 0, ""
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        except Exception:
            code, trace = 1, traceback.format_exc(limit=-1)  # the innermost call says enough
        out, err = capsys.readouterr()
        return Ran.of(code, out, err + trace)

    return in_process


@pytest.fixture(scope="session")
def shell() -> Run:
    """``shell("inspect", path, cwd=...)``: the installed command, in a process of its own."""
    command = Path(sys.executable).with_name("interp")
    environment = {k: v for k, v in os.environ.items() if k != "FORCE_COLOR"} | WIDE | FRUGAL

    def in_a_process(*argv: object, cwd: Path) -> Ran:
        words = [str(command), *map(str, argv)]
        done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
        return Ran.of(done.returncode, done.stdout, done.stderr)

    return in_a_process


@pytest.fixture
def refused(run: Run, work: Path) -> Refused:
    """Run a command that must be refused; returns its one message.

    Exit code 2, no traceback, nothing on standard output, and not a byte changed in the working folder.
    """

    def check(*argv: object) -> str:
        before = snapshot(work)
        ran = run(*argv)
        assert "Traceback" not in ran.err, ran.err
        assert (ran.code, ran.out) == (2, "")
        assert ran.said.startswith(("error: ", "Usage: ")), ran.err
        assert snapshot(work) == before
        return ran.said

    return check


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a checkpoint of ours, two of strangers, and a series of three steps.

    ``mlp.safetensors`` carries its task, (a + b) mod 7. ``chain.pt`` is a stranger's network under the key ``model``.
    ``square.pt`` chains both ways. ``steps/`` holds the steps 0, 10 and 20.
    """
    monkeypatch.chdir(tmp_path)
    interp.save(make_mlp(seed=0), tmp_path / "mlp.safetensors", task=interp.ModularArithmetic(7))
    torch.save({"model": make_chain(seed=1)}, tmp_path / "chain.pt")
    torch.save({"a.weight": torch.eye(4), "b.weight": torch.eye(4)}, tmp_path / "square.pt")
    for step in (0, 10, 20):
        interp.save(make_mlp(seed=step), tmp_path / "steps" / f"step_{step}.safetensors", step=step)
    return tmp_path
