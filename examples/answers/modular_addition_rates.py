"""Modular addition: the best learning rate, and how it depends on the prime."""

from __future__ import annotations

import numpy as np
import pandas as pd

from answers.intervals import NOTHING, Told, of, said

PRIMES = ("prime_11", "prime_23", "prime_53", "prime_113")


def best_rates(own: pd.DataFrame) -> tuple[float, list[float]]:
    """The rate at which most seeds generalise, then with fewest updates; and the same over 2,000 draws of the seeds."""
    reached = own.pivot(index="lr", columns="seed", values="test_at")
    cost = reached.fillna(1e9).to_numpy()  # a seed that never generalises weighs more than any number of updates
    rng = np.random.default_rng(0)
    draws = cost[:, rng.integers(cost.shape[1], size=(2_000, cost.shape[1]))].sum(2).argmin(0)
    return float(reached.index[cost.sum(1).argmin()]), [float(reached.index[i]) for i in draws]


def rates(own: pd.DataFrame) -> tuple[float, float, float]:
    """Best rate with the 95% interval of its draws."""
    best, draws = best_rates(own)
    low, high = np.quantile(draws, (0.025, 0.975), method="nearest")
    return best, float(low), float(high)


def rate_between(rows: pd.DataFrame) -> Told:
    own = of(rows, "prime_53")
    if not len(own):
        return NOTHING
    found = rates(own)
    ends = own["lr"].min(), own["lr"].max()
    good = own.groupby("lr")["test_at"].apply(lambda at: at.notna().mean())
    here = f"best {said(found, '{:g}')}; generalise: " + ", ".join(f"{lr:g}: {share:.0%}" for lr, share in good.items())
    holds = True if found[1] > ends[0] and found[2] < ends[1] else "undecided"
    return here, holds, {"seeds": own["seed"].nunique()}, ""


def rate_tenth(rows: pd.DataFrame) -> Told:
    own = of(rows, *PRIMES)
    own = own[own["lr"] >= 0.1] if len(own) else own
    if not len(own):
        return NOTHING
    good = own.groupby("p")["test_at"].apply(lambda at: f"{at.notna().sum()} of {len(at)}")
    here = "; ".join(f"p = {p}: {n}" for p, n in good.items())
    return here, bool(own["test_at"].notna().any()), {"seeds": own["seed"].nunique()}, ""


def rate_by_prime(rows: pd.DataFrame) -> Told:
    own = of(rows, *PRIMES)
    if not len(own):
        return NOTHING
    found = {p: rates(part) for p, part in own.groupby("p")}
    some = any(a[2] < b[1] for a in found.values() for b in found.values())
    here = "; ".join(f"p = {p}: {said(interval, '{:g}')}" for p, interval in found.items())
    return here, True if some else "undecided", {"seeds": own["seed"].nunique(), "primes": len(found)}, ""
