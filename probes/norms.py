"""Norms of the weights: of all together, of every parameter, and the spectral norm of every matrix."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from interp.plugins.measure import measure
from interp.snapshot import Snapshot


def weight_norms(weights: Mapping[str, Tensor]) -> dict[str, float]:
    """Euclidean norm ``|theta|_2`` of every parameter by name, of all (``all``), and its square (``all squared``).

    In float64. Source: METHODS B; Liu et al. 2023 (Omnigrok) take the norm for the cause of grokking, Golechha 2024 shows
    grokking while it rises.

    >>> weight_norms({"W": torch.tensor([[3.0, 0.0]]), "b": torch.tensor([4.0])})
    {'all': 5.0, 'W': 3.0, 'b': 4.0, 'all squared': 25.0}
    """
    squares = torch.stack([w.detach().double().square().sum() for w in weights.values()])
    total = squares.sum()
    values = torch.cat([total.sqrt()[None], squares.sqrt(), total[None]]).tolist()
    return dict(zip(("all", *weights, "all squared"), values, strict=True))


def spectral_norm(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, ""]:
    """The largest singular value ``max |W x| / |x|``, in float64; NaN where the matrix is not finite.

    Source: METHODS D (Fuangkawinsombut 2024): in sparse parity it falls between memorisation and generalisation.

    >>> spectral_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    4.0
    """
    matrix = matrix.detach().double()
    if not bool(matrix.isfinite().all()):
        return matrix.new_tensor(torch.nan)
    return torch.linalg.matrix_norm(matrix, ord=2)


@measure("weight_norm", order=10, summary="Euclidean norm of all weights, its square, and of every parameter")
def weight_norm(snapshot: Snapshot) -> dict[str, float]:
    """`weight_norms` of the network."""
    return weight_norms(snapshot.weights)


@measure("spectral_norm", order=11, summary="largest singular value of every weight matrix")
def spectral_norms(snapshot: Snapshot) -> dict[str, float]:
    """`spectral_norm` of every matrix; heads and operands one by one."""
    found = {name: spectral_norm(matrix) for name, matrix in snapshot.matrices.items()}
    return dict(zip(found, torch.stack(list(found.values())).tolist(), strict=True)) if found else {}
