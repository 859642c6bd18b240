"""Analyses: the contract between a measurement and a line in a report.

An analysis is a function of a `Subject`, decorated with `analysis` and registered as an entry point in the group
``interp.analyses``. Its keyword arguments are its options. Ours are registered just as a stranger's are.
"""

from __future__ import annotations

import html
import re
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from interp._util.registry import load_group
from interp._util.versions import versions
from interp.errors import InterpError, MissingCapability, UnknownName, unknown
from interp.plugins.options import Option, keyword_options, parse_options
from interp.plugins.result import Result, check_result
from interp.subject import Subject

GROUP = "interp.analyses"


@dataclass(frozen=True)
class Analysis:
    """A registered analysis. Call it with a Subject to get its Result, without the host's isolation.

    Attributes:
        renamed: former names of options, with their present ones.
        comparison: makes one Result of several subjects' for ``interp compare``; set with `compares`.
    """

    name: str
    function: Callable[..., Result]
    needs: tuple[str, ...]
    summary: str
    options: tuple[Option, ...]
    order: int
    renamed: Mapping[str, str] = field(default_factory=dict)
    comparison: Callable[[Mapping[str, Result]], Result] | None = None

    def compares(self, function: Callable[[Mapping[str, Result]], Result]) -> Callable[[Mapping[str, Result]], Result]:
        """Decorator: what the analysis has to say of several subjects, from its results by their names, in order."""
        object.__setattr__(self, "comparison", function)
        return function

    def __call__(self, subject: Subject, **options: Any) -> Result:
        missing = subject.lacks(self.needs)
        if missing:
            raise InterpError(f"{self.name}: {missing[0]}")
        return self.function(subject, **self.parse(options))

    def parse(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options, the given ones checked against their types.

        Raises:
            UnknownName: an option that the analysis does not have; the nearest is named.
        """
        return parse_options(self.name, self.options, given, self.renamed)


def analysis(
    name: str,
    *,
    needs: Iterable[str] = (),
    summary: str,
    order: int = 100,
    renamed: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Result]], Analysis]:
    """Make a function of a Subject an analysis.

    Args:
        name: as typed on the command line; the entry point carries the same name.
        needs: capabilities (`Subject.CAPABILITIES`) without which the analysis is skipped, with the reason.
        summary: one line for ``interp analyses`` and the report.
        order: place in the report; ours are below 100.
        renamed: former names of options and their present ones, such as ``{"baseline": "n_random"}``: a former name works,
            with a DeprecationWarning.

    Returns:
        a decorator that makes the `Analysis`.

    Raises:
        TypeError: at once, when the function's signature is no analysis' (one subject, then keyword-only options with
            a type and a default).
        MissingCapability: a need that is no capability.
    """
    needs = tuple(needs)
    if unknown_needs := [n for n in needs if n not in Subject.CAPABILITIES]:
        raise TypeError(f"analysis {name!r} needs {unknown_needs}; capabilities are {', '.join(Subject.CAPABILITIES)}")

    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise TypeError(f"analysis {name!r}: a name is made of letters, digits, _ and -")

    def register(function: Callable[..., Result]) -> Analysis:
        options = keyword_options(function, f"analysis {name!r}", "subject")
        names = {o.name for o in options}
        if wrong := sorted((set((renamed or {}).values()) - names) | (set(renamed or {}) & names)):
            raise TypeError(f"analysis {name!r}: renamed maps former names to present options, not {wrong}")
        made = Analysis(name, function, needs, summary, options, order, dict(renamed or {}))
        object.__setattr__(made, "__doc__", function.__doc__)
        return made

    return register


@dataclass
class Outcome:
    """What became of one analysis: ``ok`` with a result, ``skipped`` with a reason, ``failed`` with an error."""

    name: str
    status: Literal["ok", "skipped", "failed"]
    summary: str = ""
    result: Result | None = None
    reason: str = ""
    error: str = ""
    detail: str = ""

    def __repr__(self) -> str:
        return f"{self.name}: {self.status} {self.reason or self.error}".rstrip() + (
            f"\n{self.result}" if self.result else ""
        )


class Outcomes(dict[str, Outcome]):
    """The outcome of every analysis by name, in the order of the report; renders itself in a notebook."""

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.values()))

    def _repr_html_(self) -> str:
        parts = []
        for outcome in self.values():
            parts.append(f"<h3>{html.escape(outcome.name)}</h3>")
            if outcome.result is not None:
                parts.append(outcome.result._repr_html_())
            else:
                parts.append(f"<p>{outcome.status}: {html.escape(outcome.reason or outcome.error)}</p>")
        return "\n".join(parts)


def analyses() -> tuple[dict[str, Analysis], dict[str, str]]:
    """All registered analyses in report order, and the plugins that could not be loaded with their errors."""
    good, broken = {}, {}
    for name, plugin in load_group(GROUP).items():
        if plugin.error is not None:
            broken[name] = plugin.error
        elif not isinstance(plugin.value, Analysis) or plugin.value.name != name:
            broken[name] = f"the entry point {name!r} of {plugin.distribution} is no analysis of that name"
        else:
            good[name] = plugin.value
    return dict(sorted(good.items(), key=lambda item: (item[1].order, item[0]))), broken


def analyze(
    subject: Subject,
    only: Iterable[str | Analysis] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    dtype: torch.dtype | None = torch.float64,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    shared: Mapping[str, Any] | None = None,
) -> Outcomes:
    """Run every analysis that applies, or those named; one that fails does not stop the others.

    Args:
        only: names of analyses, or analyses themselves, registered or not; all that are registered by default.
        options: by analysis, such as ``{"fourier": {"top": 5}}``.
        dtype: the model is computed in this; None leaves it as it was loaded.
        seed: of the global generators, set anew before every analysis.
        progress: called with each analysis' name before it starts.
        shared: options for every analysis that has them, such as ``every``, where its own does not say otherwise.

    Raises:
        UnknownName: an analysis or option that does not exist; nothing has run then.
        InterpError: an option's value that an analysis cannot work with, such as a site that the model has not.
    """
    known, broken = analyses()
    asked = [*known, *broken] if only is None else list(only)
    known |= {one.name: one for one in asked if isinstance(one, Analysis)}
    names = [one.name if isinstance(one, Analysis) else one for one in asked]
    for name in names:
        if name not in known and name not in broken:
            raise UnknownName(unknown("analysis", name, [*known, *broken]))
    for name, given in (options or {}).items():
        if name not in known:
            raise UnknownName(unknown("analysis", name, known))
        known[name].parse(given)
    # MPS has no float64, in which losses are taken
    subject = subject.cast(dtype or subject.model.dtype, "cpu" if subject.model.device.type == "mps" else None)
    outcomes = Outcomes()
    for name in sorted(names, key=[*known, *broken].index):
        if name not in known:
            outcomes[name] = Outcome(name, "failed", error=broken[name])
            continue
        if progress is not None:
            progress(name)
        outcomes[name] = _run(known[name], subject, (options or {}).get(name, {}), seed, shared or {})
    return outcomes


def _run(one: Analysis, subject: Subject, given: Mapping[str, Any], seed: int, shared: Mapping[str, Any]) -> Outcome:
    missing = subject.lacks(one.needs)
    if missing:
        return Outcome(one.name, "skipped", one.summary, reason=missing[0])
    own = {o.name for o in one.options}
    parsed = one.parse({**{n: v for n, v in shared.items() if n in own}, **given})
    started = time.perf_counter()
    torch.manual_seed(seed)
    try:
        result = one.function(subject, **parsed)
        check_result(result)
    except MissingCapability as reason:  # which only a look inside could tell
        return Outcome(one.name, "skipped", one.summary, reason=str(reason))
    except InterpError as error:
        if given:  # the user asked for something that cannot be, and should hear so at once
            raise type(error)(f"{one.name}: {error}") from error
        return Outcome(one.name, "failed", one.summary, error=str(error))
    except (Exception, SystemExit) as error:  # isolation: a plugin's failure is one red line of the report
        message = f"{type(error).__name__}: {error}"
        return Outcome(one.name, "failed", one.summary, error=message, detail=traceback.format_exc())
    result.context = {
        "options": parsed,
        "dtype": str(subject.model.dtype).removeprefix("torch."),
        "device": str(subject.model.device),
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 3),
        "checkpoint": subject.provenance.sha256,
        "versions": versions(),
    }
    return Outcome(one.name, "ok", one.summary, result=result)
