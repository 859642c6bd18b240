"""Analyses: the contract between a measurement and a line in a report.

An analysis is a function of a `Subject`, decorated with `analysis` and registered as an entry point in the group
``interp.analyses``. Its keyword arguments are its options. The suite's own analyses are registered in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from interp._util.bar import bar
from interp._util.progress_context import begin, log
from interp._util.registry import in_order, load_group
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked import HookedModel
from interp.plugins.attempt import attempted, context_of
from interp.plugins.claim import Question
from interp.plugins.declaration import check_declared
from interp.plugins.earlier import resumed
from interp.plugins.options import Option, as_names, keyword_options, parse_options
from interp.plugins.outcome import Outcome, Outcomes, Stopped, not_run
from interp.plugins.result import Result
from interp.subject import Capability, Subject, as_subject

GROUP = "interp.analyses"
Compared = Callable[[Mapping[str, Result]], Result]


@dataclass(frozen=True)
class Analysis:
    """A registered analysis. Called with a Subject it returns its Result; errors are raised, not caught as in `analyze`.

    Attributes:
        name: as typed on the command line.
        function: computes the Result of a Subject.
        needs: capabilities (`Subject.CAPABILITIES`) that the subject must have.
        summary: one line for lists and reports.
        options: the keyword arguments of the function.
        order: place in the report, after the question.
        question: which question of the report it answers.
        renamed: former names of options and their present ones; a former name works, with a DeprecationWarning.
        comparison: turns the Results of several subjects into one, for ``interp compare``; set with `compares`.
    """

    name: str
    function: Callable[..., Result]
    needs: tuple[Capability, ...]
    summary: str
    options: tuple[Option, ...]
    order: int
    question: Question = "else"
    renamed: Mapping[str, str] = field(default_factory=dict)
    comparison: Compared | None = None

    def compares(self, function: Compared) -> Compared:
        """Decorator for the function that compares several subjects: their Results by name, in order, become one Result."""
        object.__setattr__(self, "comparison", function)
        return function

    def __call__(self, subject: Subject | HookedModel, **options: Any) -> Result:
        """Run the analysis on a Subject (or a model, which has no task).

        Args:
            subject: what to analyse.
            **options: of the analysis.

        Returns:
            What it found.

        Raises:
            InterpError: the subject lacks a capability that the analysis needs, or an option is wrong.
        """
        subject = as_subject(subject)
        missing = subject.lacks(self.needs)
        if missing:
            raise InterpError(f"{self.name}: {missing[0]}")
        return self.function(subject, **self.parse(options))

    def parse(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options of the analysis, with the given values checked against their types.

        Args:
            given: values by name; text is read in the option's type.

        Returns:
            A value for every option; defaults for those not given.

        Raises:
            UnknownName: the analysis does not have such an option; the nearest is named.
            InterpError: a value of the wrong type.
        """
        return parse_options(self.name, self.options, given, self.renamed)


def analysis(
    name: str,
    *,
    needs: Iterable[Capability] = (),
    summary: str,
    order: int = 100,
    question: Question = "else",
    renamed: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Result]], Analysis]:
    """Make a function of a Subject an analysis.

    Args:
        name: as typed on the command line; the entry point carries the same name.
        needs: capabilities (`Subject.CAPABILITIES`) without which the analysis is skipped, with the reason.
        summary: one line for ``interp analyses`` and the report.
        order: place among the analyses of its question; the suite's own are below 100.
        question: which question of the report it answers, one of `interp.plugins.claim.QUESTIONS`: ``does``, ``represents``,
            ``where``, ``needs``, ``history``, ``unified``, ``odd``.
        renamed: former names of options and their present ones, such as ``{"baseline": "n_random"}``: a former name works,
            with a DeprecationWarning.

    Returns:
        A decorator; it turns the function into an `Analysis`.

    Raises:
        TypeError: at once, for an unknown need, an impossible name, or a signature other than one subject followed by
            keyword-only options with a type and a default.
    """
    needs = tuple(needs)
    check_declared(f"analysis {name!r}", name, needs, question)

    def register(function: Callable[..., Result]) -> Analysis:
        options = keyword_options(function, f"analysis {name!r}", "subject")
        names = {o.name for o in options}
        if wrong := sorted((set((renamed or {}).values()) - names) | (set(renamed or {}) & names)):
            raise TypeError(f"analysis {name!r}: renamed maps former names to present options, not {wrong}")
        made = Analysis(name, function, needs, summary, options, order, question, dict(renamed or {}))
        object.__setattr__(made, "__doc__", function.__doc__)
        return made

    return register


def analyses() -> tuple[dict[str, Analysis], dict[str, str]]:
    """All registered analyses in report order, and the errors of plugins that could not be loaded."""
    return in_order(load_group(GROUP), Analysis, "an analysis")


