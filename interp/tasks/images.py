"""One image, from the coordinates of its pixels to their colours."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, UnknownName, UnreadableFile, unknown
from interp.hooked import HookedModel
from interp.hooked.cppn.plane import coordinates
from interp.tasks.base import Task
from interp.tasks.checks import check_common, text_field
from interp.tasks.factors import Factors
from interp.tasks.files import FileKey, file_key
from interp.tasks.mirrors import even_and_odd, mirrors
from interp.tasks.splits import ranges
from interp.tasks.symmetry import Symmetry

LONGEST_EDGE = 4096
NON_SQUARE = ("refuse", "stretch", "crop")


@dataclass(frozen=True)
class ImageTask(Task):
    """Red, green and blue of every pixel from its coordinates ``y, x, d, b``: what a CPPN draws.

    The pixels stand in row-major order. Rows go with x and columns with y, both over ``linspace(-1, 1)``;
    ``d = 1.4 sqrt(x^2 + y^2)`` and ``b = 1``. All pixels are trained on, none are tested on.
    Transparent parts are shown on white; a photograph is rotated according to its EXIF tag.

    Attributes:
        target: a PNG file, or another image that Pillow opens.
        size: the image is resized to ``size * size`` pixels (Lanczos filter); 0 keeps its own size.
        non_square: ``"refuse"``, ``"stretch"``, or ``"crop"`` (its middle), where ``size`` asks for a square.
        seed: has no effect, since nothing about an image is random.
        loss: one of `LOSSES`.

    Raises:
        InterpError: not an image, a damaged one, or one that is too large.
    """

    name: ClassVar[str] = "image"
    summary: ClassVar[str] = "draw one image: coordinates of a pixel to its colour"
    LOSSES: ClassVar[tuple[str, ...]] = ("regression",)
    complete: ClassVar[bool] = True
    paths: ClassVar[tuple[str, ...]] = ("target",)
    HELP: ClassVar[dict[str, str]] = {
        **Task.HELP,
        "target": "a PNG file, or another image that Pillow opens",
        "non_square": "what to do with an image that is not square: refuse it, stretch it, or crop its middle",
        "size": "pixels along each edge after resizing; 0 keeps the image's own",
        "seed": "no effect: nothing about an image is random",
    }

    target: str
    size: int | None = 256
    non_square: str = "refuse"
    seed: int = 0
    loss: str = "regression"

    def __post_init__(self) -> None:
        text_field(self, "target")
        size = 0 if self.size is None else self.size
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= LONGEST_EDGE:
            raise InterpError(f"image: size must be a whole number from 0 (as it is) to {LONGEST_EDGE}, got {size!r}")
        object.__setattr__(self, "size", size)
        check_common(self)
        if self.non_square not in NON_SQUARE:
            raise UnknownName(unknown("treatment of an image that is not square", self.non_square, NON_SQUARE))
        self._pixels()

    @cached_property
    def _key(self) -> FileKey:
        return file_key(self.target)

    def _pixels(self) -> np.ndarray:
        return read_image(self._key, self.size or 0, self.non_square)[0]

    @property
    @override
    def notes(self) -> tuple[str, ...]:
        return read_image(self._key, self.size or 0, self.non_square)[1]

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns, _ = self._pixels().shape
        return rows, columns

    @property
    @override
    def purpose(self) -> str:
        return f"draws the picture {Path(self.target).name}"

    @override
    def make_inputs(self) -> Tensor:
        """``[row * col, 4]``: y, x, d, b."""
        return examples(self._key, self.size or 0, self.non_square)[0]

    @override
    def make_labels(self) -> Tensor:
        """Colours ``[row * col, 3]`` from 0 to 1."""
        return examples(self._key, self.size or 0, self.non_square)[1]

    @override
    def make_split(self) -> tuple[Tensor, Tensor]:
        return ranges(len(self.labels), 0)

    @property
    @override
    def n_outputs(self) -> int:
        return 3

    @override
    def title(self) -> str:
        return f"image of {Path(self.target).stem}"

    @override
    def make_symmetry(self) -> Symmetry | str:
        """The mirrors and the half turn that leave the image as it is, but for rounding."""
        return mirrors(*self.image_shape, self.labels)

    @override
    def make_factors(self) -> Factors | str:
        return even_and_odd(*self.image_shape)

    @override
    def fit(self, model: HookedModel) -> Self:
        self._fit_vectors(model, 4)
        return self


@lru_cache(maxsize=4)
def examples(key: FileKey, size: int, non_square: str) -> tuple[Tensor, Tensor]:
    """Coordinates ``[row * col, 4]`` and colours ``[row * col, 3]``, cached for all tasks on the image."""
    pixels, _ = read_image(key, size, non_square)
    return coordinates(*pixels.shape[:2]), torch.tensor(pixels).reshape(-1, 3).float() / 255


@lru_cache(maxsize=4)
def read_image(key: FileKey, size: int, non_square: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pixels of an image file, on white, and notes on how they were changed.

    Args:
        key: of the file.
        size: pixels along each edge after resizing; 0 keeps the image's own.
        non_square: one of `NON_SQUARE`.

    Returns:
        Colours ``[row, col, 3]`` from 0 to 255, and the notes.

    Raises:
        InterpError: the image is not square, ``size`` asks for a square, and ``non_square`` is ``"refuse"``.
        UnreadableFile: not an image that Pillow can read, or a damaged or far too large one.
    """
    pillow = _pillow()
    try:
        # Pillow only warns of an image that unpacks to gigabytes; here it is refused
        with warnings.catch_warnings():
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(key.path) as image:
                picture, notes = _on_white(pillow, image, key.path)
    except InterpError:
        raise
    except (pillow.DecompressionBombWarning, pillow.DecompressionBombError) as error:
        raise UnreadableFile(f"{key.path}: the image is too large ({error}); make it smaller first") from None
    except pillow.UnidentifiedImageError:
        raise UnreadableFile(f"{key.path}: is not an image in a known format; give a PNG file") from None
    except Exception as error:  # a decoder of Pillow's may raise anything on a damaged file
        raise UnreadableFile(f"{key.path}: is damaged, or an image that cannot be read ({error})") from None
    if not size and max(picture.size) > LONGEST_EDGE:
        raise UnreadableFile(f"{key.path}: has {picture.size} pixels; give size=256 or another up to {LONGEST_EDGE}")
    if size and picture.width != picture.height:
        picture, note = _square(picture, key.path, non_square)
        notes = (*notes, note)
    if size and picture.size != (size, size):
        picture = picture.resize((size, size), pillow.Resampling.LANCZOS)
    pixels = np.array(picture)
    pixels.flags.writeable = False
    return pixels, notes


