"""The script for machines with a GPU, run to its end on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.gpu import sections
from tests.gpu.__main__ import NO_GPU, main


@pytest.mark.slow  # it starts pytest
def test_the_whole_script(tmp_path: Path) -> None:
    """One file with the device, a table and every section; nothing that was skipped is called passed."""
    assert main(["--device", "cpu", "--small", "--out", str(tmp_path / "gpu.md")]) == 0
    text = (tmp_path / "gpu.md").read_text()
    assert f"| {torch.__version__} |" in text
    assert "## Checks\n\nnothing checked" in text or torch.cuda.is_available()
    assert "| 4 toy additions |" in text
    assert "30 steps in" in text
    assert "## A sweep of 20 members\n\npassed" in text


def test_time_is_up() -> None:
    """A section without time says what it left out."""
    found = sections.sweep(torch.device("cpu"), -1.0, True)
    assert found.skipped == ["steps 0 to 30 of the sweep"]
    assert found.passed is None
    assert len(sections.timings(torch.device("cpu"), -1.0, True).skipped) == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line, an exit code of its own, and no file."""
    assert main(["--out", str(tmp_path / "gpu.md")]) == NO_GPU
    assert capsys.readouterr().err.startswith("no CUDA device here")
    assert not list(tmp_path.iterdir())
