"""Formats: every kind of file gives the same tensors, lazily; what is not a checkpoint says so."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import interp
from interp.checkpoints.formats import reading as formats
from interp.checkpoints.formats import torch_files
from interp.checkpoints.formats.safetensors_files import DTYPES
from interp.checkpoints.formats.tensors import FLOAT8
from interp.errors import InterpError, UnreadableFile
from tests.interp.checkpoints.files import WRITERS, npy, references, weights, with_location, write, write_npz


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_tensors(kind: str, tmp_path: Path) -> None:
    """Names, shapes, dtypes and values, and the format by its name."""
    path = write(kind, tmp_path)
    contents = formats.read(path)
    assert (contents.path, contents.format) == (path, kind.partition(",")[0])
    found = contents.tree.get("model", contents.tree)
    assert set(found) == set(weights())
    for name, expected in weights().items():
        assert (found[name].shape, found[name].dtype, found[name].device) == (expected.shape, torch.float32, "cpu")
        assert torch.equal(found[name].load(), expected)


def test_a_header_of_safetensors_is_kept(tmp_path: Path) -> None:
    """Metadata of single files and of shards."""
    save_file(weights(), tmp_path / "file.safetensors", metadata={"format": "pt", "note": "x"})
    assert formats.read(tmp_path / "file.safetensors").metadata == {"format": "pt", "note": "x"}


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_every_dtype_of_safetensors_is_read(dtype: torch.dtype, tmp_path: Path) -> None:
    """The dtype is known before the tensor is read, and is right; floats of eight bits become float32, with a note."""
    numbers = torch.arange(1, 5).to(torch.float32).to(dtype)
    save_file({"x": numbers, "y": torch.ones(2)}, tmp_path / "file.safetensors")
    contents = formats.read(tmp_path / "file.safetensors")
    read, expected = contents.tree["x"], torch.float32 if dtype in FLOAT8 else dtype
    assert read.dtype == read.load().dtype == expected
    assert torch.equal(read.load(), numbers.to(expected))
    assert torch.equal(read.row(2).load(), numbers.to(expected)[2])
    name = str(dtype).removeprefix("torch.")
    assert contents.notes == ((f"stored as {name}, read as float32: x",) if dtype in FLOAT8 else ())


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("descr", ["<f8", ">f8", "<f4", ">i4", "<i8", "|u1", "|b1", "<f2", "<c8", "<u2"])
def test_every_dtype_of_npz_is_read(descr: str, order: Any, tmp_path: Path) -> None:
    """Either byte order, row-major or column-major."""
    array = np.arange(6).reshape(2, 3).astype(descr, order=order)
    np.savez(tmp_path / "file.npz", **{"layers/0": array})
    read = formats.read(tmp_path / "file.npz").tree["layers/0"]
    assert read.dtype == read.load().dtype
    assert np.array_equal(read.load().numpy(), array)


@pytest.mark.parametrize("module", ["torch", "torch.cuda"])
@pytest.mark.parametrize("kind", ["torch zip", "torch legacy"])
def test_a_file_from_a_gpu_opens_without_one(kind: str, module: str, tmp_path: Path) -> None:
    """The tag is kept as the file has it; the bytes arrive on the CPU."""
    path = with_location(write(kind, tmp_path), "cuda:0", module)
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(path, weights_only=True)
    found = formats.read(path).tree["model"]
    assert {ref.device for ref in found.values()} == {"cuda:0"}
    for name, expected in weights().items():
        loaded = found[name].load()
        assert loaded.device.type == "cpu"
        assert torch.equal(loaded, expected)
    assert interp.load(path, device="cpu").provenance.stored_devices == ("cuda:0",)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["wd_10-1_mod_addition_loss_curve.pth", "5_digit_addition_infinite.pth"])
def test_real_files_from_a_gpu_open(name: str, data: Path) -> None:
    """Every storage in them carries the tag cuda:0."""
    contents = formats.read(data / "grokking" / name)
    assert (contents.format, contents.stubs) == ("torch zip", ())
    found = contents.tree["model"]
    assert {ref.device for ref in found.values()} == {"cuda:0"}
    assert found["embed.W_E"].load().device.type == "cpu"
    twin = torch.load(data / "grokking" / name, weights_only=True, map_location="cpu")["model"]
    assert all(torch.equal(found[key].load(), value) for key, value in twin.items())


def corrupted(path: Path, data: bytes) -> Path:
    """One bit of the tensor's bytes flipped, at their end."""
    content = bytearray(path.read_bytes())
    content[content.rindex(data) + len(data) - 2] ^= 4
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["torch zip", "npz"])
def test_reading_touches_no_tensor_and_loading_checks_it(kind: str, tmp_path: Path) -> None:
    """A flipped bit in 64 KiB of weights is noticed when they are asked for, by their checksum, and the others load."""
    big = np.random.default_rng(0).normal(size=8192)
    path = tmp_path / "file"
    if kind == "npz":
        np.savez(tmp_path / "file.npz", big=big, small=np.arange(3.0))
        path = tmp_path / "file.npz"
    else:
        torch.save({"big": torch.from_numpy(big), "small": torch.arange(3.0)}, path)
    tree = formats.read(corrupted(path, big.tobytes())).tree
    assert tree["big"].shape == (8192,)
    assert tree["small"].load().tolist() == [0, 1, 2]
    with pytest.raises(UnreadableFile, match=r"corrupted.*(checksum|CRC)") as caught:
        tree["big"].load()
    assert str(path) in str(caught.value)


