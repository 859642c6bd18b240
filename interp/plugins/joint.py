"""Joint analyses: measurements of several networks together, such as how alike their insides are.

An `Analysis` sees one network. A joint one is a function of all networks of a comparison, by name, decorated with
`joint_analysis` and registered as an entry point in the group ``interp.joint_analyses``; ``interp compare`` runs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interp._util.progress_context import begin, log
from interp._util.registry import in_order, load_group
from interp.errors import MissingCapability
from interp.plugins.attempt import attempted, context_of
from interp.plugins.claim import Question
from interp.plugins.declaration import check_declared
from interp.plugins.earlier import resumed
from interp.plugins.options import Option, keyword_options, parse_options
from interp.plugins.outcome import STOPPED, Outcome
from interp.plugins.result import Result
from interp.subject import Capability, Subject

GROUP = "interp.joint_analyses"


@dataclass(frozen=True)
class JointAnalysis:
    """A registered joint analysis. Called with Subjects by name it returns its Result.

    Attributes:
        name: as typed on the command line.
        function: computes the Result of several Subjects by name; the first is the reference.
        needs: capabilities (`Subject.CAPABILITIES`) that every network must have; the others are left out.
        summary: one line for lists and reports.
        options: the keyword arguments of the function.
        order: place in the report.
        question: which question of the report it answers.
        most: how many networks it takes; None: any number.
    """

    name: str
    function: Callable[..., Result]
    needs: tuple[Capability, ...]
    summary: str
    options: tuple[Option, ...]
    order: int
    question: Question = "else"
    most: int | None = None

    def __call__(self, subjects: Mapping[str, Subject], **options: Any) -> Result:
        """Run the analysis on the networks that have what it needs.

        Args:
            subjects: by name, two or more.
            **options: of the analysis.

        Returns:
            What it found.

        Raises:
            MissingCapability: fewer than two of the networks can serve it; the message says what they lack.
            InterpError: an option is wrong.
        """
        fit, lacking = self.fitting(subjects)
        if len(fit) < 2:
            said = "; ".join(f"{name}: {reason}" for name, reason in lacking.items())
            raise MissingCapability(f"{self.name} needs two networks: {said or 'only one was given'}")
        return self.function(fit, **self.parse(options))

    def fitting(self, subjects: Mapping[str, Subject]) -> tuple[dict[str, Subject], dict[str, str]]:
        """The networks that can serve it, at most as many as it takes, and why others cannot."""
        lacking = {name: reasons[0] for name, s in subjects.items() if (reasons := s.lacks(self.needs))}
        fit = {name: s for name, s in subjects.items() if name not in lacking}
        return dict(list(fit.items())[: self.most]), lacking

    def parse(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options, with the given values checked; as `Analysis.parse`."""
        return parse_options(self.name, self.options, given, {})


def joint_analysis(
    name: str,
    *,
    needs: Iterable[Capability] = (),
    summary: str,
    order: int = 100,
    question: Question = "else",
    most: int | None = None,
) -> Callable[[Callable[..., Result]], JointAnalysis]:
    """Make a function of several Subjects by name a joint analysis.

    Args:
        name: as typed on the command line; the entry point carries the same name.
        needs: capabilities (`Subject.CAPABILITIES`) without which a network is left out, with the reason.
        summary: one line for ``interp analyses`` and the report.
        order: place among the joint analyses.
        question: which question of the report it answers, one of `interp.plugins.claim.QUESTIONS`.
        most: how many networks it takes; of more the first are compared.

    Returns:
        A decorator; it turns the function into a `JointAnalysis`.

    Raises:
        TypeError: at once, for an unknown need, an impossible name, or a signature other than one mapping followed by
            keyword-only options with a type and a default.
    """
    needs = tuple(needs)
    check_declared(f"joint analysis {name!r}", name, needs, question)

    def register(function: Callable[..., Result]) -> JointAnalysis:
        options = keyword_options(function, f"joint analysis {name!r}", "subjects")
        made = JointAnalysis(name, function, needs, summary, options, order, question, most)
        object.__setattr__(made, "__doc__", function.__doc__)
        return made

    return register


def joint_analyses() -> tuple[dict[str, JointAnalysis], dict[str, str]]:
    """All registered joint analyses in report order, and the errors of plugins that could not be loaded."""
    return in_order(load_group(GROUP), JointAnalysis, "a joint analysis")


def analyze_together(
    subjects: Mapping[str, Subject],
    wanted: Iterable[JointAnalysis],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Outcome]:
    """Run joint analyses; one that fails does not stop the others, and after Ctrl-C those left are stopped ones.

    Args:
        subjects: by name; the first is the reference.
        wanted: the analyses.
        options: by analysis.
        seed: of the global generators, set anew before every analysis.
        tell: called with each analysis' name before it starts.

    Returns:
        The outcome of every analysis by name.

    Raises:
        InterpError: an option's value that an analysis cannot work with.
    """
    ordered = list(wanted)
    outcomes = {one.name: Outcome(one.name, "stopped", one.summary, reason=STOPPED) for one in ordered}
    try:
        for place, one in enumerate(ordered, 1):
            if tell is not None:
                tell(one.name)
            shown = begin(one.name, place, len(ordered))
            outcomes[one.name] = _run(one, subjects, (options or {}).get(one.name, {}), seed, shown)
    except KeyboardInterrupt:
        log.info("stopped")
    return outcomes


def _run(
    one: JointAnalysis, subjects: Mapping[str, Subject], given: Mapping[str, Any], seed: int, shown: str
) -> Outcome:
    fit, lacking = one.fitting(subjects)
    if len(fit) < 2:
        said = "; ".join(f"{name} {reason}" for name, reason in lacking.items()) or "only one network was given"
        return Outcome(one.name, "skipped", one.summary, reason=said, question=one.question)
    parsed, earlier = one.parse(given), resumed()
    key = earlier.key(list(fit.values()), one.function, name=one.name, options=parsed, seed=seed) if earlier else ""
    if earlier and (result := earlier.take(key)) is not None:
        log.info("%s: taken from the interrupted report", shown)
        return Outcome(one.name, "ok", one.summary, result=result, question=one.question)
    started, networks = time.perf_counter(), list(fit.values())
    outcome = attempted(one, lambda: one.function(fit, **parsed), networks, seed, blamed=bool(given))
    seconds = time.perf_counter() - started
    outcome.question = one.question
    outcome.log(shown, seconds)
    if outcome.result is not None:
        outcome.result.context = context_of(networks, parsed, seed) | {"seconds": round(seconds, 3)}
        if left := list(lacking):
            outcome.result.notes.append(f"Left out, since they lack what it needs: {', '.join(left)}.")
        if one.most is not None and len(subjects) > one.most:
            outcome.result.notes.append(f"Of {len(subjects)} networks it compares the first {one.most}.")
        if earlier:
            earlier.finished[key] = outcome.result
    return outcome
