"""Claims on what is odd about a network: entries that are not numbers, matrices of rank one, dead units, a collapsed softmax."""

from __future__ import annotations

from collections.abc import Sequence

from interp.plugins.claim import Claim, graded
from interp.plugins.result import format_share

RANK_ONE, SMALL = 1.5, 4
COLLAPSED, COLLAPSED_IN_PART = 0.9, 0.1
DEAD, DEAD_IN_PART = 0.1, 0.0


def finite_claims(not_finite: int, parameters: int, where: Sequence[str]) -> list[Claim]:
    """That all weights are numbers.

    Args:
        not_finite: number of entries that are NaN or infinite.
        parameters: of all entries.
        where: parameters that hold them.

    Returns:
        one claim.
    """
    held = f" in {', '.join(where[:4])}" + (" and others" if len(where) > 4 else "") if where else ""
    return [
        Claim(
            "Its weights are all finite",
            graded(not not_finite, False),
            "Entries that are NaN or infinite",
            f"{not_finite:,} of {parameters:,}{held}",
            "supported without any",
        )
    ]


def rank_claims(ranks: Sequence[tuple[str, float, int]], figure: str) -> list[Claim]:
    """That matrices act along one direction alone.

    Args:
        ranks: name, effective rank and full rank of every weight matrix.
        figure: that shows the singular values.

    Returns:
        one claim; none where no matrix has rank one.
    """
    found = [(name, rank, full) for name, rank, full in ranks if rank < RANK_ONE and full >= SMALL]
    if not found:
        return []
    listed = ", ".join(f"{name} ({rank:.2f} of {full})" for name, rank, full in found[:4])
    return [
        Claim(
            "Some of its matrices act along one direction alone",
            "supported",
            "Effective rank of every weight matrix",
            listed + (f" and {len(found) - 4} more" if len(found) > 4 else ""),
            f"supported by any below {RANK_ONE:g} of {SMALL} or more",
            figure=figure,
        )
    ]


def collapse_claims(share: float | None) -> list[Claim]:
    """That the softmax has collapsed, so that float32 leaves no gradient.

    Args:
        share: of the train examples with a loss of exactly 0 in float32; None where it is not measured.

    Returns:
        one claim; none below a tenth.
    """
    if share is None or share < COLLAPSED_IN_PART:
        return []
    return [
        Claim(
            "Its softmax has collapsed: in float32 its train examples have no gradient",
            graded(share >= COLLAPSED, True),
            "Train examples with a cross-entropy of exactly 0 in float32",
            format_share(share),
            f"supported from {COLLAPSED:.0%}, in part from {COLLAPSED_IN_PART:.0%}",
            question="odd",
        )
    ]


def dead_claims(active: int | None, units: int) -> list[Claim]:
    """That hidden units are dead: they do not vary over the inputs.

    Args:
        active: number that vary; None where it is not measured.
        units: of all.

    Returns:
        one claim; none where all vary.
    """
    if active is None or not units or active >= units:
        return []
    dead = units - active
    return [
        Claim(
            "Some of its hidden units are dead",
            graded(dead / units >= DEAD, dead / units > DEAD_IN_PART),
            "Hidden units that do not vary over the inputs",
            f"{dead:,} of {units:,}",
            f"supported from {DEAD:.0%} of them, in part by any",
            question="odd",
        )
    ]
