"""The order in which phases are listed."""

from __future__ import annotations

from collections.abc import Iterable

UNDECIDED = "undecided"
USUAL = ("comprehension", "grokking", "memorization", "confusion")


def phase_order(phases: Iterable[str]) -> list[str]:
    """Phases in their usual order, those that are not usual after them, undecided last."""
    phases = set(phases)
    others = sorted(p for p in phases if p not in USUAL and p != UNDECIDED)
    return [*(p for p in USUAL if p in phases), *others, *([UNDECIDED] if UNDECIDED in phases else [])]
