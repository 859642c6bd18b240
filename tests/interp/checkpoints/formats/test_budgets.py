"""Small files stay small: whatever a few kilobytes announce, reading them takes neither gigabytes nor minutes."""

from __future__ import annotations

import contextlib
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import interp
from interp.errors import InterpError, UnreadableFile
from tests.interp.checkpoints import pickles
from tests.interp.checkpoints.files import npy, write_npz
from tests.interp.checkpoints.pickles import CARRIERS, START, STOP, address_space, group, name, number, text

HUGE = 3 << 30
REPEATS = 20_000
LONG = text("a" * 400_000)


def again(program: bytes) -> bytes:
    """A value under memo index 0 that is used many times by a program, each result dropped."""
    return program * REPEATS


def nested_sets(depth: int) -> bytes:
    """Frozensets in frozensets, two entries each."""
    made = b"(K\x01\x91"
    for _ in range(depth):
        made = b"(" + made + b"K\x02\x91"
    return made


def shared_sets(depth: int) -> bytes:
    """A frozenset of the inner one and a tuple of it: each level doubles the work."""
    made = b"(K\x01\x91q\x00"
    for level in range(depth):
        made += b"0(h" + bytes([level]) + b"h" + bytes([level]) + b"\x85\x91q" + bytes([level + 1])
    return made


