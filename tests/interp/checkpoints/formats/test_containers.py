"""Containers of other libraries, each written by the library or byte by byte as it writes: the same tensors come back."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import interp
from interp.checkpoints.formats import keras_files
from interp.checkpoints.formats import reading as formats
from interp.errors import UnreadableFile
from tests.interp.checkpoints.files import weights


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))


def assert_loads(path: Path, model: nn.Module) -> interp.Subject:
    x = torch.randn(4, 3)
    subject = interp.load(path, device="cpu")
    torch.testing.assert_close(subject.model(x), model(x))
    return subject


# ---- torch distributed


@pytest.fixture
def distributed(tmp_path: Path) -> Path:
    """A checkpoint of one process, by torch itself."""
    import torch.distributed.checkpoint as dcp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: no process group, so one process is assumed
        dcp.save({"model": network().state_dict(), "step": 7, "config": {"lr": 0.1}}, checkpoint_id=tmp_path / "step")
    return tmp_path / "step"


def test_a_distributed_checkpoint_is_read(distributed: Path) -> None:
    """Its tensors, its step, its config; nested as it was saved."""
    contents = formats.read(distributed / ".metadata")
    assert contents.format == "torch distributed"
    assert (contents.tree["step"], contents.tree["config"]) == (7, {"lr": 0.1})
    for name, expected in network().state_dict().items():
        assert torch.equal(contents.tree["model"][name].load(), expected)
    subject = assert_loads(distributed, network())
    assert (subject.step, subject.name) == (7, "step")


def split(
    folder: Path, tensor: torch.Tensor, pieces: list[tuple[tuple[int, int], tuple[int, int]]], **changes: Any
) -> Path:
    """A checkpoint whose one tensor is cut over several files, as several processes write it; by torch's own classes."""
    import io
    import pickle

    from torch.distributed.checkpoint import metadata as m
    from torch.distributed.checkpoint.filesystem import _StorageInfo

    folder.mkdir(exist_ok=True)
    stored, chunks = {}, []
    for number, (offsets, sizes) in enumerate(pieces):
        piece = tensor[offsets[0] : offsets[0] + sizes[0], offsets[1] : offsets[1] + sizes[1]].clone()
        stream = io.BytesIO()
        torch.save(piece, stream)
        name = changes.get("name", f"__{number}_0.distcp")
        (folder / name).write_bytes(b"before" + stream.getvalue())
        chunks.append(m.ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)))
        stored[m.MetadataIndex("w", torch.Size(offsets), number)] = _StorageInfo(name, 6, len(stream.getvalue()))
    about = m.TensorStorageMetadata(m.TensorProperties(dtype=tensor.dtype), tensor.shape, chunks)
    whole = m.Metadata({"w": about}, planner_data=None, storage_data=stored)
    (folder / ".metadata").write_bytes(pickle.dumps(whole))
    return folder / ".metadata"


QUARTERS = [((0, 0), (2, 3)), ((2, 0), (2, 3)), ((0, 3), (2, 1)), ((2, 3), (2, 1))]


def test_pieces_are_put_together(tmp_path: Path) -> None:
    """Four processes, split along both axes."""
    tensor = torch.arange(16.0).view(4, 4).to(torch.bfloat16)
    read = formats.read(split(tmp_path / "run", tensor, QUARTERS)).tree["w"]
    assert (read.shape, read.dtype) == ((4, 4), torch.bfloat16)
    assert torch.equal(read.load(), tensor)


