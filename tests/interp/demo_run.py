"""``interp demo``, run a single time for all tests: what it prints, the report, and the outcomes that are in it."""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from interp.cli import main
from interp.plugins import analysis


def run_demo(folder: Path) -> None:
    """Leave ``out`` (standard output), ``report/`` and ``outcomes`` (pickled) in a folder; for the fixture `once`."""
    analyze = analysis.analyze

    def kept(*args: Any, **kwargs: Any) -> analysis.Outcomes:
        outcomes = analyze(*args, **kwargs)
        (folder / "outcomes").write_bytes(pickle.dumps(outcomes))
        return outcomes

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.chdir(folder)
        patch.delenv("FORCE_COLOR", raising=False)
        patch.setattr(analysis, "analyze", kept)
        patch.setattr(sys, "argv", ["interp", "demo", "--device", "cpu"])
        with pytest.raises(SystemExit) as left:
            main()
    assert not left.value.code
    (folder / "out").write_text(out.getvalue())
