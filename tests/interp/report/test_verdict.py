"""The verdict: what analyses declare, on the page and on the terminal; the host knows no metric."""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import interp
from interp.plugins.analysis import Outcome, Outcomes, Result, analysis
from interp.report import write
from interp.report.page import verdict
from tests.conftest import ROOT
from tests.interp.cli.conftest import run  # noqa: F401
from tests.interp.cli.console import Run
from tests.interp.report.pages import read
from tests.interp.report.test_report import CONTEXT


def test_the_verdict_is_what_analyses_declare(small: interp.Subject, tmp_path: Path) -> None:
    """In the order of the report, on the page and in the JSON; what two of them declare alike stands once."""
    outcomes = Outcomes(
        {name: Outcome(name, "ok", "", Result(verdict=lines, context=CONTEXT)) for name, lines in {
            "one": [("colour", "blue"), ("size", "3")], "two": [("size", "3"), ("colour", "red")], "three": [],
        }.items()} | {"four": Outcome("four", "failed", error="no cake")}
    )  # fmt: skip
    assert verdict(outcomes) == [("colour", "blue"), ("size", "3"), ("colour (two)", "red")]
    page, found = read(write(small, outcomes, tmp_path / "out").parent)
    cards = page.text.index("blue"), page.text.index("size"), page.text.index("colour (two)")
    assert cards == tuple(sorted(cards))
    assert cards[-1] < page.text.rindex("Provenance")
    assert found["analyses"]["two"]["verdict"] == [["size", "3"], ["colour", "red"]]


def test_a_strangers_verdict(
    small: interp.Subject, tmp_path: Path, register: Callable[..., None], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that a stranger's analysis declares reaches the page and the terminal."""

    @analysis("purring", summary="listens")
    def purring(subject: interp.Subject) -> Result:
        return Result(verdict=[("purrs at", "25 Hz")])

    register(purring)
    interp.save(small.model, tmp_path / "cat.safetensors", task=small.task)
    monkeypatch.chdir(tmp_path)
    ran = run("analyze", "cat.safetensors", "--only", "purring")
    assert ran.code == 0, ran.err
    assert any(line.split() == ["purrs", "at", "25", "Hz"] for line in ran.out.splitlines())
    cards = [a for tag, a in read(tmp_path / "report")[0].elements if a.get("class") == "card"]
    assert len(cards) == 1
    assert "25 Hz" in read(tmp_path / "report")[0].text


def test_the_host_knows_no_metric(demo_outcomes: Outcomes) -> None:
    """No file of the report, of the plugin contract or of the terminal's summary names a metric of an analysis.

    Words that mean something else too, such as ``error`` and ``steps``, do not count.
    """
    metrics = {name for outcome in demo_outcomes.values() if outcome.result for name in outcome.metrics}
    metrics = {name for name in metrics if "_" in name} | {"correct", "total"}
    assert {"train_loss", "key_frequencies", "restricted_loss"} < metrics
    host = [p for room in ("report", "plugins") for p in (ROOT / "interp" / room).iterdir() if p.is_file()]
    host.append(ROOT / "interp" / "cli" / "reporting.py")
    quoted = {
        (p.name, word) for p in host for word in re.findall(r"""["']([\w ]+)["']""", p.read_text(encoding="utf-8"))
    }
    assert {(file, word) for file, word in quoted if word in metrics} == set()
    assert not hasattr(interp.report.page, "VERDICT")


def test_the_verdict_of_a_network_of_nan(small: interp.Subject) -> None:
    """Losses that are not numbers are named so in the first lines that a reader sees."""
    with torch.no_grad():
        small.model.get_parameter("layers.0.W").fill_(math.nan)
    lines = dict(verdict(interp.analyze(small, "performance")))
    assert lines["correct answers"] == "0 of 49"
    assert {lines[name] for name in ("train loss", "test loss")} == {"not a number"}
