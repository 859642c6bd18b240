"""Tensors of every kind that people save: pickled, sparse, quantised, eight-bit, in tuples, in whole modules."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import interp
from interp.checkpoints.formats import reading as formats
from interp.errors import UnreadableFile
from tests.interp.checkpoints.files import references

BOTH = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))


def dump(path: Path, tree: Any, protocol: int | None = None) -> Path:
    path.write_bytes(pickle.dumps(tree, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickled_state_dict_is_read(protocol: int, tmp_path: Path) -> None:
    """pickle.dump writes every tensor as a torch file of its own; shared storages stay one."""
    model = network()
    path = dump(tmp_path / "model.pkl", model.state_dict(), protocol)
    contents = formats.read(path)
    assert (contents.format, contents.stubs, contents.notes) == ("pickle", (), ())
    for name, expected in model.state_dict().items():
        assert torch.equal(contents.tree[name].load(), expected)
    x = torch.randn(4, 3)
    torch.testing.assert_close(interp.load(path, device="cpu").model(x), model(x))


DTYPES = (
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.uint16,
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_pickled_tensor_of_any_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    """Views, transposes and parameters too."""
    base = torch.arange(24).to(torch.float64).to(dtype)
    tree = {"whole": base, "view": base.view(4, 6).t(), "end": base[20:], "empty": base[:0]}
    read = formats.read(dump(tmp_path / "x.pkl", tree)).tree
    assert all(torch.equal(read[k].load(), v) for k, v in tree.items())


def test_a_pickled_module_is_read(tmp_path: Path) -> None:
    """A whole module, by pickle.dump: its classes are stubs, its weights are there."""
    model = network()
    path = dump(tmp_path / "module.pkl", model)
    x = torch.randn(4, 3)
    torch.testing.assert_close(interp.load(path, device="cpu").model(x), model(x))


def test_a_zip_file_of_torch_in_a_pickle(tmp_path: Path) -> None:
    """As some programs write it: torch.save into bytes, the bytes into a pickle by torch's own loader."""

    class Saved:
        def __reduce__(self) -> Any:
            stream = io.BytesIO()
            torch.save({"w": torch.arange(6.0).view(2, 3)}, stream)
            return torch.storage._load_from_bytes, (stream.getvalue(),)

    read = formats.read(dump(tmp_path / "x.pkl", {"inner": Saved()})).tree
    assert torch.equal(read["inner"]["w"].load(), torch.arange(6.0).view(2, 3))


def test_bytes_that_are_no_torch_file(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return torch.storage._load_from_bytes, (b"nonsense",)

    with pytest.raises(UnreadableFile, match="should be a torch file"):
        formats.read(dump(tmp_path / "x.pkl", Bad()))


@BOTH
def test_a_whole_module_is_read(zipped: bool, saved: Callable[..., Path]) -> None:
    """The legacy format keeps the source of every class beside it; it is not read, and the weights are."""
    model = nn.Sequential(network(), nn.Linear(2, 4)).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: source code of some classes cannot be found
        path = saved(model, _use_new_zipfile_serialization=zipped)
    found = interp.inspect(path)
    assert {n: s for n, s, _, _ in found.tensors} == {n: tuple(t.shape) for n, t in model.state_dict().items()}
    assert "torch.nn.modules.linear.Linear" in found.facts["classes not read"]


@BOTH
def test_lists_and_tuples_of_tensors_are_in_the_tree(zipped: bool, saved: Callable[..., Path]) -> None:
    """Nested, and with plain values among them."""
    tree = [torch.ones(2), (torch.zeros(3, 3), [torch.arange(4)], "x"), {"a": (torch.ones(1),)}]
    read = formats.read(saved(tree, _use_new_zipfile_serialization=zipped)).tree
    assert torch.equal(read[1][1][0].load(), torch.arange(4))
    assert len(list(references(read))) == 4


def sparse_layouts(dense: Tensor) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "sparse_coo": dense.to_sparse(), "sparse_csr": dense.to_sparse_csr(), "sparse_csc": dense.to_sparse_csc(),
            "sparse_bsr": dense.to_sparse_bsr((2, 2)), "sparse_bsc": dense.to_sparse_bsc((2, 2)),
        }  # fmt: skip


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64], ids=str)
def test_sparse_tensors_are_read_as_dense(dtype: torch.dtype, zipped: bool, saved: Callable[..., Path]) -> None:
    """Every layout of torch, and a note with how many entries were stored."""
    dense = (torch.rand(6, 8, generator=torch.Generator().manual_seed(1)).mul(9).floor() % 4).to(dtype)
    tree = sparse_layouts(dense)
    contents = formats.read(saved(tree, _use_new_zipfile_serialization=zipped))
    for name, tensor in tree.items():
        read = contents.tree[name]
        assert (read.shape, read.dtype) == ((6, 8), dtype)
        assert torch.equal(read.load(), dense)
        held = tensor._nnz() if name == "sparse_coo" else tensor.values().numel()
        assert f"stored as {name}, read as dense: {name} ({held} of 48 entries)" in contents.notes
    assert contents.stubs == ()


