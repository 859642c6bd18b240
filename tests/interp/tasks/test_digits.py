"""Digits: scikit-learn's own numbers, MNIST's facts, files written by hand, and damaged ones."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from interp import HookedMLP, InterpError, MLPConfig
from interp.errors import TaskMismatch
from interp.tasks import Digits, make_task, task_from_dict, task_to_dict
from interp.tasks.idx import read_idx

RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.integers(0, 256, (6, 3, 4)), RNG.integers(0, 256, (4, 3, 4))
TRAIN_LABELS, TEST_LABELS = np.array([3, 1, 2, 0, 1, 2]), np.array([0, 1, 2, 3])
FILES = {
    "train-images-idx3-ubyte": TRAIN, "train-labels-idx1-ubyte": TRAIN_LABELS,
    "t10k-images-idx3-ubyte": TEST, "t10k-labels-idx1-ubyte": TEST_LABELS,
}  # fmt: skip


def idx(array: np.ndarray) -> bytes:
    """Magic number, dimensions and bytes, as LeCun's page describes them."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_set(folder: Path, joint: str = "-", gz: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in FILES.items():
        path = folder / (name.replace("-idx", f"{joint}idx") + (".gz" if gz else ""))
        path.write_bytes(gzip.compress(idx(array), mtime=0) if gz else idx(array))
    return folder


def test_the_bundled_digits() -> None:
    """scikit-learn's rows divided by 16, the first 1,000 to train on and the rest to test on."""
    pixels, labels = load_digits(return_X_y=True)
    task = Digits()
    np.testing.assert_allclose(task.inputs.numpy(), pixels / 16, atol=1e-7)
    assert task.labels.tolist() == labels.tolist()
    assert task.train_indices.tolist() == list(range(1000))
    assert task.test_indices.tolist() == list(range(1000, 1797))
    assert (task.d_in, task.image_shape, task.n_outputs, task.width) == (64, (8, 8), 10, 10)
    assert Digits(loss="effective").width == 2


def test_random_order() -> None:
    """Another choice for another seed, the same again for the same, no example twice, test the rest."""
    first, again, other = (Digits(order="random", n_train=50, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, other.inputs)
    pixels = Digits().inputs
    assert sorted(first.inputs.sum(-1).tolist()) == pytest.approx(sorted(pixels.sum(-1).tolist()))
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first.inputs, pixels[order])


@pytest.mark.real_data
def test_mnist_is_mnist(data: Path) -> None:
    """60,000 and 10,000 images; the first labels are 5 0 4 1 9, of test 7 2 1 0 4; mean and deviation as everyone knows."""
    task = Digits(str(data / "mnist"), n_train=60_000)
    train, test = task.train_indices, task.test_indices
    assert (len(train), len(test), task.d_in, task.image_shape, task.n_outputs) == (60_000, 10_000, 784, (28, 28), 10)
    assert task.labels[train[:5]].tolist() == [5, 0, 4, 1, 9]
    assert task.labels[test[:5]].tolist() == [7, 2, 1, 0, 4]
    pixels = task.inputs[train]
    assert (pixels.mean().item(), pixels.std().item()) == (
        pytest.approx(0.1307, abs=1e-4),
        pytest.approx(0.3081, abs=1e-4),
    )
    small = Digits(str(data / "mnist"), n_train=1000, n_test=500)
    assert torch.equal(small.inputs, torch.cat([task.inputs[:1000], task.inputs[60_000:60_500]]))


@pytest.mark.parametrize(("joint", "gz"), [("-", False), ("-", True), (".", False), (".", True)])
def test_idx_files_by_all_their_names(joint: str, gz: bool, tmp_path: Path) -> None:
    """Pixels by 255, row by row; the file's own test set is tested on, after the chosen train images."""
    task = Digits(str(write_set(tmp_path, joint, gz)), n_train=4, n_test=3)
    expected = np.concatenate([TRAIN[:4], TEST[:3]]).reshape(7, 12) / 255
    np.testing.assert_allclose(task.inputs.numpy(), expected, atol=1e-7)
    assert task.labels.tolist() == [3, 1, 2, 0, 0, 1, 2]
    assert (task.n_outputs, task.image_shape, task.test_indices.tolist()) == (4, (3, 4), [4, 5, 6])
    drawn = Digits(str(tmp_path), n_train=4, order="random", seed=3)
    assert torch.equal(drawn.inputs[4:], Digits(str(tmp_path), n_train=6).inputs[6:])


def test_npz_files(tmp_path: Path) -> None:
    """Keras' four arrays, or images and labels alone, whose rest is tested on; floats are taken as they are."""
    keras, alone = tmp_path / "keras.npz", tmp_path / "alone.npz"
    np.savez(
        keras, x_train=TRAIN.astype(np.uint8), y_train=TRAIN_LABELS, x_test=TEST.astype(np.uint8), y_test=TEST_LABELS
    )
    assert torch.equal(Digits(str(keras), n_train=5).inputs, Digits(str(write_set(tmp_path / "d")), n_train=5).inputs)
    np.savez_compressed(alone, data=TRAIN / 7.0, target=TRAIN_LABELS[:, None].astype(float))
    task = Digits(str(alone), n_train=4)
    np.testing.assert_allclose(task.inputs.numpy(), TRAIN.reshape(6, 12) / 7, rtol=1e-6)
    assert (task.labels.tolist(), task.test_indices.tolist()) == (TRAIN_LABELS.tolist(), [4, 5])


