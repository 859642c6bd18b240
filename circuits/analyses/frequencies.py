"""The analysis ``frequencies``: restricted and excluded loss, and key frequencies removed, against random frequencies."""

from __future__ import annotations

from circuits.analyses import parts_of_logits as shared
from circuits.claims.modes import necessary_claims, sufficient_claims
from circuits.fourier.definitions import OF_LAYER, Definition
from circuits.fourier.losses import by_frequency
from circuits.fourier.removal import remove_everywhere
from circuits.fourier.table import Table
from interp.errors import InterpError, require_range
from interp.plugins.analysis import Result, analysis
from interp.plugins.result import format_metric
from interp.sites import hidden_sites
from interp.subject import Subject
from probes.claims.modes import TOPIC, named


@analysis(
    "frequencies",
    needs=("cyclic", "input_table"),
    summary="Restricted and excluded loss; key frequencies removed",
    order=50,
    question="needs",
    renamed={"random_sets": "n_random"},
)
def frequencies(subject: Subject, *, definition: Definition = "nanda2d", n_random: int = 8) -> Result:
    """Restricted and excluded loss (Nanda et al. 2023), and key frequencies removed layer by layer, against random ones.

    https://arxiv.org/abs/2301.05217

    Args:
        subject: of a task that is addition modulo n, perhaps in disguise.
        definition: of ``restricted_loss`` and ``excluded_loss``; the table lists all four.
        n_random: random sets of other frequencies, as many as the key ones, that are removed for comparison.

    Returns:
        losses by definition, by frequency and by where the frequencies are removed.

    Raises:
        InterpError: ``hidden`` or ``neurons`` on a network without hidden units; a negative ``n_random``.
    """
    require_range("n_random", n_random, 0)
    table = Table(subject)
    keys = table.keys
    if not keys:
        return Result(
            {"key_frequencies": [], "restricted_loss": None, "excluded_loss": None},
            headline="No frequency stands out in the logits, so there is none to keep or remove",
        )
    if definition in OF_LAYER and not hidden_sites(subject.model):
        raise InterpError(f"definition={definition!r} does not apply to a network without hidden units")
    clean, losses = table.score(table.logits), shared.by_definition(table)
    single, sets = by_frequency(table), remove_everywhere(table, keys, n_random)
    result = Result(tables={"definitions": shared.as_table(losses), "by frequency": single, "removed": sets})
    result.metrics = {
        "key_frequencies": list(keys), "definition": definition, "clean_loss": clean.all,
        **shared.of_definition(losses, definition), **shared.without(sets),
    }  # fmt: skip
    result.notes = [
        f"restricted_loss and excluded_loss use definition {definition!r}, over all inputs unless marked train or test. The "
        "definitions differ (one coefficient per output, one for all outputs, the hidden layer alone, or in its place): see the "
        "table.",
        "Of the random sets of frequencies, the worst is given.",
    ]
    result.figures = shared.draw(single, sets, clean.all, keys)
    result.headline = shared.headline(result.metrics, clean, table, "frequencies")
    constant, solved = shared.least(table, clean)
    result.claims = [
        *sufficient_claims(
            "frequencies", TOPIC, named(keys), result.metrics["restricted_correct"], clean.correct, clean.total,
            (result.metrics["restricted_loss"], clean.all), constant, solved, "each alone",
        ),
        *necessary_claims(sets, "frequencies", TOPIC, clean.correct, constant, solved, "removed sets"),
    ]  # fmt: skip
    result.verdict = [
        (label, format_metric(result.metrics[name]))
        for label, name in (("restricted loss", "restricted_loss"), ("excluded loss", "excluded_loss"))
    ]
    return result