def analyze(
    subject: Subject | HookedModel,
    only: str | Analysis | Iterable[str | Analysis] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    dtype: torch.dtype | None = torch.float64,
    seed: int = 0,
    progress: Callable[[str], None] | bool | None = None,
    shared: Mapping[str, Any] | None = None,
) -> Outcomes:
    """Run every analysis that applies, or those named; one that fails does not stop the others.

    A line per analysis, with its seconds, goes to ``logging.getLogger("interp")`` at the level INFO.

    Args:
        subject: a Subject, or a model (then analyses that need a task are skipped).
        only: names of analyses (one, several, or one text with commas), or analyses themselves, registered or not; by
            default all that are registered.
        options: by analysis, such as ``{"fourier": {"top": 5}}``.
        dtype: the model is computed in this; None leaves it as it was loaded.
        seed: of the global generators, set anew before every analysis.
        progress: called with each analysis' name before it starts. By default a notebook shows a bar; False leaves it out.
        shared: options for every analysis that has them, such as ``every``, unless its own ``options`` say otherwise.

    Returns:
        The outcome of every analysis by name, in report order: ``analyze(subject)["fourier"].tables``.

    Raises:
        UnknownName: an analysis or option that does not exist; nothing has run then.
        InterpError: an option's value that an analysis cannot work with, such as a site that the model does not have.
        Stopped: Ctrl-C, a KeyboardInterrupt that carries the outcomes so far.
    """
    subject = as_subject(subject)
    known, broken = analyses()
    asked: Sequence[str | Analysis] = asked_for(only) if only is not None else [*known, *broken]
    known |= {one.name: one for one in asked if isinstance(one, Analysis)}
    names = list(
        dict.fromkeys(one.name if isinstance(one, Analysis) else one for one in asked)
    )  # twice named runs once
    for name in names:
        if name not in known and name not in broken:
            raise UnknownName(unknown("analysis", name, [*known, *broken]))
    for name, given in (options or {}).items():
        if name not in known:
            raise UnknownName(unknown("analysis", name, known))
        known[name].parse(given)
    # MPS does not support float64, in which losses are taken
    subject = subject.cast(dtype or subject.model.dtype, "cpu" if subject.model.device.type == "mps" else None)
    order = sorted(names, key=[*known, *broken].index)
    outcomes = Outcomes((n, not_run(n, known.get(n), broken.get(n, ""), subject)) for n in order)
    waiting = [name for name in order if outcomes[name].status == "stopped"]
    try:
        with bar(progress) as tell:
            for place, name in enumerate(waiting, 1):
                if tell is not None:
                    tell(name)
                shown = begin(name, place, len(waiting))
                outcomes[name] = _run(known[name], subject, (options or {}).get(name, {}), seed, shared or {}, shown)
    except KeyboardInterrupt:
        raise Stopped(outcomes) from None
    return outcomes


def asked_for(only: str | Analysis | Iterable[str | Analysis]) -> list[str | Analysis]:
    """The analyses that a user names, as a list of names and analyses.

    Args:
        only: one, several, or one text with commas.

    Returns:
        The same, one by one.

    Raises:
        InterpError: something that is neither a name nor an analysis, such as a function without the decorator.
    """
    asked: list[Any] = [only] if isinstance(only, Analysis) else as_names(only, "analyses")
    for one in asked:
        if not isinstance(one, (str, Analysis)):
            raise InterpError(
                f"an analysis is given by its name or as a function decorated with @interp.analysis, got {one!r}"
            )
    return asked


def _run(
    one: Analysis, subject: Subject, given: Mapping[str, Any], seed: int, shared: Mapping[str, Any], shown: str
) -> Outcome:
    """Run one analysis, or take its result from an interrupted report; log it under the name that is ``shown``."""
    own = {o.name for o in one.options}
    parsed = one.parse({**{n: v for n, v in shared.items() if n in own}, **given})
    earlier = resumed()
    key = earlier.key(subject, one.function, name=one.name, options=parsed, seed=seed) if earlier else ""
    if earlier and (result := earlier.take(key)) is not None:
        log.info("%s: taken from the interrupted report", shown)
        return Outcome(one.name, "ok", one.summary, result=result, question=one.question)
    started = time.perf_counter()
    outcome = _attempt(one, subject, parsed, seed, blamed=bool(given))
    seconds = time.perf_counter() - started
    outcome.question = one.question
    outcome.log(shown, seconds)
    if outcome.result is not None:
        outcome.result.context["seconds"] = round(seconds, 3)
        if earlier:
            earlier.finished[key] = outcome.result
    return outcome


def _attempt(one: Analysis, subject: Subject, parsed: dict[str, Any], seed: int, *, blamed: bool) -> Outcome:
    """What becomes of an analysis; with ``blamed`` an InterpError is about the user's own options and is raised."""
    outcome = attempted(one, lambda: one.function(subject, **parsed), [subject], seed, blamed=blamed)
    if outcome.result is not None:
        outcome.result.context = context_of([subject], parsed, seed)
    return outcome
