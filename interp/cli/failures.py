"""How a command ends that did not do what was asked: one message, an exit code, no traceback."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, NoReturn


def fail(message: str, code: int) -> NoReturn:
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True, emoji=False).print(f"[bold red]error:[/] {escape(message)}")
    sys.exit(code)


def escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Say what Ctrl-C left behind; typer would end without a word."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            fail(str(interrupt) or "interrupted; nothing was written", 130)

    return wrapped
