"""What a plugin's docstring says of it and of its options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Examples?|Note|References):$")
ARGUMENT = re.compile(r"^    (\w+)(?: \([^)]*\))?: (.*)$")


def about(function: Callable[..., Any]) -> str:
    """What a docstring says before its first section.

    Args:
        function: of a plugin.

    Returns:
        paragraphs, each on one line.
    """
    lines: list[str] = []
    for line in (inspect.getdoc(function) or "").splitlines():
        if SECTION.match(line) or line.startswith(">>>"):
            break
        lines.append(line)
    paragraphs = "\n".join(lines).split("\n\n")
    return "\n".join(" ".join(text.split()) for text in paragraphs if text.strip())


def argument_help(function: Callable[..., Any]) -> dict[str, str]:
    """What a docstring's section ``Args`` says of each argument.

    Args:
        function: of a plugin, with a docstring in Google's style.

    Returns:
        one line by name; none where there is no such section.

    >>> argument_help(argument_help)
    {'function': "of a plugin, with a docstring in Google's style."}
    """
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in (inspect.getdoc(function) or "").splitlines():
        if SECTION.match(line):
            inside = line == "Args:"
        elif inside and (argument := ARGUMENT.match(line)):
            name = argument[1]
            found[name] = argument[2].strip()
        elif inside and name and line.strip():
            found[name] += f" {line.strip()}"
    return found
