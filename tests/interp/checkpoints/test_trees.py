"""Trees of torch.save: what comes back is what torch.load gives, and hostile trees cost no more than their bytes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp.checkpoints.formats import find
from interp.checkpoints.formats import reading as formats
from interp.checkpoints.formats.plain_trees import CYCLE
from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import InterpError, UnreadableFile
from tests.interp.checkpoints import pickles
from tests.interp.checkpoints.pickles import START, STOP, entry, group, name, number, text

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool, torch.complex64, torch.complex128, torch.uint16, torch.uint32, torch.uint64,
)  # fmt: skip

# views of a base of 24 numbers: strides, offsets, overlaps, nothing at all
VIEWS: dict[str, Callable[[Tensor], Any]] = {
    "whole": lambda base: base,
    "matrix": lambda base: base.view(4, 6),
    "transposed": lambda base: base.view(2, 3, 4).permute(2, 0, 1),
    "end": lambda base: base[7:],
    "steps": lambda base: base[1::3],
    "expanded": lambda base: base[:2].expand(3, 2),
    "one number": lambda base: base[5],
    "nothing": lambda base: base[:0],
    "empty axis": lambda base: base[:0].view(0, 3),
    "shared halves": lambda base: [base[:12], base[12:]],
    "shared twice": lambda base: {"tied": base, "with": base},
}


def tensors() -> st.SearchStrategy[Any]:
    bases = st.builds(
        lambda dtype, shift: (torch.arange(24) + shift).to(torch.float64).to(dtype),
        st.sampled_from(DTYPES), st.integers(-3, 3),
    )  # fmt: skip
    return st.builds(lambda view, base: VIEWS[view](base), st.sampled_from(sorted(VIEWS)), bases)


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(min_size=1, max_size=8)
)
KEYS = st.text(max_size=6) | st.integers(-5, 300) | st.tuples(st.integers(0, 3), st.text(max_size=2))
TREES = st.recursive(
    PLAIN | tensors() | st.sets(st.integers(-(2**63), 2**63), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=10,
)


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal in structure, in type and in every entry, where a reference is loaded first."""
    if isinstance(theirs, Tensor):
        assert isinstance(ours, TensorRef)
        loaded = ours.load()
        assert (ours.shape, ours.dtype) == (tuple(theirs.shape), theirs.dtype) == (tuple(loaded.shape), loaded.dtype)
        assert torch.equal(
            loaded.contiguous().view(-1).view(torch.uint8), theirs.contiguous().view(-1).view(torch.uint8)
        )
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert (type(ours), len(ours)) == (type(theirs), len(theirs))
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other)
    else:
        assert (type(ours), ours) == (type(theirs), theirs)


def as_torch_reads(path: Path, tree: Any) -> Any:
    """The twin: torch.load, and what was saved where torch can't read its own legacy file of a new dtype."""
    try:
        return torch.load(path, weights_only=True)
    except AttributeError as error:
        assert "UntypedStorage" in str(error)  # noqa: PT017  torch's own gap, checked to be no other
        return tree


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(tree=TREES)
def test_a_tree_comes_back_as_torch_gives_it(tree: Any, zipped: bool, tmp_path: Path) -> None:
    """The twin is torch.load(weights_only=True)."""
    path = tmp_path / "file.pt"
    torch.save(tree, path, _use_new_zipfile_serialization=zipped)
    contents = formats.read(path)
    assert contents.format == ("torch zip" if zipped else "torch legacy")
    assert contents.stubs == ()
    assert_same(contents.tree, as_torch_reads(path, tree))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_comes_back(dtype: torch.dtype, zipped: bool, saved: Callable[..., Path]) -> None:
    """Every dtype in every view of the table, as torch gives it."""
    base = torch.arange(24).to(torch.float64).to(dtype)
    for view in VIEWS.values():
        tree = {"x": view(base)}
        path = saved(tree, _use_new_zipfile_serialization=zipped)
        assert_same(formats.read(path).tree, as_torch_reads(path, tree))


LAZY = {"conjugate": lambda x: x.conj(), "negative": lambda x: x.conj().imag, "both": lambda x: x.conj().T.imag}


@pytest.mark.parametrize("view", LAZY.values(), ids=LAZY)
def test_lazily_conjugated_tensors_keep_their_sign(view: Callable[[Tensor], Tensor], saved: Callable) -> None:
    """torch stores the bytes as they are and a flag beside them; the flag is part of the value."""
    path = saved({"x": view(torch.tensor([[1 + 2j, 3 - 4j]]))})
    expected = torch.load(path, weights_only=True)["x"].resolve_neg().resolve_conj()
    assert torch.equal(formats.read(path).tree["x"].load().resolve_neg().resolve_conj(), expected)


