"""Inputs for a model: moved to it, in batches, with errors that name what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, overload

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.hooked.coerce import as_model
from interp.hooked.foreign.guest import Guest
from interp.hooked.foreign.several import Inputs, shown_inputs
from interp.hooked.inputs import require_tensor


def model_for(given: Any, inputs: Any) -> HookedModel:
    """The hooked model of what a user gave, once its inputs are known to fit it.

    Args:
        given: a hooked model, or what holds one, such as a Subject.
        inputs: what the model is to run on; their values are read.

    Returns:
        the model.

    Raises:
        InterpError: something without a hooked model, or inputs of a kind, shape or vocabulary that do not fit.
    """
    model = as_model(given)
    if isinstance(inputs, Inputs):
        require_several(model, inputs)
        return model
    model.check_values(inputs)
    require_tensor(inputs, "tensor [batch, ...]")
    if inputs.ndim == 0 or len(inputs) == 0:
        raise InterpError(f"no inputs were given: a tensor {list(inputs.shape)}, whose first axis should be the batch")
    return model


def require_several(model: HookedModel, inputs: Inputs) -> None:
    """Refuse several inputs for a model that takes one tensor.

    Args:
        model: any hooked model.
        inputs: what it is to run on.

    Raises:
        InterpError: one of our models, or no examples.
    """
    if not isinstance(model, Guest):
        raise InterpError(f"a {type(model).__name__} takes one tensor, got {inputs}; several are for wrapped modules")
    if len(inputs) == 0:
        raise InterpError(f"no inputs were given: {inputs}")


def translated(model: HookedModel, inputs: Tensor | Inputs) -> AbstractContextManager[None]:
    """`fitting` for foreign modules; our models have checked their inputs themselves, so that their errors are bugs."""
    return fitting(model, inputs) if isinstance(model, Guest) else nullcontext()


@overload
def placed(inputs: Tensor, model: HookedModel) -> Tensor: ...
@overload
def placed(inputs: Inputs, model: HookedModel) -> Inputs: ...
@overload
def placed(inputs: Tensor | Inputs, model: HookedModel) -> Tensor | Inputs: ...
def placed(inputs: Tensor | Inputs, model: HookedModel) -> Tensor | Inputs:
    """Inputs on the model's device; vectors (not tokens) also in its dtype."""
    if isinstance(inputs, Inputs):
        return inputs.to(model.device, model.dtype)
    return inputs.to(model.device, model.dtype if inputs.is_floating_point() else inputs.dtype)


@overload
def batches(inputs: Tensor, batch_size: int) -> Iterator[Tensor]: ...
@overload
def batches(inputs: Tensor | Inputs, batch_size: int) -> Iterator[Tensor | Inputs]: ...
def batches(inputs: Tensor | Inputs, batch_size: int) -> Iterator[Tensor | Inputs]:
    """Consecutive slices along the first axis.

    Args:
        inputs: ``[n, ...]``.
        batch_size: length of each slice; the last may be shorter.

    Returns:
        an iterator over views of ``inputs``.

    Raises:
        InterpError: a batch size below 1.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise InterpError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    return iter(inputs.split(batch_size))


@contextmanager
def fitting(model: HookedModel, inputs: Any, what: str = "inputs") -> Iterator[None]:
    """Run the block, in which a model runs on given inputs, and turn torch's errors into one that names the inputs.

    Args:
        model: any hooked model.
        inputs: what the model runs on in the block.
        what: what the inputs are, for the message.

    Yields:
        nothing.

    Raises:
        InterpError: inputs that are not a tensor, or that the model cannot run on.
        OutOfMemoryError: as torch raises it.
    """
    if not isinstance(inputs, Tensor | Inputs):
        raise InterpError(f"{what} must be a tensor [batch, ...], got {type(inputs).__name__}")
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except InterpError as error:
        if what == "inputs":
            raise
        raise type(error)(f"{what}: {error}") from error
    except (RuntimeError, IndexError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InterpError(
            f"the {type(model).__name__} cannot run on {what} {shown_inputs(inputs)}: {reason}"
        ) from error
