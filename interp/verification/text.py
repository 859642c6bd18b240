"""A verification as lines of text, as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from interp.verification.row import Row, apart
from interp.verification.shown import one_line, shown, shown_beside
from interp.verification.verdict import Agreement

Kind = Agreement | Literal["title", "more"]
WIDEST = 36  # columns of a value


def lines(rows: Sequence[Row], explain: bool = False) -> Iterator[tuple[Kind, str]]:
    """A title per collection, then a line per fact: verdict, name, published and found value, difference.

    Args:
        rows: of a verification.
        explain: say more about every fact, not only about those that do not agree.

    Yields:
        what kind of line it is, and the line.
    """
    cells = [
        (
            r.verdict.agreement, r.fact.name, shown(r.verdict.published, WIDEST),
            shown_beside(r.verdict.found, r.verdict.published, WIDEST),
        )
        for r in rows
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    title = None
    for row, own in zip(rows, cells, strict=True):
        if row.collection is not title:
            title = row.collection
            yield "title", one_line(f"{title.title}: {title.source} {title.link}")
        verdict = row.verdict
        line = "  ".join(cell.ljust(width) for cell, width in zip(own, widths, strict=True))
        yield verdict.agreement, f"  {line}  {apart(verdict)}".rstrip()
        if verdict.reason:
            yield "more", f"      {one_line(verdict.reason)}"
        if explain or verdict.agreement != "agrees":
            place = f"{row.fact.where}; " if row.fact.where else ""
            yield "more", f"      {one_line(row.fact.claim)}"
            said = f"{place}{row.fact.file}, {row.fact.quantity.name}; tolerance: {verdict.tolerance}"
            yield "more", f"      {one_line(said)}"
