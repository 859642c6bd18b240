"""Which parallelograms of a group follow from those of a train set, where embeddings are matrices that are multiplied.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
https://arxiv.org/abs/2205.10343, appendix H and figure 16.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray
from torch import Tensor

from interp.errors import MissingCapability
from probes._tensors import as_mask
from probes.parallelograms import Found, Samples

MOST = 60  # symbols: 2 n^3 products of quotients are looked at in each round


def deduced(samples: Samples, trained: Bool[Tensor, "sample"]) -> Bool[Tensor, "sample sample"]:
    """Which products of invertible matrices are equal because the train set's are.

    A trained parallelogram ``E_a E_d = E_b E_c`` says that two quotients are equal, ``inverse(E_b) E_a = E_c inverse(E_d)``.
    Quotients of one side multiply, ``(x, y) (y, z) = (x, z)``, those of an element by itself are one, and equal factors have
    equal products. All that follows by these rules is counted; the source's deduction of one parallelogram from three is the
    part of it that uses no product.

    It is a lower bound of what the equations imply: products that are not a quotient of two elements are not followed. In a
    group that commutes it finds no more than linear algebra finds for sums (`probes.parallelograms.ideal`), and less where
    that one swaps operands or halves (``2 x = 2 y`` gives ``x = y``), as no product of matrices may.

    Args:
        samples: of a group, ordered pairs: ``samples_of(task, product=True)``, where the task may be given by its table.
        trained: the train set as a boolean mask ``[sample]``.

    Returns:
        ``[sample, sample]``: whether the two are samples of one answer whose products follow to be equal.

    Raises:
        MissingCapability: sums, or more than 60 elements.
    """
    if not samples.product:
        raise MissingCapability("the deduction for products needs matrices that are multiplied; for sums use ideal")
    n = samples.n_symbols
    if n > MOST:
        raise MissingCapability(f"the deduction takes up to {MOST} elements, the group has {n}")
    pairs, labels = samples.pairs.cpu().numpy(), samples.labels.cpu().numpy()
    given = as_mask(trained, len(labels), "trained").cpu().numpy()
    one, other = np.nonzero(labels[:, None] == labels)
    left = n * pairs[other, 0] + pairs[one, 0]  # inverse(E_b) E_a, numbered from 0
    right = n * n + n * pairs[other, 1] + pairs[one, 1]  # E_c inverse(E_d), from n^2
    known = given[one] & given[other]
    names = _closure(n, left[known], right[known])
    equal = np.zeros((len(labels), len(labels)), bool)
    equal[one, other] = names[left] == names[right]
    return torch.from_numpy(equal)


def ideal_of_products(samples: Samples, trained: Bool[Tensor, "sample"]) -> Found:
    """Ideal RQI and accuracy of a train set of products of invertible matrices, by `deduced`.

    Args:
        samples: of a group, ordered pairs: ``samples_of(task, product=True)``, where the task may be given by its table.
        trained: the train set as a boolean mask ``[sample]``.

    Returns:
        The share of parallelograms that follow, and the share of samples that are trained on or share one of these with one
        that is.

    Raises:
        MissingCapability: sums, or more than 60 elements.

    >>> from interp import GroupComposition
    >>> from probes.parallelograms import samples_of
    >>> samples, _ = samples_of(GroupComposition("S_3"), product=True)
    >>> ideal_of_products(samples, torch.arange(36) % 7 > 0), ideal_of_products(samples, torch.arange(36) < 6).rqi
    (Found(rqi=1.0, accuracy=1.0), 0.0)
    """
    equal, given = deduced(samples, trained), as_mask(trained, len(samples.labels), "trained").cpu()
    reached = (equal[:, given].any(1) | given).double().mean()
    found = int(equal.triu(1).sum())
    return Found(found / samples.total if samples.total else 0.0, float(reached))


def _closure(n: int, left: Int[ndarray, "equation"], right: Int[ndarray, "equation"]) -> Int[ndarray, "quotient"]:
    """Names of the ``2 n^2`` quotients, equal where equations between them make quotients equal."""
    from scipy.sparse import coo_array  # a second that only this needs
    from scipy.sparse.csgraph import connected_components

    total = 2 * n * n
    side, x, y, z = np.array(list(itertools.product((0, n * n), range(n), range(n), range(n)))).T
    ones = np.array([(n + 1) * k + s for s in (0, n * n) for k in range(n)])
    names = np.arange(total)
    while True:
        factors = total * names[side + n * x + y] + names[side + n * y + z]
        products = total + np.unique(factors, return_inverse=True)[1]  # equal factors have one product
        rows = np.concatenate([left, ones[1:], side + n * x + z])
        columns = np.concatenate([right, ones[:-1], products])
        size = int(products.max()) + 1
        graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
        merged = np.unique(connected_components(graph, directed=False)[1][:total], return_inverse=True)[1]
        if merged.max() == names.max():
            return merged
        names = merged
