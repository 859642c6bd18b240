"""Restricted and excluded loss, and the loss of each frequency or representation, as measures over a run."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from circuits.fourier.definitions import project
from circuits.fourier.modes import mode_losses
from circuits.fourier.table import Table
from interp.errors import MissingCapability
from interp.plugins.measure import measure
from interp.snapshot import Snapshot

PARTS = ("all", "train", "test")
Asked = Literal["usual", "nanda2d", "logit", "hidden", "neurons"]
Frequencies = tuple[int, ...] | tuple[str, ...] | list[int] | list[str] | None  # names in a group that is not cyclic


def table_of(snapshot: Snapshot) -> Table:
    """The snapshot's logits over the table of the group, computed once for all measures."""
    snapshot.forward()
    return snapshot.share("group table", lambda: Table(snapshot.subject))


def final_frequencies(last: Snapshot) -> dict[str, Any]:
    """The key frequencies (or representations) of the last checkpoint, which are followed through all checkpoints.

    Args:
        last: the network at the last step.

    Returns:
        The option ``frequencies``.

    Raises:
        MissingCapability: the last checkpoint has no key frequency.
    """
    table = table_of(last)
    if not table.keys:
        example = "(1, 2)" if table.cyclic else f"({', '.join(map(repr, table.parts[:2]))},)"
        raise MissingCapability(
            f"no {table.noun} stands out in the last checkpoint's logits; name those to follow, frequencies={example}"
        )
    return {"frequencies": list(table.keys)}


@measure(
    "restricted_loss",
    order=40,
    needs=("group", "input_table"),
    log=True,
    summary="loss with only the key frequencies (or representations) of the logits",
)
def restricted_loss(
    snapshot: Snapshot, *, frequencies: Frequencies = None, definition: Asked = "usual"
) -> dict[str, float]:
    """Restricted loss: the loss with only the key frequencies of the logits (Nanda et al. 2023).

    https://arxiv.org/abs/2301.05217

    Args:
        snapshot: of a task that is composition in a finite group, such as addition modulo n.
        frequencies: that are kept (names of representations where the group is not cyclic); those that are key in the last
            checkpoint by default.
        definition: nanda2d (usual in Z_n), logit (usual in other groups), hidden or neurons; their numbers differ
            (`circuits.fourier.definitions`).

    Returns:
        the mean loss over ``all``, ``train`` and ``test`` examples.
    """
    return _projected(snapshot, frequencies, definition, keep=True)


@measure(
    "excluded_loss",
    order=41,
    needs=("group", "input_table"),
    log=True,
    summary="loss without the key frequencies (or representations) of the logits",
)
def excluded_loss(
    snapshot: Snapshot, *, frequencies: Frequencies = None, definition: Asked = "usual"
) -> dict[str, float]:
    """Excluded loss: the loss without the key frequencies of the logits (Nanda et al. 2023).

    https://arxiv.org/abs/2301.05217

    Args:
        snapshot: of a task that is composition in a finite group, such as addition modulo n.
        frequencies: that are removed (names of representations where the group is not cyclic); those that are key in the last
            checkpoint by default.
        definition: nanda2d (usual in Z_n), logit (usual in other groups), hidden or neurons; their numbers differ
            (`circuits.fourier.definitions`).

    Returns:
        the mean loss over ``all``, ``train`` and ``test`` examples.
    """
    return _projected(snapshot, frequencies, definition, keep=False)


def _projected(snapshot: Snapshot, frequencies: Frequencies, definition: Asked, *, keep: bool) -> dict[str, float]:
    asked = None if definition == "usual" else definition
    loss = project(table_of(snapshot), frequencies or [], asked, keep=keep)
    return {part: getattr(loss, part) for part in PARTS}


@measure(
    "frequency_loss",
    order=42,
    needs=("group", "input_table"),
    log=True,
    summary="loss without each frequency (or representation), and with it only",
)
def frequency_loss(snapshot: Snapshot, *, frequencies: Frequencies = None) -> dict[str, float]:
    """Loss over all inputs without one frequency (``without k``), and with that frequency only (``k alone``).

    Args:
        snapshot: of a task that is composition in a finite group, such as addition modulo n.
        frequencies: one by one (or names of representations); those that are key in the last checkpoint by default.

    Returns:
        mean losses (``nanda2d``), two for each frequency.
    """
    table = table_of(snapshot)
    chosen = table.chosen(frequencies or [])
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
