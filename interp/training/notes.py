"""What a user is told before a training starts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from interp.scores import LEARNT
from interp.training.counts import Counts
from interp.training.plan import Plan
from interp.training.thresholds import Threshold

NAMED = 8  # members by number in a note


def tell(told: Callable[[str], None] | None, plan: Plan, counts: Sequence[Counts]) -> None:
    """Say what a user should know; a recipe's batch that is a whole train set is worth a note, not a warning.

    Args:
        told: called with a sentence; None warns.
        plan: of the run.
        counts: of its members.
    """
    if (note := out_of_reach(plan, counts)) is not None:
        (told or _warn)(note)
    if told is not None and (note := smaller_than_batch(plan, counts)) is not None:
        told(note)


def _warn(note: str) -> None:
    warnings.warn(
        note, stacklevel=5
    )  # where train was called: it calls start, or _in_shards, these tell, and that this


def smaller_than_batch(plan: Plan, counts: Sequence[Counts]) -> str | None:
    """That a recipe's batch is larger than train sets, which are trained on as a whole then.

    Args:
        plan: whose batch size it is.
        counts: of its members.

    Returns:
        a sentence; None where there is no such member.
    """
    sizes = [plan.setting(i, "batch_size") for i in range(len(counts))]
    small = [
        (size, own.train_n)
        for size, own in zip(sizes, counts, strict=True)
        if isinstance(size, int) and size > own.train_n
    ]
    if not small:
        return None
    least, most = min(n for _, n in small), max(n for _, n in small)
    n = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    who = f"{len(small):,} of {len(counts):,} members have" if len(counts) > 1 else "the network has"
    return f"{who} {n} train examples, fewer than a batch of {small[0][0]:,}: every update takes them all"


def out_of_reach(plan: Plan, counts: Sequence[Counts]) -> str | None:
    """That the split forbids an accuracy above the threshold.

    Args:
        plan: whose threshold of retirement counts, or `LEARNT`.
        counts: of its members.

    Returns:
        a sentence with the members and the most that they can reach; None where all can exceed it.
    """
    share = LEARNT if plan.retire is None else plan.retire
    above = Threshold(share, ">")
    kept = [i for i, own in enumerate(counts) if own.test_n and own.test_reachable < above.needed(own.test_n)]
    kept = [i for i in kept if counts[i].test_reachable < counts[i].test_n]
    if not kept:
        return None
    most: dict[str, list[int]] = {}
    for i in kept:
        most.setdefault(f"{counts[i].test_reachable:,} of {counts[i].test_n:,}", []).append(i)
    who = f"{len(kept):,} of {len(counts):,} members" if len(counts) > 1 else "the network"
    best = ", ".join(f"{best}{_numbers(ids)}" if len(counts) > 1 else best for best, ids in most.items())
    return (
        f"{who} cannot get above a test accuracy of {share:g}: no train example has the answers of some test examples, and what "
        f"no example shows cannot be learnt. The most that the split allows: {best}. Another data_seed makes another split"
    )


def _numbers(ids: Sequence[int]) -> str:
    """Members in brackets, the first few by number."""
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return f" (member{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids[:NAMED]))}{more})"
