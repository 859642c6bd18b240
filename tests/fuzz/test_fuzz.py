"""A few hundred of the fuzzer's inputs, and that the fuzzer notices what it looks for. `make fuzz` runs 20,000."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interp.errors import InterpError
from tests.fuzz import runner
from tests.fuzz.targets import Target, targets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by way of /proc")
INPUTS = 72
SHARE = runner.share(list(targets().values()), INPUTS)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # later Pythons warn of threads; the workers only read
@pytest.mark.parametrize("name", SHARE)
def test_mutated_inputs_are_read_or_refused(name: str, tmp_path: Path) -> None:
    """Nothing but InterpError, in ten seconds and a gigabyte, and no code."""
    failures = runner.run(targets()[name], range(10**6, 10**6 + SHARE[name]), tmp_path / "fuzz")
    assert not failures, "\n".join(map(str, failures))


def spin(_: Path) -> None:
    while True:
        pass


def refuse(_: Path) -> None:
    raise InterpError("as it should")


FAULTS: dict[str, tuple[Callable[[Path], Any], str | None]] = {
    "an error of another kind": (lambda path: {}[path], "raised"),
    "a hang": (spin, "slow"),
    "memory": (lambda _: bytearray(b"x") * (1200 << 20), "memory"),
    "code": (lambda _: os.system("true"), "code"),
    "a crash": (lambda _: ctypes.string_at(0), "died"),
    "a refusal": (refuse, None),
    "nothing": (lambda path: path.read_bytes(), None),
}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_the_fuzzer_notices(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of failure, once for each of two inputs; and nothing where there is nothing."""
    monkeypatch.setattr(runner, "SECONDS", 0.5 if fault == "a hang" else 10)
    use, expected = FAULTS[fault]

    def mutate(good: Path, folder: Path, _: Any) -> Path:
        (folder / "x").write_bytes((good / "x").read_bytes())
        return folder / "x"

    def make(folder: Path) -> None:
        folder.joinpath("x").write_bytes(b"x")

    target = Target("t", make, mutate, use)
    failures = runner.run(target, [3, 4], tmp_path / "fuzz", processes=2)
    assert sorted((f.number, f.what) for f in failures) == ([(3, expected), (4, expected)] if expected else [])


def test_an_input_can_be_made_again(tmp_path: Path) -> None:
    """By its number alone."""
    target = targets()["reviews"]
    (good := tmp_path / "good").mkdir()
    target.make(good)
    texts = [runner.replay(target, number, good, tmp_path / "input").read_bytes() for number in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]