def test_what_is_missing_of_a_distributed_checkpoint(tmp_path: Path, distributed: Path) -> None:
    """A piece that nobody saved, a file that was not copied or is cut short, and the hidden file."""
    tensor = torch.arange(16.0).view(4, 4)
    with pytest.raises(UnreadableFile, match="hold 12 of 16"):
        formats.read(split(tmp_path / "three", tensor, QUARTERS[:2]))
    path = split(tmp_path / "run", tensor, QUARTERS)
    piece = tmp_path / "run" / "__3_0.distcp"
    data = piece.read_bytes()
    piece.write_bytes(data[:-9])
    with pytest.raises(UnreadableFile, match="truncated"):
        formats.read(path).tree["w"].load()
    piece.unlink()
    with pytest.raises(UnreadableFile, match=r"__3_0\.distcp, which is missing"):
        formats.read(path).tree["w"].load()
    (distributed / ".metadata").unlink()
    with pytest.raises(UnreadableFile, match="hidden file"):
        interp.load(distributed)


def test_metadata_name_no_file_outside(tmp_path: Path) -> None:
    tensor = torch.arange(4.0).view(2, 2)
    (tmp_path / "run").mkdir()
    path = split(tmp_path / "run", tensor, [((0, 0), (2, 2))], name="../other.distcp")
    with pytest.raises(UnreadableFile, match="does not say where"):
        formats.read(path).tree["w"].load()


# ---- flax and other JAX libraries


def pack(tree: Any) -> bytes:
    """As flax.serialization.msgpack_serialize does, by the msgpack library."""
    msgpack = pytest.importorskip("msgpack")

    def array(value: np.ndarray) -> bytes:
        return msgpack.packb((value.shape, value.dtype.name, value.tobytes()), use_bin_type=True)

    def extension(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return msgpack.ExtType(1, array(value))
        if isinstance(value, complex):
            return msgpack.ExtType(2, msgpack.packb((value.real, value.imag)))
        assert isinstance(value, np.generic)
        return msgpack.ExtType(3, array(np.asarray(value)))

    return msgpack.packb(tree, default=extension, strict_types=True)


def dense(seed: int = 0) -> dict[str, Any]:
    """The parameters of two flax layers."""
    rng = np.random.default_rng(seed)
    layers = {
        f"Dense_{i}": {"kernel": rng.normal(size=s), "bias": rng.normal(size=s[1])}
        for i, s in enumerate([(3, 5), (5, 2)])
    }
    return {"params": layers}


def test_flaxs_msgpack_is_read(tmp_path: Path) -> None:
    """A train state: numbers, texts, nothing, long maps and lists, arrays of many types, and names with slashes."""
    types = ("float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool", "complex64", "uint16")
    arrays = {name: np.arange(6).reshape(2, 3).astype(name) for name in types}
    tree = {"step": 70_000, "lr": 1e-3, "name": "x" * 300, "none": None, "flags": [True, False, -1, -200, 2**40],
            "scalar": np.float32(0.5), "complex": 1 + 2j, "many": {str(i): i for i in range(70)}, "bytes": b"ab",
            "empty": np.zeros((0, 3)), "types": arrays, **dense()}  # fmt: skip
    (tmp_path / "checkpoint_70000").write_bytes(pack(tree))  # flax gives its files no suffix
    contents = formats.read(tmp_path / "checkpoint_70000")
    assert contents.format == "msgpack"
    read = contents.tree
    for name in ("step", "lr", "name", "none", "flags", "complex", "many", "bytes", "scalar"):
        assert read[name] == tree[name]
    assert all(np.array_equal(read["types"][k].load().numpy(), v) for k, v in arrays.items())
    assert read["empty"].load().shape == (0, 3)
    assert list(read["params"]) == ["Dense_0/kernel", "Dense_0/bias", "Dense_1/kernel", "Dense_1/bias"]
    assert np.array_equal(read["params"]["Dense_1/kernel"].load().numpy(), dense()["params"]["Dense_1"]["kernel"])


def test_arrays_in_pieces_are_joined(tmp_path: Path) -> None:
    """Flax cuts arrays of more than a gigabyte; more than ten pieces, so that their order is that of numbers."""
    array = np.arange(24.0).reshape(4, 6)
    cut = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 4, "1": 6},
        "chunks": {str(i): array.ravel()[2 * i : 2 * i + 2] for i in range(12)},
    }
    (tmp_path / "x.msgpack").write_bytes(pack({"w": cut}))
    assert np.array_equal(formats.read(tmp_path / "x.msgpack").tree["w"].load().numpy(), array)


