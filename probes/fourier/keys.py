"""The key frequencies of a network, read off its logits ``[a, b, c]``."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from probes.fourier.logits import LogitShares, as_cube, by_argument, logit_shares
from probes.fourier.modes import n_frequencies
from probes.key_factors import FACTOR, Answers, key_factors
from probes.key_factors import answer_shares as shares_of_answers

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

    See `probes.key_factors.answer_shares`.

    Args:
        shares: of the logits' variance.

    Returns:
        ``[p // 2 + 1]``; 0 for the constant.
    """
    return shares_of_answers(shares.on_difference, shares.by_output)


def logit_frequencies(logits: Float[Tensor, "p p p"]) -> list[int]:
    """The key frequencies of a network: those above the sharp drop of its logits' spectrum.

    The frequencies are sorted by `answer_shares`, and the keys end at the first drop to a 20th or less below which nothing is
    needed; the rule is that of `probes.key_factors.key_factors`, with the waves cos/sin(w_k (a + b - c)) as what is removed.

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
    cube = as_cube(logits).double()
    p, shares = len(cube), logit_shares(cube)
    argument, sums = by_argument(cube)
    waves = torch.fft.rfft(sums / p**2).diag()
    answers = Answers(cube, argument, torch.fft.irfft(waves, n=p))
    noise = logit_threshold(p, float(shares.on_difference.sum())) / FACTOR
    keys = key_factors(answer_shares(shares), torch.full_like(shares.on_difference, noise), answers)
    return sorted(keys, key=lambda k: -float(shares.on_difference[k]))
