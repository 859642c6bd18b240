"""Checks of a model's inputs, before torch meets them: what kind, what shape, which tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack  # torch has no public way to ask; here since 2.0

from interp.errors import InterpError

TOKEN_DTYPES = (torch.int64, torch.int32)


def inside_transform() -> bool:
    """Whether a `torch.func` transform (``vmap``, ``grad``) is at work."""
    return peek_interpreter_stack() is not None


def require_tensor(inputs: Any, form: str) -> None:
    """Refuse inputs that are not a tensor.

    Args:
        inputs: what was given to a model.
        form: the tensor wanted, for the message.

    Raises:
        InterpError: not a tensor.

    >>> require_tensor([1, 2], "LongTensor [batch, pos]")
    Traceback (most recent call last):
    interp.errors.InterpError: inputs must be a LongTensor [batch, pos], got list; torch.tensor(inputs) makes a tensor of it
    """
    if isinstance(inputs, Tensor):
        return
    kind = f"the class {inputs.__name__}" if isinstance(inputs, type) else type(inputs).__name__
    numbers = not isinstance(inputs, (str, bytes, type)) and hasattr(inputs, "__len__")
    hint = "; torch.tensor(inputs) makes a tensor of it" if numbers else ""
    raise InterpError(f"inputs must be a {form}, got {kind}{hint}")


def require_tokens(tokens: Any, axes: str, stacked: bool = False) -> None:
    """Refuse inputs that are not tokens with two axes. Reads no values, so a GPU need not be waited for.

    Args:
        tokens: what was given to a model.
        axes: the axes wanted, for the message, such as ``[batch, pos]``.
        stacked: whether axes may precede these, one for the members of a stack.

    Raises:
        InterpError: not a tensor, not of whole numbers, or without these axes.
    """
    form = f"LongTensor {axes}"
    require_tensor(tokens, form)
    if tokens.dtype not in TOKEN_DTYPES:
        raise InterpError(f"inputs must be a {form}, got {_described(tokens)}; tokens are whole numbers: inputs.long()")
    if tokens.ndim != 2 and not (stacked and tokens.ndim > 2):
        hint = "; a single input needs a batch axis: inputs[None]" if tokens.ndim == 1 else ""
        raise InterpError(f"inputs must be a {form}, got {_described(tokens)}{hint}")


def require_vectors(inputs: Any, width: int) -> None:
    """Refuse inputs that are not vectors of a width ``[..., batch, width]``. Reads no values.

    Args:
        inputs: what was given to a model.
        width: number of features.

    Raises:
        InterpError: not a tensor, not of floating dtype, or of another shape.
    """
    form = f"float tensor [batch, {width}]"
    require_tensor(inputs, form)
    if not inputs.is_floating_point():
        raise InterpError(
            f"inputs must be a {form}, got {_described(inputs)}; convert them with inputs.to(model.dtype)"
        )
    if inputs.ndim < 2 or inputs.shape[-1] != width:
        hint = "; a single input needs a batch axis: inputs[None]" if inputs.ndim == 1 else ""
        raise InterpError(f"inputs must be a {form}, got {_described(inputs)}{hint}")


def require_vocabulary(tokens: Tensor, d_vocab: int) -> None:
    """Refuse tokens outside a vocabulary. Reads the values, so it waits for a GPU.

    Tensors whose values cannot be read (inside ``vmap``, on the meta device, fake ones) pass.

    Args:
        tokens: whole numbers of any shape.
        d_vocab: size of the vocabulary.

    Raises:
        InterpError: a negative token, or one that is ``d_vocab`` or more.

    >>> require_vocabulary(torch.tensor([[3, 200]]), 114)
    Traceback (most recent call last):
    interp.errors.InterpError: token 200 is outside the model's vocabulary of 114 tokens (0 to 113)
    """
    if tokens.numel() == 0:
        return
    try:
        low, high = (int(x) for x in torch.stack(torch.aminmax(tokens)).cpu())  # one wait for both
    except RuntimeError:
        return
    if low < 0 or high >= d_vocab:
        token = low if low < 0 else high
        raise InterpError(f"token {token} is outside the model's vocabulary of {d_vocab} tokens (0 to {d_vocab - 1})")


def _described(inputs: Tensor) -> str:
    return f"{list(inputs.shape)} of {str(inputs.dtype).removeprefix('torch.')}"
