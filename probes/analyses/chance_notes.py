"""What reports of similarity say of chance, and how they read lists of sites."""

from __future__ import annotations

NULL_NOTE = (
    "The interval runs from the least to the largest draw: of 39, it holds 95 of 100 values that arise by chance. Random "
    "networks of an architecture are alike, since they see the same inputs; only what lies beyond them was learnt."
)


def comma_separated(names: str | None) -> list[str] | None:
    """Names separated by commas as a list.

    Args:
        names: such as an option of an analysis.

    Returns:
        The names; None where there are none.

    >>> comma_separated("blocks.0.hook_resid_mid, blocks.0.mlp.hook_post"), comma_separated(None)
    (['blocks.0.hook_resid_mid', 'blocks.0.mlp.hook_post'], None)
    """
    found = [part.strip() for part in (names or "").split(",") if part.strip()]
    return found or None
