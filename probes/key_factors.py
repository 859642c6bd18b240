"""Which factors of a task a network works with: where the sorted shares of its logits drop, and nothing below is needed.

One rule for frequencies of Z_n (`probes.fourier.keys`) and representations of any group (`probes.representations.logits`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

FACTOR = 20.0  # of the drop below the keys
KEPT, NEARLY_ALL = 0.9, 0.95  # of the right answers; of all answers
HALF = 0.5  # of the factors


@dataclass(frozen=True)
class Answers:
    """A network's answers, and those that it gives without some of the factors.

    Attributes:
        logits: ``[a, b, c]`` in float64.
        argument: the element ``a * b * c^-1`` of the group; in Z_n, a + b - c.
        parts: the part of the logits on functions of the argument in each factor.
        neutral: the argument of right answers.
    """

    logits: Float[Tensor, "n n n"]
    argument: Int[Tensor, "n n n"]
    parts: Float[Tensor, "factor n"]
    neutral: int = 0

    def without(self, factors: Sequence[int]) -> Float[Tensor, "n n n"]:
        """Logits without some factors."""
        return self.logits - self.parts[list(factors)].sum(0)[self.argument]

    def right(self, without: Sequence[int] = ()) -> int:
        """Number of right answers without some factors."""
        largest = self.without(without).argmax(-1, keepdim=True)
        return int((self.argument.gather(-1, largest) == self.neutral).sum())

    def kept(self, without: Sequence[int]) -> float:
        """Share of the right answers that stay without some factors; 1 where there are none."""
        right = self.right()
        return self.right(without) / right if right else 1.0

    def loss(self, without: Sequence[int] = ()) -> float:
        """Mean cross-entropy without some factors, in nats; exact where it is tiny."""
        logits, right = self.without(without), self.argument == self.neutral
        rivals = logits.masked_fill(right, -torch.inf).logsumexp(-1)
        return float(torch.nn.functional.softplus(rivals - logits[right].view_as(rivals)).mean())


def answer_shares(share: Float[Tensor, "factor"], by_output: Float[Tensor, "factor"]) -> Float[Tensor, "factor"]:
    """Share of the variance on functions of the argument, times the part of the output's factor that lies there.

    A factor that computes the answer fills the outputs' part with functions of the argument, and keeps its share. A by-product
    (a harmonic of a key, a mode that a memorising network happens to have) is a small part of what the outputs hold there, and
    loses most of it.

    Args:
        share: of the logits' variance on functions of ``a * b * c^-1``, by factor.
        by_output: of all functions of a and b, by factor of the output.

    Returns:
        one share per factor; 0 for the constant, which comes first.
    """
    fraction = share / by_output.where(by_output > 0, torch.ones_like(by_output))
    found = share * fraction.clamp(max=1)
    found[0] = 0
    return found


def key_factors(shares: Float[Tensor, "factor"], noise: Float[Tensor, "factor"], answers: Answers) -> list[int]:
    """The factors above the sharp drop of the sorted shares.

    Factors are sorted by their `answer_shares`, each in units of its noise. The keys end at the first drop to a 20th or less
    below which the network has nothing that it cannot do without: it keeps nine in ten of its right answers when all lower
    factors are removed. If each drop leaves something needed, the last one counts. Whatever lies below its noise counts as
    noise, so that the last key, too, needs a drop below it.

    A network that answers fewer than 19 in 20 inputs has no keys where no drop exists, or more than half of all factors lie
    above it: one that memorises has many weak ones in a row, a look-up table has all alike. Without a drop, the keys of one that
    answers more are the factors whose removal from the logits at least doubles its loss (mean cross-entropy over all inputs).

    Args:
        shares: of the logits' variance; the constant comes first.
        noise: share of white noise that makes up what is not explained, by factor.
        answers: of the network.

    Returns:
        the keys, in no particular order; empty if there are none.
    """
    values, order = (shares / noise)[1:].sort(descending=True, stable=True)
    ladder = [*values.clamp_min(1).tolist(), 1.0]
    ranked = [int(k) + 1 for k in order]
    general = answers.right() >= NEARLY_ALL * len(answers.logits) ** 2
    most = len(ranked) if general else math.ceil(HALF * len(ranked))
    drops = [i for i in range(1, most + 1) if ladder[i - 1] >= FACTOR * ladder[i]]
    if drops:
        return ranked[: next((cut for cut in drops if answers.kept(ranked[cut:]) >= KEPT), drops[-1])]
    above = [k for k, value in zip(ranked, ladder, strict=False) if value > 1]
    return [k for k in above if answers.loss([k]) >= 2 * answers.loss()] if general else []
