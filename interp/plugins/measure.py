"""Measures: numbers computed from one checkpoint, and the contract by which they are found.

A measure is a function of a `Snapshot`, decorated with `measure` and registered as an entry point in the group
``interp.measures``. It returns a number, or numbers by where they hold (``train``, a layer, a frequency). Over a series all
measures run in one pass (`interp.history.progress`). The suite's own measures are registered in the same way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interp._util.registry import in_order, load_group
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked import HookedModel
from interp.plugins.fingerprint import fingerprint
from interp.plugins.options import Option, as_names, keyword_options, parse_options
from interp.snapshot import Snapshot
from interp.subject import Capability, Subject, as_subject

GROUP = "interp.measures"
Value = float | int
Values = Value | Mapping[str, Value]


@dataclass(frozen=True)
class Measure:
    """A registered measure. Called with a Subject, a model or a Snapshot it returns its values by where they hold.

    Attributes:
        name: as typed on the command line.
        function: computes the values from a Snapshot.
        needs: capabilities (`Subject.CAPABILITIES`) without which it does not apply.
        summary: one line: what it is, and its unit.
        options: the keyword arguments of the function.
        every: evaluated only at every n-th checkpoint, counting from the last, to save time.
        log: whether its curve is drawn on a logarithmic axis.
        order: place in lists and reports; the suite's own are below 100.
        anchor: gives values for options left None, from the last checkpoint of a series, so that all checkpoints share
            them: for example, which frequencies are key. Set with `anchored`.
    """

    name: str
    function: Callable[..., Values]
    needs: tuple[Capability, ...]
    summary: str
    options: tuple[Option, ...]
    every: int = 1
    log: bool = False
    order: int = 100
    anchor: Callable[[Snapshot], Mapping[str, Any]] | None = None

    def anchored(self, function: Callable[[Snapshot], Mapping[str, Any]]) -> Callable[[Snapshot], Mapping[str, Any]]:
        """Decorator for the function that settles open options from the snapshot of a series' last checkpoint."""
        object.__setattr__(self, "anchor", function)
        return function

    def __call__(self, of: Snapshot | Subject | HookedModel, **options: Any) -> dict[str, float]:
        """Compute the measure for one network.

        Args:
            of: the network; a model has no task.
            **options: of the measure; those left None come from the anchor, which sees this network.

        Returns:
            Floats by where they hold; the key of a single number is empty.

        Raises:
            InterpError: the network lacks a capability that the measure needs, or an option is wrong.
        """
        snapshot = of if isinstance(of, Snapshot) else Snapshot(as_subject(of))
        if missing := snapshot.subject.lacks(self.needs):
            raise InterpError(f"{self.name}: {missing[0]}")
        given = self.parse(options)
        return self.values(snapshot, self.settle(given, snapshot))

    def settle(self, options: Mapping[str, Any], last: Snapshot) -> dict[str, Any]:
        """The options, with the anchor's values for those that are None."""
        if self.anchor is None or not self.open_options(options):
            return dict(options)
        return {**options, **{n: v for n, v in self.anchor(last).items() if options.get(n) is None}}

    def open_options(self, options: Mapping[str, Any]) -> bool:
        """Whether the anchor has anything to settle."""
        return any(value is None for value in options.values())

    def values(self, snapshot: Snapshot, options: Mapping[str, Any]) -> dict[str, float]:
        """Compute the measure: floats by where they hold; the key of a single number is empty."""
        found = self.function(snapshot, **options)
        by_place = found if isinstance(found, Mapping) else {"": found}
        return {str(where): float(value) for where, value in by_place.items()}

    def parse(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options of the measure, with the given values checked against their types."""
        return parse_options(self.name, self.options, given)

    @property
    def fingerprint(self) -> str:
        """A digest of the source that computes it: the cache never returns results of other code."""
        return fingerprint(self.function)


def measure(
    name: str,
    *,
    needs: Iterable[Capability] = ("weights",),
    summary: str,
    every: int = 1,
    log: bool = False,
    order: int = 100,
) -> Callable[[Callable[..., Values]], Measure]:
    """Make a function of a Snapshot a measure.

    Args:
        name: as typed on the command line; the entry point carries the same name.
        needs: capabilities (`Subject.CAPABILITIES`) without which it is skipped, with the reason. A function that finds
            only while running that it does not apply raises `MissingCapability`.
        summary: what it is, and its unit, in one line.
        every: evaluate it only at every n-th checkpoint, counting from the last.
        log: whether its curve is drawn on a logarithmic axis.
        order: place in lists and reports; the suite's own are below 100.

    Returns:
        A decorator; it turns the function into a `Measure`.

    Raises:
        TypeError: at once, for an unknown need, an impossible name or ``every``, or a signature other than one snapshot
            followed by keyword-only options with a type and a default.
    """
    needs = tuple(needs)
    if wrong := [n for n in needs if n not in Subject.CAPABILITIES]:
        raise TypeError(f"measure {name!r} needs {wrong}; capabilities are {', '.join(Subject.CAPABILITIES)}")
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise TypeError(f"measure {name!r}: a name consists of letters, digits and _")
    if every < 1:
        raise TypeError(f"measure {name!r}: every must be at least 1, got {every}")

    def register(function: Callable[..., Values]) -> Measure:
        options = keyword_options(function, f"measure {name!r}", "snapshot")
        made = Measure(name, function, needs, summary, options, every, log, order)
        object.__setattr__(made, "__doc__", function.__doc__)
        return made

    return register


def measures() -> tuple[dict[str, Measure], dict[str, str]]:
    """All registered measures by name, and the errors of plugins that could not be loaded."""
    return in_order(load_group(GROUP), Measure, "a measure")


def choose(names: str | Iterable[str] | None) -> dict[str, Measure]:
    """Look measures up by name.

    Args:
        names: one name, several, or one text with commas; None for all.

    Returns:
        The measures by name, in the order of reports.

    Raises:
        UnknownName: no such measure; the nearest are named.
        InterpError: one that could not be loaded, with its error.
    """
    known, broken = measures()
    if names is None:
        return known
    names = list(dict.fromkeys(as_names(names, "measures")))
    for name in names:
        if name in broken:
            raise InterpError(f"measure {name}: {broken[name]}")
        if name not in known:
            raise UnknownName(unknown("measure", name, known))
    return {name: one for name, one in known.items() if name in names}


def plain(values: Mapping[str, float]) -> dict[str, float | str]:
    """Values in strict JSON: NaN and infinities as text."""
    return {where: value if math.isfinite(value) else str(value) for where, value in values.items()}
