"""Options of ``interp compare`` that may differ between the networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interp.errors import InterpError

NUMBERS = ("step", "member")


def each(sources: Sequence[Path], **typed: Sequence[str] | None) -> list[dict[str, Any]]:
    """The options of each network.

    Args:
        sources: as they were typed.
        **typed: by option, what was typed: one value for all, as many as there are networks, or SOURCE=VALUE for one.

    Returns:
        by network, the values of the options that it has.

    Raises:
        InterpError: another number of values, two for one network, or no whole number where one is needed.

    >>> each([Path("a"), Path("b")], step=["10"], key=["b=ema"])
    [{'step': 10}, {'step': 10, 'key': 'ema'}]
    >>> each([Path("run"), Path("run")], step=["0", "500"])
    [{'step': 0}, {'step': 500}]
    """
    how: list[dict[str, Any]] = [{} for _ in sources]
    for option, values in typed.items():
        for place, text in enumerate(_spread(sources, option, values or ())):
            if text is not None:
                how[place][option] = _number(sources[place], option, text) if option in NUMBERS else text
    return how


def _spread(sources: Sequence[Path], option: str, values: Sequence[str]) -> list[str | None]:
    """The text for every network."""
    common: list[str] = []
    own: dict[int, str] = {}
    for text in values:
        about = _named(sources, text)
        if twice := [place for place in about if place in own]:
            raise InterpError(f"--{option} is given twice for {sources[twice[0]]}")
        own |= about
        if not about:
            common.append(text)
    n = len(sources)
    if len(common) not in (0, 1, n) or (own and len(common) == n > 1):
        raise InterpError(
            f"--{option} is given {len(values)} times for {n} networks: give it once for all, once for each, or as "
            f"--{option} {sources[-1]}=VALUE"
        )
    usual: list[str | None] = [*common] if len(common) == n else [*(common or [None])] * n
    return [own.get(place, text) for place, text in enumerate(usual)]


def _named(sources: Sequence[Path], text: str) -> dict[int, str]:
    """The networks that a text SOURCE=VALUE is about, by the path as typed or by its last part, with the value."""
    found = {}
    for place, path in enumerate(sources):
        for name in {str(path), path.name} - {""}:
            if text.startswith(f"{name}="):
                found[place] = text[len(name) + 1 :]
    return found


def _number(source: Path, option: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise InterpError(f"{source}: --{option} must be a whole number from 0, got {text!r}")
    return number
