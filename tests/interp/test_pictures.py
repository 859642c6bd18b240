"""Pictures: bytes worked by hand, sheets tile by tile, and what is not a picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from interp.errors import InterpError
from interp.pictures import GAP, LINE, Picture, from_signed, sheet

NAN = float("nan")


def flat(colour: tuple[float, float, float], rows: int = 6, columns: int = 9) -> Picture:
    return Picture(torch.tensor(colour, dtype=torch.float64).expand(rows, columns, 3))


def tile(page: Picture, row: int, column: int, top: int = GAP, left: int = GAP, below: int = 0) -> Tensor:
    """The part of a sheet of 6 x 9 tiles where one of them should stand."""
    y, x = top + row * (6 + GAP + below), left + column * (9 + GAP)
    return page.pixels[y : y + 6, x : x + 9]


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (3, 4, 4), (0, 4, 3), (4, 0, 3), (1, 4, 4, 3), ()])
def test_shapes_that_are_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(InterpError, match=r"pixels must be \[row, col, 3\], got \[.*" + ", ".join(map(str, shape))):
        Picture(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_bytes_round_clip_and_blacken_nan(dtype: torch.dtype) -> None:
    """Rounded to the nearest, clipped on both sides, infinities too; NaN is black."""
    values = torch.tensor([[[0.0, 1.0, 0.5], [-3.0, 7.0, NAN], [float("inf"), -float("inf"), 100 / 255]]], dtype=dtype)
    third = 100 if dtype != torch.bfloat16 else round(float(values[0, 2, 2]) * 255)
    picture = Picture(values)
    assert picture.bytes().dtype == np.uint8
    assert picture.bytes().tolist() == [[[0, 255, 128], [0, 255, 0], [255, 0, third]]]
    assert picture.size == (1, 3)
    assert repr(picture) == "Picture(1 x 3)"


def test_png_holds_the_bytes(tmp_path: Path) -> None:
    """What a notebook shows and what is saved, read by Pillow: rows down, columns across."""
    pixels = torch.rand(5, 7, 3, generator=torch.Generator().manual_seed(0))
    picture = Picture(pixels.requires_grad_())
    for source in (io.BytesIO(picture._repr_png_()), picture.save(tmp_path / "new" / "a.PNG")):
        with Image.open(source) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (7, 5))
            assert np.array_equal(np.asarray(image), (pixels.detach().double().numpy() * 255).round())
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.PNG"]


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.png.txt", "a.svg", ".png"])
def test_save_refuses_other_suffixes(tmp_path: Path, name: str) -> None:
    """And leaves nothing behind."""
    with pytest.raises(InterpError, match=r"must end in \.png"):
        flat((0, 0, 0)).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_save_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InterpError, match="cannot write"):
        flat((0, 0, 0)).save(tmp_path / "file" / "a.png")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numpy_gives_the_colours(dtype: torch.dtype) -> None:
    """Unclipped, in the type asked for, of weights in any type."""
    values = torch.tensor([[[0.0, 1.5, -0.25]]], dtype=dtype, requires_grad=True)
    assert np.asarray(Picture(values)).tolist() == [[[0.0, 1.5, -0.25]]]
    assert np.asarray(Picture(values), dtype=np.float32).dtype == np.float32


def test_numpy_copies_where_a_copy_is_asked_for() -> None:
    """``numpy.array`` promises a copy: writing to it leaves the picture alone."""
    picture = Picture(torch.ones(2, 2, 3))
    copied = np.array(picture)
    copied[:] = 0
    assert picture.pixels.min() == 1


def test_signed_values_by_hand() -> None:
    """White at 0, red above, blue below, in proportion; a map within -1 to 1 keeps its scale, a larger one fits."""
    red, blue = torch.tensor([0.77, 0.18, 0.15]), torch.tensor([0.13, 0.36, 0.71])
    values = torch.tensor([[0.0, 1.0, -1.0], [0.5, -0.25, 0.0]])
    white = torch.ones(3)
    half, quarter = (white + red) / 2, (3 * white + blue) / 4
    expected = torch.stack([torch.stack([white, red, blue]), torch.stack([half, quarter, white])])
    torch.testing.assert_close(from_signed(values), expected)
    torch.testing.assert_close(from_signed(40 * values), expected)
    torch.testing.assert_close(from_signed(0.5 * values)[0, 1], half)
    torch.testing.assert_close(from_signed(values.double()), expected.double())


def test_signed_maps_are_scaled_one_by_one() -> None:
    """A loud map in a batch leaves a quiet one alone."""
    values = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    values[1] *= 100
    together = from_signed(values)
    assert together.shape == (3, 2, 4, 5, 3)
    assert together.min() >= 0
    assert together.max() <= 1
    for place in np.ndindex(3, 2):
        assert torch.equal(together[place], from_signed(values[place]))


@pytest.mark.parametrize("bad", [NAN, float("inf"), -float("inf")])
def test_one_bad_value_does_not_wipe_the_map(bad: float) -> None:
    """NaN is white; the other pixels are what they were, beside an infinity as well."""
    values = torch.tensor([[-1.0, 1.0], [0.5, 0.0]])
    expected = from_signed(values)
    values[1, 1] = bad
    found = from_signed(values)
    assert found.isfinite().all()
    torch.testing.assert_close(found.flatten(0, 1)[:3], expected.flatten(0, 1)[:3])
    if bad != bad:
        assert found[1, 1].tolist() == [1, 1, 1]


RED, GREEN, BLUE = flat((1, 0, 0)), flat((0, 1, 0)), flat((0, 0, 1))


def test_sheet_by_hand() -> None:
    """Each tile where its row and column are, white between and where there is none."""
    page = sheet([[RED, None, GREEN], [BLUE]])
    assert page.size == (GAP + 2 * (6 + GAP), GAP + 3 * (9 + GAP))
    for row, column, colour in ((0, 0, (1, 0, 0)), (0, 2, (0, 1, 0)), (1, 0, (0, 0, 1)), (0, 1, (1, 1, 1))):
        assert torch.equal(tile(page, row, column), flat(colour).pixels)
    coloured = (page.pixels < 1).any(-1).sum()
    assert coloured == 3 * 6 * 9


def test_sheet_with_texts() -> None:
    """Labels stand under their tile and no wider, row texts to the left, column texts above; tiles are untouched."""
    plain = sheet([[RED, GREEN], [BLUE, None]])
    page = sheet([[RED, GREEN], [BLUE, None]], labels=[["w" * 50, ""], ["", "none"]], rows=["first"], columns=["", "c"])
    assert page.size[0] == plain.size[0] + 2 * LINE + LINE + GAP
    left = page.size[1] - plain.size[1] + GAP
    assert left > GAP + 10
    top = GAP + LINE + GAP
    for row, column, colour in ((0, 0, (1, 0, 0)), (0, 1, (0, 1, 0)), (1, 0, (0, 0, 1)), (1, 1, (1, 1, 1))):
        assert torch.equal(tile(page, row, column, top, left, LINE), flat(colour).pixels)
    inked = (page.pixels < 1).any(-1)
    under = slice(top + 6, top + 6 + LINE)
    assert inked[under, left : left + 9].any()
    assert not inked[under, left + 9 :].any()
    assert inked[: top - 1, left + 9 + GAP :].any()
    assert not inked[: top - GAP - 1, : left + 9].any()
    assert inked[top : top + 6 + LINE, :left].any()
    assert not inked[top + 6 + LINE + GAP :, : left - GAP].any()


@pytest.mark.parametrize("tiles", [[], [[]], [[None, None], [None]]])
def test_sheet_needs_a_picture(tiles: list[list[None]]) -> None:
    with pytest.raises(InterpError, match="pictures of one size"):
        sheet(tiles)


def test_sheet_refuses_tiles_of_two_sizes() -> None:
    """A larger tile would cover its neighbours."""
    with pytest.raises(InterpError, match="size"):
        sheet([[RED, flat((0, 1, 0), 20, 20), BLUE]])


@pytest.mark.parametrize("labels", [[["a"]], [["a", "b"]], []])
def test_sheet_refuses_labels_that_do_not_match(labels: list[list[str]]) -> None:
    """A label for every tile, or none at all."""
    with pytest.raises(InterpError, match="label"):
        sheet([[RED, GREEN], [BLUE]], labels=labels)


def test_arrays_become_pictures_and_other_kinds_are_refused() -> None:
    """Numpy's pixels are taken as they are; what holds no numbers is named."""
    pixels = np.linspace(0, 1, 24).reshape(2, 4, 3)
    np.testing.assert_array_equal(np.asarray(Picture(pixels)), pixels)  # type: ignore[arg-type]
    for wrong in ("skull.png", [["a"]], object()):
        with pytest.raises(InterpError, match=f"an array .*got {type(wrong).__name__}"):
            Picture(wrong)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="rows of Pictures, got a Tensor"):
        sheet([[torch.zeros(2, 4, 3)]])  # type: ignore[list-item]
