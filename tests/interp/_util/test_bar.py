"""Bars of the library's long calls."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

import circuits
import interp
from interp._util import bar as bars
from interp._util.progress_context import is_watched, watched
from tests.models import subject


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every bar that is drawn, at once."""
    shown: list[str] = []
    monkeypatch.setattr(bars, "DELAY", 0.0)
    monkeypatch.setattr("interp._util.estimate.QUIET", -1.0)
    monkeypatch.setattr("tqdm.std.tqdm.display", lambda self, *_, **__: shown.append(str(self)))
    return shown


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Jupyter kernel."""
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", shell)


def test_a_notebook_shows_bars(drawn: list[str], notebook: None) -> None:
    """By itself: the analyses, of a comparison those of all networks in one bar, and what one experiment counts."""
    interp.analyze(subject("shared concat"), "weights,svd")
    assert any("weights:  50%" in line and "1/2" in line for line in drawn), drawn
    drawn.clear()
    interp.compare({"one": subject("shared concat"), "two": subject("shared concat")}, "svd,weights")
    assert any("two: weights:  75%" in line for line in drawn), drawn
    assert not is_watched()


def test_one_experiment(drawn: list[str], notebook: None) -> None:
    """Its own count, and nothing with progress=False, a function of one's own, or somebody else who is told."""
    one, counted = subject("shared concat"), []
    for quiet in (False, lambda done, total: counted.append((done, total))):
        circuits.ablate(one, progress=quiet)
        circuits.discover(one, n_random=0, metric="loss", progress=quiet)
        interp.analyze(one, "weights", progress=False)
    with watched(None):
        circuits.ablate(one)
    assert (drawn, bool(counted)) == ([], True)
    circuits.ablate(one)
    assert drawn


def test_elsewhere_only_when_asked(drawn: list[str]) -> None:
    """A script is silent."""
    one = subject("shared concat")
    circuits.ablate(one)
    interp.analyze(one, "weights")
    assert drawn == []
    circuits.ablate(one, progress=True)
    assert drawn
    with pytest.raises(interp.InterpError, match="progress must be a function"):
        circuits.ablate(one, progress="yes")  # type: ignore[arg-type]
