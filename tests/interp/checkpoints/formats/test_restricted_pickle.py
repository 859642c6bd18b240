"""Pickles are data: nothing that a file names runs, and no file alters the reader."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pickle
import shutil
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import interp
from interp.checkpoints.formats import reading as formats
from interp.checkpoints.formats.pickle_functions import FUNCTIONS
from interp.checkpoints.formats.pickled_values import Stub
from interp.errors import InterpError, UnreadableFile
from tests.interp.checkpoints import pickles
from tests.interp.checkpoints.pickles import CARRIERS, START, STOP, build, entry, group, name, number, text

FLOATS = np.arange(4, dtype="<f4").tobytes()


class Payload:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable[..., Any], *args: Any):
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


class Toucher:
    """A class whose making and whose state both leave a trace, for the opcodes that need a class."""

    def __new__(cls, path: str = "") -> Toucher:
        if path:
            Path(path).touch()
        return super().__new__(cls)

    def __setstate__(self, path: str) -> None:
        Path(path).touch()


# what an attacker would call; each leaves a file at the path
PAYLOADS: dict[str, Callable[[str], Payload]] = {
    "posix.system": lambda path: Payload(os.system, f"touch {path}"),
    "builtins.eval": lambda path: Payload(eval, f"open({path!r}, 'w').close()"),  # noqa: S307  a reader must not call it
    "builtins.exec": lambda path: Payload(exec, f"open({path!r}, 'w').close()"),
    "subprocess.call": lambda path: Payload(subprocess.call, ["touch", path]),
    "pathlib.Path.touch": lambda path: Payload(Path.touch, Path(path)),
    "shutil.copyfile": lambda path: Payload(shutil.copyfile, os.devnull, path),
    "numpy.savetxt": lambda path: Payload(np.savetxt, path, [1.0]),
    "torch.serialization.save": lambda path: Payload(torch.save, {}, path),
}

# the same call or class in opcodes that a pickler of today does not write
PROGRAMS: dict[str, Callable[[str], bytes]] = {
    "INST": lambda path: b"(" + text(f"touch {path}") + b"iposix\nsystem\n",
    "OBJ": lambda path: b"(" + name("posix", "system") + text(f"touch {path}") + b"o",
    "NEWOBJ": lambda path: name(__name__, "Toucher") + group(text(path)) + b"\x81",
    "NEWOBJ_EX": lambda path: b"\x80\x04" + name(__name__, "Toucher") + group(text(path)) + b"}\x92",
    "BUILD": lambda path: build(name(__name__, "Toucher") + b")\x81", text(path)),
    "dotted name": lambda path: (
        b"\x80\x04" + text("os") + text("path.os.system") + b"\x93" + group(text(f"touch {path}")) + b"R"
    ),
}
STUBS = {"NEWOBJ": f"{__name__}.Toucher", "NEWOBJ_EX": f"{__name__}.Toucher", "BUILD": f"{__name__}.Toucher",
         "INST": "posix.system", "OBJ": "posix.system", "dotted name": "os.path.os.system"}  # fmt: skip


def program_of(payload: str, path: str) -> tuple[bytes, str]:
    """A hostile pickle, and the name under which it must be listed."""
    if payload in PAYLOADS:
        return pickle.dumps(PAYLOADS[payload](path), protocol=4), payload
    return START + PROGRAMS[payload](path) + STOP, STUBS[payload]


@pytest.mark.parametrize("payload", [*PAYLOADS, *PROGRAMS])
def test_a_payload_is_listed_and_never_run(payload: str, tmp_path: Path) -> None:
    """Python's own unpickler runs it; ours, in all three kinds of file, does not."""
    canary = tmp_path / "canary"
    program, listed = program_of(payload, str(canary))
    pickle.loads(program)
    assert canary.exists(), "the payload is harmless, so the test would prove nothing"
    canary.unlink()
    for carrier, write in CARRIERS.items():
        contents = formats.read(write(tmp_path / f"{carrier}.pt", program))
        assert listed in contents.stubs, carrier
        assert not canary.exists(), carrier


@pytest.mark.parametrize("payload", ["posix.system", "INST"])
def test_a_payload_in_the_head_of_a_legacy_file_is_never_run(payload: str, tmp_path: Path) -> None:
    """The pickles before the tree are read by the same reader."""
    canary = tmp_path / "canary"
    program, _ = program_of(payload, str(canary))
    formats.read(pickles.in_legacy_head(tmp_path / "file.pt", program))
    formats.read(pickles.bare(tmp_path / "first.pt", program + pickle.dumps(1)))
    assert not canary.exists()