def test_a_view_of_a_longer_untyped_storage_is_read(saved: Callable[..., Path]) -> None:
    """The storage's ten bytes are not a whole number of entries; the tensor needs only the first eight."""
    path = saved({"x": torch.arange(10, dtype=torch.uint8)[:8].view(torch.uint32)})
    assert_same(formats.read(path).tree, torch.load(path, weights_only=True))


def test_empty_bytes_are_bytes(saved: Callable[..., Path]) -> None:
    """Protocol 2 writes them as a call of bytes."""
    contents = formats.read(saved({"empty": b"", "also": bytearray(), "full": b"x"}))
    assert contents.tree == {"empty": b"", "also": b"", "full": b"x"}
    assert contents.stubs == ()


ARRAYS = {
    **{code: np.arange(6).astype(code).reshape(2, 3) for code in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?", "c8")},
    "big-endian": np.arange(6, dtype=">f4"),
    "column-major": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "a view": np.arange(12.0).reshape(3, 4)[1:, ::2],
    "one number": np.array(3.5),
    "nothing": np.zeros((0, 3)),
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_numpy_arrays_come_back_as_tensors(array: np.ndarray, protocol: int, saved: Callable[..., Path]) -> None:
    """Values, shape and type, whatever the layout in memory and the pickle's protocol."""
    read = formats.read(saved({"x": array}, pickle_protocol=protocol)).tree["x"]
    assert isinstance(read, TensorRef)
    expected = torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(array.shape))
    assert read.dtype == expected.dtype
    assert torch.equal(read.load(), expected)


SCALARS = [np.float64(1.5), np.float32(0.1), np.int64(-3), np.uint8(7), np.bool_(True), np.complex64(2j), np.str_("a")]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: type(s).__name__)
def test_numpy_scalars_come_back_as_plain_values(scalar: Any, protocol: int, saved: Callable[..., Path]) -> None:
    """A number of numpy is a number."""
    read = formats.read(saved({"x": scalar}, pickle_protocol=protocol)).tree["x"]
    assert (type(read), read) == (type(scalar.item()), scalar.item())


def test_arrays_of_text_come_back_as_lists(saved: Callable[..., Path]) -> None:
    """There are no tensors of text."""
    tree = formats.read(saved({"names": np.array([["a", "bc"]]), "one": np.array("x")})).tree
    assert tree == {"names": [["a", "bc"]], "one": "x"}


UNREAD = {"dates": np.array(["2020-01-01"], dtype="M8[D]"),
          "records": np.array([(1, 2)], dtype="i4,i4")}  # fmt: skip


@pytest.mark.parametrize("array", UNREAD.values(), ids=UNREAD)
def test_arrays_that_hold_no_numbers_are_named(array: np.ndarray, saved: Callable[..., Path]) -> None:
    """Dates and records; the message says which type it is."""
    with pytest.raises(UnreadableFile, match="numpy arrays of type") as caught:
        formats.read(saved({"x": array}))
    assert "file.pt" in str(caught.value)


def test_torchs_small_types_are_names(saved: Callable[..., Path]) -> None:
    """dtypes, devices and sizes are plain values in the tree."""
    tree = {"dtype": torch.bfloat16, "device": torch.device("cuda:1"), "size": torch.Size([2, 3])}
    assert formats.read(saved(tree)).tree == {"dtype": "torch.bfloat16", "device": "cuda:1", "size": (2, 3)}


def laughing(kind: str, depth: int = 60) -> Any:
    """A tree of ``depth`` containers that holds ``2**depth`` leaves."""
    tree: Any = ["ha"]
    for _ in range(depth):
        tree = {"list": [tree, tree], "tuple": (tree, tree), "dict": {"a": tree, "b": tree}}[kind]
    return tree


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", ["list", "dict", "tuple"])
def test_shared_parts_that_unfold_without_end_are_refused(kind: str, zipped: bool, saved: Callable[..., Path]) -> None:
    """A billion laughs: whoever prints the tree, or copies it, would never end."""
    with pytest.raises(UnreadableFile, match="unfold without end"):
        formats.read(saved(laughing(kind), _use_new_zipfile_serialization=zipped))


@pytest.mark.parametrize("kind", ["list", "dict", "tuple"])
def test_shared_parts_stay_shared(kind: str, saved: Callable[..., Path]) -> None:
    """Ten levels are read, and the tree that comes back shares what the file shares."""
    node = formats.read(saved(laughing(kind, 10))).tree
    for _ in range(10):
        first, second = node.values() if kind == "dict" else node
        assert first is second
        node = first
    assert node == ["ha"]


