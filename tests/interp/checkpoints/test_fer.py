"""Folders and arrays of akarshkumar0101/fer: read without JAX, cut in their own order, and nothing in them runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import interp
from interp.checkpoints.formats import reading as formats
from interp.checkpoints.formats.find import find
from interp.checkpoints.layouts.fer import flat_index
from interp.errors import InterpError, UnknownName, UnreadableFile
from interp.hooked.cppn.config import CPPNConfig
from interp.picbreeder import read
from tests.interp.checkpoints.pickles import START, STOP, address_space, build, entry, group, name, number, text

ARCH = "11;sin:1,tanh:1"  # Dense_0 [4, 2], Dense_1 to Dense_10 [2, 2], Dense_11 [2, 3]
SHAPES = [(4, 2), *[(2, 2)] * 10, (2, 3)]
TOTAL = 8 + 10 * 4 + 6
ALPHABETICAL = [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
REAL = ("picbreeder_skull", "sgd_skull", "picbreeder_butterfly", "sgd_butterfly")


def jax_array(array: np.ndarray, core: str = "numpy._core", state: bytes | None = None, start: bytes = b"") -> bytes:
    """The opcodes of a pickled JAX array: how numpy begins an array, its state, and a flag."""
    dtype = build(
        name("numpy", "dtype") + group(text(array.dtype.str[1:]), b"\x89", b"\x88") + b"R",
        number((3, "<", None, None, None, -1, -1, 0)),
    )
    whole = group(number(1), number(array.shape), dtype, b"\x89", number(array.tobytes()))
    begin = start or name(f"{core}.multiarray", "_reconstruct")
    arguments = group(name("numpy", "ndarray"), number((0,)), number(b"b"))
    return name("jax._src.array", "_reconstruct_array") + group(begin, arguments, state or whole, b"\x89") + b"R"


def folder(path: Path, params: bytes, arch: Any = ARCH, args: Any = None) -> Path:
    """As the authors store a run: the arrays, the architecture, and the arguments of a trained one."""
    path.mkdir(exist_ok=True)
    (path / "params.pkl").write_bytes(START + params + STOP)
    for key, value in (("arch", arch), ("args", args)):
        if value is not None:
            (path / f"{key}.pkl").write_bytes(value if isinstance(value, bytes) else pickle.dumps(value))
    return path


def kernels(seed: int = 0) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(seed)
    return {f"params/Dense_{i}/kernel": dice.normal(size=s).astype("f4") for i, s in enumerate(SHAPES)}


def matrices(path: Path, **options: Any) -> list[np.ndarray]:
    model = interp.load(path, device="cpu", **options).model
    return [p.detach().numpy() for _, p in model.named_parameters()]


@pytest.mark.parametrize("core", ["numpy._core", "numpy.core"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_flat_vector_is_cut_in_the_alphabetical_order_of_its_layers(tmp_path: Path, core: str, dtype: str) -> None:
    """Dense_10 and Dense_11 stand before Dense_2; every entry is where `flat_index` says."""
    flat = np.arange(TOTAL, dtype=dtype)
    found = matrices(folder(tmp_path / "run", jax_array(flat, core)))
    start = 0
    for layer in ALPHABETICAL:
        size = int(np.prod(SHAPES[layer]))
        assert found[layer].tolist() == flat[start : start + size].reshape(SHAPES[layer]).tolist()
        assert found[layer].dtype == flat.dtype
        start += size
    for i in range(TOTAL):
        layer, row, column = flat_index(CPPNConfig(ARCH), i)
        assert found[layer][row, column] == i


@pytest.mark.parametrize("index", [TOTAL, 10**9, -1])
def test_an_index_beyond_the_vector(index: int) -> None:
    with pytest.raises(InterpError, match="index"):
        flat_index(CPPNConfig(ARCH), index)


def test_an_archive_of_kernels_is_read_by_number(tmp_path: Path) -> None:
    """Whatever order they stand in, compressed or not; the folder of the same network agrees."""
    named = kernels()
    flat = np.concatenate([named[f"params/Dense_{i}/kernel"].ravel() for i in ALPHABETICAL])
    from_folder = matrices(folder(tmp_path / "run", jax_array(flat)))
    backwards = dict(reversed(list(named.items())))
    np.savez(tmp_path / "a.npz", arch=ARCH, **named)
    np.savez_compressed(tmp_path / "b.npz", **backwards, arch=np.array(f" {ARCH} "))
    for path in (tmp_path / "a.npz", tmp_path / "b.npz"):
        for found, other, wanted in zip(matrices(path), from_folder, named.values(), strict=True):
            assert np.array_equal(found, wanted)
            assert np.array_equal(other, wanted)


def test_a_folder_and_the_file_in_it_are_the_same(tmp_path: Path) -> None:
    """The run is called after its folder, and its arguments are its config."""
    path = folder(tmp_path / "run", jax_array(np.ones(TOTAL, "f4")), args={"seed": 2, "arch": "1;sin:1"})
    whole, alone = (interp.load(p, device="cpu") for p in (path, path / "params.pkl"))
    assert (whole.name, whole.model.config.arch) == ("run", ARCH)
    assert whole.provenance.config == {"seed": 2, "arch": ARCH}
    assert whole.provenance.layout == alone.provenance.layout == "fer"
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), alone.model.parameters(), strict=True))


@pytest.mark.parametrize("arch", ["11;sin:3", "10;sin:1,tanh:1", "12;sin:2", "11;sin:2,cos:1"])
def test_an_architecture_that_does_not_fit(tmp_path: Path, arch: str) -> None:
    """Of either form the message says what it needs and what is there."""
    path = folder(tmp_path / "run", jax_array(np.ones(TOTAL, "f4")), arch)
    with pytest.raises(InterpError, match=rf"{arch}.* needs [0-9]+ weights, and the file holds {TOTAL}"):
        interp.load(path)
    np.savez(tmp_path / "a.npz", arch=arch, **kernels())
    with pytest.raises(InterpError, match=rf"{arch}.* does not fit the weights; it needs .*Dense_"):
        interp.load(tmp_path / "a.npz")


def test_an_architecture_that_is_none(tmp_path: Path) -> None:
    """Unknown activations and other nonsense are named, with the file."""
    vector = jax_array(np.ones(TOTAL, "f4"))
    with pytest.raises(UnknownName, match=r"params\.pkl: unknown activation 'sinn'; did you mean 'sin'"):
        interp.load(folder(tmp_path / "run", vector, "11;sinn:2"))
    np.savez(tmp_path / "a.npz", arch="many layers", **kernels())
    with pytest.raises(InterpError, match=r"a\.npz: cannot read the architecture 'many layers'"):
        interp.load(tmp_path / "a.npz")


@pytest.mark.parametrize("arch", [12, ["11;sin:2"], b"11;sin:2", {"layers": 11}, (), Path("11")])
def test_arch_that_is_no_text(tmp_path: Path, arch: Any) -> None:
    path = folder(tmp_path / "run", jax_array(np.ones(TOTAL, "f4")), pickle.dumps(arch))
    with pytest.raises(UnreadableFile, match=r"arch\.pkl does not hold a text"):
        interp.load(path)


def test_a_missing_architecture_is_asked_for(tmp_path: Path) -> None:
    """Neither form is taken for something else without it, even if its numbers would fit."""
    path = folder(tmp_path / "run", jax_array(np.ones(TOTAL, "f4")), None)
    np.savez(tmp_path / "a.npz", **kernels())
    for source in (path, path / "params.pkl", tmp_path / "a.npz"):
        with pytest.raises(InterpError, match="arch"):
            interp.load(source)


def test_damaged_pickles_name_their_file(tmp_path: Path) -> None:
    """Cut short or empty, whichever of the files it is."""
    for broken in ("params", "arch", "args"):
        path = folder(tmp_path / broken, jax_array(np.ones(TOTAL, "f4")), args={"seed": 1})
        whole = (path / f"{broken}.pkl").read_bytes()
        for kept in (0, 3, len(whole) - 2):
            (path / f"{broken}.pkl").write_bytes(whole[:kept])
            with pytest.raises(UnreadableFile, match=rf"{broken}\.pkl"):
                interp.load(path)


@pytest.mark.parametrize("core", ["multiarray", "numeric"])
def test_a_state_that_claims_more_than_it_holds(tmp_path: Path, core: str) -> None:
    """A number where the bytes belong asks for that many zeros: 4 GB from a file of a few hundred bytes."""
    dtype = name("numpy", "dtype") + group(text("u1"), b"\x89", b"\x88") + b"R"
    many = 1 << 32
    if core == "multiarray":
        program = jax_array(np.ones(1, "f4"), state=group(number(1), number((many,)), dtype, b"\x89", number(many)))
    else:
        program = (
            name("numpy._core.numeric", "_frombuffer") + group(number(many), dtype, number((many,)), text("C")) + b"R"
        )
    path = folder(tmp_path / "run", program)
    assert (path / "params.pkl").stat().st_size < 1000
    with address_space(1 << 30), pytest.raises(UnreadableFile, match="not bytes") as raised:
        interp.load(path)
    assert "MemoryError" not in str(raised.value)


@pytest.mark.parametrize(
    "state", [number(None), number((1,)), group(number(1), number((TOTAL,)), b"N", b"\x89", number(b""))]
)
def test_a_state_of_another_form(tmp_path: Path, state: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"params\.pkl.*cannot be read here"):
        interp.load(folder(tmp_path / "run", jax_array(np.ones(TOTAL, "f4"), state=state)))


class Payload:
    """Pickles as a command of the shell."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("place", ["params", "params dict", "arch", "args", "begin of the array", "state of the array"])
