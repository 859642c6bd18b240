"""Fourier modes as measures over a run: the power of each, and how few hold everything."""

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
    """Each frequency once, if it is one."""
    chosen = list(dict.fromkeys(frequencies or []))
    fourier.check_frequencies(chosen, snapshot.subject.require_cyclic().order)
    return chosen


def final_frequencies(last: Snapshot) -> dict[str, Any]:
    """The key frequencies of the last checkpoint, which are followed through all of them.

    Raises:
        MissingCapability: it has none.
    """
    keys = fourier.logit_frequencies(_cube(last))
    if not keys:
        raise MissingCapability("no frequency stands out in the last checkpoint's logits, so there is none to follow")
    return {"frequencies": keys}


@measure(
    "mode_power",
    order=43,
    needs=("cyclic",),
    summary="share of the logits' variance on cos/sin(w_k (a + b - c)), by frequency",
)
def mode_power(snapshot: Snapshot, *, frequencies: Frequencies = None) -> dict[str, float]:
    """How far each mode is turned on: `probes.fourier.logit_shares`, and what all ``others`` have together.

    Args:
        frequencies: one by one; the key frequencies of the last checkpoint by default.
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
    """`probes.fourier.shares` of embeddings and unembedding at some frequencies.

    Args:
        frequencies: one by one; the key frequencies of the last checkpoint by default.
    """
    found, chosen = {}, checked(snapshot, frequencies)
    for name, table in tables.embedding_tables(snapshot.subject).items():
        share = fourier.shares(fourier.spectrum(table)).tolist()
        found |= {f"{name} frequency {k}": share[k] for k in chosen}
    return found


@measure(
    "spectral_gini",
    order=45,
    needs=("weights", "cyclic"),
    summary="Gini coefficient of the Fourier spectra of embeddings and logits",
)
def spectral_gini(snapshot: Snapshot) -> dict[str, float]:
    """`probes.fourier.gini`: 0 when all frequencies have equal power, near 1 when few hold everything."""
    spectra = {name: fourier.spectrum(table) for name, table in tables.embedding_tables(snapshot.subject).items()}
    return {name: fourier.gini(power) for name, power in {**spectra, "logits": _shares(snapshot)}.items()}


for _one in (mode_power, embedding_power):
    _one.anchored(final_frequencies)
