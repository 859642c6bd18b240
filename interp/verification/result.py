"""What came of a verification: a row per fact, a summary, and the same as a page, a table or JSON."""

from __future__ import annotations

import html
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from typing_extensions import override

from interp._util.counted import counted
from interp._util.csv_text import csv_text
from interp._util.files import atomic, is_writable_folder
from interp.errors import InterpError
from interp.notebook.show import Shown, fold
from interp.report.data import jsonable
from interp.verification.row import Row, apart, as_dict, described
from interp.verification.shown import shown, shown_beside
from interp.verification.text import lines
from interp.verification.verdict import Agreement

LONGEST = 48  # characters of a value in a table
MARKS: dict[Agreement, str] = {"agrees": "&#10003;", "disagrees": "&#10007;", "cannot be replayed": "&#8211;"}
STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.25em .6em;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #ddd}.disagrees{color:#b00020;font-weight:600}.cannot{color:#666}small{color:#666}"
)


class Verification(Shown):
    """What `verify` found. In a notebook it shows itself as a table: first what disagrees.

    Args:
        replayed: a row per fact.
        notes: what was not found or left out.
        seconds: that it took.

    Attributes:
        replayed: the facts and their verdicts.
        notes: what was not found or left out.
        seconds: that it took.
    """

    def __init__(self, replayed: Sequence[Row], notes: Sequence[str] = (), seconds: float = 0.0):
        self.replayed, self.notes, self.seconds = list(replayed), list(notes), seconds

    @property
    def rows(self) -> pd.DataFrame:
        """A row per fact: collection, name, verdict, claim, published and found value, tolerance, how many tolerances apart."""
        return pd.DataFrame([as_dict(row) for row in self.replayed], columns=pd.Index(list(COLUMNS)))

    @property
    def summary(self) -> dict[str, Any]:
        """How many facts there are, agree, disagree, cannot be replayed; and the seconds that it took."""
        counts = Counter(row.verdict.agreement for row in self.replayed)
        return {
            "facts": len(self.replayed), "agree": counts["agrees"], "disagree": counts["disagrees"],
            "cannot be replayed": counts["cannot be replayed"], "seconds": round(self.seconds, 1),
        }  # fmt: skip

    @property
    def agrees(self) -> bool:
        """Whether every fact was replayed and agrees."""
        return all(row.verdict.agreement == "agrees" for row in self.replayed)

    @property
    def headline(self) -> str:
        """The summary as a sentence."""
        s = self.summary
        facts, wrong = counted(s["facts"], "fact"), s["disagree"]
        return f"{facts}: {s['agree']} agree, {wrong} disagree, {s['cannot be replayed']} cannot be replayed"

    def __repr__(self) -> str:
        wrong = [f"  {r.fact.name}: {described(r)}" for r in self.replayed if r.verdict.agreement != "agrees"]
        return "\n".join([f"Verification: {self.headline}", *wrong])

    @override
    def _pieces(self) -> list[Any]:
        return [f"<p><b>{html.escape(self.headline)}</b></p>" + self._tables() + self._notes()]

    def save(self, path: str | Path) -> Path:
        """Write the result to a file.

        Args:
            path: ending in ``.html`` (a page), ``.csv`` (the rows) or ``.json`` (rows and summary).

        Returns:
            the path.

        Raises:
            InterpError: another ending, or a folder that cannot be written to.
        """
        path = check_ending(path)
        with atomic(path) as partial:
            partial.write_text(
                {".html": self._page, ".csv": self._csv, ".json": self.as_json}[path.suffix.lower()](), "utf8"
            )
        return path

    def as_text(self, explain: bool = False) -> str:
        """What ``interp verify`` prints: a line per fact, and more about those that do not agree.

        Args:
            explain: of every fact the claim, where it stands, how it was computed, and its tolerance.

        Returns:
            the text.
        """
        return "\n".join([*(line for _, line in lines(self.replayed, explain)), self.headline])

    def _csv(self) -> str:
        return csv_text(self.rows)

    def as_json(self) -> str:
        """Summary, notes and rows as JSON."""
        rows = [{**as_dict(r), "published": r.verdict.published, "found": r.verdict.found} for r in self.replayed]
        return json.dumps(jsonable({"summary": self.summary, "notes": self.notes, "facts": rows}), indent=1)

    def _page(self) -> str:
        return (
            f"<!doctype html><html lang='en'><meta charset='utf8'><title>Published numbers, replayed</title>"
            f"<style>{STYLE}</style>"
            f"<h1>Published numbers, replayed</h1><p>{html.escape(self.headline)}; {self.seconds:.0f} s.</p>"
            f"{self._tables(opened=True)}{self._notes()}</html>"
        )

    def _notes(self) -> str:
        return "".join(f"<p><small>{html.escape(note)}</small></p>" for note in self.notes)

    def _tables(self, opened: bool = False) -> str:
        """A table per collection; in a notebook one in which all agree is folded."""
        parts = []
        for collection in dict.fromkeys(id(r.collection) for r in self.replayed):
            own = [r for r in self.replayed if id(r.collection) == collection]
            wrong = sum(r.verdict.agreement != "agrees" for r in own)
            title = f"{own[0].collection.title}: {len(own) - wrong} of {len(own)} agree"
            parts.append(fold(title, _html_table(own), opened=opened or bool(wrong)))
        return "".join(parts)


COLUMNS = (
    "collection", "name", "verdict", "claim", "published", "found", "tolerance", "tolerances apart", "reason", "file",
    "quantity", "where", "source", "seconds",
)  # fmt: skip


def check_ending(path: str | Path) -> Path:
    """The path of a result, if it ends as one can be written.

    Args:
        path: of the user.

    Returns:
        the path.

    Raises:
        InterpError: another ending, or a place where no file can be.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".csv", ".json"):
        raise InterpError(f"{path} must end in .html (a page), .csv (the rows) or .json (rows and summary)")
    place = next((p for p in (path, *path.absolute().parents) if os.path.lexists(p)), path)
    if place == path and path.is_dir():
        raise InterpError(f"cannot write {path}: it is a folder; name a file in it")
    if place != path and not is_writable_folder(place):
        raise InterpError(f"cannot write {path}: {place} is not a folder that can be written to; name another file")
    return path


def _html_table(rows: Sequence[Row]) -> str:
    ranked = sorted(rows, key=lambda r: ("disagrees", "cannot be replayed", "agrees").index(r.verdict.agreement))
    head = "".join(f"<th>{name}</th>" for name in ("", "claim", "published", "here", "tolerance", "apart", "source"))
    body = "".join(_html_row(row) for row in ranked)
    about = " ".join(filter(None, [rows[0].collection.source, rows[0].collection.link]))
    return f"<p><small>{html.escape(about)}</small></p><div style='overflow-x:auto'><table><tr>{head}</tr>{body}</table></div>"


def _html_row(row: Row) -> str:
    verdict, fact = row.verdict, row.fact
    cells = [
        shown(verdict.published, LONGEST),
        "; ".join(filter(None, [shown_beside(verdict.found, verdict.published, LONGEST), verdict.reason])),
        verdict.tolerance, apart(verdict), ", ".join(filter(None, [fact.where, fact.file])),
    ]  # fmt: skip
    said = f"{html.escape(fact.claim)}<br><small>{html.escape(fact.name)}: {html.escape(fact.quantity.name)}</small>"
    kind = verdict.agreement.split()[0]
    return (
        f"<tr><td class='{kind}'>{MARKS[verdict.agreement]}&nbsp;{verdict.agreement}</td><td>{said}</td>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
    )
