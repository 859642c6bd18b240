"""The key frequencies of a network, read off its logits ``[a, b, c]``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from probes.fourier.logits import LogitShares, as_cube, by_argument, logit_shares
from probes.fourier.modes import n_frequencies

FACTOR = 20.0  # of the drop below the keys
HALF, NEARLY_ALL = 0.5, 0.95  # of the answers; of the frequencies
CLEAN = 1e-12  # shares of the variance below this are rounding


def logit_threshold(p: int, explained: float = 0.0) -> float:
    """The least share of the logits' variance that a key frequency can have: 20 times that of white noise.

    White noise that makes up the rest of the variance has the share ``(1 - explained) * 2 / p^3`` on each frequency. Never
    more than half an equal share, which matters for p of at most 6.

    Args:
        p: the modulus.
        explained: share of the variance on cos and sin of w_k (a + b - c), over all k.

    Returns:
        A share from 0 to 1.

    >>> logit_threshold(113) == 40 / 113**3, logit_threshold(113, explained=0.9) < 3e-6
    (True, True)
    """
    return min(FACTOR * 2 / p**3 * max(1 - explained, CLEAN), 0.5 / n_frequencies(p))


def answer_shares(shares: LogitShares) -> Float[Tensor, "freq"]:
    """Share of the variance on cos/sin(w_k (a + b - c)), times the part of the output's frequency k that lies there.

    A frequency that computes the answer fills the output's frequency k with cos(w_k (a + b - c)), and keeps its share. A
    by-product (a harmonic of a key, a mode that a memorising network happens to have) is a small part of what the outputs
    hold at its frequency, and loses most of it.

    Args:
        shares: of the logits' variance.

    Returns:
        ``[p // 2 + 1]``; 0 for the constant.
    """
    share, output = shares.on_difference, shares.by_output
    fraction = share / output.where(output > 0, torch.ones_like(output))
    found = share * fraction.clamp(max=1)
    found[0] = 0
    return found


def logit_frequencies(logits: Float[Tensor, "p p p"]) -> list[int]:
    """The key frequencies of a network: those above the sharp drop of its logits' spectrum.

    The frequencies are sorted by `answer_shares`. The keys end at the first drop to a 20th or less below which the network
    has nothing that it cannot do without: it keeps at least half of its right answers when the waves
    cos/sin(w_k (a + b - c)) of all lower frequencies are removed. If each drop leaves something needed, the last one counts.
    Whatever lies below the white noise of the unexplained variance counts as that noise, so that the last key, too, needs a
    drop below it (`logit_threshold`).

    A network that answers fewer than 19 in 20 inputs has no key frequencies where no drop exists, or more than half of all
    frequencies lie above it: one that memorises has many weak modes in a row, a look-up table has all alike. Without a drop,
    the keys of one that answers more are the frequencies whose removal from the logits at least doubles its loss (mean
    cross-entropy of a + b over all inputs).

    The number of frequencies is not fixed, and the embedding plays no part. Where there is a drop, the scale of the logits
    plays none either.

    Harmonics (2k, 3k, sums and differences of keys) at less than a 20th of the weakest key are not keys.

    Args:
        logits: over the input table, ``[a, b, c]``; the right answer to (a, b) is c = a + b.

    Returns:
        The frequencies, the one with the largest share of the variance first; empty if there are none.

    >>> import math
    >>> a = torch.arange(11, dtype=torch.float64)
    >>> angle = 2 * math.pi * (a[:, None, None] + a[:, None] - a) / 11
    >>> logit_frequencies(torch.cos(2 * angle) + 2 * torch.cos(5 * angle) + 0.03 * torch.cos(4 * angle))
    [5, 2]
    """
    table = Answers.of(as_cube(logits).double())
    shares = logit_shares(table.logits)
    values, order = answer_shares(shares)[1:].sort(descending=True, stable=True)
    noise = logit_threshold(table.p, float(shares.on_difference.sum())) / FACTOR
    ladder = [*values.clamp_min(noise).tolist(), noise]
    ranked = [int(k) + 1 for k in order]
    general = table.right() >= NEARLY_ALL * table.p**2
    most = len(ranked) if general else math.ceil(HALF * len(ranked))
    drops = [i for i in range(1, most + 1) if ladder[i - 1] >= FACTOR * ladder[i]]
    if drops:
        end = next((cut for cut in drops if table.kept(ranked[cut:]) >= HALF), drops[-1])
        keys = ranked[:end]
    else:
        above = [k for k, value in zip(ranked, ladder, strict=False) if value > noise]
        keys = [k for k in above if table.loss([k]) >= 2 * table.loss()] if general else []
    return sorted(keys, key=lambda k: -float(shares.on_difference[k]))


@dataclass(frozen=True)
class Answers:
    """A network's answers, and those that it gives without some of its waves.

    Attributes:
        logits: ``[a, b, c]`` in float64.
        argument: a + b - c modulo p ``[a, b, c]``.
        spectrum: of the mean logits of each argument, as `torch.fft.rfft` returns it.
    """

    logits: Float[Tensor, "p p p"]
    argument: Tensor
    spectrum: Tensor

    @classmethod
    def of(cls, logits: Float[Tensor, "p p p"]) -> Answers:
        """The answers of a table of logits."""
        argument, sums = by_argument(logits)
        return cls(logits, argument, torch.fft.rfft(sums / len(logits) ** 2))

    @property
    def p(self) -> int:
        """The modulus."""
        return len(self.logits)

    def without(self, frequencies: list[int]) -> Float[Tensor, "p p p"]:
        """Logits without the waves of some frequencies."""
        waves = torch.zeros_like(self.spectrum)
        waves[frequencies] = self.spectrum[frequencies]
        return self.logits - torch.fft.irfft(waves, n=self.p)[self.argument]

    def right(self, without: Sequence[int] = ()) -> int:
        """Number of right answers without the waves of some frequencies."""
        largest = self.without(list(without)).argmax(-1, keepdim=True)
        return int((self.argument.gather(-1, largest) == 0).sum())

    def kept(self, without: Sequence[int]) -> float:
        """Share of the right answers that stay without the waves of some frequencies; 1 where there are none."""
        right = self.right()
        return self.right(without) / right if right else 1.0

    def loss(self, without: Sequence[int] = ()) -> float:
        """Mean cross-entropy without the waves of some frequencies, in nats; exact where it is tiny."""
        logits = self.without(list(without))
        rivals = logits.masked_fill(self.argument == 0, -torch.inf).logsumexp(-1)
        return float(torch.nn.functional.softplus(rivals - logits[self.argument == 0].view_as(rivals)).mean())