def test_cycles_are_cut(saved: Callable[..., Path]) -> None:
    """A list and a dict that hold themselves, and a tuple between them: the tree that comes back can be walked."""
    around: list[Any] = [1]
    around.append(({"back": around}, around))
    read = formats.read(saved({"x": around, "w": torch.ones(2, 2)})).tree["x"]
    assert read == [1, ({"back": CYCLE}, CYCLE)]


def test_finding_weights_visits_shared_parts_once(saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven dicts of ten equal entries hold ten million paths; to look at them is to look at seven dicts."""
    tree: Any = {"w": 1}
    for _ in range(4):
        tree = {f"k{i}": tree for i in range(10)}
    contents = formats.read(saved(tree))
    calls: list[int] = []
    candidates = find._candidates

    def count(*args: Any) -> Any:
        calls.append(1)
        return candidates(*args)

    monkeypatch.setattr(find, "_candidates", count)
    with pytest.raises(InterpError, match="no named tensors"):
        find.find(contents)
    assert len(calls) < 500


DEEP = 100_000


def test_a_tree_too_deep_to_walk_is_an_error(tmp_path: Path) -> None:
    """A hundred thousand lists in one another."""
    path = pickles.bare(tmp_path / "file.pkl", START + b"]" * DEEP + b"a" * (DEEP - 1) + STOP)
    with pytest.raises(UnreadableFile, match=r"file\.pkl"):
        formats.read(path)


def read_quietly(path: Path) -> None:
    with contextlib.suppress(UnreadableFile):
        formats.read(path)


KEYS_OF_TUPLES = {
    "deep": b"\x85" * 1_000_000,
    "deep, each remembered": b"\x85q\x00" * 1_000_000,
    "a billion laughs": b"2\x86" * 60,
    "a billion laughs, each remembered": b"q\x00h\x00\x86" * 60,
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a crash is looked for in a forked process")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # later Pythons warn of threads; the child only reads
@pytest.mark.parametrize("tuples", KEYS_OF_TUPLES.values(), ids=KEYS_OF_TUPLES)
def test_tuples_as_a_key_neither_crash_nor_hang(tuples: bytes, tmp_path: Path) -> None:
    """Python hashes tuples in tuples by recursion without a limit, and shared ones as often as they occur."""
    path = pickles.bare(tmp_path / "file.pkl", START + b"})" + tuples + b"Ns" + STOP)
    child = multiprocessing.get_context("fork").Process(target=read_quietly, args=(path,))
    child.start()
    child.join(timeout=15)
    if child.is_alive():
        child.kill()
        child.join()
        pytest.fail(f"a file of {path.stat().st_size} bytes is still being read after 15 seconds")
    assert child.exitcode == 0


COSTLY = {
    "a reference that is a billion laughs": pickles.laughs(17) + b"Q",
    "a storage's key": pickles.storage().replace(text("0"), pickles.laughs(17)),
    "a shape": pickles.tensor(pickles.storage())[:-1].replace(number((4,)), group(pickles.laughs(17))) + b"R",
    "a device": name("torch", "device") + pickles.laughs(17) + b"\x85R",
    "an array's type": name("numpy", "dtype") + pickles.laughs(17) + b"\x85R",
    "a memo index far beyond the pickle": b"Nr" + (1 << 17).to_bytes(4, "little"),
}  # fmt: skip


@pytest.mark.parametrize("program", COSTLY.values(), ids=COSTLY)
def test_small_pickles_cost_little_memory(program: bytes, tmp_path: Path, peak: Callable[[], int]) -> None:
    """A few hundred bytes of file must not become megabytes (and, one byte changed, gigabytes) in memory."""
    path = pickles.in_zip(tmp_path / "file.pt", START + entry("x", program) + STOP, {"0": b"\0" * 16})
    try:
        formats.read(path)
    except UnreadableFile as error:
        assert len(str(error)) < 1000  # noqa: PT017  it may read or not; the message is short in either case
    assert peak() < 1 << 18


def test_a_bare_pickle_of_arrays_is_read(tmp_path: Path) -> None:
    """The way of numpy users: pickle.dump of a dict of arrays."""
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps({"w": np.arange(6.0).reshape(2, 3), "steps": [1, 2]}))
    contents = formats.read(path)
    assert contents.format == "pickle"
    assert contents.tree["w"].load().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert contents.tree["steps"] == [1, 2]
