"""What was measured is kept: a second call computes nothing, a change computes exactly what changed."""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import interp
from interp import ModularArithmetic, Subject
from interp.history.cache import CHUNK, MeasureCache, cache_path, key
from interp.history.progress import progress, track
from interp.plugins.measure import Measure, measure
from interp.snapshot import Snapshot
from tests.interp.history.test_progress import STEPS, fresh, opened, run, same, table, trained  # noqa: F401
from tests.interp.plugins.test_measure import Only, only  # noqa: F401
from tests.interp.test_snapshot import Count

NAMES = ["loss", "weight_norm", "local_complexity"]
WEIGHTS = ["weight_norm"]
OLD = Measure.fingerprint.fget  # type: ignore[attr-defined]


def test_as_a_dictionary(tmp_path: Path) -> None:
    """What was put is got, more keys than SQLite takes at once; the last value wins; nothing is written for nothing."""
    cache = MeasureCache(tmp_path / "deep" / "er" / "c.sqlite")
    assert cache.get(["a"]) == {}
    cache.put({})
    assert not cache.path.exists()
    values = {f"k{i}": {"values": {"": i}} for i in range(2 * CHUNK + 7)}
    cache.put(values)
    cache.put({"k0": [None, "é", 1e308]})
    assert MeasureCache(cache.path).get([*values, "absent"]) == {**values, "k0": [None, "é", 1e308]}


def test_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """$INTERP_CACHE, else $XDG_CACHE_HOME, else ~/.cache."""
    monkeypatch.setenv("INTERP_CACHE", str(tmp_path / "x"))
    assert cache_path() == tmp_path / "x"
    monkeypatch.delenv("INTERP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_path() == tmp_path / "interp" / "measures.sqlite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_path() == tmp_path / ".cache" / "interp" / "measures.sqlite"


plain = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4)


@given(plain, plain)
def test_keys(one: Any, other: Any) -> None:
    """Equal parts alone have equal keys; the order of a dict's entries makes no difference."""
    assert (key("m", one) == key("m", other)) == (repr(one) == repr(other))
    assert key({"a": one, "b": other}) == key({"b": other, "a": one})


