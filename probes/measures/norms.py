"""Measures: the weight norm and the spectral norms of a network."""

from __future__ import annotations

import torch

from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from probes.norms import spectral_norm, weight_norms


@measure("weight_norm", order=10, summary="Euclidean norm of all weights, its square, and of every parameter")
def weight_norm(snapshot: Snapshot) -> dict[str, float]:
    """`probes.norms.weight_norms` of the network."""
    return weight_norms(snapshot.weights)


@measure("spectral_norm", order=11, summary="largest singular value of every weight matrix")
def spectral_norms(snapshot: Snapshot) -> dict[str, float]:
    """`probes.norms.spectral_norm` of every weight matrix; stacks (heads, operands) matrix by matrix."""
    found = {name: spectral_norm(matrix) for name, matrix in snapshot.matrices.items()}
    return dict(zip(found, torch.stack(list(found.values())).tolist(), strict=True)) if found else {}