def _square(picture: Any, path: str, non_square: str) -> tuple[Any, str]:
    width, height = picture.size
    if non_square == "refuse":
        raise InterpError(
            f"{path}: is {width} x {height} pixels, but a CPPN draws a square; choose "
            "non_square=stretch or crop (--non-square), or size=0 (--size 0) to keep its shape"
        )
    if non_square == "stretch":
        return picture, f"{path} is {width} x {height} pixels: it is stretched to a square"
    edge = min(width, height)
    left, top = (width - edge) // 2, (height - edge) // 2
    cropped = picture.crop((left, top, left + edge, top + edge))
    return cropped, f"{path} is {width} x {height} pixels: its middle, {edge} x {edge}, is used"


def _on_white(pillow: ModuleType, image: Any, path: str) -> tuple[Any, tuple[str, ...]]:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # 16-bit grey, which Pillow would clip
        image = pillow.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnreadableFile(f"{path}: has {image.mode!r} pixels without a known range; save it as an 8-bit PNG")
    image = image.convert("RGBA")
    transparent = image.getchannel("A").getextrema()[0] < 255
    notes = (f"{path} has an alpha channel: transparent parts are shown on white",) if transparent else ()
    return pillow.alpha_composite(pillow.new("RGBA", image.size, "white"), image).convert("RGB"), notes


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise InterpError(
            "the task image reads files with Pillow, which is not installed: pip install pillow"
        ) from None
    return Image