def test_sparse_tensors_that_are_not_coalesced_or_hybrid(saved: Callable[..., Path]) -> None:
    """Equal indices add up; some axes may be dense."""
    index = torch.tensor([[0, 0, 2], [1, 1, 0]])
    twice = torch.sparse_coo_tensor(index, torch.tensor([1.0, 2.0, 3.0]), (3, 2), check_invariants=True)
    hybrid = torch.sparse_coo_tensor(index[:1], torch.arange(12.0).view(3, 4), (3, 4), check_invariants=True)
    nothing = torch.sparse_coo_tensor(
        torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), (3, 2), check_invariants=True
    )
    tree = {"twice": twice, "hybrid": hybrid, "nothing": nothing}
    read = formats.read(saved(tree)).tree
    assert all(torch.equal(read[k].load(), v.to_dense()) for k, v in tree.items())


def test_a_sparse_index_outside_of_its_tensor(saved: Callable[..., Path]) -> None:
    """Nothing is written outside of memory, and nothing wraps around."""
    for wrong in (7, -1):
        bad = torch.sparse_coo_tensor(torch.tensor([[wrong]]), torch.ones(1), (3,), check_invariants=False)
        with pytest.raises(UnreadableFile, match="outside of its size"):
            formats.read(saved({"w": bad})).tree["w"].load()


def test_sparse_weights_make_a_network(saved: Callable[..., Path]) -> None:
    """The front door, with its note."""
    model = network()
    state = {n: t.to_sparse() if t.ndim == 2 else t for n, t in model.state_dict().items()}
    subject = interp.load(saved(state), device="cpu")
    x = torch.randn(4, 3)
    torch.testing.assert_close(subject.model(x), model(x))
    assert any("read as dense: 0.weight (15 of 15 entries)" in note for note in subject.provenance.notes)


def quantised() -> dict[str, Tensor]:
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to move quantisation into a package of its own
        scales, zeros = torch.rand(4, dtype=torch.float64) / 10 + 0.01, torch.tensor([0, 3, -2, 7])
        return {
            "quint8": torch.quantize_per_tensor(x, 0.05, 117, torch.quint8),
            "qint8": torch.quantize_per_tensor(x, 0.05, -3, torch.qint8),
            "qint32": torch.quantize_per_tensor(x, 0.001, 10, torch.qint32),
            "channel": torch.quantize_per_channel(x, scales, zeros, 0, torch.qint8),
            "transposed": torch.quantize_per_channel(x.t().contiguous(), scales, zeros, 1, torch.qint8),
            "floats": torch.quantize_per_channel(x.abs(), scales.float(), torch.full((4,), 0.1), 0, torch.quint8),
        }


@BOTH
def test_quantised_tensors_are_read_as_floats(zipped: bool, saved: Callable[..., Path]) -> None:
    """Against torch's own dequantize, per tensor and per channel, with a note."""
    tree = quantised()
    contents = formats.read(saved(tree, _use_new_zipfile_serialization=zipped))
    for name, tensor in tree.items():
        assert contents.tree[name].dtype == torch.float32
        torch.testing.assert_close(contents.tree[name].load(), tensor.dequantize(), rtol=1e-6, atol=1e-7)
    assert "stored as int8 quantised per channel, read as float32: channel, transposed" in contents.notes
    assert contents.stubs == ()


