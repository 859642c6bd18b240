"""Restricted and excluded loss, and the loss of each Fourier mode, as measures over a run."""

from __future__ import annotations

from torch import Tensor

from circuits.fourier.definitions import Definition, Table, mode_losses, project
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes.measures.fourier import Frequencies, checked, final_frequencies

PARTS = ("all", "train", "test")


def table_of(snapshot: Snapshot) -> Table:
    """The snapshot's logits over the cyclic table, made once for all measures."""
    snapshot.forward()
    return snapshot.share("cyclic table", lambda: Table(snapshot.subject))


@measure(
    "restricted_loss",
    order=40,
    needs=("cyclic", "input_table"),
    log=True,
    summary="loss with the key frequencies of the logits alone",
)
def restricted_loss(
    snapshot: Snapshot, *, frequencies: Frequencies = None, definition: Definition = "nanda2d"
) -> dict[str, float]:
    """Restricted loss (`circuits.fourier.definitions`), by part of the split.

    Args:
        frequencies: kept; the key frequencies of the last checkpoint by default.
        definition: nanda2d, logit or hidden; their numbers differ.
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
    """Excluded loss (`circuits.fourier.definitions`), by part of the split; arguments as `restricted_loss`."""
    return _projected(snapshot, frequencies, definition, keep=False)


def _projected(snapshot: Snapshot, frequencies: Frequencies, definition: Definition, *, keep: bool) -> dict[str, float]:
    table, chosen = table_of(snapshot), checked(snapshot, frequencies)
    if definition == "nanda2d":
        return dict(zip(PARTS, mode_losses(table, [chosen], keep=keep)[0].tolist(), strict=True))
    loss = project(table, chosen, definition, keep=keep)
    return {part: getattr(loss, part) for part in PARTS}


@measure(
    "frequency_loss",
    order=42,
    needs=("cyclic", "input_table"),
    log=True,
    summary="loss without each frequency, and with it alone",
)
def frequency_loss(snapshot: Snapshot, *, frequencies: Frequencies = None) -> dict[str, float]:
    """Loss over all inputs (``nanda2d``) when one mode is removed (``without k``) and when it alone is kept (``k alone``).

    Args:
        frequencies: one by one; the key frequencies of the last checkpoint by default.
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
