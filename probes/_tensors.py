"""Coercion at the door of functions of tensors: arrays and lists become tensors, other kinds are refused with a hint."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.errors import InterpError


def as_tensor(given: Any, what: str) -> Tensor:
    """A tensor as it is; an array, a list of numbers or a list of tensors of one shape as a tensor.

    Args:
        given: the argument.
        what: name of the argument, for the message.

    Returns:
        The tensor, on its device; arrays share their memory.

    Raises:
        InterpError: any other kind of argument.

    >>> as_tensor([[1.0, 2.0]], "values").shape
    torch.Size([1, 2])
    """
    if isinstance(given, Tensor):
        return given
    try:
        if isinstance(given, (list, tuple)) and given and all(isinstance(one, Tensor) for one in given):
            return torch.stack(list(given))
        if isinstance(given, (np.ndarray, list, tuple)):
            return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InterpError(f"{what} must be a tensor of numbers: {error}") from None
    kind = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
    raise InterpError(
        f"{what} must be a tensor or an array, got {kind}; of a model take a weight (model.W_E), of a subject "
        "subject.logits() or activations from interp.capture"
    )


def as_table(given: Any, what: str) -> Tensor:
    """A table, such as embeddings, one per row.

    Args:
        given: the argument.
        what: name of the argument, for the message.

    Returns:
        A tensor ``[rows, columns]``.

    Raises:
        InterpError: another kind of argument, or another number of axes.

    >>> as_table([[1.0, 2.0]], "embeddings").shape
    torch.Size([1, 2])
    """
    table = as_tensor(given, what)
    if table.ndim != 2:
        raise InterpError(f"{what} must be a table [rows, columns], got the shape {list(table.shape)}")
    return table


def as_mask(given: Any, n: int, what: str) -> Tensor:
    """A boolean mask; arrays and lists of booleans become tensors.

    Args:
        given: the argument.
        n: entries along its last axis.
        what: name of the argument, for the message.

    Returns:
        A boolean tensor ``[..., n]``.

    Raises:
        InterpError: not booleans, such as indices, or not one for each of the n.

    >>> as_mask([True, False], 2, "mask").sum().item()
    1
    """
    mask = as_tensor(given, what)
    if mask.dtype != torch.bool or not mask.ndim or mask.shape[-1] != n:
        shape = f"{list(mask.shape)} of {str(mask.dtype).removeprefix('torch.')}"
        raise InterpError(
            f"{what} must be a boolean mask [{n}], got {shape}; mask[indices] = True makes one of indices"
        )
    return mask
