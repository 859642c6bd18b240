"""Claims on networks that draw a picture: what their units draw, and how many links they need."""

from __future__ import annotations

from collections.abc import Mapping

from interp.plugins.claim import Claim, graded
from interp.plugins.result import format_share
from probes.wilson_interval import wilson

SYMMETRIC, SYMMETRIC_IN_PART = 0.5, 0.1
FEW, FEW_IN_PART = 0.5, 0.9
FEWEST = 4  # units, below which shares say nothing


def unit_claims(symmetric: float | None, own: int, distinct: int, figure: str) -> list[Claim]:
    """That units draw symmetric pictures, and that many of them draw the same.

    Args:
        symmetric: share of the active units of its own that draw a symmetric picture.
        own: number of these units; copies are not counted.
        distinct: how many of them draw something that no other draws.
        figure: that shows them.

    Returns:
        two claims; none of fewer than four units.
    """
    if own < FEWEST or symmetric is None:
        return []
    return [
        Claim(
            "Its units draw symmetric pictures",
            graded(symmetric >= SYMMETRIC, symmetric >= SYMMETRIC_IN_PART),
            "Active units that look like their left-right or up-down reflection",
            f"{format_share(symmetric)} of {own:,}",
            f"supported from {SYMMETRIC:.0%}, in part from {SYMMETRIC_IN_PART:.0%}",
            figure=figure,
        ),
        Claim(
            "Its units share the pictures that they draw",
            graded(distinct <= FEW * own, distinct <= FEW_IN_PART * own),
            "Active units that draw something that no unit before them draws",
            f"{distinct:,} of {own:,}",
            f"supported up to {FEW:.0%} of them, in part up to {FEW_IN_PART:.0%}",
            figure=figure,
        ),
    ]


def compared_claims(units: Mapping[str, tuple[float | None, int]]) -> list[Claim]:
    """That the units of one network are more symmetric than those of another: every network against the first.

    Args:
        units: share of the active units of its own that draw a symmetric picture, and their number, by network.

    Returns:
        a claim for every network but the first that has such units, where the first has.
    """
    (first, (base, of)), *others = units.items()
    claims = []
    for name, (share, n) in others:
        if share is None or base is None or min(n, of) < FEWEST:
            continue
        ordered = ((first, base, of), (name, share, n)) if base >= share else ((name, share, n), (first, base, of))
        (more, high, n_more), (less, low, n_less) = ordered
        ends = wilson(round(high * n_more), n_more)[0], wilson(round(low * n_less), n_less)[1]
        apart = ends[0] > ends[1]
        claims.append(
            Claim(
                f"By the symmetry of its units, {more} is more unified than {less}",
                graded(False, apart),
                "Active units that draw a symmetric picture, more in a unified representation of one",
                f"{format_share(high)} of {n_more:,} to {format_share(low)} of {n_less:,}",
                "in part when the 95% intervals of the shares do not overlap; no null model draws its units, so never more",
                question="unified",
                topic=f"one of {first} and {name} is unified (UFR) and the other fractured (FER)",
                answer=f"{more} is the unified one" if apart else "",
            )
        )
    return claims


def link_claims(fewest: int, links: int, error: float, most: float, figure: str) -> list[Claim]:
    """That few links suffice to draw the picture.

    Args:
        fewest: links that still draw it.
        links: of the network.
        error: mean squared error with these.
        most: error that is allowed.
        figure: that shows the pictures.

    Returns:
        one claim; none without links.
    """
    if not links:
        return []
    return [
        Claim(
            "Few of its links suffice to draw the picture",
            graded(fewest <= FEW * links, fewest <= FEW_IN_PART * links),
            f"Fewest links with a mean squared error of at most {most:g}",
            f"{fewest:,} of {links:,} (error {error:.2g})",
            f"supported up to {FEW:.0%} of them, in part up to {FEW_IN_PART:.0%}; the search is greedy",
            figure=figure,
        )
    ]
