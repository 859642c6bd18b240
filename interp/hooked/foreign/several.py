"""Several inputs at once, for modules whose `forward` takes more than one tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError
from interp.hooked.foreign.structures import mapped, tensors


class Inputs:
    """What a module is called with: a batch of examples as several tensors, with flags and the like.

    Every tensor with axes has the examples along its first axis; everything else is the same for all of them. Tensors may
    stand in nested tuples, lists and dicts. Wherever an experiment takes inputs, a tuple of tensors means
    ``Inputs(*tuple)`` and a dict of tensors ``Inputs(**dict)``.

    Args:
        args: positional arguments.
        kwargs: keyword arguments.

    Raises:
        InterpError: no tensor with axes, or tensors with different numbers of examples.

    >>> pair = Inputs(torch.arange(4), mask=torch.ones(4, 2), scale=0.5)
    >>> pair, len(pair[1:3])
    (Inputs([4] of int64, mask=[4, 2] of float32, scale=0.5), 2)
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self.args, self.kwargs = args, kwargs
        lengths = {path: len(t) for path, t in self.tensors().items()}
        if not lengths:
            raise InterpError("inputs need at least one tensor [batch, ...], whose first axis counts the examples")
        if len(set(lengths.values())) > 1:
            sizes = ", ".join(f"{path.lstrip('.')}: {n}" for path, n in lengths.items())
            raise InterpError(
                f"the inputs have different numbers of examples along their first axis ({sizes}); what is the same for all "
                "examples belongs into wrap(module, example, kwargs={...})"
            )
        self._length = next(iter(lengths.values()))

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that have a row per example, by position or name."""
        found = {**tensors(self.args), **tensors(self.kwargs)}
        return {path: tensor for path, tensor in found.items() if tensor.ndim}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rows: Any) -> Inputs:
        """The examples of a slice, of a list or tensor of indices, or of a mask."""
        if isinstance(rows, int):
            raise InterpError(f"take examples by a slice, such as inputs[{rows}:{rows + 1}]")
        return self._mapped(lambda t: t[rows.to(t.device) if isinstance(rows, Tensor) else rows])

    def split(self, size: int) -> Iterator[Inputs]:
        """Consecutive batches of at most ``size`` examples."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Inputs:
        """All tensors on a device, floating ones in a dtype too."""
        return self._mapped(lambda t: t.to(device, dtype if t.is_floating_point() else t.dtype), every=True)

    def tiled(self, copies: int) -> Inputs:
        """The whole batch several times, one after the other."""
        return self._mapped(lambda t: t.repeat(copies, *[1] * (t.ndim - 1)))

    def joined(self, other: Inputs) -> Inputs:
        """These examples, then those of another batch of the same form."""
        theirs = other.tensors()
        args = mapped(self.args, lambda path, t: torch.cat([t, theirs[path]]) if t.ndim else t)
        kwargs = mapped(self.kwargs, lambda path, t: torch.cat([t, theirs[path]]) if t.ndim else t)
        return Inputs(*args, **kwargs)

    @property
    def ndim(self) -> int:
        """Axes of the first tensor; at least 1."""
        return next(iter(self.tensors().values())).ndim

    @property
    def device(self) -> torch.device:
        """Where the first tensor is."""
        return next(iter(self.tensors().values())).device

    @property
    def form(self) -> tuple[Any, ...]:
        """What two batches must share to be aligned: names, shapes of an example, and whether tensors hold whole numbers."""
        return tuple((path, tuple(t.shape[1:]), t.is_floating_point()) for path, t in self.tensors().items())

    def _mapped(self, change: Any, *, every: bool = False) -> Inputs:
        def one(_path: str, tensor: Tensor) -> Tensor:
            return change(tensor) if tensor.ndim or every else tensor

        return Inputs(*mapped(self.args, one), **mapped(self.kwargs, one))

    @override
    def __repr__(self) -> str:
        shown = [_short(a) for a in self.args] + [f"{k}={_short(v)}" for k, v in self.kwargs.items()]
        return f"Inputs({', '.join(shown)})"


InputsLike = Tensor | Inputs | Sequence[Tensor] | Mapping[str, Tensor]  # what `as_inputs` takes


def as_inputs(given: Any) -> Any:
    """What an experiment was given as inputs: a tuple, list or dict that holds tensors as `Inputs`, anything else as it is.

    Args:
        given: what the user gave.

    Returns:
        a tensor or `Inputs`, or what is neither and has yet to be refused.

    Raises:
        InterpError: tensors with different numbers of examples.

    >>> as_inputs((torch.ones(2), torch.ones(2, 3)))
    Inputs([2] of float32, [2, 3] of float32)
    """
    if isinstance(given, Inputs | Tensor) or not isinstance(given, tuple | list | Mapping):
        return given
    if not any(t.ndim for t in tensors(given).values()):
        return given
    return Inputs(**{str(k): v for k, v in given.items()}) if isinstance(given, Mapping) else Inputs(*given)


def tiled_inputs(inputs: Tensor | Inputs, copies: int) -> Tensor | Inputs:
    """A whole batch several times, one after the other."""
    if isinstance(inputs, Inputs):
        return inputs.tiled(copies)
    return inputs.repeat(copies, *[1] * (inputs.ndim - 1))


def same_inputs(a: Tensor | Inputs, b: Tensor | Inputs) -> bool:
    """Whether two batches hold the same values."""
    if isinstance(a, Inputs) and isinstance(b, Inputs):
        mine, theirs = a.tensors(), b.tensors()
        return mine.keys() == theirs.keys() and all(torch.equal(mine[k].cpu(), theirs[k].cpu()) for k in mine)
    return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a.cpu(), b.cpu())


def rows_of(inputs: Tensor | Inputs, like: Tensor | Inputs | None = None) -> Tensor:
    """Every example as one row of numbers on the CPU, to find examples again.

    Args:
        inputs: a batch.
        like: take the dtypes of this one, so that rounding does not make two of the same example.

    Returns:
        ``[n, numbers]``.
    """
    if isinstance(inputs, Tensor):
        return inputs.cpu().to(like.dtype if isinstance(like, Tensor) else inputs.dtype).flatten(1)
    dtypes = {path: t.dtype for path, t in (like if isinstance(like, Inputs) else inputs).tensors().items()}
    return torch.cat([t.cpu().to(dtypes[path]).double().reshape(len(t), -1) for path, t in inputs.tensors().items()], 1)


def shapes_of_example(inputs: Tensor | Inputs) -> tuple[Any, ...]:
    """The shapes of one example, by position or name for several inputs."""
    return tuple(f[:2] for f in inputs.form) if isinstance(inputs, Inputs) else tuple(inputs.shape[1:])


def form_of(inputs: Tensor | Inputs) -> tuple[Any, ...]:
    """What two batches must share to be aligned: shapes of an example, and whether tensors hold whole numbers."""
    return inputs.form if isinstance(inputs, Inputs) else (tuple(inputs.shape[1:]), inputs.is_floating_point())


def shown_inputs(inputs: Any) -> str:
    """A batch in messages: shapes and dtypes."""
    return _short(inputs)


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{list(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, Inputs):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(_short, value)) + ")"
    return repr(value)
