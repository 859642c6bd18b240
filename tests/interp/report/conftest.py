"""The report of the demo, written once, and small subjects to write others of."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

import interp
from interp._util.registry import Plugin
from interp.plugins.analysis import Analysis, Outcomes
from interp.report import write
from tests.conftest import Once
from tests.interp.demo_run import run_demo
from tests.models import subject


@pytest.fixture(scope="session")
def demo_outcomes(once: Once) -> Outcomes:
    """Every analysis of the demo run."""
    return pickle.loads((once("demo", run_demo) / "outcomes").read_bytes())


@pytest.fixture(scope="session")
def demo_report(demo: interp.Subject, demo_outcomes: Outcomes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo's report."""
    return write(demo, demo_outcomes, tmp_path_factory.mktemp("reports") / "demo").parent


@pytest.fixture
def small() -> interp.Subject:
    """A random MLP on (a + b) mod 7."""
    return subject("shared concat")


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the analyses given be the only ones; a string is the error of one that could not be imported."""

    def only(*analyses: Analysis, **broken: str) -> None:
        group = {a.name: Plugin(a.name, "tests", value=a) for a in analyses}
        group |= {name: Plugin(name, "tests", error=error) for name, error in broken.items()}
        monkeypatch.setattr("interp.plugins.analysis.load_group", lambda _: group)

    return only
