"""Messages of the trainer in the words of the shell: a setting is called there by its flag."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from interp.cli.train.phases import PHASE_OPTIONS
from interp.cli.train.settings import SETTINGS
from interp.errors import InterpError

SEEDS = ("data_seed", "init_seed", "order_seed")
NAMES = (*(s.name for s in SETTINGS), *SEEDS, *PHASE_OPTIONS)


def as_flags(text: str, names: Iterable[str] = ()) -> str:
    """A message with the flags of settings in place of their names in Python.

    What is quoted, assigned or part of a path stays, and so does a list of known names, which ``--grid`` takes as they are;
    ``lr`` and other single words read the same in both.

    Args:
        text: the message.
        names: options beside `NAMES`.

    Returns:
        the message.

    >>> as_flags("Another data_seed makes another split")
    'Another --data-seed makes another split'
    >>> as_flags("member 0 {'weight_decay': -1}: weight_decay must be at least 0")
    "member 0 {'weight_decay': -1}: --weight-decay must be at least 0"
    """
    said, known, rest = text.partition(" (known:")
    spelt = "|".join(sorted({n for n in (*NAMES, *names) if "_" in n}, key=len, reverse=True))
    pattern = rf"(?<![\w'\"./=:-])({spelt})(?![\w'\"=/(@]|[.:]\w)"
    return re.sub(pattern, lambda found: "--" + found[0].replace("_", "-"), said) + known + rest


@contextmanager
def in_words_of_the_shell(names: Iterable[str] = ()) -> Iterator[None]:
    """Within the block, an error's message says `as_flags` what it says.

    Args:
        names: options beside `NAMES`.

    Yields:
        Nothing.

    Raises:
        InterpError: the same error.
    """
    try:
        yield
    except InterpError as error:
        raise type(error)(as_flags(str(error), names)) from error.__cause__