def test_a_payload_of_torch_save_never_runs_in_load(saved: Callable[..., Path], tmp_path: Path) -> None:
    """The front door, on a file whose weights are good and whose config is a payload."""
    weights = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).state_dict()
    path = saved({"model": weights, "config": Payload(os.system, f"touch {tmp_path / 'canary'}")})
    assert interp.load(path, device="cpu").provenance.unknown_classes == ("posix.system",)
    assert not (tmp_path / "canary").exists()


def test_naming_an_attribute_of_torch_does_not_import_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """torch imports some submodules when they are first named; a file cannot make it."""
    asked: list[str] = []

    def record(attribute: str) -> None:
        asked.append(attribute)
        raise AttributeError(attribute)

    monkeypatch.setattr(torch, "__getattr__", record)
    contents = formats.read(pickles.bare(tmp_path / "file.pt", START + name("torch", "some_lazy_module") + STOP))
    assert contents.stubs == ("torch.some_lazy_module",)
    assert asked == []


@dataclasses.dataclass
class Settings:
    rate: float = 1e-3
    widths: tuple[int, ...] = (4, 5)


def test_unknown_objects_become_stubs_that_hold_their_data(saved: Callable[..., Path]) -> None:
    """A namespace, a dataclass and a whole module are kept as what they held."""
    tree = {"args": argparse.Namespace(p=113), "settings": Settings(), "module": nn.Linear(3, 2)}
    contents = formats.read(saved(tree))
    assert set(contents.stubs) == {"argparse.Namespace", f"{__name__}.Settings", "torch.nn.modules.linear.Linear"}
    assert all(isinstance(value, Stub) for value in contents.tree.values())
    assert contents.tree["args"].state == {"p": 113}
    assert contents.tree["settings"].state == {"rate": 1e-3, "widths": (4, 5)}
    weight = contents.tree["module"].state["_parameters"]["weight"].load()
    assert torch.equal(weight, tree["module"].weight)  # type: ignore[union-attr]


KNOWN = [*FUNCTIONS, "torch.float32", "torch.FloatStorage", "torch.cuda.HalfStorage"]


@pytest.mark.parametrize("state", ["attributes", "slots"])
@pytest.mark.parametrize("known", KNOWN)
def test_no_pickle_alters_what_the_reader_knows(known: str, state: str, tmp_path: Path, saved: Callable) -> None:
    """BUILD on any name that is known is refused, and the next file reads as before."""
    tree = OrderedDict(weight=torch.arange(4.0), array=np.arange(3), both={1, 2})
    good = saved(tree, "good.pt")
    states = {"attributes": entry("_function", number(1)), "slots": group(b"N", entry("dtype", number(1)))}
    program = START + build(name(*known.rsplit(".", 1)), states[state]) + STOP
    with pytest.raises(UnreadableFile, match="alter a builtin") as caught:
        formats.read(pickles.bare(tmp_path / "bad.pt", program))
    assert "bad.pt" in str(caught.value)
    read = formats.read(good).tree
    assert torch.equal(read["weight"].load(), tree["weight"])  # type: ignore[arg-type]
    assert (read["array"].load().tolist(), read["both"]) == ([0, 1, 2], {1, 2})


ALTERED = {
    "a storage's size": pickles.tensor(build(pickles.storage(), entry("numel", number(10**9))), shape=(10**6,)),
    "a storage's reader": pickles.tensor(build(pickles.storage(), entry("read", name("os", "getcwd")))),
    "a storage's dtype": pickles.tensor(build(pickles.storage(), entry("dtype", number("x")))),
    "a tensor's shape": build(pickles.tensor(pickles.storage()), entry("shape", number((2, 9)))),
    "a tensor's reader": build(pickles.tensor(pickles.storage()), entry("_load", name("os", "getcwd"))),
}


@pytest.mark.parametrize("program", ALTERED.values(), ids=ALTERED)
def test_no_pickle_alters_a_storage_or_a_tensor(program: bytes, tmp_path: Path) -> None:
    """What the reader made belongs to it: BUILD on it is damage, said at once or at the latest on loading."""
    path = pickles.in_zip(tmp_path / "file.pt", START + entry("w", program) + STOP, {"0": FLOATS})
    with pytest.raises(UnreadableFile, match=r"file\.pt"):
        formats.read(path).tree["w"].load()


