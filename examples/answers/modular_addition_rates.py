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


def has_best(own: pd.DataFrame) -> bool:
    """Whether half of the seeds generalise at some rate; elsewhere all rates are as bad."""
    return bool(own["test_at"].notna().groupby(own["lr"]).mean().max() >= 0.5)


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
    at_once = own["test_at"] <= own["train_at"]
    good = own.assign(at_once=at_once).groupby("p")
    here = "; ".join(
        f"p = {p}: {part['test_at'].notna().sum()} of {len(part)} generalise, {part['at_once'].sum()} at once"
        for p, part in good
    )
    holds = True if at_once.any() else "in part" if own["test_at"].notna().any() else False
    return here, holds, {"seeds": own["seed"].nunique()}, ""


def rate_by_prime(rows: pd.DataFrame) -> Told:
    own = of(rows, *PRIMES)
    if not len(own):
        return NOTHING
    by_prime = dict(iter(own.groupby("p")))
    found = {p: rates(part) for p, part in by_prime.items() if has_best(part)}
    none = [
        f"p = {p} ({part['test_at'].notna().sum()} of {len(part)})" for p, part in by_prime.items() if p not in found
    ]
    some = any(a[2] < b[1] for a in found.values() for b in found.values())
    here = "; ".join(f"p = {p}: {said(interval, '{:g}')}" for p, interval in found.items())
    return (
        here,
        True if some else "undecided",
        {"seeds": own["seed"].nunique(), "primes": len(found)},
        (f"At no rate half of the seeds generalise with {' and '.join(none)}" if none else ""),
    )
