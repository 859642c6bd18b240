"""Running analyses on a network, writing the report, and what the terminal shows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from interp.cli.failures import INCOMPLETE
from interp.cli.progress import working
from interp.cli.saying import Saying
from interp.cli.terminal import escape
from interp.errors import MissingCapability

if TYPE_CHECKING:
    import torch

    from interp.plugins.argument import Argument
    from interp.plugins.earlier import Earlier
    from interp.plugins.outcome import Outcomes
    from interp.subject import Subject


@dataclass(frozen=True)
class Request:
    """What a report is asked for.

    Attributes:
        out: its folder.
        only: names of the analyses; None for all that apply.
        options: by analysis and option.
        dtype: of the computation; None is float64.
        seed: of everything random in the analyses.
        force: write into a folder that holds something else.
        shared: options for every analysis that has them.
        explain: print every claim with its test, not the summary alone.
        log: ``wandb`` or ``mlflow``, where the results go, too.
    """

    out: Path
    only: Sequence[str] | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dtype: torch.dtype | None = None
    seed: int = 0
    force: bool = False
    shared: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False
    log: str | None = None


def require_applicable(subjects: Sequence[Subject], names: Sequence[str] | None, *, joint: bool = False) -> None:
    """Refuse analyses that were named and apply to none of the networks.

    Args:
        subjects: the networks.
        names: the analyses that were asked for by name; None where none was.
        joint: joint analyses are among them; each needs two of the networks.

    Raises:
        MissingCapability: one line per analysis that does not apply, with what it needs.
    """
    from interp.plugins.analysis import analyses
    from interp.plugins.joint import joint_analyses

    known = analyses()[0]
    lacking = {
        name: [subject.lacks(known[name].needs) for subject in subjects] for name in names or () if name in known
    }
    refused = {name: reasons[0][0] for name, reasons in lacking.items() if reasons and all(reasons)}
    together = joint_analyses()[0] if joint else {}
    for name in set(names or ()) & set(together):
        short = [reasons[0] for subject in subjects if (reasons := subject.lacks(together[name].needs))]
        if short and len(subjects) - len(short) < 2:
            refused[name] = f"fewer than two of the networks can serve it: {short[0]}"
    _refuse(refused)


def _refuse(reasons: Mapping[str, str]) -> None:
    if reasons:
        lines = [f"{name} does not apply: {reason}" for name, reason in reasons.items()]
        raise MissingCapability("\n".join(lines) + "\nleave it out of --only, or supply what it needs")


def report(subject: Subject, request: Request, saying: Saying = Saying()) -> None:  # noqa: B008 (frozen)
    """Run the analyses, write the report and print what was found.

    Args:
        subject: the network.
        request: what is asked for.
        saying: what is printed, and how.

    Raises:
        MissingCapability: none of the analyses named turned out to apply; nothing is written.
        Exit: with code 1, when the report is written and an analysis failed, or one named did not apply after all.
    """
    from interp.plugins.outcome import Stopped
    from interp.report import write
    from interp.report.data import argument_of

    with working(saying.loudness) as tell, resumable(request.out) as earlier:
        try:
            outcomes = _run(subject, request)
        except Stopped as stop:
            tell("writing what is done")
            done = stop.found
            leave(earlier, request.out, lambda: write(subject, done, request.out, force=request.force))
        skipped = {name: one.reason for name, one in outcomes.items() if one.status == "skipped"}
        if request.only is not None and len(skipped) == len(outcomes):
            _refuse(skipped)
        tell("writing the report")
        page = write(subject, outcomes, request.out, force=request.force)
        _send(subject, outcomes, request, page.parent)
    saying.note_taken(earlier.taken)
    _show(subject, outcomes, saying, named=request.only is not None)
    show_argument(argument_of(subject, outcomes), saying, explain=request.explain)
    saying.point_to(page)
    wanted = ("failed",) if request.only is None else ("failed", "skipped")
    if any(one.status in wanted for one in outcomes.values()):
        raise typer.Exit(INCOMPLETE)


@contextmanager
def resumable(out: Path) -> Iterator[Earlier]:
    """Within the block, analyses take results that an interrupted report has left in the folder.

    Args:
        out: the report's folder.

    Yields:
        The results that were taken, and all that are finished.
    """
    from interp.plugins.earlier import Earlier, resuming
    from interp.report.resume import stored

    earlier = Earlier(lambda key: stored(out, key))
    with resuming(earlier):
        yield earlier


def leave(earlier: Earlier, out: Path, write: Callable[[], Path]) -> NoReturn:
    """Write a report of what is done, keep the results for the same command, and end as Ctrl-C does.

    Args:
        earlier: holds the results.
        out: the report's folder.
        write: the report; it is called when there is anything to write.

    Raises:
        KeyboardInterrupt: always; its text is the message.
    """
    from interp.report.resume import keep

    if not earlier.finished:
        raise KeyboardInterrupt
    page, n = write(), len(earlier.finished)
    keep(out, earlier.finished)
    done = "1 analysis is" if n == 1 else f"{n} analyses are"
    raise KeyboardInterrupt(f"interrupted; {done} finished and in {page}; go on with the same command")


def _send(subject: Subject, outcomes: Outcomes, request: Request, page: Path) -> None:
    if request.log is not None:
        from interp.report.loggers import send

        send(request.log, subject, outcomes, page)


def _run(subject: Subject, request: Request) -> Outcomes:
    import torch

    from interp.plugins.analysis import analyze

    return analyze(
        subject, request.only, request.options, dtype=request.dtype or torch.float64, seed=request.seed,
        shared=request.shared,
    )  # fmt: skip


def show_argument(argument: Argument, saying: Saying, *, explain: bool) -> None:
    """Print what the analyses claim: in a few sentences, or every claim with its test, number, comparison and rule.

    Args:
        argument: of a report or a comparison.
        saying: what is printed, and how.
        explain: print all of it.
    """
    if explain:
        saying.wrapped(f"\n{argument.text(min(saying.width, 110))}\n")
        return
    for sentence in argument.summary:
        saying.wrapped(sentence)


def _show(subject: Subject, outcomes: Outcomes, saying: Saying, *, named: bool) -> None:
    """The verdict, the headlines of analyses that were asked for by name, warnings, and what was skipped or failed."""
    from interp.report.page import verdict

    saying.out(f"[bold]{escape(subject.name)}[/]")
    saying.rows(verdict(outcomes))
    for note in subject.provenance.notes:
        saying.note(escape(note))
    for warning in subject.warnings:
        saying.complain(f"[red]WARNING[/] {escape(warning)}")
    skipped: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        if named and outcome.result is not None and outcome.result.headline:
            saying.out(f"  {escape(name)}: {escape(outcome.result.headline)}")
        elif outcome.status == "skipped":
            skipped.setdefault(outcome.reason, []).append(name)
        elif outcome.status == "failed":
            saying.complain(f"[red]failed[/] {escape(name)}: {escape(outcome.error)}")
    for reason, names in skipped.items():
        (saying.complain if named else saying.out)(f"  skipped {escape(', '.join(names))}: {escape(reason)}")