def read_tensor(path: Path, **changes: Any) -> torch.Tensor:
    """A tensor of any claims over a storage of four numbers, loaded."""
    size = changes.pop("numel", 4)
    program = pickles.tensor(pickles.storage(numel=size), **changes)
    return formats.read(pickles.in_zip(path, START + entry("w", program) + STOP, {"0": FLOATS})).tree["w"].load()


def test_hand_written_tensors_are_read(tmp_path: Path) -> None:
    """The programs that the next tests damage are good to begin with."""
    path = tmp_path / "file.pt"
    assert read_tensor(path).tolist() == [0, 1, 2, 3]
    assert read_tensor(path, shape=(2, 2), stride=(1, 2)).tolist() == [[0, 2], [1, 3]]
    assert read_tensor(path, shape=(2,), stride=(2,), offset=1).tolist() == [1, 3]
    assert read_tensor(path, shape=(3, 2), stride=(0, 1)).tolist() == [[0, 1]] * 3
    assert read_tensor(path, shape=(0, 7), stride=(7, 1)).shape == (0, 7)
    assert read_tensor(path, shape=(), stride=(), offset=3).item() == 3


IMPOSSIBLE: dict[str, dict[str, Any]] = {
    "too long": {"shape": (5,)},
    "offset at the end": {"offset": 1},
    "offset far beyond": {"offset": 2**62},
    "offset below": {"offset": -1},
    "stride too wide": {"stride": (2,)},
    "stride enormous": {"stride": (2**63,)},
    "stride below": {"stride": (-1,)},
    "shape below": {"shape": (-4,)},
    "both below": {"shape": (-2,), "stride": (-1,)},
    "product below": {"shape": (-2, -2), "stride": (1, 1)},
    "shape of floats": {"shape": (4.0,)},
    "shape of text": {"shape": ("4",)},
    "shape of nothing": {"shape": None},
    "stride missing": {"shape": (2, 2), "stride": (1,)},
    "offset of text": {"offset": "0"},
    "more entries than can be counted": {"shape": (2**40, 2**40), "stride": (0, 0)},
    "an axis beyond 64 bits": {"shape": (2**70,), "stride": (0,)},
    "storage beyond the file": {"numel": 5, "shape": (5,)},
    "storage far beyond the file": {"numel": 2**60},
    "storage below": {"numel": -4},
    "storage of text": {"numel": "4"},
}


@pytest.mark.parametrize("claims", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_tensors_are_damage(claims: dict[str, Any], tmp_path: Path) -> None:
    """No shape, stride, offset or size makes a view of bytes that are not there."""
    with pytest.raises(UnreadableFile, match=r"file\.pt"):
        read_tensor(tmp_path / "file.pt", **claims)


def test_weights_larger_than_any_memory_are_an_error_of_the_file(tmp_path: Path) -> None:
    """Strides of 0 unfold four numbers into petabytes; the user hears which file it was."""
    huge = pickles.tensor(pickles.storage(), shape=(2**25, 2**25), stride=(0, 0))
    path = pickles.in_zip(tmp_path / "file.pt", START + entry("fc.weight", huge) + STOP, {"0": FLOATS})
    with pytest.raises(InterpError, match=r"file\.pt"):
        interp.load(path, layout="linear_chain:orientation=out_in", device="cpu")


REFERENCES = {
    "no storage of that name": pickles.tensor(pickles.storage(key="9")),
    "a storage outside": pickles.tensor(pickles.storage(key="../data.pkl")),
    "a storage of no known type": pickles.tensor(pickles.storage(kind=name("os", "system"))),
    "a reference of another kind": group(text("module"), text("x"), text("y"), text("z"), number(1)) + b"Q",
    "a reference that is text": text("storage") + b"Q",
    "a tensor over no storage": pickles.tensor(text("storage")),
}


@pytest.mark.parametrize("program", REFERENCES.values(), ids=REFERENCES)
def test_references_that_lead_nowhere_are_damage(program: bytes, tmp_path: Path) -> None:
    """A pickle can only refer to the storages of its own file."""
    with pytest.raises(UnreadableFile, match=r"file\.pt"):
        formats.read(pickles.in_zip(tmp_path / "file.pt", START + program + STOP, {"0": FLOATS}))


def test_a_compressed_storage_is_refused(tmp_path: Path) -> None:
    """torch.save stores; a compressed member could unpack to anything."""
    program = START + entry("w", pickles.tensor(pickles.storage())) + STOP
    with pytest.raises(UnreadableFile, match="compressed"):
        formats.read(pickles.in_zip(tmp_path / "file.pt", program, {"0": FLOATS}, compression=8))
