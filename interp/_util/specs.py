"""One grammar for what a user types: ``name:key=value,key=value``.

Tasks (``modular:p=113,operation=add``), networks (``mlp:hidden=48``) and layouts (``linear_chain:act_fn=tanh``) are written
this way, and a spec that the suite prints can be typed back.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from interp.errors import InterpError

_SEPARATOR = re.compile(r",(?![^(\[]*[)\]])")  # a comma, unless brackets around it close behind it


def parse_value(text: str) -> Any:
    """A Python literal if the text is one (numbers, booleans, None, tuples), otherwise the text itself.

    Args:
        text: what was typed.

    Returns:
        The value.

    >>> parse_value("0.3"), parse_value("add"), parse_value("true"), parse_value("(1, 2)")
    (0.3, 'add', True, (1, 2))
    """
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("none", "null"):
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


def parse_spec(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:key=value,...`` into its name and its options.

    Args:
        text: the spec.

    Returns:
        The name, and the values by key.

    Raises:
        InterpError: a part that is not ``key=value``, or a key given twice.

    >>> parse_spec("modular:p=113,operation=x^2+y^2,train_fraction=0.3")
    ('modular', {'p': 113, 'operation': 'x^2+y^2', 'train_fraction': 0.3})
    >>> parse_spec("digits:mean=(0.5, 0.4),std=0.25")
    ('digits', {'mean': (0.5, 0.4), 'std': 0.25})
    """
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in _SEPARATOR.split(rest))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise InterpError(f"cannot read {part!r} in {text!r}: write name:key=value,key=value")
        if key.strip() in options:
            raise InterpError(f"{key.strip()!r} is given twice in {text!r}")
        options[key.strip()] = parse_value(value)
    return name.strip(), options


def format_spec(name: str, options: dict[str, Any]) -> str:
    """The text that `parse_spec` reads back.

    Args:
        name: before the colon.
        options: values by key.

    Returns:
        The spec.

    >>> format_spec("modular", {"p": 113, "operation": "add"})
    'modular:p=113,operation=add'
    """
    return name + (":" + ",".join(f"{k}={v}" for k, v in options.items()) if options else "")