PROGRAMS: dict[str, bytes] = {
    "BYTEARRAY8": b"\x80\x05\x96" + struct.pack("<Q", HUGE),
    "BINBYTES8": b"\x80\x04\x8e" + struct.pack("<Q", HUGE),
    "BINBYTES": b"B" + struct.pack("<I", HUGE),
    "BINUNICODE8": b"\x80\x04\x8d" + struct.pack("<Q", HUGE),
    "BINUNICODE": b"X" + struct.pack("<I", HUGE),
    "LONG4": b"\x8b" + struct.pack("<i", (1 << 31) - 1),
    "FRAME": b"\x80\x04\x95" + struct.pack("<Q", HUGE),
    "a number of a million digits": b"\x8b" + struct.pack("<i", 400_000) + b"\x7f" * 400_000,
    "a text of numbers": b"I" + b"9" * 400_000 + b"\n",
    "numbers of one hash as keys": b"}(" + b"".join(number(i * ((1 << 61) - 1)) + b"N" for i in range(20_000)) + b"u",
    "shared frozensets as keys": b"}" + (shared_sets(30) + b"Ns") * 2,
    "nested frozensets as keys": b"}" + (nested_sets(300) + b"Ns") * 2,
    "a long key, many times": b"}(" + b"(" + b"K\x01" * 1000 + b"tq\x00" + b"N" + b"h\x00N" * 100_000 + b"u",
    "a long text, encoded many times": LONG + b"q\x000" + again(name("_codecs", "encode") + b"h\x00\x85R"),
    "a long list, made a set many times": b"](" + b"K\x01" * 100_000 + b"eq\x000"
    + again(name("builtins", "set") + b"h\x00\x85R"),
    "a long text in many places": LONG + b"q\x000]" + b"(" + b"h\x00" * 100_000 + b"e",
    "sixty-four shared dicts": b"}q\x00" + text("x") + b"Ns" + b"".join(
        b"}q" + bytes([i + 1]) + text("a") + b"h" + bytes([i]) + b"s" + text("b") + b"h" + bytes([i]) + b"s" for i in range(64)
    ),
    "deep lists": b"]" * 100_000 + b"a" * 99_999,
    "many classes": b"".join(name("m", f"c{i}") for i in range(50_000)),
    "many objects": name("m", "c") + b"q\x00" + b"h\x00)\x81" * 60_000,
    "empty sets": b"\x80\x04" + b"\x8f" * 300_000,
    "an array over the same bytes, many times": LONG + b"q\x000" + (
        name("numpy._core.numeric", "_frombuffer") + b"q\x01"
        + name("numpy", "dtype") + group(text("u1"), b"\x89", b"\x88") + b"Rq\x02"
        + b"00](" + (b"h\x01(h\x00h\x02" + number((400_000,)) + text("C") + b"tR") * 3000 + b"e"
    ),
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_pickle_takes_no_more_than_its_size_allows(carrier: str, program: bytes, tmp_path: Path) -> None:
    """In ten seconds and a gigabyte, read or refused; the front door too."""
    path = CARRIERS[carrier](tmp_path / "file.pt", START + program + STOP)
    assert path.stat().st_size < 1 << 20
    within_limits(path)


def within_limits(path: Path) -> None:
    """Inspect and load a file, each in ten seconds, both in a gigabyte of address space beyond today's."""
    for reader in (interp.inspect, lambda p: interp.load(p, device="cpu")):
        started = time.process_time()
        with address_space(1 << 30), contextlib.suppress(InterpError):
            reader(path)
        assert time.process_time() - started < 10


def test_strides_of_zero_are_added_up_over_the_file(tmp_path: Path) -> None:
    """Each is below any limit for one tensor; together they are not."""
    wide = pickles.tensor(pickles.storage(), shape=(3000, 3000), stride=(0, 0))
    tree = b"}(" + b"".join(text(f"{i}.weight") + wide for i in range(40)) + b"u"
    path = pickles.in_zip(tmp_path / "file.pt", START + tree + STOP, {"0": bytes(16)})
    with pytest.raises(UnreadableFile, match="unfold to"):
        interp.load(path, layout="linear_chain:orientation=out_in", device="cpu")


def test_a_small_expanded_tensor_is_read(saved: Callable[..., Path]) -> None:
    """People save expanded masks; these cost nothing."""
    path = saved({"w": torch.ones(1, 8).expand(64, 8)})
    assert interp.inspect(path).tensors[0][1] == (64, 8)


def test_a_sparse_tensor_counts_as_large_as_it_unfolds(saved: Callable[..., Path]) -> None:
    """One entry of a matrix of 10^12."""
    index = torch.tensor([[0], [0]])
    path = saved({"w": torch.sparse_coo_tensor(index, torch.ones(1), (10**6, 10**6), check_invariants=True)})
    with pytest.raises(UnreadableFile, match="unfold to"):
        interp.inspect(path)


def test_a_compressed_pickle_in_an_archive_is_limited(tmp_path: Path) -> None:
    """A gigabyte of zeros deflates to a megabyte."""
    program = START + b"\x8e" + struct.pack("<Q", 200 << 20) + bytes(200 << 20) + STOP
    path = pickles.in_zip(tmp_path / "file.pt", program, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UnreadableFile, match="unpacks to more than"):
        interp.inspect(path)


def test_a_compressed_npz_is_limited(tmp_path: Path) -> None:
    """Half a gigabyte of zeros; a mask of a few megabytes is read."""
    small = tmp_path / "mask.npz"
    np.savez_compressed(small, w=np.zeros((1000, 1000), "f4"))
    assert interp.inspect(small).tensors[0][1] == (1000, 1000)
    member = npy((1 << 27,)) + bytes(4 << 27)
    path = write_npz(tmp_path / "file.npz", {"x.npy": member}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UnreadableFile, match="unpacks from"):
        interp.inspect(path)


def test_a_torch_file_in_a_pickle_is_read_a_few_times_only(tmp_path: Path) -> None:
    """The same bytes, loaded again and again."""
    inner = pickle.dumps([0] * 100_000, protocol=2)
    inner = pickles.in_legacy(tmp_path / "inner", inner).read_bytes()
    load = name("torch.storage", "_load_from_bytes") + b"h\x00\x85R0"
    program = START + b"B" + struct.pack("<I", len(inner)) + inner + b"q\x000" + load * 5000 + b"N" + STOP
    path = pickles.bare(tmp_path / "file.pkl", program)
    within_limits(path)
    with pytest.raises(UnreadableFile, match="over and over"):
        interp.inspect(path)