BROKEN = {
    "cut short": lambda data: data[:-3],
    "something behind": lambda data: data + b"\x00",
    "an array too long": lambda data: data.replace(b"\x93\x92\x02\x03", b"\x93\x92\x7f\x7f", 1),
    "a map of four billion": lambda _: b"\xdf\xff\xff\xff\xff",
    "a text of four billion": lambda _: b"\x81\xdb\xff\xff\xff\xff",
    "bytes of four billion": lambda _: b"\x81\xa1a\xc6\xff\xff\xff\xff",
    "deep": lambda _: b"\x91" * 100_000,
    "no MessagePack": lambda _: b"\x81\xa1a\xc1",
    "another extension": lambda _: b"\x81\xa1a\xd4\x05x",
    "a list as a key": lambda _: b"\x81\x90\x01",
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_msgpack_is_refused(broken: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "x.msgpack"
    path.write_bytes(broken(pack({"w": np.arange(6.0).reshape(2, 3)})))
    with pytest.raises(UnreadableFile, match=r"x\.msgpack"):
        formats.read(path)


def test_nested_parameters_get_names(tmp_path: Path, saved: Callable[..., Path]) -> None:
    """Of flax and Haiku, in pickles; bundles of steps and sets of weights stay apart."""
    haiku = {"mlp/~/linear_0": {"w": np.ones((2, 3)), "b": np.zeros(3)}}
    assert list(formats.read(saved(haiku)).tree) == ["mlp/~/linear_0/w", "mlp/~/linear_0/b"]
    assert list(formats.read(saved(dense())).tree["params"])[:2] == ["Dense_0/kernel", "Dense_0/bias"]
    for apart in ({"step_1": {"w": np.ones((2, 2))}, "step_2": {"w": np.ones((2, 2))}}, {"teacher": {"w": np.ones(2)}}):
        assert set(formats.read(saved(apart)).tree) == set(apart)
        assert all(isinstance(v, dict) for v in formats.read(saved(apart)).tree.values())


# ---- Keras


def h5(path: Path, tree: dict[str, np.ndarray], **attributes: Any) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in tree.items():
            file[name] = array
        file.attrs.update(attributes)
    return path


KERNEL, BIAS = np.random.default_rng(0).normal(size=(3, 5)), np.arange(5.0)


def test_keras_h5_of_old_is_read(tmp_path: Path) -> None:
    """model.save('x.h5') of Keras 2: the layer's name twice, numbers behind a colon, the optimizer beside."""
    tree = {"model_weights/dense/dense/kernel:0": KERNEL, "model_weights/dense/dense/bias:0": BIAS,
            "optimizer_weights/Adam/m:0": KERNEL}  # fmt: skip
    contents = formats.read(h5(tmp_path / "x.h5", tree, model_config=json.dumps({"class_name": "Sequential"})))
    assert contents.format == "keras"
    assert set(contents.tree) == {"dense/kernel", "dense/bias"}
    assert np.array_equal(contents.tree["dense/kernel"].load().numpy(), KERNEL)
    assert json.loads(contents.metadata["keras_config"]) == {"class_name": "Sequential"}


def test_keras_3_is_read(tmp_path: Path) -> None:
    """model.weights.h5 numbers the weights; a .keras archive has one inside, and its config."""
    tree = {"layers/dense_1/vars/0": KERNEL, "layers/dense_1/vars/1": BIAS, "layers/odd/vars/0": BIAS,
            "optimizer/vars/0": BIAS}  # fmt: skip
    plain = h5(tmp_path / "x.weights.h5", tree)
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.write(plain, "model.weights.h5")
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
    for path in (plain, tmp_path / "x.keras"):
        read = formats.read(path).tree
        assert set(read) == {"dense_1/kernel", "dense_1/bias", "odd/vars/0"}
        assert np.array_equal(read["dense_1/kernel"].load().numpy(), KERNEL)


def test_a_keras_file_without_h5py_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = h5(tmp_path / "x.h5", {"dense/kernel:0": KERNEL})
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(UnreadableFile, match=r"pip install 'interp-suite\[keras\]'"):
        formats.read(path)


def test_hdf5_that_is_damaged_large_or_elsewhere(tmp_path: Path) -> None:
    """Cut short; a terabyte that was never written; a dataset whose bytes lie in another file; a group in itself."""
    h5py = pytest.importorskip("h5py")
    path = h5(tmp_path / "x.h5", {"dense/kernel:0": KERNEL})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnreadableFile, match="truncated or corrupted HDF5"):
        formats.read(path)
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("dense/kernel", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))
    with pytest.raises(UnreadableFile, match="unfolds"):
        formats.read(tmp_path / "large.h5")
    (tmp_path / "secret").write_bytes(bytes(80))
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file.create_dataset("dense/kernel", (10,), "f8", external=[(str(tmp_path / "secret"), 0, 80)])
        file["link"] = h5py.ExternalLink(str(tmp_path / "x.h5"), "/dense")
    with pytest.raises(UnreadableFile, match="lies in another file"):
        formats.read(tmp_path / "outside.h5")
    with h5py.File(tmp_path / "loop.h5", "w") as file:
        file["dense/kernel"] = KERNEL
        file["dense/again"] = file["dense"]
    assert set(formats.read(tmp_path / "loop.h5").tree) == {"dense/kernel"}
    assert keras_files.is_keras(["model.weights.h5", "config.json"])


