"""How claims and their answers are shown: a table in a notebook, CLAIMS.md, and the line in the README that counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

Row = Mapping[str, Any]
PLURAL = {
    "holds": "hold", "holds in part": "hold in part", "does not hold": "do not hold", "agrees": "agree", "disagrees": "disagree",
}  # fmt: skip


def said(row: Row) -> str:
    """The numbers of a row, and why, as sentences."""
    return ". ".join(part.removesuffix(".") for part in (row["here"], row["note"]) if part)


def decided_by(row: Row) -> str:
    """The criterion of a row, and what of it was set after numbers were seen."""
    return row["criterion"] + (f". Set after numbers were seen: {row['revised']}" if "revised" in row else "")


def size(row: Row) -> str:
    """How large the run was and how large it had to be, in words; a run that fell short says so in the note."""
    if row["short"]:
        return ""
    needs, ran = row.get("needs", {}), row["ran"]
    return ", ".join(f"{ran[what]:,g} {what.replace('_', ' ')} (needs {least:,g})" for what, least in needs.items())


def html(rows: Iterable[Row], size: str) -> str:
    """The rows of one notebook as it shows them; ``size`` is the one at which it ran."""
    head = "".join(f"<th style='text-align:left'>{t}</th>" for t in ("claim", "the source", "here", "verdict"))
    cells = ((r["claim"], r["reported"], said(r), r["verdict"]) for r in rows)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{escape(c)}</td>" for c in row) + "</tr>" for row in cells
    )
    warning = "<p><b>Quick mode: these numbers answer nothing.</b></p>" if size == "quick" else ""
    return f"{warning}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def counted(rows: Iterable[Row], classes: Mapping[str, tuple[str, ...]]) -> str:
    """How many rows there are of each class and verdict, in words.

    Args:
        rows: of `claims.rows`.
        classes: the verdicts of each class, in the order in which they are counted.
    """
    rows = list(rows)
    n = Counter(row["verdict"] for row in rows)
    told = []
    for kind, verdicts in classes.items():
        within = ", ".join(f"{n[verdict]} {PLURAL.get(verdict, verdict)}" for verdict in verdicts if n[verdict])
        told.append(
            f"{sum(n[v] for v in verdicts)} {kind}{'s' * (kind == 'file check')}"
            + (f" ({within})" if len(verdicts) > 1 else "")
        )
    return f"{len(rows)} claims: {'; '.join(told)}"


def page(rows: Iterable[Row], told: str) -> str:
    """All rows in Markdown, below what `counted` tells of them."""
    parts, last = [TOP.format(counted=told)], ""
    for row in rows:
        if row["notebook"] != last:
            last = row["notebook"]
            parts.append(f"\n## {row['title']}\n\n{row['source']}. Notebook: [{last}]({last}.ipynb).\n")
            parts.append("| claim | the source | what decides | here | verdict | command |\n" + "| --- " * 6 + "|")
        verdict = f"**{row['verdict']}**" + (" (file check)" if row["class"] == "file check" else "")
        source = ": ".join(filter(None, [row["where"], row["reported"]]))
        here = ". ".join(filter(None, [said(row), size(row)]))
        cells = row["claim"], source, decided_by(row), here, verdict, f"`{row['command']}`"
        parts.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(parts) + "\n"


TOP = """# Which claims hold

Every quantitative claim and figure of the five sources, and facts about the files that they published, beside what came out
here. What decides a claim stands in its row, and so does the size of run that it needs. Criteria were written before the long
runs were measured; where one was set or changed after numbers were seen, its row says so. A row is

- *replicated* where the run was long and large enough to tell: the claim holds, holds in part, or does not hold;
- *undecided* where it was not, where intervals overlap, or where the verdict depends on a choice (a threshold's side, a seed);
- *not run*, with the reason and the cost;
- a *file check* where it is a fact about a file that others published: it agrees or disagrees.

Intervals are 95%: Student's of means over seeds, Welch's of differences, Wilson's, Newcombe's or Jeffreys' of shares, a
bootstrap's of medians, unless a row says otherwise. One curve changes *before* another where the interval of its change
point ends where the other's begins, or earlier.

`DATA` in a command is the folder of files of others (README.md here). {counted}."""
