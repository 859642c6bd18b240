"""JSON from files: parsed within limits, and checked against the annotations of the dataclass that it is to become.

Annotations are the schema. ``int`` is a whole number of 64 bits and no boolean, ``float`` any finite number, tuples may be
JSON arrays; what JSON cannot hold (a `Task`, say) is not checked here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, cast, get_args, get_origin, get_type_hints

from interp.errors import InterpError, UnreadableFile

DEPTH = 100  # of nested arrays and objects; what we write has six levels
LISTS = (tuple, list, Sequence, Iterable)
TOO_DEEP = f"not JSON that can be read here: it is nested more than {DEPTH} levels deep"
WHOLE = 2**63
NAMES = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false", NoneType: "null"}


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Args:
        text: of a file, or of a line; whoever calls names it.

    Returns:
        plain values.

    Raises:
        UnreadableFile: not JSON, nested deeper than `DEPTH`, or a number of thousands of digits.

    >>> parse_json("[" * 1000)
    Traceback (most recent call last):
    interp.errors.UnreadableFile: not JSON that can be read here: it is nested more than 100 levels deep
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise UnreadableFile(TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise UnreadableFile(f"not JSON: {error}") from None
    except ValueError:  # Python reads no numbers of more than 4,300 digits
        raise UnreadableFile("not JSON that can be read here: a number has thousands of digits") from None
    if too_deep(value):
        raise UnreadableFile(TOO_DEEP)
    return value


def too_deep(value: Any) -> bool:
    """Whether a value is nested deeper than `DEPTH`; without recursion."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEPTH):
        if not level:
            break
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [v for values in inner for v in values if isinstance(v, (dict, list))]
    return bool(level)


def fits(value: Any, kind: Any, classes: bool = False) -> bool:
    """Whether a plain value is of an annotated kind.

    Args:
        value: as JSON gives it.
        kind: an annotation, such as ``int``, ``str | None`` or ``tuple[int, ...]``.
        classes: whether other classes are checked too; of JSON they are still to be made.

    Returns:
        whether it may be used as one.

    >>> fits(3, float), fits(True, int), fits(float("nan"), float), fits([1, 2], tuple[int, ...]), fits(10**400, int)
    (True, False, False, True, False)
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool) and abs(int(value)) < WHOLE
    if kind is float:
        number = isinstance(value, Real) and not isinstance(value, bool)
        return number and abs(cast(Any, value)) <= sys.float_info.max  # NaN is not below anything
    if kind in NAMES:
        return isinstance(value, kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, one, classes) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin is tuple and Ellipsis not in inner:
        return (
            isinstance(value, (list, tuple))
            and len(value) == len(inner)
            and all(fits(v, one, classes) for v, one in zip(value, inner, strict=True))
        )
    if origin in LISTS:
        return isinstance(value, (list, tuple)) and all(fits(v, inner[0], classes) for v in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(
            fits(k, inner[0], classes) and fits(v, inner[1], classes) for k, v in value.items()
        )
    if classes and origin is Callable:
        return callable(value)
    if not classes or not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return True
    return isinstance(value, kind)


def require_fields(of: Callable[..., Any], values: Mapping[str, Any], classes: bool = False) -> None:
    """Refuse stored fields of a dataclass, or arguments of a function, that are not of their annotated kinds.

    Args:
        of: the dataclass or the function.
        values: by name; names that it does not have are not looked at.
        classes: as in `fits`.

    Raises:
        InterpError: the first that does not fit; the message names the field, and what it must be.
    """
    known = kinds(of)
    for name in values:
        if name in known and not fits(values[name], known[name], classes):
            raise InterpError(f"{name} must be {described(known[name])}, got {short(values[name])}")


@lru_cache(maxsize=256)
def kinds(of: Callable[..., Any]) -> Mapping[str, Any]:
    """The annotations of a dataclass's fields, or of a function's arguments; of one whose annotations cannot be resolved none."""
    try:
        hints = get_type_hints(of)
    except (NameError, TypeError):  # names of a stranger's class that exist only for a type checker
        return {}
    return {name: kind for name, kind in hints.items() if get_origin(kind) is not ClassVar and kind is not ClassVar}


def described(kind: Any) -> str:
    """An annotation in words.

    Args:
        kind: the annotation.

    Returns:
        what may stand there.

    >>> described(int | None), described(tuple[float, float])
    ('a whole number or null', 'a list of 2 (a finite number)')
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind in NAMES:
        return NAMES[kind]
    if kind is Any:
        return "anything"
    if origin in (Union, UnionType):
        return " or ".join(described(one) for one in inner)
    if origin is Literal:
        return " or ".join(repr(one) for one in inner)
    if origin is Callable:
        return "a function"
    if origin in LISTS:
        length = f" of {len(inner)}" if origin is tuple and Ellipsis not in inner else ""
        return f"a list{length} ({described(inner[0])})"
    return "an object" if origin in (dict, Mapping) else getattr(kind, "__name__", str(kind))


def short(value: Any) -> str:
    """A value in at most sixty characters, for a message."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number of more than 30 digits"
    if isinstance(value, (list, tuple, Mapping)):
        inner = list(value.values() if isinstance(value, Mapping) else value)
        if len(inner) > 3 or not all(fits(v, float | str | bool | None) for v in inner):
            return f"{'an object' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
