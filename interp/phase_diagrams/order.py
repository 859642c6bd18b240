"""The phases of learning, and the order in which they are listed."""

from __future__ import annotations

from collections.abc import Iterable

UNDECIDED = "undecided"
PHASES = ("comprehension", "grokking", "memorization", "confusion")


def phase_order(phases: Iterable[str]) -> list[str]:
    """Phases in their usual order, those that are not usual after them, undecided last."""
    phases = set(phases)
    others = sorted(p for p in phases if p not in PHASES and p != UNDECIDED)
    return [*(p for p in PHASES if p in phases), *others, *([UNDECIDED] if UNDECIDED in phases else [])]
