"""Images: which pixel has which coordinates, colours by hand, published networks, and files that are none."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from interp import HookedMLP, InterpError, MLPConfig
from interp.errors import TaskMismatch
from interp.tasks import ImageTask, make_task, task_from_dict, task_to_dict


def png(path: Path, pixels: np.ndarray) -> str:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return str(path)


def gradient(rows: int, columns: int) -> np.ndarray:
    """Every pixel another colour: red says the row, green the column."""
    row, column = np.mgrid[:rows, :columns]
    return np.stack([row * 10, column * 10, np.full_like(row, 7)], axis=-1)


def test_pixels_are_row_major(tmp_path: Path) -> None:
    """Pixel (row, col): x runs over rows, y over columns, from -1 to 1; its colour stands beside it."""
    task = ImageTask(png(tmp_path / "a.png", gradient(3, 5)), size=0)
    assert task.image_shape == (3, 5)
    for i, ((y, x, d, b), colour) in enumerate(zip(task.inputs.tolist(), task.labels.tolist(), strict=True)):
        row, column = divmod(i, 5)
        assert (x, y, b) == (pytest.approx(row - 1), pytest.approx(column / 2 - 1), 1)
        assert d == pytest.approx(1.4 * math.hypot(x, y))
        assert colour == pytest.approx([row * 10 / 255, column * 10 / 255, 7 / 255])
    assert task.train_indices.tolist() == list(range(15))
    assert len(task.test_indices) == 0
    with pytest.raises(InterpError, match="no correct and wrong"):
        task.correct(task.labels)


def test_resizing(tmp_path: Path) -> None:
    """To size * size where it has others: constant stays constant, halves stay halves; the same size stays bit for bit."""
    halves = np.zeros((40, 60, 3))
    halves[:, 30:] = 200
    path = png(tmp_path / "a.png", halves)
    pixels = ImageTask(path, size=16, non_square="stretch").labels.reshape(16, 16, 3)
    assert pixels[:, :4].max() == 0
    assert torch.equal(pixels[:, 12:], torch.full((16, 4, 3), 200 / 255))
    assert len(ImageTask(path, non_square="stretch").labels) == 256**2
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    same = ImageTask(png(tmp_path / "b.png", noise), size=16)
    assert (same.labels.reshape(16, 16, 3) * 255).round().int().tolist() == noise.tolist()


def test_kinds_of_pixels(tmp_path: Path) -> None:
    """Transparent pixels are white, half-transparent ones half white; grey, palette and 16-bit images have the same colours."""
    rgba = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 51]]])
    task = ImageTask(png(tmp_path / "a.png", rgba), size=0)
    assert (task.labels * 255).round().tolist() == [[255, 255, 255], [255, 0, 0], [204, 204, 204]]
    grey = np.array([[0, 100, 255]], dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(grey.astype(np.uint16) * 257 - np.array([0, 120, 100], dtype=np.uint16)).save(tmp_path / "deep.png")
    for name in ("grey", "palette", "deep"):
        task = ImageTask(str(tmp_path / f"{name}.png"), size=0)
        assert (task.labels * 255).round().tolist() == [[0] * 3, [100] * 3, [255] * 3]


@pytest.mark.real_data
@pytest.mark.parametrize("network", ["picbreeder_skull", "picbreeder_butterfly", "sgd_skull"])
def test_published_networks_draw_the_published_images(network: str, data: Path) -> None:
    """The authors' weights on these inputs, layer by layer in numpy, give these labels (to the file's 8 bits)."""
    stored = np.load(data / "picbreeder" / f"{network}.npz")
    task = ImageTask(str(data / "picbreeder" / f"{network}.png"))
    depth, slots = str(stored["arch"]).split(";")
    kinds = [k for name, count in (s.split(":") for s in slots.split(",")) for k in [name] * int(count)]
    functions = {
        "gaussian": lambda z: 2 * np.exp(-(z**2)) - 1, "sigmoid": lambda z: 2 / (1 + np.exp(-z)) - 1,
        "sin": np.sin, "cos": np.cos, "cache": lambda z: z, "identity": lambda z: z,
    }  # fmt: skip
    h = task.inputs.double().numpy()
    for layer in range(int(depth)):
        z = h @ stored[f"params/Dense_{layer}/kernel"]
        h = np.stack([functions[kind](z[:, i]) for i, kind in enumerate(kinds)], axis=1)
    hue, saturation, value = (h @ stored[f"params/Dense_{depth}/kernel"]).T
    hue, saturation, value = (hue + 1) % 1, saturation.clip(0, 1), np.abs(value).clip(0, 1)
    # RGB from HSV by the formula with one phase per channel
    phases = (np.array([5, 3, 1]) + 6 * hue[:, None]) % 6
    ramp = np.minimum(phases, 4 - phases).clip(0, 1)
    rgb = value[:, None] * (1 - saturation[:, None] * ramp)
    error = np.abs(rgb - task.labels.numpy())
    assert np.quantile(error, 0.999) < 1.5 / 255
    turned = np.abs(rgb.reshape(256, 256, 3).swapaxes(0, 1) - task.labels.reshape(256, 256, 3).numpy())
    assert turned.mean() > 10 * error.mean()


def test_fit(tmp_path: Path) -> None:
    """Four inputs to three outputs."""
    task = ImageTask(png(tmp_path / "a.png", gradient(2, 2)), size=0)
    assert task.fit(HookedMLP(MLPConfig((4,), 3, d_in=4))) is task
    with pytest.raises(TaskMismatch, match="vectors of 2, the task gives vectors of 4; the model has 1 outputs"):
        task.fit(HookedMLP(MLPConfig((4,), 1, d_in=2)))


def test_round_trips(tmp_path: Path) -> None:
    """As text and as a dict, a task comes back equal; size=None is size=0."""
    task = make_task(f"image:target={png(tmp_path / 'a.png', gradient(4, 4))},size=8,seed=1")
    assert make_task(task.spec()) == task == task_from_dict(task_to_dict(task))
    assert ImageTask(tmp_path / "a.png", None) == ImageTask(str(tmp_path / "a.png"), 0)  # pyright: ignore[reportArgumentType]


def bomb(path: Path) -> None:
    """A PNG of a few bytes that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    )


