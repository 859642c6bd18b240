"""A run of many members: planned, merged and read piece by piece, with the bytes of the whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

import interp
from interp._util.parallel import Serial, Workers
from interp.checkpoints import run_files
from interp.checkpoints.rows import write_rows
from interp.errors import InterpError, UnreadableFile
from interp.hooked import build
from interp.tasks import make_task
from interp.training import merged, metrics, shards
from interp.training.counts import counts_of
from interp.training.directory import RunDirectory
from interp.training.loop import start
from interp.training.member_plans import division
from interp.training.planning import make_plan

MIXED = [{"width": 8 + 8 * (i % 2), "seed": i % 3, "lr": 1e-2 if i % 3 else 1e-3} for i in range(9)]


def planned(members=MIXED, **settings):
    given = {"steps": 200, "metrics": "0,10,50,100,200", "checkpoints": "0,50,200", "retire": 0.3, **settings}
    return make_plan(make_task("addition:p=4"), "mlp:hidden=16", members=members, **given)


def in_shards(path, plan, workers=2):
    return shards.train_in_shards(RunDirectory.create(path, plan, counts_of(plan)), Workers(Serial, workers))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The same run whole and in shards; members of two widths, some of which retire."""
    folder = tmp_path_factory.mktemp("many")
    return start(planned(), folder / "whole"), in_shards(folder / "shards", planned())


def test_files_have_the_bytes_that_safetensors_writes(pair):
    for run in pair:
        assert run.state().retired  # rows of members that train and of others, in an order of their own
        for path in (*run.saved_steps().values(), run.state_path):
            with safe_open(path, "pt") as file:
                metadata = file.metadata()
            assert path.read_bytes() == save(load_file(path), metadata)


def test_merged_is_the_run_that_was_never_divided(pair):
    whole, divided = pair
    assert divided.metrics_path.read_bytes() == whole.metrics_path.read_bytes()
    for step, path in whole.saved_steps().items():
        assert divided.saved_steps()[step].read_bytes() == path.read_bytes()


def test_merging_holds_no_more_than_a_chunk(pair, monkeypatch):
    monkeypatch.setattr(merged, "CHUNK", 1 << 11)
    path = pair[0].saved_steps()[200]
    shapes, rows = merged.merged_weights([(0, path)], [c.ids for c in division(planned())])
    rows = list(rows)
    largest = max(t[0].nbytes for *_, t in rows)  # a single member's largest tensor
    assert max(t.nbytes for *_, t in rows) <= max(1 << 11, largest) < path.stat().st_size / 4
    assert sum(t.nbytes for *_, t in rows) == sum(torch.Size(s).numel() * d.itemsize for s, d in shapes.values())


def test_rows_that_are_missing_are_no_file(tmp_path):
    shapes = {"w": ((3, 2), torch.float32)}
    with pytest.raises(InterpError, match="missing or doubled"):
        write_rows(tmp_path / "x", shapes, [("w", [2, 0], torch.ones(2, 2))], {})
    with pytest.raises(InterpError, match="rows of w are"):
        write_rows(tmp_path / "x", shapes, [("w", [0], torch.ones(1, 3))], {})
    assert not list(tmp_path.iterdir())


def test_one_member_is_read_without_the_others(pair, monkeypatch):
    run, looked = pair[1], []
    table = interp.Run(run.path).metrics
    parse = run_files.parse_json
    monkeypatch.setattr(run_files, "parse_json", lambda text: looked.append(text) or parse(text))
    curves = run_files.read_curves(run.metrics_path, 7)
    own = table[table["member"] == 7]
    assert curves["train_loss"] == list(zip(own["step"], own["train_loss"], strict=True))
    assert len(looked) == len(own) < len(table)


@pytest.mark.parametrize(
    "text", ['{"step": 0, "member": 7, "train_loss": nothing}\n', "garbage\n", '{"step": 0, "memb\n']
)
def test_a_damaged_line_is_named_all_the_same(pair, tmp_path, text):
    path = tmp_path / "metrics.jsonl"
    lines = pair[0].metrics_path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], text, *lines[3:]]))
    with pytest.raises(UnreadableFile, match="line 4"):
        run_files.read_curves(path, 7)
    with pytest.raises(UnreadableFile, match="line 4"):
        list(merged.merged_metrics([(0, path)]))


def test_the_table_is_the_same_in_pieces(pair, monkeypatch):
    whole = metrics.MetricsFile(pair[0].metrics_path).table()
    monkeypatch.setattr(metrics, "ROWS", 5)
    pd.testing.assert_frame_equal(metrics.MetricsFile(pair[0].metrics_path).table(), whole)


def test_members_of_the_same_data_share_a_task():
    plan = planned([{"seed": i % 3, "init_seed": i, "lr": 1e-3} for i in range(30)])
    (cohort,) = division(plan)
    assert len({id(task) for task in cohort.tasks}) == 3
    assert [t.seed for t in cohort.tasks] == [i % 3 for i in range(30)]


def test_shards_are_small_enough(monkeypatch):
    plan = planned([{"seed": i} for i in range(100)])
    cohorts = [one.plan for one in division(plan)]
    assert shards.shard_count(plan, 2, cohorts) == 4
    numbers = sum(p.numel() for p in build(plan.model).parameters())
    monkeypatch.setattr(shards, "SHARD_BYTES", numbers * 4 * 4 * 10)  # weights, gradients, two moments of ten members
    assert shards.shard_count(plan, 2, cohorts) == 10
    assert shards.shard_count(plan, 80, cohorts) == 100


@pytest.mark.slow
def test_two_thousand_members_interrupted_and_resumed(tmp_path):
    members = [{"seed": i % 4, "init_seed": i} for i in range(2_000)]
    settings = {"steps": 300, "metrics": "0,100,300", "checkpoints": "0,300"}
    code = (
        "import interp, json, sys\nif __name__ == '__main__':\n    members, settings = json.loads(sys.argv[1])\n"
        "    interp.train('addition:p=4', 'mlp:hidden=8', members=members, executor='process:2', out=sys.argv[2], **settings)\n"
    )
    script, out = tmp_path / "run.py", tmp_path / "run"
    script.write_text(code)
    job = subprocess.Popen(
        [sys.executable, str(script), json.dumps([members, settings]), str(out)], start_new_session=True
    )
    while not list(out.glob("shards/*/state/state.safetensors")):
        assert job.poll() is None
        time.sleep(0.02)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert (out / "shards").is_dir()
    run = interp.resume(out, executor="process:2")
    assert run.finished
    assert len(run.metrics) == 3 * 2_000
    assert len(run.phases()) == 2_000
    alone = interp.train("addition:p=4", "mlp:hidden=8", members=[members[1_999]], **settings)
    ours, theirs = run.subject(1_999).model.state_dict(), alone.subject().model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
