"""Options: the keyword arguments of a plugin's function, with their types, as a user sets them."""

from __future__ import annotations

import inspect
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from interp._util.schema import described, fits, short
from interp._util.specs import parse_value
from interp.errors import InterpError, UnknownName, unknown

UNIONS = (types.UnionType, typing.Union)
REQUIRED: Any = inspect.Parameter.empty  # in place of a default


@dataclass(frozen=True)
class Option:
    """A keyword argument of a plugin's function; its default is `REQUIRED` where it has none."""

    name: str
    type: Any
    default: Any

    def parse(self, owner: str, value: Any, typed: bool = True) -> Any:
        """Read a value in the option's type.

        Args:
            owner: the plugin, for the message.
            value: of that type, or text.
            typed: whether a text may be a literal as a user types it; else, as in a file, a text is a text.

        Returns:
            The value in the option's type.

        Raises:
            InterpError: a value of another type.
        """
        raw, value = value, parse_value(value) if typed and isinstance(value, str) and self.type is not str else value
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
            elif (outer := typing.get_origin(kind)) is not None:
                if isinstance(value, outer) and fits(value, kind):  # what is in a list, too
                    return value
            elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
                return value
        if not typed:
            raise InterpError(f"{self.name} must be {self._in_words}, got {short(raw)}")
        raise InterpError(f"option {owner}.{self.name} must be {self.type_name}, got {raw!r}")

    @property
    def _in_words(self) -> str:
        """The type for who writes a file; what is left out there stands for None."""
        return described(self.type).replace("an object", "a table").replace(" or null", "")

    @property
    def type_name(self) -> str:
        """The type as a user reads it: ``int``, or ``one of a, b``."""
        if typing.get_origin(self.type) is Literal:
            return "one of " + ", ".join(map(str, typing.get_args(self.type)))
        if isinstance(self.type, type):
            return self.type.__name__
        return str(self.type).replace("collections.abc.Mapping[str, typing.Any]", "a table of values by name")


def keyword_options(
    function: Callable[..., Any], owner: str, takes: str, *, may_require: bool = False
) -> tuple[Option, ...]:
    """The options of a plugin's function.

    Args:
        function: takes one positional argument, then keyword-only ones with a type and a default.
        owner: the plugin, for messages.
        takes: what the positional argument is, for messages.
        may_require: whether an option may lack a default.

    Returns:
        The keyword-only arguments in the order of the signature.

    Raises:
        TypeError: another signature.
    """
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    if not parameters:
        raise TypeError(f"{owner}: the function takes no {takes}")
    first, *rest = parameters
    if first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        raise TypeError(f"{owner}: the first argument must be the {takes}")
    for p in rest:
        bare = p.default is p.empty and not may_require
        if p.kind is not p.KEYWORD_ONLY or bare or p.annotation is p.empty:
            more = "" if may_require else " and a default"
            raise TypeError(f"{owner}: option {p.name!r} must be keyword-only, with a type{more}")
    return tuple(Option(p.name, p.annotation, p.default) for p in rest)


def parse_options(
    owner: str,
    options: Sequence[Option],
    given: Mapping[str, Any],
    renamed: Mapping[str, str] | None = None,
    *,
    typed: bool = True,
) -> dict[str, Any]:
    """All options of a plugin, with the given values checked against their types.

    Args:
        owner: the plugin, for messages.
        options: those that it has.
        given: values by name.
        renamed: former names of options and their present ones: a former name works, with a DeprecationWarning.
        typed: as in `Option.parse`.

    Returns:
        A value for every option; defaults for those not given.

    Raises:
        UnknownName: ``owner`` does not have such an option; the nearest is named.
        InterpError: a value of the wrong type, one that is missing, or options that are not given by name.
    """
    if not isinstance(given, Mapping):
        raise InterpError(f"the options of {owner} are given by name, such as {{'name': value}}, got {given!r}")
    known = {o.name: o for o in options}
    given = _under_new_names(owner, given, renamed or {})
    for name in given:
        if name not in known:
            raise UnknownName(unknown(f"option of {owner}", name, known))
    if missing := [n for n, o in known.items() if n not in given and o.default is REQUIRED]:
        raise InterpError(f"{missing[0]} is missing: write {missing[0]} = ..., which {owner} needs")
    return {n: o.parse(owner, given[n], typed) if n in given else o.default for n, o in known.items()}


def _under_new_names(owner: str, given: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """The given values by the present names of their options, with a warning for each former name."""
    found = {name: value for name, value in given.items() if name not in renamed}
    for old in given.keys() & renamed.keys():
        new = renamed[old]
        if new in found:
            raise InterpError(f"option {owner}.{new} is given twice: {old} is its former name")
        warnings.warn(f"option {owner}.{old} is now {owner}.{new}", DeprecationWarning, stacklevel=4)
        found[new] = given[old]
    return found


def parse_settings(settings: Iterable[str], owner: str, example: str) -> dict[str, dict[str, Any]]:
    """Read ``name.option=value``.

    Args:
        settings: texts of that form.
        owner: what they are given to, such as ``--set``, for the message.
        example: a valid one, for the message.

    Returns:
        Values by name and option; they stay text until the option's type reads them.

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


def as_names(given: Any, kind: str) -> list[Any]:
    """One name, several, or one text with commas, as a list.

    Args:
        given: a text, or several names (or what stands for them).
        kind: what they name, for the message.

    Returns:
        The names, or the items of ``given`` as they are.

    Raises:
        InterpError: neither a text nor several of anything.

    >>> as_names("svd, pca", "analyses"), as_names(["svd"], "analyses")
    (['svd', 'pca'], ['svd'])
    """
    if isinstance(given, str):
        return [part for name in given.split(",") if (part := name.strip())]
    if not isinstance(given, Iterable):
        raise InterpError(f"{kind} are given by name, one or several, got {given!r}")
    return list(given)
