"""A hundred kills at random moments, over every model and everything that changes a gradient: the same bytes in the end."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

import interp
from tests.interp.training.setups import NAMES, everything, settings
from tests.interp.training.worker import begin, ended, train_setup

KILLS, SECONDS = 100, 0.8  # a run takes about two seconds
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@pytest.mark.slow
def test_a_hundred_kills(tmp_path: Path) -> None:
    """kill -9, SIGTERM and Ctrl-C, four for each run; then it is resumed to its end, and no byte of any file differs."""
    draw, hits, endings = random.Random(11), Counter[str](), Counter[int | None]()
    torch.set_num_threads(1)
    turn = 0
    while sum(hits.values()) < KILLS:
        name = NAMES[turn % len(NAMES)]
        turn += 1
        given, run, whole = settings(name, tmp_path), tmp_path / f"run{turn}", tmp_path / name
        if not whole.exists():
            interp.train(**given, out=whole)
        for _ in range(4):
            number = draw.choice(SIGNALS)
            process, told = begin(train_setup, run, given, 0.05)
            assert told.recv() == "ready"
            time.sleep(draw.uniform(0.0, SECONDS))
            if process.is_alive():
                process.kill() if number == signal.SIGKILL else _send(process.pid, number)
                hits[number.name] += 1
            endings[ended(process)] += 1
            if not (run / "run.json").exists():
                shutil.rmtree(run, ignore_errors=True)  # it was killed before it wrote its plan
        process, _ = begin(train_setup, run, given, 0.0)
        assert ended(process) == 0, name
        expected, found = everything(whole), everything(run)
        assert found.keys() == expected.keys(), name
        assert [file for file in found if found[file] != expected[file]] == [], name
    print(f"{turn} runs, {dict(hits)}, ended with {dict(endings)}")
    assert set(endings) <= {0, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 1}


def _send(pid: int | None, number: signal.Signals) -> None:
    import os

    assert pid is not None
    os.kill(pid, number)
