"""What a decorator says of an analysis: its name, what it needs, which question it answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from interp.plugins.claim import QUESTIONS
from interp.subject import Subject


def check_declared(what: str, name: str, needs: Sequence[str], question: str) -> None:
    """Refuse a declaration that no report could use.

    Args:
        what: kind and name, for the message.
        name: as typed on the command line.
        needs: capabilities.
        question: of the report.

    Raises:
        TypeError: an unknown need or question, or an impossible name.
    """
    if wrong := [n for n in needs if n not in Subject.CAPABILITIES]:
        raise TypeError(f"{what} needs {wrong}; capabilities are {', '.join(Subject.CAPABILITIES)}")
    if question not in QUESTIONS:
        raise TypeError(f"{what}: question is one of {', '.join(QUESTIONS)}, got {question!r}")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise TypeError(f"{what}: a name consists of letters, digits, _ and -")
