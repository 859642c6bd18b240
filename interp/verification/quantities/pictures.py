"""Quantities of pictures: in a file, or drawn by a network or a genome."""

from __future__ import annotations

from typing import Literal

import numpy as np

from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.picbreeder import Genome
from interp.verification.material import Material
from interp.verification.quantity import quantity

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
MOST_PIXELS = 1 << 26


@quantity("picture.size", summary="rows and columns of a picture in a file", order=80)
def size(material: Material) -> list[int]:
    """Of a picture file, or of an array ``rgb [row, col, 3]``."""
    return list(pixels(material, 0).shape[:2])


@quantity("picture.difference", summary="how far two pictures differ, colours from 0 to 1", order=81)
def difference(material: Material, *, beside: str, size: int = 256, statistic: Literal["max", "mean"] = "max") -> float:
    """The largest or the mean absolute difference of a picture from another.

    Args:
        material: a picture, an array ``rgb`` (bytes, or from 0 to 1), a genome (drawn along its graph) or an image network.
        beside: the file of the other.
        size: pixels along each edge of what is drawn.
        statistic: over pixels and colours.

    Returns:
        a number from 0 to 1.

    Raises:
        InterpError: pictures of different sizes.
    """
    second = material.other(beside)
    one, other = pixels(material, size), pixels(second, size)
    if one.shape != other.shape:
        raise InterpError(f"the pictures have {list(one.shape[:2])} and {list(other.shape[:2])} pixels")
    apart = np.abs(one - other)
    return float(apart.max() if statistic == "max" else apart.mean())


def pixels(material: Material, size: int) -> np.ndarray:
    """Colours ``[row, col, 3]`` from 0 to 1 in float64; what is drawn has ``size`` rows."""
    return material.share(("pixels", size), lambda: _pixels(material, size))


def _pixels(material: Material, size: int) -> np.ndarray:
    if material.path.is_file() and material.path.suffix.lower() in SUFFIXES:
        return _of_file(material)
    if material.path.is_file():
        contents = material.contents
        held = contents.tree.get("rgb") if isinstance(contents.tree, dict) else None
        if held is not None and hasattr(held, "load"):
            return _of_array(material, held.load().numpy())
        if isinstance(contents.genome, Genome):
            return np.asarray(contents.genome.draw(_checked(size, material))).astype(np.float64)
    model = material.subject.model
    if not isinstance(model, HookedCPPN):
        raise InterpError(f"{material.file} draws no picture: it is a {type(model).__name__}")
    return np.asarray(model.draw(_checked(size, material))).astype(np.float64)


def _of_array(material: Material, rgb: np.ndarray) -> np.ndarray:
    """Colours of an array: bytes from 0 to 255, or floats from 0 to 1."""
    colours = rgb.astype(np.float64) / (255 if rgb.dtype == np.uint8 else 1)
    if colours.ndim != 3 or colours.shape[2] != 3 or not ((colours >= 0) & (colours <= 1)).all():
        raise InterpError(
            f"rgb of {material.file} is {rgb.dtype} {list(rgb.shape)}; a picture is [row, col, 3], of bytes or from 0 to 1"
        )
    return colours


def _checked(size: int, material: Material) -> int:
    if not size:
        raise InterpError(f"{material.file} is drawn in any size; only a picture in a file has one")
    if not 2 <= size <= 2048:
        raise InterpError(f"size must be 2 to 2048 pixels, got {size}")
    return size


def _of_file(material: Material) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(material.path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise InterpError(
                    f"{material.file} has {image.width} x {image.height} pixels, more than {MOST_PIXELS:,}"
                )
            return np.asarray(image.convert("RGB")).astype(np.float64) / 255
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InterpError(f"{material.file} is not a picture that can be read: {str(error)[:100]}") from None