def test_reading_maps_no_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storages of a torch file are mapped one by one, when a tensor over them is loaded, and once."""
    mapped: list[str] = []
    original = torch_files._map_member

    def record(path: Path, info: zipfile.ZipInfo, *args: Any) -> torch.Tensor:
        mapped.append(info.filename)
        return original(path, info, *args)

    monkeypatch.setattr(torch_files, "_map_member", record)
    found = formats.read(write("torch zip", tmp_path)).tree["model"]
    assert mapped == []
    for _ in range(2):
        found["2.weight"].load()
    assert mapped == ["file/data/2"]


def test_loaded_tensors_can_be_written_without_changing_the_file(tmp_path: Path) -> None:
    """The memory map is private."""
    path = write("torch zip", tmp_path)
    before = path.read_bytes()
    formats.read(path).tree["model"]["0.weight"].load().fill_(9)
    assert path.read_bytes() == before


def load_all(path: Path) -> list[torch.Tensor]:
    return [reference.load() for reference in references(formats.read(path).tree)]


def expected_error(path: Path) -> str:
    """What a reader says about a file; it must be the one kind of error, and name the path."""
    with pytest.raises(UnreadableFile) as caught:
        load_all(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    """No file, a folder, nothing in it, and a name that no system allows."""
    (tmp_path / "empty.pt").touch()
    assert "no file" in expected_error(tmp_path / "missing.pt")
    assert "no file" in expected_error(tmp_path)
    assert "empty (0 bytes)" in expected_error(tmp_path / "empty.pt")
    expected_error(tmp_path / ("a" * 300))


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    """Its members are named."""
    write_npz(tmp_path / "file.pt", {"report.docx": b"x", "img.png": b"y"})
    assert "report.docx" in expected_error(tmp_path / "file.pt")


FORGED: dict[str, bytes] = {
    "objects that are none": npy((2,), b"\x80\x02K\x01", "|O"),
    "longer than its bytes": npy((4,), b"\0" * 12),
    "terabytes": npy((10**12,)),
    "more entries than can be counted": npy((2**40, 2**40)),
    "an axis below": npy((-1, 3), b"\0" * 12),
    "an axis that is true": npy((True, 3), b"\0" * 12),
    "an axis of text": npy(("3",), b"\0" * 12),
    "no shape": npy(None, b"\0" * 12),
    "records": npy((1,), b"\0" * 8, "<i4,<i4"),
    "long doubles": npy((1,), b"\0" * 16, "<f16"),
    "text beyond the file": npy((3,), b"", "<U1000"),
    "a header that is code": npy((1,), b"\0" * 4).replace(b"False", b"f(1)("),
    "no header": b"\x93NUMPY\x01\x00",
    "nothing": b"",
}


@pytest.mark.parametrize("member", FORGED.values(), ids=FORGED)
def test_forged_arrays_are_damage(member: bytes, tmp_path: Path) -> None:
    """Whatever a header claims, at reading or at loading the user hears one thing."""
    expected_error(write_npz(tmp_path / "file.npz", {"x.npy": member}))


def test_an_npz_that_unpacks_to_terabytes_is_refused(tmp_path: Path) -> None:
    """The directory's sizes are added up before anything is unpacked."""
    path = write_npz(tmp_path / "file.npz", {"x.npy": npy((2**40,)), "y.npy": npy((1,), b"\0" * 4)})
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    forged = bytearray(content[start:])
    forged[24:28] = b"\xff" * 4  # the size is in the extra field, the field says
    size = (2**42).to_bytes(8, "little")
    forged[30:32] = (12).to_bytes(2, "little")
    forged[51:51] = b"\x01\x00\x08\x00" + size
    end = forged.index(b"PK\x05\x06")
    forged[end + 12 : end + 16] = end.to_bytes(4, "little")
    path.write_bytes(content[:start] + forged)
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[0].file_size == 2**42, "the forgery is not what it should be"
    assert "4.1e+03 GiB" in expected_error(path)


