"""How a command that did not do what was asked ends: one message, an exit code, no traceback.

Exit codes: 0 all that was asked for, 1 a report was written and something in it failed, 2 the input was refused and nothing
was written, 130 Ctrl-C.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from interp.cli.terminal import errors, escape

INCOMPLETE, REFUSED, INTERRUPTED = 1, 2, 130


def fail(message: str, code: int) -> NoReturn:
    """Print one error message and leave with an exit code."""
    errors().print(f"[bold red]error:[/] {escape(message)}")
    sys.exit(code)


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: Ctrl-C ends a command with a message that says what it left behind; typer would end without one."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            fail(str(interrupt) or "interrupted; nothing was written", INTERRUPTED)

    return wrapped
