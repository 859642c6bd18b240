"""Torch's threads: how they wait, and how many there are, unless the user has said so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from interp._util import threads
from interp._util.threads import SMALL, few_threads
from tests.conftest import ROOT

ASK = "import os; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('OMP_NUM_THREADS'), 'torch' in sys.modules)"


def started(first: str, **set_by_user: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(threads.THEIRS)} | set_by_user
    code = f"import sys; {first}; {ASK}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_threads_wait_passively_unless_the_user_says_how() -> None:
    assert started("import interp") == "passive None False"
    assert started("import interp.cli") == "passive None False"
    assert started("import interp", OMP_NUM_THREADS="2") == "None 2 False"
    assert started("import interp", OMP_WAIT_POLICY="active") == "active None False"
    assert started("import torch, interp") == "None None True"  # too late


@pytest.fixture
def number(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of torch's threads, as on a machine with 32 cores where nobody has set it."""
    now = [32]
    for name in [n for n in os.environ if n.startswith(threads.THEIRS)]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(threads._state, "passive", False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: now.__setitem__(0, n))
    return now


def test_a_small_network_gets_few_threads_and_the_user_gets_them_back(
    number: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with few_threads(SMALL + 1):
        assert number == [32]
    with few_threads(1000):
        assert number == [1]
    assert number == [32]
    monkeypatch.setitem(threads._state, "passive", True)
    with few_threads(1000):
        assert number == [4]
    assert number == [32]


def test_a_number_that_the_user_has_chosen_stays(number: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    number[0] = 7  # by torch.set_num_threads
    with few_threads(1000):
        assert number == [7]
    number[0] = 32
    monkeypatch.setenv("MKL_NUM_THREADS", "32")
    with few_threads(1000):
        assert number == [32]
