"""Running analyses on a network, writing the report, and what the terminal shows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from interp.cli.failures import INCOMPLETE
from interp.cli.progress import working
from interp.cli.terminal import errors, escape, output
from interp.errors import MissingCapability

if TYPE_CHECKING:
    import torch

    from interp.plugins.analysis import Outcomes
    from interp.plugins.argument import Argument
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


def require_applicable(subject: Subject, names: Sequence[str] | None) -> None:
    """Refuse analyses that were named and do not apply to the network.

    Args:
        subject: the network.
        names: the analyses that were asked for by name; None where none was.

    Raises:
        MissingCapability: one line per analysis that does not apply, with what it needs.
    """
    from interp.plugins.analysis import analyses

    known = analyses()[0]
    reasons = {name: subject.lacks(known[name].needs) for name in names or () if name in known}
    _refuse({name: missing[0] for name, missing in reasons.items() if missing})


def _refuse(reasons: Mapping[str, str]) -> None:
    if reasons:
        lines = [f"{name} does not apply: {reason}" for name, reason in reasons.items()]
        raise MissingCapability("\n".join(lines) + "\nleave it out of --only, or supply what it needs")


def report(subject: Subject, request: Request) -> None:
    """Run the analyses, write the report and print what was found.

    Args:
        subject: the network.
        request: what is asked for.

    Raises:
        MissingCapability: none of the analyses named turned out to apply; nothing is written.
        Exit: with code 1, when the report is written and an analysis failed, or one named did not apply after all.
    """
    from interp.report import write
    from interp.report.data import argument_of

    with working() as tell:
        outcomes = _run(subject, request, tell)
        skipped = {name: one.reason for name, one in outcomes.items() if one.status == "skipped"}
        if request.only is not None and len(skipped) == len(outcomes):
            _refuse(skipped)
        tell("writing the report")
        page = write(subject, outcomes, request.out, force=request.force)
        _send(subject, outcomes, request, page.parent)
    _show(subject, outcomes, named=request.only is not None)
    show_argument(argument_of(subject, outcomes), explain=request.explain)
    output().print(f"Report: {escape(str(page))}")
    wanted = ("failed",) if request.only is None else ("failed", "skipped")
    if any(one.status in wanted for one in outcomes.values()):
        raise typer.Exit(INCOMPLETE)


def _send(subject: Subject, outcomes: Outcomes, request: Request, page: Path) -> None:
    if request.log is not None:
        from interp.report.loggers import send

        send(request.log, subject, outcomes, page)


def _run(subject: Subject, request: Request, tell: Any) -> Outcomes:
    import torch

    from interp._util.progress_context import watched
    from interp.plugins.analysis import analyze

    now = subject.name

    def started(name: str) -> None:
        nonlocal now
        now = f"{subject.name}: {name}"
        tell(now)

    with watched(lambda text: tell(f"{now}: {text}")):
        return analyze(
            subject, request.only, request.options, dtype=request.dtype or torch.float64, seed=request.seed,
            progress=started, shared=request.shared,
        )  # fmt: skip


def show_argument(argument: Argument, *, explain: bool) -> None:
    """Print what the analyses claim: in a few sentences, or every claim with its test, number, comparison and rule.

    Args:
        argument: of a report or a comparison.
        explain: print all of it.
    """
    console = output(wrap=True)
    if explain:
        console.print(f"\n{escape(argument.text(min(console.width, 110)))}\n")
        return
    for sentence in argument.summary:
        console.print(escape(sentence))


def _show(subject: Subject, outcomes: Outcomes, *, named: bool) -> None:
    """The verdict, the headlines of analyses that were asked for by name, warnings, and what was skipped or failed."""
    from interp.report.page import verdict

    console, complaints = output(), errors()
    console.print(f"[bold]{escape(subject.name)}[/]")
    for label, text in verdict(outcomes):
        console.print(f"  {escape(label):<28}{escape(text)}")
    for note in subject.provenance.notes:
        complaints.print(f"note: {escape(note)}")
    for warning in subject.warnings:
        complaints.print(f"[red]WARNING[/] {escape(warning)}")
    for name, outcome in outcomes.items():
        if named and outcome.result is not None and outcome.result.headline:
            console.print(f"  {escape(name)}: {escape(outcome.result.headline)}")
        elif outcome.status == "skipped":
            (complaints if named else console).print(f"  skipped {escape(name)}: {escape(outcome.reason)}")
        elif outcome.status == "failed":
            complaints.print(f"[red]failed[/] {escape(name)}: {escape(outcome.error)}")
