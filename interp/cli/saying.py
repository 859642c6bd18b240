"""What a command prints: for a reader, for a program (``--json``), or hardly anything (``--quiet``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from interp.cli.progress import Loudness
from interp.cli.terminal import errors, escape, output
from interp.errors import InterpError

NARROW = 60  # columns of a terminal below which a label stands before its text, not beside it


@dataclass(frozen=True)
class Saying:
    """What a command prints.

    Attributes:
        loudness: what it says while it works.
        as_json: standard output is JSON and nothing else.
    """

    loudness: Loudness = Loudness.USUAL
    as_json: bool = False

    @staticmethod
    def of(*, quiet: bool, verbose: bool, as_json: bool = False) -> Saying:
        """From the options of a command.

        Args:
            quiet: of ``--quiet``.
            verbose: of ``--verbose``.
            as_json: of ``--json``.

        Returns:
            what is printed.

        Raises:
            InterpError: quiet and verbose at once.
        """
        if quiet and verbose:
            raise InterpError("--quiet and --verbose contradict each other; leave one out")
        return Saying(Loudness.QUIET if quiet else Loudness.VERBOSE if verbose else Loudness.USUAL, as_json)

    def out(self, text: str) -> None:
        """A line for a reader, with rich's markup, on standard output."""
        if not self.as_json and self.loudness is not Loudness.QUIET:
            output().print(text)

    def wrapped(self, text: str) -> None:
        """Sentences for a reader as they are, broken between words on a terminal, whole in a pipe."""
        if not self.as_json and self.loudness is not Loudness.QUIET:
            output(wrap=output().is_terminal).print(text, markup=False)

    @property
    def width(self) -> int:
        """Columns of standard output."""
        return output().width

    def note(self, text: str) -> None:
        """A remark on standard error that is not a warning."""
        if self.loudness is not Loudness.QUIET:
            errors().print(f"note: {text}")

    def complain(self, text: str) -> None:
        """A warning or a failure, on standard error, however quiet the rest is."""
        errors().print(text)

    def rows(self, lines: Sequence[tuple[str, str]]) -> None:
        """Labels with their texts in a column, or, where that is too narrow, after a colon."""
        console = output()
        narrow = console.is_terminal and console.width < NARROW
        width = max([28, *(len(label) + 2 for label, _ in lines)])
        for label, text in lines:
            self.out(f"  {escape(label)}: {escape(text)}" if narrow else f"  {escape(label):<{width}}{escape(text)}")

    def note_taken(self, n: int) -> None:
        """How many results came from the interrupted report."""
        if n:
            self.note(f"{n} {'analysis was' if n == 1 else 'analyses were'} taken from the interrupted report")

    def point_to(self, page: Path) -> None:
        """Where the report is, or its ``result.json`` itself."""
        if self.as_json:
            typer.echo((page.parent / "result.json").read_text(encoding="utf-8"))
        self.out(f"Report: {escape(str(page))}")