def test_members_share_the_arrays(tmp_path: Path) -> None:
    """A hundred seeds hold one copy; a file that changed is read again."""
    write_set(tmp_path)
    a, b = (Digits(str(tmp_path), n_train=4, seed=seed) for seed in (1, 2))
    assert a.inputs.data_ptr() == b.inputs.data_ptr()
    (tmp_path / "train-images-idx3-ubyte").unlink()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(255 - TRAIN), mtime=0))
    torch.testing.assert_close(Digits(str(tmp_path), n_train=4).inputs[:4], 1 - a.inputs[:4])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"", "nothing"),
        ("train-images-idx3-ubyte", idx(TRAIN)[:20], "declares 72 bytes .* holds 4"),
        ("train-images-idx3-ubyte", idx(TRAIN) + b"x", "holds more"),
        ("train-images-idx3-ubyte", idx(TRAIN)[:10], "within its header"),
        ("train-images-idx3-ubyte", gzip.compress(idx(TRAIN), mtime=0)[:-12], "truncated or damaged"),
        ("train-images-idx3-ubyte", idx(TRAIN_LABELS), "3 dimensions: it starts with 00000801"),
        ("train-images-idx3-ubyte", struct.pack(">4I", 0x803, 2**31, 2**10, 28), "above"),
        ("train-images-idx3-ubyte", struct.pack(">4I", 0x803, 0, 28, 28), "empty"),
        ("t10k-labels-idx1-ubyte", idx(TEST_LABELS[:3]), "3 labels for 4 images"),
        ("t10k-images-idx3-ubyte", idx(TEST[:, :2]), r"\[2, 4\], but those to train on are uint8 \[3, 4\]"),
        ("t10k-images-idx3-ubyte", None, "holds no t10k-images-idx3-ubyte"),
    ],
)  # fmt: skip
def test_damaged_idx_files(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    """The file is named, with what is wrong in it."""
    write_set(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InterpError, match=message) as caught:
        Digits(str(tmp_path), n_train=4)
    assert str(tmp_path) in str(caught.value)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """The header's 72 bytes bound what is read, though a gigabyte follows."""
    path = tmp_path / "train-images-idx3-ubyte.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx(TRAIN))
        for _ in range(64):
            file.write(bytes(2**24))
    with pytest.raises(InterpError, match="holds more"):
        read_idx(path, 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": TRAIN}, "needs arrays x_train, .*it has x"), ({"x": TRAIN, "y": TRAIN_LABELS[:5]}, "5 labels for 6"),
        ({"x": TRAIN, "y": TRAIN_LABELS - 1}, "whole numbers"), ({"x": TRAIN, "y": TRAIN_LABELS + 0.5}, "whole numbers"),
        ({"x": TRAIN * np.nan, "y": TRAIN_LABELS}, "NaN or infinity"), ({"x": TRAIN_LABELS, "y": TRAIN_LABELS}, "numbers"),
        ({"x": TRAIN, "y": np.array(["a"] * 6)}, "whole numbers"), ({"x": TRAIN, "y": TRAIN_LABELS * 1000}, "999"),
        ({"x": np.array([{}] * 6, dtype=object), "y": TRAIN_LABELS}, "plain arrays"),
    ],
)  # fmt: skip
def test_bad_npz_files(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    """Names, shapes, labels and pickled objects."""
    np.savez(tmp_path / "a.npz", **arrays)  # pyright: ignore[reportArgumentType]  any name is an array's
    with pytest.raises(InterpError, match=message):
        Digits(str(tmp_path / "a.npz"), n_train=4)


def test_fit() -> None:
    """Pixels to one score per digit."""
    task = Digits(n_train=10)
    assert task.fit(HookedMLP(MLPConfig((4,), 10, d_in=64))) is task
    assert Digits(loss="effective").fit(HookedMLP(MLPConfig((4,), 2, d_in=64))).width == 2
    with pytest.raises(TaskMismatch, match="vectors of 784, the task gives vectors of 64"):
        task.fit(HookedMLP(MLPConfig((4,), 10, d_in=784)))


def test_round_trips(tmp_path: Path) -> None:
    """As text and as a dict, a task comes back equal, with a path and without."""
    for spec in (
        "digits:n_train=20,order=random,seed=3,loss=effective",
        f"digits:path={write_set(tmp_path)},n_train=3,n_test=2",
    ):
        task = make_task(spec)
        assert make_task(task.spec()) == task == task_from_dict(task_to_dict(task))
    assert make_task("digits") == Digits() == task_from_dict({"name": "digits"})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digits:n_train=2000", "n_train=2000, but the set has 1797"), ("digits:n_test=900", "has 797 such"),
        ("digits:n_train=0", "at least 1"), ("digits:n_test=-1", "at least 0"), ("digits:order=last", "unknown order"),
        ("digits:path=nowhere.npz", "nowhere.npz: cannot be read"), ("digits:path=7", "path of a file"),
        ("digits:loss=hinge", "unknown loss"), ("digits:n_train=x", "whole number"), ("digits:order=[1]", "unknown order"),
    ],
)  # fmt: skip
def test_bad_specs(spec: str, message: str) -> None:
    """One clear message each."""
    with pytest.raises(InterpError, match=message):
        make_task(spec)


def test_files_of_other_kinds(tmp_path: Path) -> None:
    """A text that is called NPZ, and a file that is neither folder nor NPZ."""
    for name, message in (("a.npz", "not an NPZ file"), ("a.txt", "give the folder")):
        (tmp_path / name).write_text("digits")
        with pytest.raises(InterpError, match=message):
            Digits(str(tmp_path / name))
