"""Claims on how a network came about: late generalisation, and the measures that change before it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from interp.plugins.claim import Claim, graded

LATE, LATE_IN_PART = 10.0, 2.0


def grokking_claims(
    memorised: int | None, generalised: int | None, at: int, threshold: float, figure: str | None
) -> list[Claim]:
    """That the network generalised long after it had memorised.

    Args:
        memorised: step from which the train accuracy stays above the threshold, None for never.
        generalised: the same of the test accuracy.
        at: step of the network; what the run learns later is not its own.
        threshold: of both accuracies.
        figure: that shows them.

    Returns:
        one claim.
    """
    if memorised is None or memorised > at:
        verdict, value = "not supported", f"it has not memorised by step {at:,}"
    elif generalised is None or generalised > at:
        verdict, value = "not supported", f"memorised by step {memorised:,}; has not generalised by step {at:,}"
    else:
        times = generalised / max(memorised, 1)
        verdict = graded(times >= LATE, times >= LATE_IN_PART)
        value = f"memorised by step {memorised:,}, generalised by step {generalised:,}"
    return [
        Claim(
            "It grokked: it generalised long after it had memorised",
            verdict,
            f"Steps from which train and test accuracy stay at or above {threshold:g}",
            value,
            f"supported when generalising takes {LATE:g} times as many steps as memorising, in part when {LATE_IN_PART:g} times",
            figure=figure,
        )
    ]


def lead_claims(
    leads: pd.DataFrame, leading: Sequence[str], generalised: int | None, at: int, figure: str
) -> list[Claim]:
    """That a measure changes before the test accuracy does.

    Args:
        leads: the change of every measure in one window: ``measure, where, changes_at, low, high``.
        leading: names of those that lead, earliest first.
        generalised: step of generalisation, None for never.
        at: step of the network.
        figure: that shows them.

    Returns:
        one claim; none without a test accuracy.
    """
    test = leads.query("measure == 'accuracy' and where == 'test'")
    if test.empty:
        return []
    own = test.iloc[0]
    measures = ", ".join(leading[:3]) + (f" and {len(leading) - 3} more" if len(leading) > 3 else "")
    if generalised is None or generalised > at:
        verdict, value = "not tested", f"the network has not generalised by step {at:,}"
    elif leading:
        verdict, value = "supported", f"{len(leading)} of {leads['measure'].nunique() - 1}: {measures}"
    else:
        verdict, value = "not supported", "no measure's interval ends before that of the test accuracy begins"
    return [
        Claim(
            "Progress measures change before the test accuracy does",
            verdict,
            "Step of each measure's largest change, with its 95% interval",
            value,
            "supported by any measure whose change explains half of its variance and ends before that of the accuracy begins",
            f"test accuracy at step {own['changes_at']:,.0f} [{own['low']:,.0f}, {own['high']:,.0f}]",
            figure=figure,
        )
    ]
