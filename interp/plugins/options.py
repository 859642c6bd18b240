"""Options: the keyword arguments of a plugin's function, with their types, as a user sets them."""

from __future__ import annotations

import inspect
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from interp._util.specs import parse_value
from interp.errors import InterpError, UnknownName, unknown

UNIONS = (types.UnionType, typing.Union)


@dataclass(frozen=True)
class Option:
    """A keyword argument of a plugin's function."""

    name: str
    type: Any
    default: Any

    def parse(self, owner: str, value: Any) -> Any:
        """The value in the option's type; text is read as a literal first.

        Raises:
            InterpError: a value of another type.
        """
        raw, value = value, parse_value(value) if isinstance(value, str) and self.type is not str else value
        allowed = typing.get_args(self.type) if typing.get_origin(self.type) in UNIONS else (self.type,)
        for kind in allowed:
            if typing.get_origin(kind) is Literal:
                if value in typing.get_args(kind):
                    return value
            elif kind in (None, types.NoneType):
                if value is None:
                    return None
            elif kind is float and isinstance(value, int) and not isinstance(value, bool):
                return float(value)
            elif isinstance(value, typing.get_origin(kind) or kind) and not (kind is int and isinstance(value, bool)):
                return value
        raise InterpError(f"option {owner}.{self.name} must be {self.type_name}, got {raw!r}")

    @property
    def type_name(self) -> str:
        if typing.get_origin(self.type) is Literal:
            return "one of " + ", ".join(map(str, typing.get_args(self.type)))
        return self.type.__name__ if isinstance(self.type, type) else str(self.type)


def keyword_options(function: Callable[..., Any], owner: str, takes: str) -> tuple[Option, ...]:
    """The options of a plugin's function: one positional argument (``takes``), then keyword-only ones.

    Raises:
        TypeError: another signature; ``owner`` says whose.
    """
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    if not parameters:
        raise TypeError(f"{owner}: the function takes no {takes}")
    first, *rest = parameters
    if first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        raise TypeError(f"{owner}: the first argument must be the {takes}")
    for p in rest:
        if p.kind is not p.KEYWORD_ONLY or p.default is p.empty or p.annotation is p.empty:
            raise TypeError(f"{owner}: option {p.name!r} must be keyword-only, with a type and a default")
    return tuple(Option(p.name, p.annotation, p.default) for p in rest)


def parse_options(
    owner: str, options: Sequence[Option], given: Mapping[str, Any], renamed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """All options, the given ones checked against their types.

    Args:
        owner: whose options they are, for messages.
        options: that the owner has.
        given: values by name.
        renamed: former names of options and their new ones: a former name works, with a DeprecationWarning.

    Returns:
        a value for every option, by its present name.

    Raises:
        UnknownName: an option that ``owner`` does not have; the nearest is named.
        InterpError: a value of another type; an option that is given under both of its names.
    """
    known = {o.name: o for o in options}
    given = _under_new_names(owner, given, renamed or {})
    for name in given:
        if name not in known:
            raise UnknownName(unknown(f"option of {owner}", name, known))
    return {n: o.parse(owner, given[n]) if n in given else o.default for n, o in known.items()}


def _under_new_names(owner: str, given: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    found = {name: value for name, value in given.items() if name not in renamed}
    for old in given.keys() & renamed.keys():
        new = renamed[old]
        if new in found:
            raise InterpError(f"option {owner}.{new} is given twice: {old} is its former name")
        warnings.warn(f"option {owner}.{old} is now {owner}.{new}", DeprecationWarning, stacklevel=4)
        found[new] = given[old]
    return found


def parse_settings(settings: Iterable[str], owner: str, example: str) -> dict[str, dict[str, Any]]:
    """``name.option=value`` by name and option; the values stay text until the option's type reads them.

    Args:
        owner: what they are given to, such as ``--set``, for the message.
        example: one that can be read.

    Raises:
        InterpError: text of another form.

    >>> parse_settings(["fourier.top=5"], "--set", "fourier.top=5")
    {'fourier': {'top': '5'}}
    """
    options: dict[str, dict[str, Any]] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        name, dot, option = path.strip().partition(".")
        if not (equals and dot and name and option):
            raise InterpError(f"cannot read {owner} {setting!r}: write NAME.OPTION=VALUE, such as {example}")
        options.setdefault(name, {})[option] = value.strip()
    return options
