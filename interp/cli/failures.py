"""How a command that did not do what was asked ends: one message, an exit code, no traceback.

Exit codes: 0 all that was asked for, 1 a report was written and something in it failed, 2 the input was refused and nothing
was written, 130 Ctrl-C.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from types import FrameType
from typing import Any, NoReturn

from interp.cli.terminal import errors, escape

_HELD: ContextVar[ExitStack] = ContextVar("held")  # what the command that runs has entered
INCOMPLETE, REFUSED, INTERRUPTED = 1, 2, 130


def fail(message: str, code: int) -> NoReturn:
    """Print one error message and leave with an exit code."""
    errors().print(f"[bold red]error:[/] {escape(message)}")
    sys.exit(code)


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: Ctrl-C ends a command with a message that says what it left behind; typer would end without one.

    SIGTERM, which schedulers and `kill` send, does the same, so that nothing half-written stays.

    Args:
        command: a function of the command line.

    Returns:
        the function, which ends the program with a message.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        before = _terminated_as_interrupted()
        try:
            with ExitStack() as held:
                _HELD.set(held)
                command(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            fail(str(interrupt) or "interrupted; nothing was written", INTERRUPTED)
        finally:
            if before is not None:
                signal.signal(signal.SIGTERM, before)

    return wrapped


def hold(resource: AbstractContextManager[Any]) -> None:
    """Enter a context that ends with the command, however the command ends."""
    _HELD.get().enter_context(resource)


def _terminated_as_interrupted() -> Any:
    """Let SIGTERM raise KeyboardInterrupt; returns the handler before, None where none can be set."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    return signal.signal(signal.SIGTERM, interrupt) if main else None
