"""Outcome: what became of one analysis, and Outcomes: of all of them."""

from __future__ import annotations

import html
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pandas as pd
import plotly.graph_objects as go

from interp._util.progress_context import log
from interp.errors import InterpError
from interp.notebook import tables
from interp.notebook.show import Shown, fold
from interp.pictures import Picture
from interp.plugins.argument import Argument, argue
from interp.plugins.claim import Question
from interp.plugins.result import Result
from interp.subject import Capability, Subject

STOPPED = "stopped before it was finished: go on with the same command"


class Stopped(KeyboardInterrupt):
    """Ctrl-C while analyses run.

    Attributes:
        found: what is done: the `Outcomes`, or the `Comparison`.
    """

    def __init__(self, found: Any):
        super().__init__()
        self.found = found


@dataclass
class Outcome(Shown):
    """What became of one analysis. The parts of its result are attributes: ``outcomes["fourier"].tables``.

    Attributes:
        name: of the analysis.
        status: ``ok`` with a result, ``skipped`` with a reason, ``failed`` with an error, or ``stopped`` by Ctrl-C.
        summary: what the analysis says of itself, in one line.
        result: None unless the status is ``ok``.
        reason: why it was skipped or stopped.
        error: why it failed, in one line.
        detail: the traceback of an error that is not the user's.
        question: which one the analysis answers.
    """

    name: str
    status: Literal["ok", "skipped", "failed", "stopped"]
    summary: str = ""
    result: Result | None = None
    reason: str = ""
    error: str = ""
    detail: str = ""
    question: Question = "else"

    def log(self, shown: str, seconds: float) -> None:
        """Log what became of the analysis, under the name that is ``shown``, after so many seconds."""
        said = {"ok": f"{seconds:.1f} s", "failed": f"failed after {seconds:.1f} s: {self.error}"}
        level = logging.ERROR if self.status == "failed" else logging.INFO
        log.log(level, "%s: %s", shown, said.get(self.status, f"{self.status}: {self.reason}"))

    @property
    def metrics(self) -> dict[str, Any]:
        """The result's metrics by name; InterpError without a result."""
        return self._found().metrics

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The result's tables by name; InterpError without a result."""
        return self._found().tables

    @property
    def figures(self) -> dict[str, go.Figure]:
        """The result's figures by name; InterpError without a result."""
        return self._found().figures

    @property
    def pictures(self) -> dict[str, Picture]:
        """The result's pictures by name; InterpError without a result."""
        return self._found().pictures

    @property
    def notes(self) -> list[str]:
        """The result's notes; InterpError without a result."""
        return self._found().notes

    @property
    def headline(self) -> str:
        """The result's headline; InterpError without a result."""
        return self._found().headline

    def _found(self) -> Result:
        if self.result is None:
            why = f"failed: {self.error}" if self.status == "failed" else f"was {self.status}: {self.reason}"
            raise InterpError(f"{self.name} has no result, it {why}")
        return self.result

    def __repr__(self) -> str:
        return f"{self.name}: {self.status} {self.reason or self.error}".rstrip() + (
            f"\n{self.result}" if self.result else ""
        )

    def _pieces(self) -> list[Any]:
        head = f"<h3>{html.escape(self.name)}</h3>"
        if self.result is None:
            return [f"{head}\n<p>{self.status}: {html.escape(self.reason or self.error)}</p>"]
        first, *rest = self.result._pieces()
        return [f"{head}\n{first}", *rest]


class Outcomes(dict[str, Outcome]):
    """The outcome of every analysis by name, in the order of the report; renders itself in a notebook."""

    @property
    def argument(self) -> Argument:
        """What the analyses claim of the network together: every claim with its test and verdict."""
        results = {name: one.result for name, one in self.items() if one.result is not None}
        return argue(results, {name: one.question for name, one in self.items()})

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.values()))

    def _repr_html_(self) -> str:
        done = [_line(one.name, one.headline or "done", one.result.folded()) for one in self.values() if one.result]
        failed = [
            f"<p>{o.status} {html.escape(o.name)}: {html.escape(o.error or o.reason)}</p>"
            for o in self.values()
            if o.status in ("failed", "stopped")
        ]
        skipped = {o.name: f"skipped: {o.reason}" for o in self.values() if o.status == "skipped"}
        drawn = next((o.name for o in self.values() if o.result and o.result.figures), None)
        hint = f'<p><small>outcomes["{html.escape(drawn)}"] shows its figures.</small></p>' if drawn else ""
        return (
            self.argument._repr_html_()
            + "".join(done + failed)
            + fold(f"{len(skipped)} skipped", tables.pairs(skipped))
            + hint
        )


def _line(name: str, headline: str, inside: str) -> str:
    """The finding of one analysis; everything else of it behind that line."""
    said = f"<b>{html.escape(name)}</b>: {html.escape(headline)}"
    return f"<details><summary>{said}</summary>{inside}</details>"


class Described(Protocol):
    """What is said of an analysis before it runs."""

    @property
    def needs(self) -> Sequence[Capability]:
        """Capabilities without which it does not apply."""
        ...

    @property
    def summary(self) -> str:
        """What it finds, in one line."""
        ...

    @property
    def question(self) -> Question:
        """Which question it answers."""
        ...


def not_run(name: str, one: Described | None, error: str, subject: Subject) -> Outcome:
    """The outcome of an analysis that has not run.

    Args:
        name: of the analysis.
        one: the analysis, None where it could not be loaded.
        error: why it could not be loaded.
        subject: the network.

    Returns:
        failed where it is broken, skipped where it does not apply, else stopped: its turn has not come.
    """
    if one is None:
        return Outcome(name, "failed", error=error)
    missing = subject.lacks(one.needs)
    status, reason = ("skipped", missing[0]) if missing else ("stopped", STOPPED)
    return Outcome(name, status, one.summary, reason=reason, question=one.question)
