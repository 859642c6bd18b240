"""Restricted and excluded loss, and the loss of each Fourier mode, as measures over a run."""

from __future__ import annotations

from torch import Tensor

from circuits.fourier.definitions import Definition, project
from circuits.fourier.modes import mode_losses
from circuits.fourier.table import Table
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes.measures.fourier import Frequencies, checked, final_frequencies

PARTS = ("all", "train", "test")


def table_of(snapshot: Snapshot) -> Table:
    """The snapshot's logits over the cyclic input table, computed once for all measures."""
    snapshot.forward()
    return snapshot.share("cyclic table", lambda: Table(snapshot.subject))


@measure(
    "restricted_loss",
    order=40,
    needs=("cyclic", "input_table"),
    log=True,
    summary="loss with only the key frequencies of the logits",
)
def restricted_loss(
    snapshot: Snapshot, *, frequencies: Frequencies = None, definition: Definition = "nanda2d"
) -> dict[str, float]:
    """Restricted loss: the loss with only the key frequencies of the logits (Nanda et al. 2023).

    https://arxiv.org/abs/2301.05217

    Args:
        snapshot: of a task that is addition modulo n.
        frequencies: that are kept; the key frequencies of the last checkpoint by default.
        definition: nanda2d, logit or hidden (`circuits.fourier.definitions`); their numbers differ.

    Returns:
        the mean loss over ``all``, ``train`` and ``test`` examples.
    """
    return _projected(snapshot, frequencies, definition, keep=True)


@measure(
    "excluded_loss",
    order=41,
    needs=("cyclic", "input_table"),
    log=True,
    summary="loss without the key frequencies of the logits",
)
def excluded_loss(
    snapshot: Snapshot, *, frequencies: Frequencies = None, definition: Definition = "nanda2d"
) -> dict[str, float]:
    """Excluded loss: the loss without the key frequencies of the logits (Nanda et al. 2023).

    https://arxiv.org/abs/2301.05217

    Args:
        snapshot: of a task that is addition modulo n.
        frequencies: that are removed; the key frequencies of the last checkpoint by default.
        definition: nanda2d, logit or hidden (`circuits.fourier.definitions`); their numbers differ.

    Returns:
        the mean loss over ``all``, ``train`` and ``test`` examples.
    """
    return _projected(snapshot, frequencies, definition, keep=False)


def _projected(snapshot: Snapshot, frequencies: Frequencies, definition: Definition, *, keep: bool) -> dict[str, float]:
    loss = project(table_of(snapshot), checked(snapshot, frequencies), definition, keep=keep)
    return {part: getattr(loss, part) for part in PARTS}


@measure(
    "frequency_loss",
    order=42,
    needs=("cyclic", "input_table"),
    log=True,
    summary="loss without each frequency, and with it only",
)
def frequency_loss(snapshot: Snapshot, *, frequencies: Frequencies = None) -> dict[str, float]:
    """Loss over all inputs without one frequency (``without k``), and with that frequency only (``k alone``).

    Args:
        snapshot: of a task that is addition modulo n.
        frequencies: one by one; the key frequencies of the last checkpoint by default.

    Returns:
        mean losses (``nanda2d``), two for each frequency.
    """
    table, chosen = table_of(snapshot), checked(snapshot, frequencies)
    if not chosen:
        return {}

    def losses(*, keep: bool) -> Tensor:
        return mode_losses(table, [[k] for k in chosen], keep=keep)[:, 0]

    without, alone = losses(keep=False).tolist(), losses(keep=True).tolist()
    return {
        **{f"without {k}": loss for k, loss in zip(chosen, without, strict=True)},
        **{f"{k} alone": loss for k, loss in zip(chosen, alone, strict=True)},
    }


for _one in (restricted_loss, excluded_loss, frequency_loss):
    _one.anchored(final_frequencies)
