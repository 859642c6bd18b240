"""What the sources claim, and what came out here: the table at the end of every notebook.

    claims = Claims("sparse_parity")
    claims.answer("k2", "memorised at epoch 13, generalised at 160", holds=True)
    claims

The claims themselves stand in ``claims.toml``. ``python examples/claims.py`` gathers the notebooks' tables in CLAIMS.md.
"""

from __future__ import annotations

import html
import json
import tomllib
from collections import Counter
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "CLAIMS.md"
MIME = "application/vnd.interp.claims+json"
HOLDS, IN_PART, DOES_NOT, NOT_RUN = "holds", "holds in part", "does not hold", "not run"


@dataclass(frozen=True)
class Answer:
    """What came out here.

    Attributes:
        here: the numbers, in words.
        verdict: one of `HOLDS`, `IN_PART`, `DOES_NOT`, `NOT_RUN`.
        note: why, where the numbers do not say it.
        command: what made the numbers.
    """

    here: str
    verdict: str
    note: str
    command: str


def registry() -> dict[str, Any]:
    """All claims: by notebook a title, a source, and by name the claim and what the source reports."""
    return tomllib.loads((HERE / "claims.toml").read_text(encoding="utf8"))


class Claims:
    """The claims of one notebook, and their answers. Shown as the last line of a cell, it draws the table.

    Args:
        notebook: its file name without ``.ipynb``.
        size: the size at which the notebook runs; goes into the table.
    """

    def __init__(self, notebook: str, size: str = "laptop"):
        self.notebook, self.size = notebook, size
        self.claims: dict[str, dict[str, str]] = registry()[notebook]["claims"]
        self.answers: dict[str, Answer] = {}

    def answer(self, name: str, here: str, *, holds: bool | str | None, note: str = "", command: str = "") -> None:
        """Say what came out for one claim.

        Args:
            holds: True, False, ``"in part"``, or None where it was not run (``note`` says why).
            command: what made the numbers; this notebook by default.

        Raises:
            ValueError: no such claim, a verdict that is none, or one that was not run and does not say why.
        """
        if name not in self.claims:
            near = get_close_matches(name, self.claims, 1)
            raise ValueError(
                f"{self.notebook} has no claim {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        if holds not in (True, False, None, "in part"):
            raise ValueError(f'{name}: holds is True, False, "in part" or None, not {holds!r}')
        if holds is None and not note:
            raise ValueError(f"{name} was not run: say why in note")
        verdict = IN_PART if holds == "in part" else NOT_RUN if holds is None else HOLDS if holds else DOES_NOT
        made_by = command or f"python examples/execute.py {self.notebook}"
        self.answers[name] = Answer(here, verdict, note, made_by)

    def rows(self) -> list[dict[str, str]]:
        """One row per claim, in the order of the registry.

        Raises:
            ValueError: a claim without an answer.
        """
        missing = [name for name in self.claims if name not in self.answers]
        if missing:
            raise ValueError(f"not answered yet: {', '.join(missing)}")
        return [{"name": n, **claim, **asdict(self.answers[n])} for n, claim in self.claims.items()]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        rows = self.rows()
        return {
            "text/html": _table(rows, self.size),
            "text/plain": "\n".join(f"{r['verdict']:>14}  {r['claim']}: {r['here'] or r['note']}" for r in rows),
            MIME: {"notebook": self.notebook, "size": self.size, "rows": rows},
        }


def _said(row: dict[str, str]) -> str:
    """The numbers, and why, as sentences."""
    return ". ".join(part.removesuffix(".") for part in (row["here"], row["note"]) if part)


def _table(rows: list[dict[str, str]], size: str) -> str:
    head = "".join(f"<th style='text-align:left'>{t}</th>" for t in ("claim", "the source", "here", "verdict"))
    cells = ((r["claim"], r["reported"], _said(r), r["verdict"]) for r in rows)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(c)}</td>" for c in row) + "</tr>" for row in cells
    )
    warning = "<p><b>Quick mode: these numbers answer nothing.</b></p>" if size == "quick" else ""
    return f"{warning}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def stored(path: Path) -> dict[str, Any]:
    """The claims table that an executed notebook holds: ``notebook``, ``size``, ``rows``.

    Raises:
        ValueError: the notebook has none.
    """
    for cell in reversed(json.loads(path.read_text(encoding="utf8"))["cells"]):
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                return output["data"][MIME]
    raise ValueError(f"{path} holds no claims table: run it with examples/execute.py")


def page() -> str:
    """All tables, in Markdown.

    Raises:
        ValueError: a notebook without a table, or one that was run in quick mode.
    """
    parts, counts = [], Counter[str]()
    for notebook, said in registry().items():
        table = stored(HERE / f"{notebook}.ipynb")
        if table["size"] == "quick":
            raise ValueError(
                f"{notebook} was run in quick mode, which answers nothing; run it with examples/execute.py"
            )
        counts.update(row["verdict"] for row in table["rows"])
        parts.append(f"## {said['title']}\n\n{said['source']}. Notebook: [{notebook}]({notebook}.ipynb).\n")
        parts.append("| claim | the source | here | verdict | command |\n| --- | --- | --- | --- | --- |")
        for row in table["rows"]:
            here = _said(row)
            cells = row["claim"], row["reported"], here, f"**{row['verdict']}**", f"`{row['command']}`"
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("")
    total = ", ".join(f"{counts[v]} {words}" for v, words in COUNTED.items())
    return f"{TOP.format(total=total, count=sum(counts.values()))}\n" + "\n".join(parts)


COUNTED = {
    HOLDS: "hold",
    IN_PART: "hold in part",
    DOES_NOT: "do not hold",
    NOT_RUN: "were not run at the size that decides",
}
TOP = """# Which claims hold

Every quantitative claim of the five sources, and facts about the files that they published, beside what came out here. The
notebooks made the numbers, on two CPU cores at laptop size: mostly fewer steps, smaller networks and fewer seeds than in the
sources, as each notebook says. Each verdict is computed from the numbers, by a rule that stands in the row or in the notebook's
last cells. `DATA` in a command is the folder of files of others (README.md here). {count} claims: {total}.
"""

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf8")
    print(f"{PAGE.relative_to(HERE.parent)} written")
