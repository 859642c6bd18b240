"""The checkpoints of a series: which steps are used, one snapshot at a time, and what is missing."""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import interp
from interp import InterpError, Subject
from interp._util.progress_context import watched
from interp.history.progress import progress
from interp.history.steps import kept_steps, missing_steps, walk
from interp.series import CheckpointSeries, Entry
from tests.interp.history.test_progress import STEPS, fresh, run, trained  # noqa: F401
from tests.models import make, subject


def test_walk(run: Path) -> None:
    """One snapshot at a time; a damaged file is a note, and the walk goes on; how far it is, is ticked."""
    file = run / "checkpoints" / "step_00000010.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    said, notes = list[str](), list[str]()
    with watched(said.append):
        seen = [snapshot.step for snapshot in walk(interp.load(run), STEPS, notes)]
    assert seen == [0, 20, 30]
    assert [note.split(":")[0] for note in notes] == ["Step 10 was left out"]
    assert said == ["1 of 4 checkpoints", "3 of 4 checkpoints", "4 of 4 checkpoints"]


def test_missing_steps(run: Path) -> None:
    """A checkpoint that the plan names, and that is gone, is noted; one that is still to come is not."""
    (run / "checkpoints" / "step_00000030.safetensors").unlink()
    assert missing_steps(interp.load(run)) == []
    (run / "checkpoints" / "step_00000010.safetensors").unlink()
    frame = progress(run, ["loss"])
    assert frame["step"].unique().tolist() == [0, 20]
    assert frame.attrs["notes"] == ["1 planned checkpoint is missing: step 10. The curves have gaps there."]


def of_steps(steps: list[int]) -> Subject:
    series = CheckpointSeries(tuple(Entry(s, Path(f"{s}.pt")) for s in steps), lambda entry: make("deep"))
    return Subject("steps", make("deep"), series=series, step=steps[-1])


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=40), st.integers(1, 50), st.integers(1, 50))
def test_kept_steps(chosen: set[int], every: int, most: int) -> None:
    """The last is always there; every-th ones are that far apart; at most so many, evenly spread, the ends included."""
    steps = sorted(chosen)
    one = of_steps(steps)
    kept = kept_steps(one, every)
    places = [steps.index(s) for s in kept]
    assert kept[-1] == steps[-1]
    assert set(np.diff(places)) <= {every}
    assert places[0] < every  # none is left out before the first
    few = kept_steps(one, every, most)
    assert few[-1] == steps[-1]
    assert few == kept if len(kept) <= most else len(few) == most
    gaps = np.diff([kept.index(s) for s in few])
    assert (gaps >= 1).all()
    if most > 1:
        assert few[0] == kept[0]
        assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_kept_steps_of_one_checkpoint() -> None:
    """A subject without a series has its own step."""
    assert kept_steps(replace(subject("plain"), step=7), 5, 1) == [7]
    with pytest.raises(InterpError, match="every must be at least 1"):
        kept_steps(subject("plain"), 0)


@pytest.mark.parametrize("every", [2.0, "2", None])
def test_every_of_another_kind(every: object) -> None:
    """A whole number, and nothing that would pass for one later."""
    with pytest.raises(InterpError, match="every must be a whole number, got"):
        kept_steps(subject("plain"), every)  # type: ignore[arg-type]
