"""Outcome: what became of one analysis, and Outcomes: of all of them."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from interp.errors import InterpError
from interp.pictures import Picture
from interp.plugins.argument import Argument, argue
from interp.plugins.claim import Question
from interp.plugins.result import Result


@dataclass
class Outcome:
    """What became of one analysis. The parts of its result are attributes: ``outcomes["fourier"].tables``.

    Attributes:
        name: of the analysis.
        status: ``ok`` with a result, ``skipped`` with a reason, or ``failed`` with an error.
        summary: what the analysis says of itself, in one line.
        result: None unless the status is ``ok``.
        reason: why it was skipped.
        error: why it failed, in one line.
        detail: the traceback of an error that is not the user's.
        question: which one the analysis answers.
    """

    name: str
    status: Literal["ok", "skipped", "failed"]
    summary: str = ""
    result: Result | None = None
    reason: str = ""
    error: str = ""
    detail: str = ""
    question: Question = "else"

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
            why = f"was skipped: {self.reason}" if self.status == "skipped" else f"failed: {self.error}"
            raise InterpError(f"{self.name} has no result, it {why}")
        return self.result

    def __repr__(self) -> str:
        return f"{self.name}: {self.status} {self.reason or self.error}".rstrip() + (
            f"\n{self.result}" if self.result else ""
        )

    def _repr_html_(self) -> str:
        head = f"<h3>{html.escape(self.name)}</h3>"
        if self.result is None:
            return f"{head}\n<p>{self.status}: {html.escape(self.reason or self.error)}</p>"
        return f"{head}\n{self.result._repr_html_()}"


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
        return "\n".join(outcome._repr_html_() for outcome in self.values())
