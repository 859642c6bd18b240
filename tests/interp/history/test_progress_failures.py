"""What goes wrong in a pass over a run: damaged files, NaN, measures of strangers, workers, a cache that cannot be used."""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import interp
from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic
from interp._util.progress_context import watched
from interp.errors import MissingCapability
from interp.history.cache import MeasureCache
from interp.history.progress import progress, track
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from tests.interp.history.test_cache import NAMES, WEIGHTS, load, steps
from tests.interp.history.test_progress import STEPS, fresh, run, same, table, trained  # noqa: F401
from tests.interp.plugins.test_measure import Only, only  # noqa: F401


def file(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step_{step:08}.safetensors"


@pytest.mark.parametrize("keep", [0, 4, 100, 0.9])
def test_a_truncated_checkpoint(run: Path, keep: float) -> None:
    """It is told, by its step; the others are measured."""
    content = file(run, 10).read_bytes()
    file(run, 10).write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    found = track(load(run), NAMES)
    assert found.frame["step"].unique().tolist() == [0, 20, 30]
    assert list(found.unreadable) == [10]
    assert "step_00000010" in found.unreadable[10]


def test_the_last_is_truncated_and_settles_options(run: Path) -> None:
    """A subject at another step is measured at all that can be read."""
    one = load(run, step=0)
    file(run, 30).write_bytes(b"gone")
    found = track(one, ["loss", "mode_power"])
    assert found.frame.query("measure == 'loss'")["step"].unique().tolist() == [0, 10, 20]
    assert list(found.unreadable) == [30]


def test_a_vanished_file(run: Path) -> None:
    """Told by its step; what the others gave is kept all the same."""
    one = load(run)
    file(run, 20).unlink()
    found = track(one, NAMES)
    assert found.frame["step"].unique().tolist() == [0, 10, 30]
    assert "step_00000020" in found.unreadable[20]
    assert track(one, NAMES).cached == 9


def test_another_network_in_the_series(tmp_path: Path) -> None:
    """The message says in which fields it differs, and how."""
    folder = steps(tmp_path / "steps")
    wide = HookedMLP(MLPConfig((9,), 7, d_vocab=7, d_embed=4, act_fn="tanh")).init_weights(0)
    interp.save(wide, folder / "step_10.safetensors", task=ModularArithmetic(7), step=10, force=True)
    found = track(load(folder), NAMES)
    assert found.frame["step"].unique().tolist() == [0, 20]
    said = found.unreadable[10]
    assert "its network differs from the one at step 20" in said
    assert all(part in said for part in ("hidden", "9", "8", "act_fn=tanh, not relu"))


def test_a_strangers_run_json(tmp_path: Path) -> None:
    """A run.json that is not a plan of ours loads, so it is measured."""
    steps(tmp_path / "checkpoints")
    (tmp_path / "run.json").write_text('{"name": "theirs"}')
    assert progress(load(tmp_path), ["loss"])["step"].unique().tolist() == [0, 10, 20]


def spoil(path: Path, whole: bool) -> None:
    """NaN in one weight, or in all."""
    with safe_open(path, "pt") as opened:
        header = opened.metadata()
    weights = load_file(path)
    for tensor in weights.values() if whole else [weights["unembed.W_U"].view(-1)[:1]]:
        tensor.fill_(math.nan)
    path.unlink()
    save_file(weights, path, metadata=header)


@pytest.mark.parametrize("whole", [False, True])
def test_nan_at_some_steps(run: Path, whole: bool) -> None:
    """The curves have NaN there, decompositions too; nothing fails; the steps are told, from the cache as well."""
    for step in (10, 20):
        spoil(file(run, step), whole)
    both = track(load(run)), track(load(run))
    assert both[1].computed == 0
    for found in both:
        assert found.nonfinite == [10, 20]
        assert (found.errors, found.unreadable) == ({}, {})
        rows = table(found.frame)
        assert all(math.isfinite(v) for (step, *_), v in rows.items() if step in (0, 30))
        of = {n for s, _, n, _ in rows if s == 30}
        assert of == {n for s, _, n, _ in rows if s == 10}  # a curve has a point, or a gap, at every step
        for name, where in (("loss", "all"), ("weight_norm", "all"), ("spectral_norm", "unembed.W_U")):
            assert math.isnan(rows[10, 0, name, where])


@pytest.mark.parametrize("last", [[30], STEPS])
def test_nan_at_the_end(run: Path, last: list[int]) -> None:
    """Where the last checkpoint, which settles options, is NaN, or all are: told, and nothing is raised."""
    for step in last:
        spoil(file(run, step), True)
    found = track(load(run))
    assert found.nonfinite == last
    assert not found.errors
    assert math.isnan(table(found.frame)[30, 0, "loss", "all"])


def raising(error: BaseException) -> Callable[..., Any]:
    def function(snapshot: Any) -> Any:
        raise error

    return function


BAD: dict[str, tuple[Callable[[Snapshot], Any], str]] = {
    "ValueError": (raising(ValueError("no such thing")), "step 0: ValueError: no such thing"),
    "KeyError": (raising(KeyError("gone")), "step 0: KeyError: 'gone'"),
    "InterpError": (raising(InterpError("cannot be")), "step 0: cannot be"),
    "SystemExit": (raising(SystemExit(3)), "step 0: SystemExit"),
    "None": (lambda _: None, "step 0: TypeError"),
    "a tensor": (lambda _: torch.ones(3), "step 0: "),
    "no numbers": (lambda _: {"a": [1.0]}, "step 0: TypeError"),
    "text": (lambda _: {"a": "b"}, "step 0: ValueError"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_measure_that_misbehaves(run: Path, only: Only, kind: str) -> None:
    """One note; the others run, and the next call tries it again."""
    only(measure("bad", summary="")(BAD[kind][0]), measure("good", summary="")(lambda snapshot: snapshot.step))
    for _ in range(2):
        found = track(load(run))
        assert found.frame["value"].tolist() == STEPS
        assert list(found.errors) == ["bad"]
        assert found.errors["bad"].startswith(BAD[kind][1])


@pytest.mark.parametrize("error", [KeyError("gone"), InterpError("gone"), None])
def test_an_anchor_that_misbehaves(run: Path, only: Only, error: Exception | None) -> None:
    """As a measure that does: one note, and the others run; so too for one that gives what JSON does not take."""

    def function(snapshot: Snapshot, *, k: int | None = None) -> float:
        return float(k or 0)

    bad = measure("bad", summary="")(function)
    bad.anchored(raising(error) if error else lambda last: {"k": torch.tensor(3)})
    only(bad, measure("good", summary="")(lambda snapshot: snapshot.step))
    found = track(load(run))
    assert found.frame.query("measure == 'good'")["value"].tolist() == STEPS
    assert "gone" in found.errors["bad"] if error else True


def test_nothing_found_and_nothing_that_applies(run: Path, only: Only) -> None:
    """An empty dict has no rows; a measure that does not apply is skipped with its reason, once."""
    only(measure("empty", summary="")(lambda _: {}), measure("not", summary="")(raising(MissingCapability("no modes"))))
    for _ in range(2):
        found = track(load(run))
        assert (len(found.frame), found.skipped, found.errors) == (0, {"not": "no modes"}, {})


@pytest.mark.parametrize(
    "options",
    [{"local_complexity": {"masks": 0}}, {"local_complexity": {"layers": "nowhere"}}, {"activation_sparsity": {"tau": -1}},
     {"restricted_loss": {"frequencies": [9]}}, {"mode_power": {"frequencies": ["a"]}}, {"rqi": {"delta": -1}}],
)  # fmt: skip
def test_options_that_a_measure_refuses(run: Path, options: dict[str, Any]) -> None:
    """They are the user's error, and named."""
    (name,) = options
    with pytest.raises(InterpError, match=name):
        track(load(run), ["loss", name], options=options)


def corrupt(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 20)


def other_values(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE measured SET value = '{'")
    connection.close()


@pytest.mark.parametrize("break_it", [corrupt, lambda p: p.write_text("text"), lambda p: p.mkdir(), other_values])
def test_a_broken_cache(run: Path, fresh: Path, break_it: Callable[[Path], Any]) -> None:
    """The run goes on without it, once told, and the numbers are right."""
    expected = track(load(run), NAMES)
    if break_it is not other_values:
        fresh.unlink()
    break_it(fresh)
    found = track(load(run), NAMES)
    assert same(found.frame, expected.frame)
    if break_it is other_values:  # rows that are not results are computed again
        assert (found.notes, found.cached) == ([], 0)
        return
    assert len(found.notes) == 1
    assert str(fresh) in found.notes[0]


def test_a_cache_where_no_folder_can_be(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is a file."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("INTERP_CACHE", str(tmp_path / "file" / "c.sqlite"))
    found = track(load(run), NAMES)
    assert (found.computed, len(found.notes)) == (12, 1)


def test_a_cache_that_cannot_be_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in it is used all the same, and what is new is not lost."""
    track(load(run), WEIGHTS)
    refuse = raising(sqlite3.OperationalError("readonly"))
    monkeypatch.setattr(MeasureCache, "put", lambda self, values: refuse(self))
    found = track(load(run), NAMES)
    assert "readonly" in found.notes[0]
    assert (found.cached, found.computed) == (4, 8)
    assert same(found.frame, track(load(run), NAMES, cache=False).frame)


def test_a_locked_cache(run: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else keeps it for longer than we wait."""
    track(load(run), WEIGHTS)
    connect = sqlite3.connect
    holder = connect(fresh)
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("interp.history.cache.sqlite3.connect", lambda path, timeout: connect(path, timeout=0.05))
    found = track(load(run), NAMES)
    holder.close()
    assert "locked" in found.notes[0]
    assert found.computed == 12


def test_a_file_that_vanishes_on_the_way(run: Path, only: Only) -> None:
    """A training run that removes old checkpoints while they are read: what is known stays known."""
    one, two = (measure(n, summary="", every=e)(lambda snapshot: snapshot.step) for n, e in (("one", 1), ("two", 3)))
    only(one, two)
    track(load(run), ["one"])
    with watched(lambda _: (run / "checkpoints" / f"step_{10:08}.safetensors").unlink(missing_ok=True)):
        found = track(load(run))
    assert found.frame.query("measure == 'one'")["step"].tolist() == STEPS