def test_payloads_never_run(tmp_path: Path, place: str) -> None:
    """os.system where weights, text or arguments belong: refused or left out, and no command is run."""
    marker = tmp_path / "ran"
    payload = pickle.dumps(Payload(marker), protocol=2)
    program, vector = payload.removeprefix(START).removesuffix(STOP), jax_array(np.ones(TOTAL, "f4"))
    made = {
        "params": lambda: folder(tmp_path / "run", program),
        "params dict": lambda: folder(tmp_path / "run", entry("params", program)),
        "arch": lambda: folder(tmp_path / "run", vector, payload),
        "args": lambda: folder(tmp_path / "run", vector, args=payload),
        "begin of the array": lambda: folder(tmp_path / "run", jax_array(np.ones(1, "f4"), start=name("os", "system"))),
        "state of the array": lambda: folder(tmp_path / "run", jax_array(np.ones(1, "f4"), state=program)),
    }[place]()
    if place == "args":
        assert interp.load(made, device="cpu").model.config.arch == ARCH
    else:
        with pytest.raises(UnreadableFile, match=r"params\.pkl|arch\.pkl"):
            interp.load(made)
    assert not marker.exists()
    os.system(f"touch {marker}")
    assert marker.exists()  # had it run, this is what would be there


def test_arch_beside_another_config_leaves_it_alone(tmp_path: Path) -> None:
    """Many a checkpoint says ``arch`` at its top; what else it says of its training is kept."""
    torch.save({"arch": "mlp", "config": {"lr": 0.5}, "model": {"w": torch.ones(2, 2)}}, tmp_path / "a.pt")
    assert find(formats.read(tmp_path / "a.pt")).config == {"arch": "mlp", "lr": 0.5}


