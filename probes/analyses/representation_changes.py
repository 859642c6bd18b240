"""The analysis `representation_changes`: where along training the hidden representation changes."""

from __future__ import annotations

from interp.errors import require_range
from interp.plugins.analysis import Result, analysis
from interp.plugins.claim import Claim, graded
from interp.scores import LEARNT
from interp.subject import Subject
from probes.analyses.chance_notes import NULL_NOTE, comma_separated
from probes.change_points import first_step_above
from probes.similarity_maps.over_training import similarity_over_training
from probes.similarity_maps.result import SimilarityMap
from probes.similarity_maps.segments import RepresentationChange

CHANGE_NOTE = (
    "Changes are those of kernel segmentation (Arlot, Celisse and Harchaoui 2019) of the similarity of checkpoints; step 0, "
    "before training, belongs to no phase. One more is accepted while its gain exceeds that of 95% of permutations of the "
    "checkpoints within the phases found so far. A steady drift is split, too: a change is abrupt if it explains clearly more of "
    "the scatter than the best split of a drift would."
)


@analysis(
    "representation_changes",
    needs=("activations", "series"),
    order=34,
    question="history",
    summary="Similarity of the checkpoints' hidden layers; where they change",
)
def representation_changes_analysis(
    subject: Subject,
    *,
    measure: str = "cka",
    sites: str | None = None,
    checkpoints: int = 60,
    n_inputs: int = 1024,
    draws: int = 39,
    seed: int = 0,
) -> Result:
    """Similarity of every two checkpoints at each hidden layer, and the steps at which it changes.

    Linear CKA, debiased: Kornblith et al. 2019, https://arxiv.org/abs/1905.00414. Change points: Arlot, Celisse and Harchaoui
    2019, https://jmlr.org/papers/v20/16-155.html.

    Args:
        subject: a run with a task and hidden layers.
        measure: a name in `probes.similarity.MEASURES`.
        sites: hook points or globs, separated by commas; the hidden layers by default.
        checkpoints: at most so many; of more an even selection with the first and the last.
        n_inputs: at most so many inputs.
        draws: pairs of random networks that say what chance gives.
        seed: of inputs, random networks and permutations.

    Returns:
        The map of the last layer, the similarity of consecutive checkpoints, an embedding, and a row per change.
    """
    require_range("checkpoints", checkpoints, 2)
    found = similarity_over_training(
        subject, most=checkpoints, measure=measure, sites=comma_separated(sites), n_inputs=n_inputs, draws=draws, seed=seed,
        progress=False,
    )  # fmt: skip
    site = found.sites[-1]
    changes, generalised = found.changes[site], first_step_above(subject.curves.get("test_accuracy", []), LEARNT)
    largest = max(changes, key=lambda change: change.explained, default=None)
    ends = found.at(site)[1]
    result = Result(
        {
            "site": site, "checkpoints": len(found.steps or ()), "changes_at": [c.step for c in changes],
            "largest_change_at": None if largest is None else largest.step, "generalised_at_step": generalised,
            "first_to_last": float(ends.iat[0, -1]),
        },
        {"changes": found.change_table, "consecutive": found.consecutive(site)},
        figures=found.figures(site), lead="map",
    )  # fmt: skip
    reached = "" if generalised is None else f"; test accuracy stays at or above {LEARNT:g} from step {generalised:,}"
    if largest is None:
        result.headline = f"No change of the representation at {site} beyond permuted checkpoints" + reached
    else:
        result.headline = f"The representation at {site} changes most at step {_said(largest)}" + reached
    result.notes = [f"Compared on {found.inputs}.", CHANGE_NOTE, *found.notes]
    if found.null:
        one = next(iter(found.excesses[site].values()))
        result.notes.append(
            f"Chance, between {found.null}: {one.null:.3f} [{one.low:.3f}, {one.high:.3f}]. {NULL_NOTE} The first and the last "
            f"checkpoint: {ends.iat[0, -1]:.3f}."
        )
    result.claims = [_claim(found, site, largest)]
    return result


def _said(change: RepresentationChange) -> str:
    return (
        f"{change.step:,.0f} [{change.low:,}, {change.high:,}], which explains {change.explained:.0%} of the scatter (a steady "
        f"drift at most {change.drift:.0%}; p = {change.p_value:.3f})"
    )


def _claim(found: SimilarityMap, site: str, largest: RepresentationChange | None) -> Claim:
    return Claim(
        "The hidden representation changes abruptly during training",
        graded(largest is not None and largest.abrupt, largest is not None),
        f"Segmentation of the similarity of {len(found.steps or ())} checkpoints at {site}",
        "no change" if largest is None else f"at step {_said(largest)}",
        "supported by a change that explains clearly more than a steady drift, in part by any beyond permuted checkpoints",
        "permutations of the checkpoints",
        figure="map",
    )
