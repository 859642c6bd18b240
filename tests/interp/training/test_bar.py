"""A notebook shows how a training gets on; nothing else does."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

import interp
from interp.training.loop import Progress


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process looks like a Jupyter kernel."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


@pytest.mark.usefixtures("kernel")
def test_a_bar_in_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    interp.train("addition:p=4", steps=20)
    said = capsys.readouterr().err
    assert "20/20" in said
    assert "train " in said


@pytest.mark.usefixtures("kernel")
def test_a_watcher_of_ones_own_takes_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Progress] = []
    interp.train("addition:p=4", steps=20, progress=seen.append)
    assert seen[-1].step == 20
    assert capsys.readouterr().err == ""


def test_silence_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    interp.train("addition:p=4", steps=20)
    assert capsys.readouterr().err == ""


def test_the_former_name_of_the_summary() -> None:
    """Works, with a warning."""
    seen = Progress(5, 20, members=3, retired=1, train_accuracy=0.5)
    with pytest.warns(DeprecationWarning, match=r"Progress\.said is now Progress\.summary"):
        assert seen.said == seen.summary