@pytest.mark.real_data
@pytest.mark.parametrize("run", REAL[:2])
def test_real_folders_equal_the_archives(data: Path, run: str) -> None:
    """Bit for bit, the mouth where it is known to be; the evolved one is the genome, laid out."""
    root = data / "picbreeder"
    found, wanted = matrices(root / "fer" / run), matrices(root / f"{run}.npz")
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    flat = formats.read(root / "fer" / run / "params.pkl").tree.load()
    assert flat_index(CPPNConfig("12;cache:15,gaussian:4,identity:2,sin:1"), 4371) == (7, 15, 15)
    assert found[7][15, 15] == flat[4371] != 0
    if run.startswith("picbreeder"):
        laid_out = [m.detach().numpy() for m in read(root / "skull.zip").layered().matrices]
        assert max(np.abs(a - b).max() for a, b in zip(found, laid_out, strict=True)) < 1e-6


@pytest.mark.real_data
@pytest.mark.parametrize("run", REAL)
def test_real_pictures(data: Path, run: str) -> None:
    """Within 2/255 of what the authors' code draws, but for one pixel in a thousand."""
    drawn = np.asarray(interp.load(data / "picbreeder" / f"{run}.npz", device="cpu").model.draw(256))
    with np.load(data / "picbreeder" / f"{run}_rgb.npz") as published:
        away = np.abs(drawn - published["rgb"].astype("f8")).max(-1)
    assert away.shape == (256, 256)
    assert (away > 2 / 255).mean() <= 1e-3