FLOAT8 = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]


@pytest.mark.parametrize("dtype", FLOAT8, ids=str)
def test_floats_of_eight_bits_become_float32(dtype: torch.dtype, saved: Callable[..., Path], tmp_path: Path) -> None:
    """Exactly, views too, in torch files and in pickles."""
    x = torch.linspace(-3, 3, 24).to(dtype)
    tree = {"w": x.view(4, 6).t(), "b": x[5:9]}
    for path in (saved(tree), dump(tmp_path / "x.pkl", tree)):
        contents = formats.read(path)
        for name, tensor in tree.items():
            assert contents.tree[name].dtype == torch.float32
            assert torch.equal(contents.tree[name].load(), tensor.to(torch.float32))
        assert contents.notes == (f"stored as {str(dtype)[6:]}, read as float32: w, b",)


class Named(Tensor):
    """A subclass of a user's own."""


@BOTH
def test_subclasses_of_tensors_are_tensors(zipped: bool, saved: Callable[..., Path]) -> None:
    """Parameters, buffers, and classes of users."""
    x = torch.arange(6.0).view(2, 3)
    tree = {"own": x.as_subclass(Named), "parameter": nn.Parameter(x), "buffer": nn.Buffer(x.clone())}
    read = formats.read(saved(tree, _use_new_zipfile_serialization=zipped)).tree
    assert all(torch.equal(read[name].load(), x) for name in tree)


def test_arrays_of_objects_are_lists(saved: Callable[..., Path]) -> None:
    """Ragged lists of arrays, as numpy users keep the weights of all layers."""
    layers = np.empty(2, dtype=object)
    layers[:] = [np.ones((2, 3)), np.zeros(4)]
    tree = {"layers": layers, "one": np.array({"a": 1}, dtype=object)}
    read = formats.read(saved(tree)).tree
    assert [r.shape for r in read["layers"]] == [(2, 3), (4,)]
    assert read["one"] == {"a": 1}


def test_a_dict_in_an_npy_file_is_read(tmp_path: Path) -> None:
    """numpy.save(path, state_dict) pickles it; a plain array is one tensor."""
    arrays = {"fc.weight": np.random.default_rng(0).normal(size=(3, 2)), "fc.bias": np.zeros(3)}
    np.save(tmp_path / "dict.npy", arrays)  # type: ignore[arg-type]
    np.save(tmp_path / "plain.npy", arrays["fc.weight"])
    np.savez(tmp_path / "objects.npz", params=np.array(arrays, dtype=object), x=np.ones(2))
    assert np.array_equal(formats.read(tmp_path / "dict.npy").tree["fc.weight"].load().numpy(), arrays["fc.weight"])
    assert np.array_equal(formats.read(tmp_path / "plain.npy").tree["array"].load().numpy(), arrays["fc.weight"])
    tree = formats.read(tmp_path / "objects.npz").tree
    assert np.array_equal(tree["params"]["fc.weight"].load().numpy(), arrays["fc.weight"])


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_of_jaxs_own_types(kind: str, protocol: int, tmp_path: Path) -> None:
    """ml_dtypes adds them to numpy."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.arange(-4, 4).reshape(2, 4).astype(getattr(ml_dtypes, kind))
    contents = formats.read(dump(tmp_path / "x.pkl", {"w": array}, protocol))
    assert np.array_equal(contents.tree["w"].load().float().numpy(), array.astype(np.float32))
    assert contents.stubs == ()


def test_a_compressed_storage_says_what_to_do(tmp_path: Path) -> None:
    """An archive that was unpacked and zipped again is intact."""
    torch.save({"w": torch.ones(64)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.namelist():
            new.writestr(member, old.read(member))
    with pytest.raises(UnreadableFile, match="zip it with -0"):
        formats.read(tmp_path / "b.pt")


def test_an_ordered_dict_keeps_its_order(saved: Callable[..., Path]) -> None:
    tree = OrderedDict((str(i), torch.full((2,), float(i))) for i in (3, 1, 2))
    assert list(formats.read(saved(tree)).tree) == ["3", "1", "2"]
