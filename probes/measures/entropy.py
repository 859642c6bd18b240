"""Measure: the absolute weight entropy of a network."""

from __future__ import annotations

import torch

from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes.entropy import weight_entropy


@measure(
    "weight_entropy", order=12, summary="absolute weight entropy -sum |w| ln |w| of every matrix, and of all together"
)
def entropies(snapshot: Snapshot) -> dict[str, float]:
    """`probes.entropy.weight_entropy` of every weight matrix; ``all`` is their sum (biases are excluded)."""
    found = {name: weight_entropy(matrix) for name, matrix in snapshot.matrices.items()}
    values = torch.stack(list(found.values())).tolist() if found else []
    return {"all": sum(values), **dict(zip(found, values, strict=True))}
