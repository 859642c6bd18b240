"""Arguments that have a new name: the former one works for a version, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: keyword arguments under their former names are passed on under their new ones, with a DeprecationWarning.

    Args:
        **names: former name and new name, ``renamed(n_baseline="n_random")``.

    Returns:
        a decorator; the function's signature shows the new names only.

    Raises:
        TypeError: from the decorated function, where both names of an argument are given.

    >>> import warnings
    >>> @renamed(count="n")
    ... def double(n):
    ...     return 2 * n
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     double(count=3)
    6
    >>> str(caught[0].message)
    'double(count=...) is now double(n=...)'
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in names.keys() & kwargs.keys():
                new, name = names[old], getattr(function, "__name__", "call")
                if new in kwargs:
                    raise TypeError(f"{name} was given both {new}= and {old}=, its former name")
                warnings.warn(f"{name}({old}=...) is now {name}({new}=...)", DeprecationWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
