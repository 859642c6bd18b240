"""Errors that a user can act on: each says what was wrong, where, and what to do.

The command line prints these as one message and exits with code 2; anything else is a bug and keeps its
traceback.
"""

from __future__ import annotations

import difflib
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any


class InterpError(ValueError):
    """Base of all errors about the user's input, as opposed to bugs of the suite.

    In IPython and in notebooks it is one line, with the line of the cell that it came from; ``%tb`` then shows the whole
    traceback.
    """

    _told: bool = False  # whether a notebook has shown the line

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it: one red line at first, and the whole traceback when asked again (``%tb``)."""
        shell = _shell()
        if self._told and shell is not None:
            return shell.InteractiveTB.structured_traceback(type(self), self, self.__traceback__)
        self._told = True
        place = _cell_line(self)
        return [f"\x1b[31m{type(self).__name__}: {self}\x1b[0m ({place}%tb shows the traceback)"]


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _cell_line(error: BaseException) -> str:
    """The line of the user's cell in which an error arose."""
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    lines = [line for file, line in frames if file.startswith("<ipython-input") or "ipykernel_" in file]
    return f"line {lines[-1]} of the cell; " if lines else ""


class UnknownName(InterpError):
    """An unknown name, of a hook point, analysis, option, layout or task."""


class UnknownSite(UnknownName):
    """A pattern that matches no hook point of the model."""


class UnreadableFile(InterpError):
    """A file that is missing, empty, truncated, corrupted or in an unknown format."""


class UnknownLayout(InterpError):
    """Tensors whose names and shapes fit none of the known layouts."""


class AmbiguousLayout(InterpError):
    """Names and shapes fit more than one reading; the message names the option that settles it."""


class TaskMismatch(InterpError):
    """A task whose tokens, positions or answers do not fit the model's shapes."""


class MissingCapability(InterpError):
    """A Subject lacks what an analysis needs, such as a task; the message says how to supply it."""


class OutputExists(InterpError):
    """The output folder holds files that the suite did not write, so they are not overwritten."""


def naming(path: object, error: InterpError) -> InterpError:
    """The error with the file in its message; unchanged if the message already names the file.

    Args:
        path: of the file.
        error: what went wrong with it.

    Returns:
        An error of the same kind.

    >>> str(naming("a.pt", UnreadableFile("no config")))
    'a.pt: no config'
    """
    return error if str(path) in str(error) else type(error)(f"{path}: {error}")


@contextmanager
def in_file(path: object) -> Iterator[None]:
    """Name the file in the message of any InterpError that the block raises."""
    try:
        yield
    except InterpError as error:
        raise naming(path, error) from None


def kind_of(value: object) -> str:
    """What a value is, for a message about a wrong kind.

    Args:
        value: what was given.

    Returns:
        The name of its class with an article, or the class that it is.

    >>> kind_of(3), kind_of([]), kind_of(dict)
    ('an int', 'a list', 'the class dict')
    """
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Up to ``n`` known names that look most like ``name``, best first.

    Args:
        name: what was typed.
        known: the names that exist.
        n: the most names to return.

    Returns:
        The most similar names; none if nothing comes near.

    >>> nearest("fuorier", ["fourier", "svd", "pca"])
    ['fourier']
    """
    return difflib.get_close_matches(name, list(known), n=n, cutoff=0.4)


def require_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Refuse a number outside its range.

    Args:
        name: of the option, for the message.
        value: what was given.
        low: the smallest value allowed.
        high: the largest value allowed.

    Raises:
        InterpError: the value lies outside, or is not a number.

    >>> require_range("top", -1, 1)
    Traceback (most recent call last):
    interp.errors.InterpError: top must be at least 1, got -1
    """
    limits = f"at least {low}" if high == float("inf") else f"between {low} and {high}"
    if not isinstance(value, Real):
        raise InterpError(f"{name} must be a number, {limits}, got {value!r}")
    if not low <= value <= high:
        raise InterpError(f"{name} must be {limits}, got {value}")


def require_positive(name: str, value: object) -> None:
    """Refuse what is not a size, such as that of a step.

    Args:
        name: of the option, for the message.
        value: what was given.

    Raises:
        InterpError: not a finite number above 0.

    >>> require_positive("lr", 0)
    Traceback (most recent call last):
    interp.errors.InterpError: lr must be a finite number above 0, got 0
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < float("inf"):
        raise InterpError(f"{name} must be a finite number above 0, got {value!r}")


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The message for an unknown name: the nearest known names, and the list of them.

    Args:
        kind: what the name was meant to be, such as ``"analysis"``.
        name: what was typed.
        known: the names that exist.

    Returns:
        The text of an `UnknownName`.

    >>> unknown("analysis", "fuorier", ["fourier", "svd"])
    "unknown analysis 'fuorier'; did you mean 'fourier'? (known: fourier, svd)"
    """
    known, name = sorted(known), str(name)
    close = nearest(name, known)
    hint = "; did you mean " + " or ".join(repr(c) for c in close) + "?" if close else ""
    listing = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return f"unknown {kind} {name!r}{hint} (known: {listing or 'none'})"
