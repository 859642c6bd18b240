"""The analysis ``sweeps``: how a network's outputs change when its weights move, against null models.

It tells a fractured entangled representation (FER) from a unified factored representation (UFR): Kumar et al. 2025,
https://arxiv.org/abs/2505.11581.
"""

from __future__ import annotations

from collections.abc import Mapping

from circuits.analyses.network_sweeps import of_network
from circuits.analyses.picture_sweeps import of_picture
from circuits.analyses.sweep_scores import comparable, compared_scores
from circuits.claims.unified import NETWORK as OF_NETWORK
from circuits.claims.unified import PICTURE as OF_PICTURE
from circuits.claims.unified import compared_claims
from circuits.weight_sweeps.image_sweep import SIZE
from interp.errors import require_range
from interp.hooked import HookedCPPN
from interp.plugins.analysis import Result, analysis
from interp.subject import Subject

LEADING = ("antisymmetric_share", "input_factors", "equivariant_share", "output_factors", "change_rank_share")
PICTURE = ("antisymmetric_share", "change_rank_share")


@analysis(
    "sweeps",
    needs=("outputs",),
    summary="How the outputs change when weights move (FER or UFR), against null models",
    order=58,
    question="unified",
    renamed={"nulls": "n_random"},
)
def sweeps(
    subject: Subject,
    *,
    n: int | None = None,
    directions: int | None = None,
    n_random: int | None = None,
    size: int = SIZE,
) -> Result:
    """Weight sweeps: move single weights and random columns, and measure how symmetric and how diverse the changes are.

    In a unified factored representation (UFR) a weight moves a whole factor of the behaviour (one frequency of modular
    addition, both sides of a symmetric picture); in a fractured entangled one (FER) a little of everything (Kumar et al.
    2025, https://arxiv.org/abs/2505.11581).

    Args:
        subject: an image network, or any network with a task.
        n: number of changes that are measured (of whole directions), by default 150 of a picture and otherwise all; only
            equal numbers compare.
        directions: number of directions of each kind, by default 200 of a picture, otherwise 32, and 14 where there are more
            than a million outputs; those that change nothing are left out.
        n_random: null models of each kind (the network with its weights shuffled, random networks of its architecture), by
            default 2 of a picture, otherwise 1.
        size: pixels along each edge of a picture.

    Returns:
        scores of the changes with intervals, for one step and at matched effect, and those of the null models; films.
    """
    ranges = (("n", n, 10), ("directions", directions, 5), ("n_random", n_random, 0), ("size", size, 16))
    for name, value, low in ranges:
        if value is not None:
            require_range(name, value, low, 100_000)
    if isinstance(subject.model, HookedCPPN):
        given = (
            150 if n is None else n,
            200 if directions is None else directions,
            2 if n_random is None else n_random,
        )
        return of_picture(subject, *given, size)
    return of_network(subject, n, directions, n_random)


@sweeps.compares
def compared(results: Mapping[str, Result]) -> Result:
    """The scores of several networks with their intervals; networks differ where the intervals do not overlap.

    Args:
        results: of the analysis, by network.

    Returns:
        tables and figures of all networks, and in words how each differs from the first.
    """
    pictures = all("single_antisymmetric_share" in r.metrics for r in results.values())
    made = compared_scores(results, PICTURE if pictures else LEADING)
    meaning = (
        "A low antisymmetric share: both sides of the picture move alike, as in a unified factored representation (UFR)."
        if pictures
        else "Few factors and a high equivariant share: a move changes a whole factor of the task, as in a unified factored "
        "representation (UFR). Only networks whose tasks have the same factors, and the same symmetry, compare."
    )
    asked = OF_PICTURE if pictures else OF_NETWORK
    made.claims = compared_claims(
        {n: r.tables["scores"] for n, r in results.items()},
        asked,
        list(made.figures),
        lambda score, first, other: comparable(score, results[first].metrics, results[other].metrics),
    )
    made.notes = [
        "Higher, lower: the 95% intervals do not overlap; otherwise the two cannot be distinguished. "
        f"{meaning} A low change rank: many weights do the same few things. Networks differ in how far one step moves them "
        "(median effect): compare the rows at matched effect in 'scores with nulls'."
    ]
    return made
