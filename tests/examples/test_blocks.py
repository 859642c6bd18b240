"""Every Python block of the README and the docs runs as printed, prints what is printed below it; every command is one."""

from __future__ import annotations

import contextlib
import io
import math
import re
import shlex
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest
import typer
from typer.core import TyperGroup

from interp.cli.commands.app import app
from interp.tasks import TASKS
from tests.conftest import ROOT

MADE = {"index.md", "claims.md"}  # by docs/conf.py, from pages that are checked themselves
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *(p for p in sorted((ROOT / "docs").rglob("*.md")) if p.name not in MADE or p.parent.name != "docs"),
]
BLOCK = re.compile(r"^ *```(\w+)([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)  # in a list, indented
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, what stands behind it, and text of every fenced block, in order."""
    return BLOCK.findall(page.read_text(encoding="utf8"))


def programs(page: Path) -> list[tuple[str, str | None]]:
    """Every Python block that is to run, and what it is said to print: the text block right below it."""
    text = page.read_text(encoding="utf8")
    found = []
    for match in BLOCK.finditer(text):
        if match[1] != "python" or "notest" in match[2]:
            continue
        below = BLOCK.match(text, match.end() + 1)
        found.append((dedent(match[3]), below[3] if below and below[1] == "text" else None))
    return found


@pytest.mark.parametrize("page", [p for p in PAGES if programs(p)], ids=name)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One namespace per page, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")  # where dataclasses look for the names in their annotations
    monkeypatch.setitem(sys.modules, "page", module)
    monkeypatch.setattr(TASKS, "_added", dict(TASKS._added))  # what a page registers goes with it
    for number, (code, expected) in enumerate(programs(page), 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{name(page)}, block {number}", "exec"), vars(module))
        if expected is not None:
            assert alike(printed.getvalue(), expected), f"block {number} prints\n{printed.getvalue()}\nnot\n{expected}"


def alike(printed: str, expected: str) -> bool:
    """The same words, and the same numbers to 1%: another processor rounds otherwise."""
    if NUMBER.sub("#", printed).split() != NUMBER.sub("#", expected).split():
        return False
    numbers = ([float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in (printed, expected))
    return all(math.isclose(a, b, rel_tol=0.01, abs_tol=1e-9) for a, b in zip(*numbers, strict=True))


def test_outputs_are_compared() -> None:
    assert alike("loss 1.001\n", "loss 1.0")
    assert not alike("loss 1.1", "loss 1.0")
    assert not alike("loss 1.0", "cost 1.0")


def test_what_does_not_run_says_why() -> None:
    """And is rare."""
    left = [(name(p), rest.strip()) for p in PAGES for language, rest, _ in blocks(p) if language == "python" and rest]
    assert all(re.fullmatch(r"notest: \S.+", rest) for _, rest in left), left
    assert len(left) <= 5, left


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every ``interp ...`` line of the shell blocks, continued lines joined, without comments and redirections."""
    for language, _, text in blocks(page):
        if language not in ("sh", "bash", "console"):
            continue
        for line in re.sub(r"\\\n", " ", text).splitlines():
            for part in line.split("&&"):
                words = list(takewhile(lambda word: word not in (">", "|"), shlex.split(part, comments=True)))
                if words and words[0].rsplit("/", 1)[-1] == "interp":
                    yield words[1:]


COMMANDS = [(name(page), words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[f"{p}: {' '.join(w)[:60]}" for p, w in COMMANDS])
def test_commands_parse(page: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command and each of its options exist, and each value is of the option's type; nothing is run."""
    monkeypatch.chdir(tmp_path)
    command, given = typer.main.get_command(app), list(words)
    while isinstance(command, TyperGroup) and given and not given[0].startswith("-"):
        found = command.get_command(command.context_class(command), given.pop(0))
        assert found is not None, f"{page}: interp {' '.join(words)}: no such command"
        command = found
    with contextlib.suppress(typer.Exit):  # --help and the like
        command.make_context("interp", given)


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 20
