"""Measures: numbers that one checkpoint has, and the contract by which they are found.

A measure is a function of a `Snapshot`, decorated with `measure` and registered as an entry point in the group
``interp.plugins.measure``. It returns a number, or numbers by where they hold (``train``, a layer, a frequency). Over a series
they run in one pass (`interp.history.progress`). Ours are registered just as a stranger's are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from interp._util.registry import load_group
from interp.errors import InterpError, UnknownName, unknown
from interp.plugins.options import Option, keyword_options, parse_options
from interp.snapshot import Snapshot
from interp.subject import Subject

GROUP = "interp.plugins.measure"
Value = float | int
Values = Value | Mapping[str, Value]


@dataclass(frozen=True)
class Measure:
    """A registered measure. Call it with a Subject, or a Snapshot, to get its values by where they hold.

    Attributes:
        needs: capabilities of a subject without which it is left out.
        summary: one line: what it is, and its unit.
        every: measured at every so-manieth checkpoint, counted back from the last; what costs much is measured less often.
        log: whether its curve is drawn on a logarithmic axis.
        order: place in lists and reports; ours are below 100.
        anchor: what the last checkpoint of a series settles for all of them, such as which frequencies are key: gives values
            for options that were left None. Set with `anchored`.
    """

    name: str
    function: Callable[..., Values]
    needs: tuple[str, ...]
    summary: str
    options: tuple[Option, ...]
    every: int = 1
    log: bool = False
    order: int = 100
    anchor: Callable[[Snapshot], Mapping[str, Any]] | None = None

    def anchored(self, function: Callable[[Snapshot], Mapping[str, Any]]) -> Callable[[Snapshot], Mapping[str, Any]]:
        """Decorator: the options that the last checkpoint of a series settles, from its snapshot."""
        object.__setattr__(self, "anchor", function)
        return function

    def __call__(self, of: Snapshot | Subject, **options: Any) -> dict[str, float]:
        snapshot = of if isinstance(of, Snapshot) else Snapshot(of)
        if missing := snapshot.subject.lacks(self.needs):
            raise InterpError(f"{self.name}: {missing[0]}")
        given = self.parse(options)
        return self.values(snapshot, self.settle(given, snapshot))

    def settle(self, options: Mapping[str, Any], last: Snapshot) -> dict[str, Any]:
        """The options, with those that are None taken from the anchor where it has them."""
        if self.anchor is None or not self.open_options(options):
            return dict(options)
        return {**options, **{n: v for n, v in self.anchor(last).items() if options.get(n) is None}}

    def open_options(self, options: Mapping[str, Any]) -> bool:
        """Whether anything is left for the anchor to settle."""
        return any(value is None for value in options.values())

    def values(self, snapshot: Snapshot, options: Mapping[str, Any]) -> dict[str, float]:
        """The measure itself, its values as floats by where they hold (empty for a single number)."""
        found = self.function(snapshot, **options)
        by_place = found if isinstance(found, Mapping) else {"": found}
        return {str(where): float(value) for where, value in by_place.items()}

    def parse(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options, the given ones checked against their types."""
        return parse_options(self.name, self.options, given)

    @property
    def fingerprint(self) -> str:
        """Digest of the source that computes it, its own file and the suite's: results of other code are not taken for its."""
        function = inspect.unwrap(self.function)
        code = function if inspect.isroutine(function) else type(function)  # an object that is called
        return source_digest(inspect.getsourcefile(code) or "") + suite_digest()


def source_digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path and Path(path).is_file() else ""


@lru_cache
def suite_digest() -> str:
    """Digest of every module of the suite: a measure rests on more than the file that it stands in."""
    digest = hashlib.sha256()
    for package in ("interp", "probes", "circuits"):
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or []) if found else []:
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def measure(
    name: str,
    *,
    needs: Iterable[str] = ("weights",),
    summary: str,
    every: int = 1,
    log: bool = False,
    order: int = 100,
) -> Callable[[Callable[..., Values]], Measure]:
    """Make a function of a Snapshot a measure.

    Args:
        name: as typed on the command line; the entry point carries the same name.
        needs: capabilities (`Subject.CAPABILITIES`) without which it is left out, with the reason. A function that finds
            that it does not apply raises `MissingCapability`.
        summary: what it is, and its unit, in one line.
        every, log, order: see `Measure`.

    Raises:
        TypeError: at once, for a signature that is no measure's, a need that is no capability, or a name that cannot be.
    """
    needs = tuple(needs)
    if wrong := [n for n in needs if n not in Subject.CAPABILITIES]:
        raise TypeError(f"measure {name!r} needs {wrong}; capabilities are {', '.join(Subject.CAPABILITIES)}")
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise TypeError(f"measure {name!r}: a name is made of letters, digits and _")
    if every < 1:
        raise TypeError(f"measure {name!r}: every must be at least 1, got {every}")

    def register(function: Callable[..., Values]) -> Measure:
        options = keyword_options(function, f"measure {name!r}", "snapshot")
        made = Measure(name, function, needs, summary, options, every, log, order)
        object.__setattr__(made, "__doc__", function.__doc__)
        return made

    return register


def measures() -> tuple[dict[str, Measure], dict[str, str]]:
    """All registered measures by name, and the plugins that could not be loaded with their errors."""
    good, broken = {}, {}
    for name, plugin in load_group(GROUP).items():
        if plugin.error is not None:
            broken[name] = plugin.error
        elif not isinstance(plugin.value, Measure) or plugin.value.name != name:
            broken[name] = f"the entry point {name!r} of {plugin.distribution} is no measure of that name"
        else:
            good[name] = plugin.value
    return dict(sorted(good.items(), key=lambda item: (item[1].order, item[0]))), broken


def choose(names: str | Iterable[str] | None) -> dict[str, Measure]:
    """The measures of these names (or of a text that lists them with commas), or all.

    Raises:
        UnknownName: no such measure; the nearest are named.
        InterpError: one that could not be loaded, with its error.
    """
    known, broken = measures()
    if names is None:
        return known
    if isinstance(names, str):
        names = [part for n in names.split(",") if (part := n.strip())]
    for name in (names := list(dict.fromkeys(names))):
        if name in broken:
            raise InterpError(f"measure {name}: {broken[name]}")
        if name not in known:
            raise UnknownName(unknown("measure", name, known))
    return {name: one for name, one in known.items() if name in names}


def plain(values: Mapping[str, float]) -> dict[str, float | str]:
    """Values as JSON takes them: NaN and infinities as text."""
    return {where: value if math.isfinite(value) else str(value) for where, value in values.items()}