def test_bad_files(tmp_path: Path) -> None:
    """No traceback of Pillow's: a missing file, a text, a folder, half a PNG, a bomb, a float image, a comma."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    good = Path(png(tmp_path / "good.png", noise))
    (tmp_path / "half.png").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "a,b.png").write_bytes(good.read_bytes())
    bomb(tmp_path / "bomb.png")
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(tmp_path / "float.tiff")
    Image.new("1", (5000, 2)).save(tmp_path / "wide.png")
    for name, message in (
        ("none.png", "No such file"), ("text.png", "not an image in a known format"), ("empty.png", "not an image"),
        ("", "is not a file"), ("half.png", "damaged"), ("bomb.png", "too large"), ("float.tiff", "known range"),
        ("wide.png", "give size=256"), ("a,b.png", "comma"), ("a\0b", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            ImageTask(f"{tmp_path}/{name}", size=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "task image needs target: write image:target=..."), ("target=3", "path of a file"),
        ("target=none", "path of a file"),
        ("target=GOOD,size=-1", "size must be"), ("target=GOOD,size=9999", "4096"), ("target=GOOD,size=big", "size must be"),
        ("target=GOOD,loss=mse", "unknown loss"), ("target=GOOD,sise=3", "did you mean 'size'"), ("target=x,y.png", "key=value"),
    ],
)  # fmt: skip
def test_bad_specs(options: str, message: str, tmp_path: Path) -> None:
    """One clear message each."""
    good = png(tmp_path / "a.png", gradient(2, 2))
    with pytest.raises(InterpError, match=message):
        make_task(f"image:{options.replace('GOOD', good)}")
