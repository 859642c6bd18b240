"""How the pixels of images were scaled: ``(pixel - mean) / std``, of all pixels or by channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.tasks.base import Task

Scale = float | tuple[float, ...] | None


def scale_field(task: Task, name: str) -> Scale:
    """A field that holds a number, or one per channel; whole numbers, lists and arrays are turned into floats and tuples.

    Args:
        task: whose field it is.
        name: of the field.

    Returns:
        the value; None where it is not given.

    Raises:
        InterpError: something else, or a standard deviation that is not above 0.
    """
    given = getattr(task, name)
    if given is None:
        return None
    value = _plain(given)
    if value is None:
        raise InterpError(
            f"{task.name}: {name} must be a number, or one per channel such as (0.49, 0.48, 0.45), got {given!r}"
        )
    if name == "std" and min(value if isinstance(value, tuple) else (value,)) <= 0:
        raise InterpError(f"{task.name}: std must be above 0, got {given!r}")
    object.__setattr__(task, name, value)
    return value


def _plain(given: Any) -> float | tuple[float, ...] | None:
    given = given.tolist() if hasattr(given, "tolist") else given
    if _is_number(given):
        return float(given)
    if isinstance(given, Sequence) and not isinstance(given, str) and given and all(map(_is_number, given)):
        return tuple(float(v) for v in given)
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def scaled(images: Tensor, mean: Scale, std: Scale) -> Tensor:
    """Images with ``(pixel - mean) / std`` in place of each pixel.

    Args:
        images: ``[n, row, column]``, or with channels ``[n, channel, row, column]`` or ``[n, row, column, channel]``.
        mean: of all pixels, or one per channel; None: 0.
        std: the same; None: 1.

    Returns:
        the images in the same shape.

    Raises:
        InterpError: values per channel that fit no axis of the images, or two.

    >>> scaled(torch.tensor([[[0.0, 1.0]]]), 0.5, 0.25)
    tensor([[[-2.,  2.]]])
    """
    return (images - _along(images, mean, 0.0)) / _along(images, std, 1.0)


def _along(images: Tensor, value: Scale, default: float) -> Tensor | float:
    if not isinstance(value, tuple):
        return default if value is None else value
    if len(value) == 1:
        return value[0]
    axes = [axis for axis in (1, images.ndim - 1) if images.ndim == 4 and images.shape[axis] == len(value)]
    if len(axes) != 1:
        why = "either axis could be the channels" if axes else "none of which are that many channels"
        raise InterpError(
            f"{len(value)} values per channel for images {list(images.shape[1:])}, {why}; give one number"
        )
    shape = [1] * images.ndim
    shape[axes[0]] = len(value)
    return torch.tensor(value, dtype=images.dtype).reshape(shape)
