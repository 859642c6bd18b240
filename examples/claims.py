"""What the sources claim, and what came out here: the table at the end of every notebook.

    claims = Claims("sparse_parity")
    claims.answer("k2", "memorised at epoch 13, generalised at 160", holds=True, ran={"seeds": 5})
    claims

The claims stand in ``sources/``, a file per notebook, each with the criterion that decides it and the size of run that it needs.
Answers that rest on tables of long runs (``measured/``) are computed by the modules in ``answers/``, all others by the notebooks.
``python examples/claims.py`` gathers them in CLAIMS.md, and counts them in the README.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
import tomllib
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import claims_table

from interp.errors import unknown

from fields import POSITIVE, SWITCH, TABLE, TEXT, Kind, check

HERE = Path(__file__).parent
SOURCES = HERE / "sources"
PAGE = HERE / "CLAIMS.md"
MIME = "application/vnd.interp.claims+json"
HOLDS, IN_PART, DOES_NOT, UNDECIDED, NOT_RUN = "holds", "holds in part", "does not hold", "undecided", "not run"
AGREES, DISAGREES = "agrees", "disagrees"
VERDICTS = {True: HOLDS, False: DOES_NOT, "in part": IN_PART, "undecided": UNDECIDED, None: NOT_RUN}
OF_FILES = {HOLDS: AGREES, DOES_NOT: DISAGREES}  # a fact about a published file agrees or does not
CLASSES = {
    "replicated": (HOLDS, IN_PART, DOES_NOT),
    "undecided": (UNDECIDED,),
    "not run": (NOT_RUN,),
    "file check": (AGREES, DISAGREES),
}
KEYS = {
    "claim": TEXT, "where": TEXT, "reported": Kind(lambda value: isinstance(value, str), "a text"), "criterion": TEXT,
    "revised": TEXT, "needs": TABLE, "file": SWITCH, "figure": TEXT,
}  # fmt: skip
TOP = {"title": TEXT, "source": TEXT, "claims": TABLE, "revised": TEXT}
REQUIRED = {"claim", "where", "reported", "criterion"}
Verdict = bool | str | None


@dataclass(frozen=True)
class Answer:
    """What came out for one claim.

    Attributes:
        here: the numbers, in words.
        verdict: a value of `VERDICTS`, or of `OF_FILES`.
        note: why, where the numbers do not say it.
        command: what made the numbers.
        ran: the size of the run, by the names of the claim's ``needs``.
    """

    here: str
    verdict: str
    note: str
    command: str
    ran: Mapping[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The class that the verdict belongs to."""
        return next(kind for kind, verdicts in CLASSES.items() if self.verdict in verdicts)