def test_an_npz_that_lost_arrays_is_damage(tmp_path: Path) -> None:
    """One flipped bit in the directory (a comment's length) hides the arrays behind it; half a model is not a model."""
    path = write("npz", tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 33] ^= 1
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) < len(weights()), "the damage hides nothing"
    expected_error(path)


def test_an_unknown_dtype_of_safetensors_is_named(tmp_path: Path) -> None:
    """The file is intact, so it is not called damaged; the message says what to do."""
    save_file({"x": torch.ones(8)}, tmp_path / "file.safetensors")
    data = (tmp_path / "file.safetensors").read_bytes()
    (tmp_path / "file.safetensors").write_bytes(data.replace(b'"F32"', b'"F99"'))
    message = expected_error(tmp_path / "file.safetensors")
    assert "F99" in message
    assert "save it as" in message
    assert "corrupted" not in message


INDICES: dict[str, str] = {
    "no JSON": "{",
    "not an object": "[]",
    "no map": '{"metadata": {}}',
    "a map of numbers": '{"weight_map": {"0.weight": 1}}',
    "no tensors": '{"weight_map": {}}',
    "a shard outside": '{"weight_map": {"0.weight": "../other.safetensors"}}',
    "the folder above": '{"weight_map": {"0.weight": ".."}}',
    "an absolute path": '{"weight_map": {"0.weight": "/etc/hostname"}}',
    "a shard that is missing": '{"weight_map": {"0.weight": "model-00009.safetensors"}}',
    "a tensor that is missing": '{"weight_map": {"9.weight": "model-00001-of-00002.safetensors"}}',
    "no shard but itself": '{"weight_map": {"0.weight": "model.safetensors.index.json"}}',
    "too deep": "[" * 100_000,
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_a_damaged_index_is_an_error_that_names_it(index: str, tmp_path: Path) -> None:
    """Nothing outside the folder is opened, and nothing is left out in silence."""
    (tmp_path / "in").mkdir()
    save_file(weights(), tmp_path / "other.safetensors")
    path = write("safetensors (sharded)", tmp_path / "in")
    path.write_text(index)
    with pytest.raises(InterpError) as caught:
        interp.load(path, device="cpu")
    assert isinstance(caught.value, UnreadableFile)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-3], lambda b: b"\xff" * len(b)])
def test_a_damaged_shard_is_named(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """The index is good; the message names the shard that is not."""
    path = write("safetensors (sharded)", tmp_path)
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.raises(UnreadableFile, match=shard.name):
        formats.read(path)


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    """SHA-256 of three letters, as everyone knows it."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert formats.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_subject_comes_of_every_format(kind: str, tmp_path: Path) -> None:
    """The front door, against torch's own network."""
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    network.load_state_dict(weights())
    subject = interp.load(write(kind, tmp_path), device="cpu")
    x = torch.randn(4, 3)
    torch.testing.assert_close(subject.model(x), network(x))
    if "sharded" not in kind:  # there the weights lie in other files than the one that was named
        assert subject.provenance.sha256 == formats.sha256(tmp_path / WRITERS[kind][0])
