"""neat-python's aggregations of a node's weighted inputs, by name.

https://neat-python.readthedocs.io/en/latest/customization.html#new-aggregation-functions
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def _median(terms: Tensor) -> Tensor:
    """The middle term, or the mean of the two in the middle (torch's median is the lower one)."""
    ordered, n = terms.sort(-1).values, terms.shape[-1]
    return (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2


def _maxabs(terms: Tensor) -> Tensor:
    """The term with the largest absolute value, with its sign; the first one of several."""
    return terms.gather(-1, terms.abs().argmax(-1, keepdim=True)).squeeze(-1)


NEAT_AGGREGATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda terms: terms.amax(-1),
    "maxabs": _maxabs,
    "mean": lambda terms: terms.mean(-1),
    "median": _median,
    "min": lambda terms: terms.amin(-1),
    "product": lambda terms: terms.prod(-1),
    "sum": lambda terms: terms.sum(-1),
}


def aggregate(name: str, terms: Tensor) -> Tensor:
    """What a node adds to its bias, before it multiplies by its response.

    A node without inputs aggregates to 0 (a product to 1), as in neat-python since 1.0.

    Args:
        name: a key of `NEAT_AGGREGATIONS`.
        terms: weighted inputs ``[..., source]``.

    Returns:
        ``[...]``.

    >>> import torch
    >>> aggregate("maxabs", torch.tensor([1.0, -3.0, 2.0])).item()
    -3.0
    """
    if terms.shape[-1] == 0:
        return terms.new_full(terms.shape[:-1], 1.0 if name == "product" else 0.0)
    return NEAT_AGGREGATIONS[name](terms)
