"""A row of a verification: a fact, what came of it, and both in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interp.verification.facts import Collection, Fact
from interp.verification.shown import MOST, shown, shown_beside
from interp.verification.verdict import Verdict


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
        "published": shown(verdict.published), "found": shown_beside(verdict.found, verdict.published),
        "tolerance": verdict.tolerance,
        "tolerances apart": verdict.tolerances, "reason": verdict.reason, "file": fact.file,
        "quantity": fact.quantity.name, "where": fact.where, "source": f"{collection.source} {collection.link}".strip(),
        "seconds": round(verdict.seconds, 2),
    }  # fmt: skip


def apart(verdict: Verdict) -> str:
    """The difference as a reader sees it: ``0.24 of the tolerance``; empty for what has none."""
    used = verdict.tolerances
    if used is None:
        return ""
    digits = next((n for n in range(2, MOST) if float(f"{used:.{n}g}") != 1), MOST) if used > 1 else 2
    return f"{used:.{digits}g} of the tolerance"  # a disagreement is never rounded to 1


def described(row: Row) -> str:
    """One fact that does not agree, in words."""
    verdict = row.verdict
    if verdict.agreement == "cannot be replayed":
        return f"cannot be replayed: {verdict.reason}"
    more = "; ".join(filter(None, [apart(verdict), verdict.reason]))
    found = shown_beside(verdict.found, verdict.published)
    return f"published {shown(verdict.published)}, here {found}{f' ({more})' if more else ''}"