def test_a_second_call_computes_nothing(run: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where a measure turned out not to apply, or no frequency stood out to be followed."""
    first = track(interp.load(run))
    again = interp.load(run)
    opened.clear()
    count = Count(monkeypatch, type(again.model))
    second = track(again)
    assert (second.computed, second.cached) == (0, first.computed)
    assert same(first.frame, second.frame)
    assert (first.skipped, first.options) == (second.skipped, second.options)
    assert (opened, count.sizes) == ([], [])


def test_cache_false(run: Path, fresh: Path) -> None:
    """Neither read nor written."""
    track(interp.load(run), NAMES, cache=False)
    assert not fresh.exists()
    track(interp.load(run), NAMES)
    before = fresh.read_bytes()
    found = track(interp.load(run), NAMES, cache=False)
    assert (found.computed, found.cached) == (12, 0)
    assert fresh.read_bytes() == before


def load(run: Path, **arguments: Any) -> Subject:
    return interp.load(run, **arguments)


# what is changed: the subject, further arguments, how many (checkpoint, measure) pairs are computed again
CHANGES: dict[str, tuple[Callable[[Path], Subject], dict[str, Any], int]] = {
    "nothing": (load, {}, 0),
    "an option": (load, {"options": {"local_complexity": {"masks": 2}}}, 4),
    "an option set to its default": (load, {"options": {"local_complexity": {"masks": "4"}}}, 0),
    "precision": (lambda path: replace(load(path), precision=torch.float32), {}, 12),
    "dtype": (lambda path: load(path, dtype="float16"), {}, 12),
    "task": (lambda path: load(path, task="modular:p=7,train_fraction=0.5,operation=subtract"), {}, 12),
    "seed of the split": (lambda path: load(path, task="modular:p=7,train_fraction=0.5,seed=5"), {}, 12),
    "member": (lambda path: load(path, member=1), {}, 12),
    "every": (load, {"every": 2}, 0),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_computes_what_it_changes(run: Path, change: str) -> None:
    """No more, and the numbers are those of a run without a cache."""
    track(load(run), NAMES)
    make, arguments, expected = CHANGES[change]
    found = track(make(run), NAMES, **arguments)
    assert same(found.frame, track(make(run), NAMES, cache=False, **arguments).frame)
    assert found.computed == expected


def steps(folder: Path) -> Path:
    """One network at three steps, in our files."""
    model = interp.HookedMLP(interp.MLPConfig((8,), 7, d_vocab=7, d_embed=4))
    for step in (0, 10, 20):
        interp.save(model.init_weights(step), folder / f"step_{step}.safetensors", task=ModularArithmetic(7), step=step)
    return folder


def test_the_bytes_of_one_checkpoint(tmp_path: Path) -> None:
    """It alone is computed again."""
    folder = steps(tmp_path / "steps")
    first = track(load(folder), NAMES)
    model = load(folder, step=10).model
    with torch.no_grad():
        model.W_U.add_(1)
    interp.save(model, folder / "step_10.safetensors", task=ModularArithmetic(7), step=10, force=True)
    found = track(load(folder), NAMES)
    assert (found.computed, found.cached) == (3, 6)
    before, after = table(first.frame), table(found.frame)
    assert {k[0] for k in before if before[k] != after[k]} == {10}


def test_the_source_of_a_measure(run: Path, only: Only, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version of one measure computes it again, and no other."""
    one, two = (measure(n, summary="")(lambda snapshot: snapshot.step) for n in ("one", "two"))
    only(one, two)
    track(load(run))
    monkeypatch.setattr(Measure, "fingerprint", property(lambda self: "new" if self.name == "two" else OLD(self)))
    assert (track(load(run)).computed, track(load(run)).computed) == (4, 0)


def test_members_told_apart_by_a_series_alone(run: Path) -> None:
    """A series of member 1 is of the same files as that of member 0."""
    of = interp.Run(run)
    _, found = progress(of.series(0), WEIGHTS), progress(of.series(1), WEIGHTS)
    assert found["value"].tolist() == progress(of.series(1), WEIGHTS, cache=False)["value"].tolist()


def test_edits_in_memory(tmp_path: Path) -> None:
    """A network that was edited after it was loaded from a single file is measured as it is, not as the file is."""
    one = load(steps(tmp_path / "steps") / "step_0.safetensors")
    track(one, WEIGHTS)
    with torch.no_grad():
        one.model.W_U.mul_(100)
    found = track(one, WEIGHTS)
    assert same(found.frame, track(one, WEIGHTS, cache=False).frame)


def test_two_sets_of_weights_in_a_file(tmp_path: Path) -> None:
    """Which of them was chosen with ``key`` is part of what was measured."""
    for step in (0, 10):
        chains = {
            k: {"a.weight": torch.full((5, 4), float(i)), "b.weight": torch.ones(3, 5)} for i, k in enumerate("xy")
        }
        torch.save(chains, tmp_path / f"step_{step}.pt")
    norms = [table(track(load(tmp_path, key=k), WEIGHTS).frame)[10, 0, "weight_norm", "all"] for k in "xy"]
    assert norms == pytest.approx([15**0.5, 35**0.5])


def test_a_config_beside_the_file(tmp_path: Path) -> None:
    """It says what the network computes; another one computes something else."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"embed.weight": (7, 4), "fc.weight": (6, 8), "fc.bias": (6,), "out.weight": (7, 6), "out.bias": (7,)}
    for step in (0, 10):
        torch.save({n: torch.randn(s, generator=generator) for n, s in shapes.items()}, tmp_path / f"step_{step}.pt")
    for act_fn in ("relu", "tanh"):
        (tmp_path / "config.json").write_text(f'{{"act_fn": "{act_fn}"}}')
        one = load(tmp_path, task="modular:p=7")
        assert one.model.config.act_fn == act_fn
        found = track(one, ["loss"])
        assert same(found.frame, track(one, ["loss"], cache=False).frame)


def test_the_same_file_at_two_steps(tmp_path: Path, only: Only) -> None:
    """A measure may ask for the step: a run that stood still has the same bytes at several."""
    only(measure("step", summary="")(lambda snapshot: snapshot.step))
    torch.save({"a.weight": torch.ones(5, 4), "b.weight": torch.ones(3, 5)}, tmp_path / "step_0.pt")
    shutil.copy(tmp_path / "step_0.pt", tmp_path / "step_10.pt")
    assert [track(load(tmp_path)).frame["value"].tolist() for _ in range(2)] == [[0, 10], [0, 10]]


def test_numbers_that_are_none(run: Path, only: Only) -> None:
    """NaN and both infinities come back as they were."""
    only(
        measure("odd", summary="")(
            lambda snapshot: {"a": math.nan, "b": math.inf, "c": -math.inf, "d": -0.0, "e": 5e-324}
        )
    )
    first, second = (track(load(run)) for _ in range(2))
    assert second.cached == 4
    assert np.isnan(second.frame["value"][0])
    assert same(first.frame, second.frame)


def test_two_processes_at_once(fresh: Path) -> None:
    """Both write all that they have, in many transactions."""
    script = (
        "import sys, types\n"  # without torch, whose import takes seconds
        "stub = types.SimpleNamespace(sha256=None)\n"
        "sys.modules['interp.checkpoints'] = sys.modules['interp.checkpoints.formats.reading'] = stub\n"
        "from interp.history.cache import MeasureCache\n"
        "for i in range(30): MeasureCache().put({f'{sys.argv[1]} {i}': i, 'shared': i})\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, name]) for name in "ab"]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    found = MeasureCache(fresh).get([f"{n} {i}" for n in "ab" for i in range(30)] + ["shared"])
    assert len(found) == 61
    assert found["shared"] == 29


def test_interrupted(run: Path, only: Only) -> None:
    """Ctrl-C at the third checkpoint: two are kept, and the next call begins there."""
    broken = {"now": True}

    def function(snapshot: Snapshot) -> float:
        if broken["now"] and snapshot.step == 20:
            raise KeyboardInterrupt
        return snapshot.step

    only(measure("slow", summary="")(function))
    with pytest.raises(KeyboardInterrupt):
        track(load(run))
    broken["now"] = False
    found = track(load(run))
    assert (found.cached, found.computed, found.frame["value"].tolist()) == (2, 2, STEPS)
