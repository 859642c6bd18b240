"""Power by representation: of functions on a group, and of functions on its multiplication table."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError
from interp.groups import Representations
from probes._tensors import as_tensor

ROUNDING = 1e-20  # relative power below which a neuron does not vary


def shares(power: Float[Tensor, "r"]) -> Float[Tensor, "r"]:
    """Each representation's share of the power beside the trivial one's.

    Args:
        power: by representation, as `Representations.power` returns it.

    Returns:
        ``[r]``, summing to 1; ``trivial`` gets 0. All 0 if only the constant has power.

    >>> shares(torch.tensor([5.0, 3.0, 1.0])).tolist()
    [0.0, 0.75, 0.25]
    """
    varying = as_tensor(power, "power").clone()
    varying[0] = 0
    total = varying.sum()
    return varying / total.where(total != 0, torch.ones_like(total))


def product_means(values: Float[Tensor, "n n ..."], product: Int[Tensor, "n n"]) -> Float[Tensor, "n ..."]:
    """The mean of a table over all pairs with one product: its part on functions of ``a * b``.

    Args:
        values: over the multiplication table, ``[a, b, ...]``.
        product: the multiplication table of the group.

    Returns:
        ``[n, ...]``: a value per product.

    >>> a = torch.arange(3)
    >>> product_means(torch.eye(3), (a[:, None] + a) % 3).tolist()  # 0 + 0, 1 + 1 and 2 + 2 are 0, 2 and 1
    [0.3333333432674408, 0.3333333432674408, 0.3333333432674408]
    """
    n = len(product)
    flat = _table(values, n).reshape(n * n, -1)
    sums = torch.zeros(n, flat.shape[1], dtype=flat.dtype, device=flat.device)
    sums.index_add_(0, product.flatten().to(flat.device), flat)
    return (sums / n).reshape(values.shape[1:])


def neuron_shares(values: Float[Tensor, "n n units"], group: Representations) -> Float[Tensor, "r units"]:
    """Share of every neuron's variance over the multiplication table that each representation explains.

    Representation r of a neuron means functions of a, of b and of ``a * b`` in the part of r; the three are orthogonal to each
    other (Chughtai et al. 2023, A Toy Model of Universality, https://arxiv.org/abs/2302.03025).

    Args:
        values: activations over the multiplication table, ``[a, b, unit]``.
        group: the group's representations.

    Returns:
        ``[r, units]``; the row of ``trivial`` is 0, and so is the column of a neuron that does not vary.
    """
    values = _table(values, group.order).double()
    n, units = group.order, values.shape[-1]
    centred = values - values.mean((0, 1))
    total = centred.pow(2).sum((0, 1))
    varies = total > ROUNDING * values.pow(2).sum((0, 1))
    explained = torch.zeros(len(group), units, dtype=torch.float64, device=values.device)
    for part in (centred.mean(1), centred.mean(0), product_means(centred, group.table)):
        explained += n * group.powers(part)
    explained[0] = 0
    return torch.where(varies, explained / total.where(varies, torch.ones_like(total)), torch.zeros_like(explained))


def _table(values: Tensor, n: int) -> Tensor:
    values = as_tensor(values, "values")
    if values.ndim < 2 or tuple(values.shape[:2]) != (n, n):
        raise InterpError(
            f"values over the multiplication table need the shape [{n}, {n}, ...], got {list(values.shape)}"
        )
    return values