def registry() -> dict[str, Any]:
    """All claims: by notebook a title, a source, and by name the claim, where it stands, what is reported, what decides it.

    Raises:
        ValueError: a key that no claim has, or one that every claim has and that is missing.
    """
    found = {}
    for path in sorted(SOURCES.glob("*.toml")):
        try:
            found[path.stem] = tomllib.loads(path.read_text(encoding="utf8"))
            _check(found[path.stem])
        except ValueError as error:
            raise ValueError(f"sources/{path.name}: {error}") from None
    return dict(sorted(found.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


def _check(said: Mapping[str, Any]) -> None:
    """Refuse a registry with a key, a type or an empty text that no claim has."""
    check(said, "top", TOP, {"title", "source", "claims"})
    for name, claim in said["claims"].items():
        check(claim, name, KEYS, REQUIRED)
        for what, least in claim.get("needs", {}).items():
            if not POSITIVE.fits(least):
                raise ValueError(f"{name}: needs.{what} is {least!r}; it must be {POSITIVE.words}")


ORDER = [
    "modular_addition", "picbreeder_vs_sgd", "effective_theory", "sparse_parity", "progress_measures", "fractured_or_unified",
]  # fmt: skip


class Claims:
    """The claims of one notebook, and their answers. Shown as the last line of a cell, it draws the table.

    Args:
        notebook: its file name without ``.ipynb``; size: the one at which it runs, which goes into the table.
    """

    def __init__(self, notebook: str, size: str = "laptop"):
        self.notebook, self.size = notebook, size
        self.claims: dict[str, dict[str, Any]] = registry()[notebook]["claims"]
        self.answers: dict[str, Answer] = {}

    def answer(
        self,
        name: str,
        here: str,
        *,
        holds: Verdict | Mapping[str, Verdict],
        note: str = "",
        command: str = "",
        ran: Mapping[str, float] | None = None,
    ) -> None:
        """Say what came out for one claim.

        Args:
            holds: True, False, ``"in part"``, ``"undecided"``, or None where it was not run (``note`` says why). Where
                the verdict depends on a choice (a threshold, its side, a seed), the verdict under each: undecided where they
                differ.
            command: what made the numbers; this notebook by default.
            ran: the size of the run by the names of the claim's ``needs``. What ran shorter than the claim needs is undecided.

        Raises:
            ValueError: no such claim, a verdict that is none, one that was not run and does not say why, a size that is
                missing, or a fact about a file that holds in part.
        """
        if name not in self.claims:
            raise ValueError(f"{self.notebook}: {unknown('claim', name, self.claims)}")
        choices = holds if isinstance(holds, Mapping) else {"": holds}
        if not choices:
            raise ValueError(f"{name}: holds names no choice")
        for one in choices.values():
            if not isinstance(one, Hashable) or one not in VERDICTS:
                raise ValueError(f'{name}: holds is True, False, "in part", "undecided" or None, not {one!r}')
        found = {VERDICTS[one] for one in choices.values()}
        notes, verdict = [note] if note else [], found.pop()
        if found:
            notes.append("By " + "; by ".join(f"{choice}: {VERDICTS[one]}" for choice, one in choices.items()))
            verdict = UNDECIDED
        if verdict == NOT_RUN and not note.strip():
            raise ValueError(f"{name} was not run: say why in note")
        if verdict != NOT_RUN and not here.strip():
            raise ValueError(f"{name} {verdict}: say in here what came out")
        verdict, short = self._settled(name, verdict, ran or {})
        if short:
            notes.append("Ran " + ", ".join(short))
        made_by = command or f"python examples/execute.py {self.notebook}"
        self.answers[name] = Answer(
            here, verdict, ". ".join(part.removesuffix(".") for part in notes), made_by, dict(ran or {})
        )

    def _settled(self, name: str, verdict: str, ran: Mapping[str, float]) -> tuple[str, list[str]]:
        """The verdict that the claim allows a run of this size, and in what it fell short."""
        claim = self.claims[name]
        if claim.get("file"):
            if verdict == IN_PART:
                raise ValueError(f"{name} is a fact about a file: it holds or does not")
            return OF_FILES.get(verdict, verdict), []
        if verdict == NOT_RUN:
            return verdict, []
        if missing := set(needs := claim.get("needs", {})) - set(ran):
            raise ValueError(f"{self.notebook}: {name} needs {', '.join(sorted(missing))}: say what ran in ran")
        short = _short(needs, ran)
        return UNDECIDED if short else verdict, [
            f"{ran[what]:,g} of {needs[what]:,g} {what.replace('_', ' ')}" for what in short
        ]

    def take(self, row: Mapping[str, Any]) -> None:
        """An answer that a notebook has stored; a claim that is no longer asked, or has an answer, is left out.

        Raises:
            ValueError: it does not say how large its run was.
        """
        name = row["name"]
        if name in self.claims and name not in self.answers:
            told = {key: row[key] for key in ("here", "note", "command")}
            ran = row.get("ran", {})
            self.answers[name] = Answer(**told, verdict=self._settled(name, row["verdict"], ran)[0], ran=ran)

    def rows(self) -> list[dict[str, Any]]:
        """One row per claim, in the order of the registry.

        Raises:
            ValueError: a claim without an answer.
        """
        missing = [name for name in self.claims if name not in self.answers]
        if missing:
            raise ValueError(f"{self.notebook}: not answered yet: {', '.join(missing)}")
        return [{"name": n, **claim, **_told(claim, self.answers[n])} for n, claim in self.claims.items()]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        rows = self.rows()
        return {
            "text/html": claims_table.html(rows, self.size),
            "text/plain": "\n".join(f"{r['verdict']:>14}  {r['claim']}: {r['here'] or r['note']}" for r in rows),
            MIME: {"notebook": self.notebook, "size": self.size, "rows": rows},
        }


def _told(claim: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    return {**asdict(answer), "class": answer.kind, "short": _short(claim.get("needs", {}), answer.ran)}


def _short(needs: Mapping[str, float], ran: Mapping[str, float]) -> list[str]:
    """In what a run was smaller than its claim needs."""
    return [what for what, least in needs.items() if not ran.get(what, 0) >= least]  # NaN is not enough


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


def rows() -> list[dict[str, Any]]:
    """All claims with their answers: what the notebooks store, and over it what the tables of today say.

    Returns: a row per claim: ``notebook``, ``title``, ``source``, the claim's own fields, those of `Answer`, ``class``, and
        ``short``, the names of the ``needs`` that its run did not reach.

    Raises:
        ValueError: a claim without an answer, a notebook without a table, or one that was run in quick mode.
    """
    found = []
    for notebook, about in registry().items():
        table = stored(HERE / f"{notebook}.ipynb")
        if table["size"] == "quick":
            raise ValueError(f"{notebook} was run in quick mode, which answers nothing; use examples/execute.py")
        claims = Claims(notebook)
        if (HERE / "answers" / f"{notebook}.py").is_file():
            importlib.import_module(f"answers.{notebook}").answer(claims)
        for row in table["rows"]:
            claims.take(row)
        top = {key: about[key] for key in ("title", "source") if key in about}
        found += [{"notebook": notebook} | top | row | _revisions(about, row) for row in claims.rows()]
    return found


def _revisions(*levels: Mapping[str, Any]) -> dict[str, str]:
    """What was set after numbers were seen, for all claims of a notebook and for this one."""
    said = [level["revised"] for level in levels if "revised" in level]
    return {"revised": "; ".join(said)} if said else {}


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        every = rows()
    except ValueError as error:
        sys.exit(f"error: {error}")
    told = claims_table.counted(every, CLASSES)
    PAGE.write_text(claims_table.page(every, told), encoding="utf8")
    readme = HERE.parent / "README.md"
    text, found = re.subn(r"(?<=<!-- counted -->).*?(?=<!-- end -->)", told, readme.read_text(encoding="utf8"))
    if not found:
        sys.exit("error: README.md has no <!-- counted --> ... <!-- end -->, between which the claims are counted")
    readme.write_text(text, encoding="utf8")
    print(told)
