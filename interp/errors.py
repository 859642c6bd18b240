"""Errors that a user can act on: each says what was wrong, where, and what to do.

The command line prints these as one message and exits with code 2; anything else is a bug and keeps its
traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InterpError(ValueError):
    """Base of every error that is about the user's input and not about our code."""


class UnknownName(InterpError):
    """A name (of a hook point, analysis, option, layout, task, ...) that is not known here."""


class UnknownSite(UnknownName):
    """A pattern that matches no hook point of the model."""


class UnreadableFile(InterpError):
    """A file that is missing, empty, truncated, corrupted or of no known format."""


class UnknownLayout(InterpError):
    """Tensors were read, but their names and shapes fit none of the known layouts."""


class AmbiguousLayout(InterpError):
    """Names and shapes fit more than one reading; the message names the option that settles it."""


class TaskMismatch(InterpError):
    """A task whose tokens, positions or answers do not fit the model's shapes."""


class MissingCapability(InterpError):
    """A Subject lacks what was asked of it, such as a task; the message says how to supply it."""


class OutputExists(InterpError):
    """The output folder holds something that is not ours to overwrite."""


def naming(path: object, error: InterpError) -> InterpError:
    """The error with the file in its message: itself where the file is named already.

    >>> str(naming("a.pt", UnreadableFile("no config")))
    'a.pt: no config'
    """
    return error if str(path) in str(error) else type(error)(f"{path}: {error}")


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Up to ``n`` known names that look most like ``name``, best first.

    >>> nearest("fuorier", ["fourier", "svd", "pca"])
    ['fourier']
    """
    return difflib.get_close_matches(name, list(known), n=n, cutoff=0.4)


def require_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Refuse an option outside its range.

    >>> require_range("top", -1, 1)
    Traceback (most recent call last):
    interp.errors.InterpError: top must be at least 1, got -1
    """
    if not low <= value <= high:
        limits = f"at least {low}" if high == float("inf") else f"between {low} and {high}"
        raise InterpError(f"{name} must be {limits}, got {value}")


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The message for a name that is not known: the nearest ones, or all of them when few.

    >>> unknown("analysis", "fuorier", ["fourier", "svd"])
    "unknown analysis 'fuorier'; did you mean 'fourier'? (known: fourier, svd)"
    """
    known, name = sorted(known), str(name)
    close = nearest(name, known)
    hint = "; did you mean " + " or ".join(repr(c) for c in close) + "?" if close else ""
    listing = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return f"unknown {kind} {name!r}{hint} (known: {listing or 'none'})"
