"""Effective dimension: along how many directions embeddings, or activations, are spread."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes.spectra import pca


def effective_dimension(points: Float[Tensor, "points dim"]) -> float:
    """``exp(-sum q_i ln q_i)`` of PCA's explained-variance ratios q_i, in float64: 1 for a line, n for an n-ball.

    Source: METHODS C (Liu et al. 2022, figure 7). 0 where all points are the same.

    >>> import torch
    >>> circle = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> round(effective_dimension(circle), 6), round(effective_dimension(circle[:2]), 6)
    (2.0, 1.0)
    """
    return pca(points).effective_rank


@measure("embedding_dimension", order=24, summary="effective dimension of the embeddings (PCA), by table")
def embedding_dimension(snapshot: Snapshot) -> dict[str, float]:
    """`effective_dimension` of the embeddings; where the task is known, of its operands (without ``=``)."""
    return {name: effective_dimension(table) for name, table in snapshot.embeddings.items()}


@measure(
    "activation_dimension",
    order=23,
    needs=("activations",),
    summary="effective dimension of hidden activations (PCA), by layer",
)
def activation_dimension(snapshot: Snapshot) -> dict[str, float]:
    """`effective_dimension` of every hidden layer's activations over all inputs, where the answer is read."""
    return {site: effective_dimension(values) for site, values in snapshot.hidden.items()}
