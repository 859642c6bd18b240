"""Modular addition: the best learning rate, and how it depends on the prime."""

from __future__ import annotations

import numpy as np
import pandas as pd

from answers.intervals import Told, of, said

AT_ONCE = {"no later": 0.0, "at most a tenth later": 0.1}  # than on the train set, as a share of the updates until then
NAMES = {"adam": "Adam", "sgd": "SGD"}
PRIMES = ("prime_11", "prime_23", "prime_53", "prime_113")


MEANINGS = {"fewest updates": 0, "least rate times updates": 1}  # powers of the rate that updates are multiplied with


def best_rates(own: pd.DataFrame, power: int) -> tuple[float, list[float]]:
    """The rate at which most seeds generalise, then at least cost; and the same over 2,000 draws of the seeds."""
    reached = own.pivot(index="lr", columns="seed", values="test_at")
    updates = reached.mul(reached.index.to_series() ** power, axis=0)
    cost = updates.fillna(1e9).to_numpy()  # a seed that never generalises weighs more than any number of updates
    rng = np.random.default_rng(0)
    draws = cost[:, rng.integers(cost.shape[1], size=(2_000, cost.shape[1]))].sum(2).argmin(0)
    return float(reached.index[cost.sum(1).argmin()]), [float(reached.index[i]) for i in draws]


def has_best(own: pd.DataFrame) -> bool:
    """Whether half of the seeds generalise at some rate; elsewhere all rates are as bad."""
    return bool(own["test_at"].notna().groupby(own["lr"]).mean().max() >= 0.5)


def rates(own: pd.DataFrame, power: int) -> tuple[float, float, float]:
    """Best rate with the 95% interval of its draws."""
    best, draws = best_rates(own, power)
    low, high = np.quantile(draws, (0.025, 0.975), method="nearest")
    return best, float(low), float(high)


def rate_between(rows: pd.DataFrame) -> Told:
    own = of(rows, "prime_53")
    ends = own["lr"].min(), own["lr"].max()
    found = {name: rates(own, power) for name, power in MEANINGS.items()}
    holds = {name: True if low > ends[0] and high < ends[1] else "undecided" for name, (_, low, high) in found.items()}
    best = "; ".join(f"best by {name} {said(interval, '{:g}')}" for name, interval in found.items())
    by_rate = ", ".join(
        f"{rate:g}: {at.notna().sum()} of {len(at)}"
        + (f" ({at.mean():,.0f}; {rate * at.mean():.1f})" if at.notna().any() else "")
        for rate, at in own.groupby("lr")["test_at"]
    )
    here = f"{best}; seeds that generalise (mean updates; rate times updates): {by_rate}"
    return here, holds, {"seeds": own["seed"].nunique()}, ""


def rate_tenth(rows: pd.DataFrame) -> Told:
    adam, sgd, fine = of(rows, *PRIMES), of(rows, "optimisers_sgd"), of(rows, "sgd_large")
    coarse = sgd[~sgd["lr"].isin(fine["lr"])]
    own = pd.concat([adam[adam["lr"] >= 0.1], coarse[coarse["lr"] >= 0.1], fine])
    own = own.assign(**{name: own["test_at"] <= (1 + most) * own["train_at"] for name, most in AT_ONCE.items()})
    words, none = [], []
    for (name, p, rate), part in own.groupby(["optimizer", "p", "lr"]):
        setting, good = f"{NAMES[str(name)]} at {rate:g}, p = {p}", part["test_at"].notna().sum()
        if not good:
            none.append(setting)
            continue
        counts = ", ".join(f"{part[each].sum()} {each}" for each in AT_ONCE)
        words.append(f"{setting}: {good} of {len(part)} generalise ({counts})")
    words += [f"none with {', '.join(none)}"] if none else []
    delay = (own["test_at"] / own["train_at"] - 1).min()
    late = "in part" if own["test_at"].notna().any() else False
    holds = {name: True if own[name].any() else late for name in AT_ONCE}
    seeds = own.groupby("run")["seed"].nunique().min()
    here = f"90% on the test set after 90% on the train set, least delay {delay:.1%}: {'; '.join(words)}"
    return here, holds, {"seeds": seeds}, ""


def rate_by_prime(rows: pd.DataFrame) -> Told:
    own = of(rows, *PRIMES)
    by_prime = dict(iter(own.groupby("p")))
    having = {p: part for p, part in by_prime.items() if has_best(part)}
    none = [
        f"p = {p} ({part['test_at'].notna().sum()} of {len(part)})" for p, part in by_prime.items() if p not in having
    ]
    holds, words = {}, []
    for name, power in MEANINGS.items():
        found = {p: rates(part, power) for p, part in having.items()}
        some = any(a[2] < b[1] for a in found.values() for b in found.values())
        holds[name] = True if some else "undecided"
        words.append(f"by {name} " + ", ".join(f"p = {p}: {said(interval, '{:g}')}" for p, interval in found.items()))
    note = f"At no rate half of the seeds generalise with {' and '.join(none)}" if none else ""
    return "; ".join(words), holds, {"seeds": own["seed"].nunique(), "primes with a best rate": len(having)}, note
