"""Functions of a * b in the logits, by frequency or representation: the loss with or without many sets of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.fourier.table import Loss, Parts, Table
from interp.tasks import Task

SAFE_RANGE = 300.0  # of logits in one row: the product of two exponentials stays within float64


@dataclass(frozen=True)
class Modes:
    """Sets of frequencies (or representations) in a table's logits: each kept (everything else at its mean), or removed.

    What is kept or removed depends on a * b only, in Z_n on a + b. Kept, there are n different rows of logits instead of n^2;
    removed from a cross-entropy, ``exp(L - part)`` is a product, so that all sets are one matrix product.

    Attributes:
        task: gives the loss.
        logits: of all inputs, ordered by their product (in Z_n their sum).
        parts: of the mean logits of each product, on the set: in Z_n on cos and sin of w_k (a + b).
        labels: a product has one answer.
        train: 1 for examples that the network was trained on, 0 for the others.
    """

    task: Task
    logits: Float[Tensor, "sum pair out"]
    parts: Float[Tensor, "sets sum out"]
    labels: Int[Tensor, " sum"]
    train: Float[Tensor, "sum pair"]

    @classmethod
    def of(cls, table: Table, sets: Sequence[Parts]) -> Modes:
        """Some sets of frequencies, or of representations, of a table.

        Args:
            table: the network's logits.
            sets: of frequencies, each from 1 to n // 2, or of names of representations.

        Returns:
            the sets, ready to be kept or removed.

        Raises:
            InterpError: a frequency outside 1..n // 2, or a representation that the group does not have.
        """
        chosen = [table.chosen(one) for one in sets]
        n, device = table.n, table.logits.device
        order, by_product = table.order, table.by_product
        means = by_product.mean(1)
        parts = torch.zeros(len(sets), *means.shape, dtype=means.dtype, device=device)
        for part, one in zip(parts, chosen, strict=True):
            if one:
                part[:, table.columns] = table.projection(one).to(means) @ means[:, table.columns]
        labels, train = table.labels[order].view(n, n)[:, 0], table.train[order].view(n, n).double()
        return cls(table.task, by_product, parts, labels, train)

    def losses(self, *, keep: bool) -> Float[Tensor, "sets 3"]:
        """Mean loss over all, train and test examples; NaN where there are none."""
        n = len(self.logits)
        if not len(self.parts):
            return self.parts.new_zeros(0, 3)
        found = self._kept()[..., None].expand(-1, n, n) if keep else self._removed()
        weights = torch.stack([torch.ones_like(self.train), self.train, 1 - self.train])
        counts = weights.sum((1, 2))
        return torch.einsum("fsp,wsp->fw", found, weights) / counts.where(counts > 0, torch.nan)

    def correct(self, *, keep: bool) -> list[int]:
        """Number of correct answers over all examples, with each set kept or removed."""
        if keep:
            return (self.task.correct(self._mean + self.parts, self.labels).sum(-1) * len(self.logits)).tolist()
        rest = torch.empty_like(self.logits)  # one buffer for all sets
        labels = self._all_labels
        return [
            int(self.task.correct(torch.sub(self.logits, part[:, None], out=rest).flatten(0, 1), labels).sum())
            for part in self.parts
        ]

    def scores(self, *, keep: bool) -> list[Loss]:
        """Loss and number of correct answers, for each set."""
        losses, correct = self.losses(keep=keep).tolist(), self.correct(keep=keep)
        return [
            Loss(mean, train, test, right, self.train.numel())
            for (mean, train, test), right in zip(losses, correct, strict=True)
        ]

    @property
    def _mean(self) -> Float[Tensor, " out"]:
        return self.logits.mean((0, 1))

    @property
    def _all_labels(self) -> Int[Tensor, " labels"]:
        return self.labels[:, None].expand(self.logits.shape[:2]).flatten()

    def _kept(self) -> Float[Tensor, "sets sum"]:
        return self.task.losses(self._mean + self.parts, self.labels)

    def _removed(self) -> Float[Tensor, "sets sum pair"]:
        n = len(self.logits)
        own = self.labels[:, None, None].expand(n, n, 1)
        rivals = self.logits - self.logits.gather(-1, own)  # log odds against the correct answer
        gains = self.parts.gather(-1, self.labels[None, :, None].expand(len(self.parts), n, 1)) - self.parts
        if self.task.loss != "cross_entropy" or not max(_spread(rivals), _spread(gains)) < SAFE_RANGE:
            rows = [self.task.losses((self.logits - p[:, None]).flatten(0, 1), self._all_labels) for p in self.parts]
            return torch.stack(rows).unflatten(1, (n, n))
        rivals.scatter_(-1, own, -torch.inf)
        top, most = rivals.amax(-1, keepdim=True), gains.amax(-1, keepdim=True)
        odds = torch.einsum("spo,fso->fsp", (rivals - top).exp(), (gains - most).exp())
        # log(1 + sum of the odds of the others), without the cancellation of logsumexp - own
        return torch.nn.functional.softplus(odds.log() + top[..., 0] + most, threshold=60)


def mode_losses(table: Table, sets: Sequence[Parts], *, keep: bool) -> Float[Tensor, "sets 3"]:
    """Mean loss over all, train and test examples with sets of frequencies (or representations) kept or removed (``nanda2d``).

    Args:
        table: the network's logits.
        sets: of frequencies, each from 1 to n // 2, or of names of representations.
        keep: keep them and hold everything else at its mean; otherwise remove them.

    Returns:
        ``[sets, 3]``; NaN for a part of the split without examples.

    Raises:
        InterpError: a frequency outside 1..n // 2, or a representation that the group does not have.
    """
    return Modes.of(table, sets).losses(keep=keep)


def _spread(values: Tensor) -> float:
    return float((values.amax(-1) - values.amin(-1)).max())