# ---- Hugging Face


def hugging_face(folder: Path, *files: str, config: dict[str, Any] | None = None) -> Path:
    """A folder with the usual company of a model."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config or {"model_type": "x", "tie_word_embeddings": True}))
    for name in ("tokenizer.json", "vocab.txt", "README.md"):
        (folder / name).write_text("{}")
    for name in files:
        if name.endswith(".safetensors"):
            save_file(weights(), folder / name)
        else:
            torch.save(weights() if "model" in name else {"state": {}}, folder / name)
    return folder


@pytest.mark.parametrize(
    "files",
    [("model.safetensors",), ("pytorch_model.bin",), ("model.safetensors", "pytorch_model.bin"),
     ("model.safetensors", "optimizer.pt", "scheduler.pt", "training_args.bin"), ("pytorch_model.bin", "rng_state.pth")],
    ids=str,
)  # fmt: skip
def test_a_folder_of_hugging_face_is_one_model(files: tuple[str, ...], tmp_path: Path) -> None:
    """Whatever a trainer left beside it, which a note names; its config is the config."""
    model = network()
    model.load_state_dict(weights())
    subject = assert_loads(hugging_face(tmp_path / "gpt", *files), model)
    assert subject.provenance.config["tie_word_embeddings"] is True
    assert subject.name == "gpt" or not files[1:]
    noted = [n for n in subject.provenance.notes if "left out" in n]
    assert len(noted) == (1 if files[1:] else 0)
    assert all(name in noted[0] for name in files[1:])


def test_shards_of_torch_save_are_read(tmp_path: Path) -> None:
    """pytorch_model.bin.index.json, with a shard that is missing and one that is a pointer."""
    folder, tensors = hugging_face(tmp_path / "gpt"), weights()
    shards = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
    where = {name: shards[name.startswith("2")] for name in tensors}
    for shard in shards:
        torch.save({n: t for n, t in tensors.items() if where[n] == shard}, folder / shard)
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    model = network()
    model.load_state_dict(tensors)
    assert_loads(folder, model)
    assert formats.read(index).format == "torch zip (sharded)"
    (folder / shards[1]).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n")
    with pytest.raises(UnreadableFile, match="git lfs pull"):
        interp.load(folder)
    (folder / shards[1]).unlink()
    with pytest.raises(UnreadableFile, match="is missing"):
        interp.load(folder)
