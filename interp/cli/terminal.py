"""Where the command line prints: results on standard output, everything else on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def output(*, wrap: bool = False) -> Console:
    """Standard output; text is printed as it is, without highlighting or emoji.

    Args:
        wrap: break lines at the width of the terminal between words; tables always do.

    Returns:
        the console.
    """
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not wrap, emoji=False)


def errors() -> Console:
    """Standard error, printed as it is."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def escape(text: str) -> str:
    """The text with rich's markup made literal."""
    from rich.markup import escape

    return escape(text)
