"""Losses of one score per answer, and those that make probabilities of the scores."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.tasks.loss import Loss


class Scores(Loss):
    """Losses whose outputs are one score per answer: the largest is the network's answer."""

    logits = True
    independent = True

    @override
    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        own = label_entry(outputs, labels)
        return (outputs.argmax(-1) == labels) & ~own.isnan()  # argmax takes NaN for the largest


class Probabilities(Scores):
    """``-ln p_label``, computed in float64, where p is some function of the scores that sums to 1."""

    @abstractmethod
    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """``ln p`` of every answer ``[..., n, width]``, in the precision of the scores."""

    @override
    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        # 0 - x, so that no loss is -0
        return 0 - label_entry(self.log_probabilities(precise(outputs)), labels)


class CrossEntropy(Probabilities):
    """``-log softmax(outputs)[label]``, in float64: in float32 it is exactly 0 from a log-odds of about 16 on.

    >>> CrossEntropy()(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))  # log 2
    tensor([0.6931], dtype=torch.float64)
    """

    name = "cross_entropy"
    shift_invariant = True

    @override
    def log_probabilities(self, outputs: Tensor) -> Tensor:
        return outputs.log_softmax(-1)  # logsumexp - own would lose the loss in the rounding of large outputs

    @override
    def gradient(self, outputs: Tensor, labels: Tensor) -> Tensor:
        own = labels.expand(outputs.shape[:-1]).unsqueeze(-1)
        shares = outputs.softmax(-1, dtype=None if outputs.device.type == "mps" else torch.float64)
        shares.scatter_(-1, own, 0)
        # the label's is minus the share of all others: 1 less its own share would lose small losses in rounding
        return shares.scatter_(-1, own, -shares.sum(-1, keepdim=True)).to(outputs.dtype)


class StableMax(Probabilities):
    """``-log(s(x_label) / sum s(x))``, with s(x) = x + 1 for x >= 0 and 1 / (1 - x) below, in float64.

    Prieto et al. 2025, Grokking at the Edge of Numerical Stability, https://arxiv.org/abs/2501.04697: s grows as x and not as
    exp(x), so that the loss of a sure network neither vanishes in float32 nor falls fast by scaling the logits up. Its value is
    not comparable with cross-entropy's, and a constant added to all scores changes it.

    >>> StableMax()(torch.tensor([[3.0, -1.0]]), torch.tensor([0]))  # s = 4 and 1/2: log(4.5 / 4)
    tensor([0.1178], dtype=torch.float64)
    """

    name = "stablemax"
    variant_of: ClassVar[str] = "cross_entropy"

    @override
    def log_probabilities(self, outputs: Tensor) -> Tensor:
        # each branch sees only its own side, so that neither has a gradient that is not finite
        logs = torch.where(outputs < 0, -(-outputs.clamp(max=0)).log1p(), outputs.clamp(min=0).log1p())
        return logs.log_softmax(-1)


def precise(outputs: Tensor) -> Tensor:
    """The outputs in float64; as they are on MPS, which has none."""
    return outputs if outputs.device.type == "mps" else outputs.double()


def label_entry(outputs: Tensor, labels: Tensor) -> Tensor:
    """The label's own entry ``[..., n]`` of ``[..., n, width]``."""
    return outputs.gather(-1, labels.expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)
