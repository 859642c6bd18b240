"""Which examples are trained on and which are tested on."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from interp.errors import InterpError


def _by_python(n: int, seed: int) -> Tensor:
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return torch.tensor(order)


# ways to shuffle n examples; the first of the order train
ORDERS: dict[str, Callable[[int, int], Tensor]] = {
    "python": _by_python,
    "torch": lambda n, seed: torch.randperm(n, generator=torch.Generator().manual_seed(seed)),
    "numpy": lambda n, seed: torch.from_numpy(np.random.RandomState(seed).permutation(n)).long(),
    "first": lambda n, _seed: torch.arange(n),
}


def split_of(split: str | tuple[int, ...], n: int, seed: int, n_train: int) -> tuple[Tensor, Tensor]:
    """Train and test indices of ``n`` examples.

    Args:
        split: one of `ORDERS`, or the indices that train themselves.
        n: number of examples.
        seed: of the shuffle.
        n_train: how many train, unless they are listed.

    Returns:
        The indices that train, in the order of the shuffle, and the others.

    >>> split_of((3, 1), 4, 0, 0)
    (tensor([3, 1]), tensor([0, 2]))
    """
    if isinstance(split, str):
        order = ORDERS[split](n, seed)
        return order[:n_train], order[n_train:]
    listed = torch.tensor(split)
    rest = torch.ones(n, dtype=torch.bool)
    rest[listed] = False
    return listed, rest.nonzero().flatten()


def check_order(name: str, split: object, n: int) -> None:
    """Refuse a split that is neither one of `ORDERS` nor a list of indices.

    Args:
        name: of the task, for messages.
        split: what the user or a file gave.
        n: number of examples.

    Raises:
        InterpError: it is something else.
    """
    if isinstance(split, str) and split in ORDERS:
        return
    whole = isinstance(split, (tuple, list)) and all(type(i) is int and 0 <= i < n for i in split)
    if not whole or not split or len(set(split)) < len(split):  # pyright: ignore[reportArgumentType]  whole says it is a list
        shown = str(split)[:60]
        raise InterpError(
            f"{name}: split must be {' or '.join(map(repr, ORDERS))}, or the indices of the pairs that train (0 to {n - 1}, "
            f"none twice), got {shown!r}"
        )


def ranges(n_train: int, n_test: int) -> tuple[Tensor, Tensor]:
    """Train and test indices of examples that are stored in this order."""
    return torch.arange(n_train), torch.arange(n_train, n_train + n_test)


def shuffled(n: int, train_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Train and test indices of ``n`` examples, shuffled by ``torch.randperm``: the first ``int(train_fraction * n)`` train."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    cut = int(train_fraction * n)
    return order[:cut], order[cut:]


def unseen(labels: Tensor, train: Tensor, test: Tensor) -> Tensor:
    """The test examples whose answer no train example has.

    Args:
        labels: of all examples ``[n]``; of those with several labels each ``[n, ...]`` nothing is said.
        train: indices.
        test: indices.

    Returns:
        some of ``test``.

    >>> unseen(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1]), torch.tensor([2, 3]))
    tensor([3])
    """
    if labels.ndim != 1:
        return test[:0]
    return test[~torch.isin(labels[test], labels[train]).to(test.device)]
