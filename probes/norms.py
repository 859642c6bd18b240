"""Norms of weights: Euclidean norms of parameters, the spectral norm of a matrix."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes._tensors import as_tensor


def weight_norms(weights: Mapping[str, Tensor]) -> dict[str, float]:
    """Euclidean norm ``|theta|_2`` of every parameter and of all parameters together, in float64.

    The weight norm is the cause of grokking in Liu et al. 2023, Omnigrok, https://arxiv.org/abs/2210.01117; Golechha
    2024, Progress Measures for Grokking on Real-world Tasks, https://arxiv.org/abs/2405.12755, shows grokking while it
    rises.

    Args:
        weights: parameters by name, of any shape.

    Returns:
        ``all`` (the norm of all parameters together), every parameter's norm under its name, and ``all squared``.

    Raises:
        InterpError: not a mapping from names to tensors.

    >>> weight_norms({"W": torch.tensor([[3.0, 0.0]]), "b": torch.tensor([4.0])})
    {'all': 5.0, 'W': 3.0, 'b': 4.0, 'all squared': 25.0}
    """
    if not isinstance(weights, Mapping) or not weights:
        raise InterpError(
            f"weights must be a mapping from names to tensors, got {type(weights).__name__}; of a model take "
            "dict(model.named_parameters())"
        )
    squares = torch.stack([as_tensor(w, name).detach().double().square().sum() for name, w in weights.items()])
    total = squares.sum()
    values = torch.cat([total.sqrt()[None], squares.sqrt(), total[None]]).tolist()
    return dict(zip(("all", *weights, "all squared"), values, strict=True))


def spectral_norm(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, ""]:
    """Spectral norm of a matrix: its largest singular value ``max |W x| / |x|``, in float64.

    In sparse parity it falls between memorisation and generalisation: Fuangkawinsombut 2024, Beyond Memorization:
    Exploring the Dynamics of Grokking in Sparse Neural Networks (MIT thesis).

    Args:
        matrix: ``[rows, columns]``.

    Returns:
        The norm, a scalar tensor; NaN for a matrix with NaN or infinity.

    Raises:
        InterpError: not a matrix.

    >>> spectral_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    4.0
    """
    matrix = as_tensor(matrix, "matrix").detach().double()
    if matrix.ndim != 2:
        raise InterpError(f"a matrix [rows, columns] is needed, got shape {list(matrix.shape)}")
    if not bool(matrix.isfinite().all()):
        return matrix.new_tensor(torch.nan)
    return torch.linalg.matrix_norm(matrix, ord=2)
