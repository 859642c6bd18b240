"""A row of a verification: a fact, what came of it, and both in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interp.verification.facts import Collection, Fact
from interp.verification.verdict import Verdict
from interp.verification.written import Written


@dataclass(frozen=True)
class Row:
    """A fact and what came of it."""

    collection: Collection
    fact: Fact
    verdict: Verdict


def as_dict(row: Row) -> dict[str, Any]:
    """A row of the table, with values as texts."""
    collection, fact, verdict = row.collection, row.fact, row.verdict
    return {
        "collection": collection.title, "name": fact.name, "verdict": verdict.agreement, "claim": fact.claim,
        "published": shown(verdict.published), "found": shown(verdict.found), "tolerance": verdict.tolerance,
        "tolerances apart": verdict.tolerances, "reason": verdict.reason, "file": fact.file,
        "quantity": fact.quantity.name, "where": fact.where, "source": f"{collection.source} {collection.link}".strip(),
        "seconds": round(verdict.seconds, 2),
    }  # fmt: skip


def shown(value: Any, longest: int | None = None) -> str:
    """A value as text: decimals as they were written, others with six digits.

    Args:
        value: published or found.
        longest: characters after which it is cut; None: never.

    Returns:
        the text; empty for None.

    >>> shown(Written("4.988e-07")), shown(1 / 3), shown([23, 6]), shown({"a": 1}), shown(True)
    ('4.988e-07', '0.333333', '23, 6', 'a: 1', 'yes')
    """
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, Written):
        text = value.text
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, Mapping):
        text = ", ".join(f"{name}: {_part(one)}" for name, one in value.items())
    elif isinstance(value, (list, tuple)):
        text = ", ".join(map(_part, value)) or "none"
    else:
        text = "" if value is None else str(value)
    return text if longest is None or len(text) <= longest else f"{text[: longest - 3]}..."


def _part(value: Any) -> str:
    return f"({shown(value)})" if isinstance(value, (list, tuple, Mapping)) else shown(value)


def apart(verdict: Verdict) -> str:
    """The difference as a reader sees it: ``0.24 of the tolerance``; empty for what has none."""
    return "" if verdict.tolerances is None else f"{verdict.tolerances:.2g} of the tolerance"


def described(row: Row) -> str:
    """One fact that does not agree, in words."""
    verdict = row.verdict
    if verdict.agreement == "cannot be replayed":
        return f"cannot be replayed: {verdict.reason}"
    more = "; ".join(filter(None, [apart(verdict), verdict.reason]))
    return f"published {shown(verdict.published)}, here {shown(verdict.found)}{f' ({more})' if more else ''}"
