"""Pictures: arrays of colours that display themselves, are saved as PNG, and are arranged in labelled sheets."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp._util.files import atomic
from interp.errors import InterpError

GAP = 4  # pixels between tiles
LINE = 13  # height of a line of text
FONT = 11  # pixels
LEGEND = 20  # height of a legend
SCALE = 90  # width of its scale


@dataclass(frozen=True, eq=False)
class Picture:
    """Colours that a notebook displays and ``numpy.asarray`` turns into an array.

    Args:
        pixels: ``[row, col, 3]`` from 0 to 1, a tensor or an array.

    Raises:
        InterpError: not an array of numbers, or one of another shape.
    """

    pixels: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, Tensor):
            object.__setattr__(self, "pixels", _as_tensor(self.pixels))
        shape = tuple(self.pixels.shape)
        if len(shape) != 3 or shape[-1] != 3 or 0 in shape:
            raise InterpError(f"a picture's pixels must be [row, col, 3], got {list(shape)}")

    @property
    def size(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def bytes(self) -> np.ndarray:
        """Colours ``[row, col, 3]`` from 0 to 255; NaN becomes black."""
        return (self.pixels.detach().cpu().double().nan_to_num(0).clamp(0, 1) * 255).round().to(torch.uint8).numpy()

    def image(self) -> Any:
        """A Pillow image with 8 bits per colour."""
        from PIL import Image

        return Image.fromarray(self.bytes())

    def png(self) -> Any:
        """The bytes of a PNG file."""
        stream = io.BytesIO()
        self.image().save(stream, "PNG")
        return stream.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write a PNG file.

        Args:
            path: must end in ``.png``.

        Returns:
            the path.

        Raises:
            InterpError: another suffix.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise InterpError(f"{path} must end in .png, the only format that is written")
        with atomic(path) as partial:
            partial.write_bytes(self.png())
        return path

    def data_uri(self) -> str:
        """The PNG file as a ``data:`` URI."""
        return "data:image/png;base64," + base64.b64encode(self.png()).decode()

    def html(self, label: str) -> str:
        """An HTML ``img`` element that contains the picture, with ``label`` as its alternative text."""
        return f'<img src="{self.data_uri()}" alt="{escape(label, quote=True)}" style="max-width:100%">'

    def _repr_png_(self) -> Any:
        return self.png()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        pixels = self.pixels.detach().cpu()
        array = (pixels.float() if pixels.dtype == torch.bfloat16 else pixels).numpy()
        return np.array(array, dtype=dtype, copy=True) if copy else np.asarray(array, dtype=dtype)

    def __repr__(self) -> str:
        return f"Picture({self.size[0]} x {self.size[1]})"


def _as_tensor(pixels: Any) -> Tensor:
    try:
        return torch.as_tensor(np.asarray(pixels))
    except (TypeError, ValueError, RuntimeError):
        raise InterpError(
            f"a picture's pixels are a tensor or an array [row, col, 3], got {type(pixels).__name__}"
        ) from None


def from_signed(values: Tensor) -> Tensor:
    """Signed values as colours: blue below 0, white at 0, red above.

    A map whose largest absolute value exceeds 1 is divided by it; others are not scaled, so that activations from -1 to 1
    are comparable.

    Args:
        values: ``[..., row, col]``; NaN becomes white, infinities the full colour.

    Returns:
        ``[..., row, col, 3]`` from 0 to 1.
    """
    finite = values.where(values.isfinite(), torch.zeros_like(values))
    scale = finite.abs().amax((-2, -1), keepdim=True).clamp_min(1)
    v = (values / scale).nan_to_num(0).clamp(-1, 1).unsqueeze(-1)
    red, blue = v.new_tensor([0.77, 0.18, 0.15]), v.new_tensor([0.13, 0.36, 0.71])
    return 1 - v.clamp_min(0) * (1 - red) - (-v).clamp_min(0) * (1 - blue)


def sheet(
    tiles: Sequence[Sequence[Picture | None]],
    labels: Sequence[Sequence[str]] | None = None,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    legend: str = "",
) -> Picture:
    """Arrange tiles of one size in rows, on white.

    Args:
        tiles: pictures by row; None leaves a place empty.
        labels: a short text under each tile, by row.
        rows: text to the left of each row.
        columns: text above each column.
        legend: text above all, behind a scale from blue (below 0) to red (above 0), the colours of `from_signed`.

    Returns:
        one picture.

    Raises:
        InterpError: no tiles, tiles that are not pictures or differ in size, or labels that do not match the tiles.
    """
    from PIL import Image, ImageDraw, ImageFont

    given = [t for row in tiles for t in row if t is not None]
    if wrong := [t for t in given if not isinstance(t, Picture)]:
        raise InterpError(
            f"a sheet is made of rows of Pictures, got a {type(wrong[0]).__name__}; Picture(pixels) makes one"
        )
    sizes = {t.size for t in given}
    if len(sizes) != 1:
        raise InterpError(f"a sheet needs pictures of one size, got {sorted(sizes) or 'none'}")
    if labels is not None and [len(row) for row in labels] != [len(row) for row in tiles]:
        raise InterpError("a sheet needs one label for each tile, in the same rows")
    height, width = sizes.pop()
    font = ImageFont.load_default(size=FONT)
    left = GAP + max((int(font.getlength(text)) + GAP for text in rows), default=0)
    head = GAP + (LEGEND if legend else 0)
    top = head + (LINE + GAP if columns else 0)
    step_y, step_x = height + GAP + (LINE if labels is not None else 0), width + GAP
    across = max(map(len, tiles))
    page = Image.new("RGB", (left + across * step_x, top + len(tiles) * step_y), "white")
    draw = ImageDraw.Draw(page)
    if legend:
        scale = from_signed(torch.linspace(-1, 1, SCALE, dtype=torch.float64).expand(LINE, SCALE))
        page.paste(Picture(scale).image(), (left, GAP))
        draw.text(
            (left + SCALE + 2 * GAP, GAP),
            _shortened(legend, page.width - left - SCALE - 3 * GAP, font),
            fill="#333",
            font=font,
        )
    for j, text in enumerate(columns):
        draw.text((left + j * step_x, head), _shortened(text, width, font), fill="#333", font=font)
    for i, row in enumerate(tiles):
        y = top + i * step_y
        if i < len(rows):
            draw.text((GAP, y + (height - LINE) // 2), rows[i], fill="#333", font=font)
        for j, tile in enumerate(row):
            if tile is None:
                continue
            page.paste(tile.image(), (left + j * step_x, y))
            if labels is not None:
                text = _shortened(labels[i][j], width, font)
                draw.text((left + j * step_x, y + height), text, fill="#555", font=font)
    return Picture(torch.from_numpy(np.array(page)).double() / 255)


def _shortened(text: str, width: int, font: Any) -> str:
    """The longest beginning of a text that fits a width in pixels."""
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text
