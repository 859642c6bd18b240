"""Fields of a file of claims, each checked where it stands: an error says which field it is, and what it must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from interp._util.schema import fits, short
from interp.errors import InterpError, unknown
from interp.verification.written import Written


def as_positive(value: Any, place: str) -> float:
    """A number of at least 0, or an error with its place."""
    if not fits(value, float) or value < 0:
        raise InterpError(f"{place} must be a number of at least 0, got {short(value)}")
    return float(value)


def plain(value: Any) -> Any:
    """A value without the memory of how it was written, as functions expect it."""
    if isinstance(value, Written):
        return float(value)
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def as_table(value: Any, place: str, form: str = "a table") -> Mapping[str, Any]:
    """A table, or an error with its place and the form that it must have."""
    if not isinstance(value, dict):
        raise InterpError(f"{place} must be {form}, got {short(value)}")
    return value


def as_text(value: Any, place: str) -> str:
    """A text that is not blank, or an error with its place."""
    if not isinstance(value, str) or not value.strip():
        raise InterpError(f"{place} must be a text, got {short(value)}")
    return value


def refuse_unknown(given: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    """Refuse a field that is not known; the nearest are named."""
    for name in given:
        if name not in known:
            raise InterpError(f"{place}: {unknown('field', name[:60], known)}")
