"""Arguments at the door of an experiment: of the wrong kind, they are refused with the kind that is needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real

from torch import Tensor

from interp.errors import InterpError, kind_of, require_range
from interp.hooked.foreign.several import Inputs


def require_batch(given: object, name: str) -> None:
    """Refuse inputs that are not a batch.

    Args:
        given: what the user gave.
        name: such as ``"clean inputs"``, for the message.

    Raises:
        InterpError: not a tensor, or one without axes.
    """
    if isinstance(given, Inputs):
        return
    if not isinstance(given, Tensor):
        raise InterpError(
            f"{name} must be a tensor [batch, ...], got {kind_of(given)}; torch.as_tensor makes one of numbers"
        )
    if given.ndim == 0:
        raise InterpError(f"{name} must be a tensor [batch, ...], got a single number")


def require_whole(name: str, value: object, low: int, high: int | float = float("inf")) -> None:
    """Refuse what is not a whole number in a range.

    Args:
        name: of the argument, for the message.
        value: what the user gave.
        low: the smallest value allowed.
        high: the largest value allowed.

    Raises:
        InterpError: not a whole number, or one outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InterpError(f"{name} must be a whole number, got {value!r}")
    require_range(name, value, low, high)


def numbers(name: str, given: object, low: float, high: float, example: Sequence[float]) -> list[float]:
    """Several numbers in a range.

    Args:
        name: of the argument, for the message.
        given: what the user gave.
        low: the smallest value allowed.
        high: the largest value allowed.
        example: of what is allowed.

    Returns:
        the numbers.

    Raises:
        InterpError: none, not several of them, or one that is not a number in the range.
    """
    several = list(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else []
    alone = all(isinstance(v, Real) or (isinstance(v, Tensor) and v.ndim == 0) for v in several)
    if not several or not alone or not all(low <= float(v) <= high and float(v) < math.inf for v in several):
        limits = f"of at least {low}" if high == math.inf else f"between {low} and {high}"
        raise InterpError(f"{name} are one or more numbers {limits}, such as {list(example)}, got {given!r}")
    return [float(v) for v in several]


def require_progress(given: object) -> None:
    """Refuse a ``progress`` that is neither a function nor True or False.

    Args:
        given: what the user gave; None for no report.

    Raises:
        InterpError: it cannot be called.
    """
    if given is not None and not isinstance(given, bool) and not callable(given):
        raise InterpError(f"progress must be a function of (done, total), such as print, got {given!r}")
