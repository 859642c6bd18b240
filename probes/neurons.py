"""Hidden units: which of them vary over the inputs. Their frequencies are `probes.fourier.neuron_shares`, fits `fit_neurons`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from probes._tensors import as_tensor

ACTIVE = 1e-6  # standard deviation over the inputs, relative to the layer's largest


def active(values: Float[Tensor, "inputs units"], tolerance: float = ACTIVE) -> Tensor:
    """Units that vary over the inputs: standard deviation above ``tolerance`` times the layer's largest.

    Args:
        values: activations of one layer, ``[inputs, units]``.
        tolerance: share of the largest standard deviation.

    Returns:
        Boolean ``[units]``.

    >>> active(torch.tensor([[0.0, 1.0], [0.0, 2.0]])).tolist()
    [False, True]
    """
    spread = as_tensor(values, "values").double().std(0, correction=0)
    return spread > tolerance * spread.amax().clamp_min(torch.finfo(torch.float64).tiny)
