"""Measures: the power of Fourier modes in logits and embeddings, and how concentrated it is."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from interp.errors import MissingCapability
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes import cyclic_tables as tables
from probes import fourier

Frequencies = tuple[int, ...] | list[int] | None


def _cube(snapshot: Snapshot) -> Tensor:
    """Logits ``[a, b, c]`` in the order of the exponents."""
    snapshot.forward()
    return snapshot.share("cyclic logits", lambda: tables.logit_table(snapshot.subject))


def _shares(snapshot: Snapshot) -> Tensor:
    """Share of the logits' variance on cos/sin(w_k (a + b - c)), by frequency."""
    return snapshot.share("logit shares", lambda: fourier.logit_shares(_cube(snapshot)).on_difference)


def checked(snapshot: Snapshot, frequencies: Frequencies) -> list[int]:
    """Frequencies of the task's group without repetitions.

    Args:
        snapshot: of a network on a task that is addition modulo n.
        frequencies: 1 to n // 2.

    Returns:
        The frequencies in their order.
    """
    chosen = list(dict.fromkeys(frequencies or []))
    fourier.check_frequencies(chosen, snapshot.subject.require_cyclic().order)
    return chosen


def final_frequencies(last: Snapshot) -> dict[str, Any]:
    """The key frequencies of the last checkpoint, which are followed through all checkpoints.

    Args:
        last: the network at the last step.

    Returns:
        The option ``frequencies``.

    Raises:
        MissingCapability: the last checkpoint has no key frequency.
    """
    keys = fourier.logit_frequencies(_cube(last))
    if not keys:
        raise MissingCapability(
            "no frequency stands out in the last checkpoint's logits; name those to follow, frequencies=(1, 2)"
        )
    return {"frequencies": keys}


@measure(
    "mode_power",
    order=43,
    needs=("cyclic",),
    summary="share of the logits' variance on cos/sin(w_k (a + b - c)), by frequency",
)
def mode_power(snapshot: Snapshot, *, frequencies: Frequencies = None) -> dict[str, float]:
    """Power of each Fourier mode in the logits (`probes.fourier.logit_shares`), and of all ``others`` together.

    Args:
        snapshot: the network at one step.
        frequencies: to report one by one; by default the key frequencies of the last checkpoint.

    Returns:
        Shares of the logits' variance, by frequency.
    """
    share, chosen = _shares(snapshot).tolist(), checked(snapshot, frequencies)
    return {**{f"frequency {k}": share[k] for k in chosen}, "others": sum(share[1:]) - sum(share[k] for k in chosen)}


@measure(
    "embedding_power",
    order=44,
    needs=("weights", "cyclic"),
    summary="share of the embeddings' non-constant power, by frequency",
)
def embedding_power(snapshot: Snapshot, *, frequencies: Frequencies = None) -> dict[str, float]:
    """Power of embeddings and unembedding at some frequencies (`probes.fourier.shares`).

    Args:
        snapshot: the network at one step.
        frequencies: to report one by one; by default the key frequencies of the last checkpoint.

    Returns:
        Shares of each table's non-constant power, by table and frequency.
    """
    found, chosen = {}, checked(snapshot, frequencies)
    for name, power in _spectra(snapshot).items():
        share = fourier.shares(power).tolist()
        found |= {f"{name} frequency {k}": share[k] for k in chosen}
    return found


@measure(
    "spectral_gini",
    order=45,
    needs=("weights", "cyclic"),
    summary="Gini coefficient of the Fourier spectra of embeddings and logits",
)
def spectral_gini(snapshot: Snapshot) -> dict[str, float]:
    """`probes.fourier.gini` of the spectra of embeddings, unembedding and logits: near 1 if few frequencies hold all power."""
    spectra = {**_spectra(snapshot), "logits": _shares(snapshot)}
    return {name: fourier.gini(power) for name, power in spectra.items()}


def _spectra(snapshot: Snapshot) -> dict[str, Tensor]:
    """Power by frequency of every embedding table and the unembedding."""
    order, found = snapshot.subject.require_cyclic().order, tables.embedding_tables(snapshot.subject)
    return {name: fourier.spectrum(table, order) for name, table in found.items()}


for _one in (mode_power, embedding_power):
    _one.anchored(final_frequencies)
