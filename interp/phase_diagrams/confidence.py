"""How sure a share is that was counted among a few networks."""

from __future__ import annotations

from scipy.special import betainc, betaincinv


def share_interval(count: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Jeffreys' interval for a share: quantiles of Beta(count + 1/2, n - count + 1/2); 0 and 1 where all or none are counted.

    Brown, Cai, DasGupta 2001, Interval Estimation for a Binomial Proportion, section 4.3,
    https://doi.org/10.1214/ss/1009213286

    Args:
        count: networks of the phase.
        n: networks in all.
        level: of confidence.

    Returns:
        lower and upper end, from 0 to 1.

    >>> [round(end, 3) for end in share_interval(3, 3)], [round(end, 3) for end in share_interval(5, 10)]
    ([0.464, 1.0], [0.224, 0.776])
    """
    a, b, tail = count + 0.5, n - count + 0.5, (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(a, b, tail))
    return low, 1.0 if count == n else float(betaincinv(a, b, 1 - tail))


def majority_confidence(count: int, n: int) -> float:
    """Posterior probability that a phase has more than half of all networks, with Jeffreys' prior.

    It misleads where three phases meet: there a phase may be the commonest without having half.

    Args:
        count: networks of the phase.
        n: networks in all.

    Returns:
        from 0 to 1; 1/2 where half of them are counted.

    >>> [round(majority_confidence(k, 3), 3) for k in (1, 2, 3)]
    [0.288, 0.712, 0.967]
    """
    return float(1 - betainc(count + 0.5, n - count + 0.5, 0.5))
