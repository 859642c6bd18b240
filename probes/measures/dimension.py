"""Measures: the effective dimension of embeddings and of hidden activations."""

from __future__ import annotations

from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes.dimension import effective_dimension


@measure("embedding_dimension", order=24, summary="effective dimension of the embeddings (PCA), by table")
def embedding_dimension(snapshot: Snapshot) -> dict[str, float]:
    """`probes.dimension.effective_dimension` of every embedding table; for a known task, of its operands (without ``=``)."""
    return {name: effective_dimension(table) for name, table in snapshot.embeddings.items()}


@measure(
    "activation_dimension",
    order=23,
    needs=("activations",),
    summary="effective dimension of hidden activations (PCA), by layer",
)
def activation_dimension(snapshot: Snapshot) -> dict[str, float]:
    """`probes.dimension.effective_dimension` of every hidden layer over all inputs, where the answer is read."""
    return {site: effective_dimension(values) for site, values in snapshot.hidden.items()}
