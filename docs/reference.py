"""The pages of the API reference: lists of names in docs/reference/*.md become entries made from docstrings."""

from __future__ import annotations

import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("interp", "probes", "circuits")
LIST = re.compile(r"^```\{api\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = Path(__file__).parent / "reference"


def listed() -> list[str]:
    """Every name on the reference pages."""
    texts = [path.read_text(encoding="utf8") for path in sorted(PAGES.glob("*.md"))]
    return [name for text in texts for block in LIST.findall(text) for name in block.split()]


@cache
def _by_last_part() -> dict[str, str]:
    return {name.rsplit(".", 1)[-1]: name for name in reversed(listed())}


def full_name(name: str) -> str | None:
    """The documented name that `ablate`, `circuits.ablate` or `Run.phases` stands for; None if there is none."""
    if name in listed_set():
        return name
    first, _, rest = name.partition(".")
    if first in PACKAGES or first not in _by_last_part():
        return None
    return _by_last_part()[first] + (f".{rest}" if rest else "")


@cache
def listed_set() -> frozenset[str]:
    return frozenset(listed())


def found(name: str) -> Any:
    """The object with a dotted name.

    Raises:
        AttributeError: there is none.
    """
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            thing: Any = import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            thing = getattr(thing, part)
        return thing
    raise AttributeError(name)


def expand(app: Any, page: str, source: list[str]) -> None:
    """Put entries in place of every list of names."""
    source[0] = LIST.sub(lambda match: _entries(match[1].split()), source[0])


def _entries(names: list[str]) -> str:
    summary = "\n".join(f"   {name}" for name in names)
    body = "\n".join(_entry(name) for name in names)
    return f"```{{eval-rst}}\n.. autosummary::\n   :nosignatures:\n\n{summary}\n\n{body}\n```"


def _entry(name: str) -> str:
    thing = found(name)
    if isinstance(thing, ModuleType):
        members = "" if hasattr(thing, "__path__") or name == "interp.errors" else "   :members:\n"
        return f".. automodule:: {name}\n{members}"
    if inspect.isclass(thing):
        return f".. autoclass:: {name}\n   :members:\n"
    return f".. {'autofunction' if callable(thing) else 'autodata'}:: {name}\n"
