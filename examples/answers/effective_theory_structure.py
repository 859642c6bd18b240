"""The claims of Liu et al. 2022 about the embeddings' structure: train fractions, S_3, the hierarchy for p = 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from answers.intervals import mean, median, said
from answers.spans import several, share
from answers.waiting import waits
from claims import Verdict

STEPS = 10_000  # of the runs over all train sizes
CRITICAL = 0.4  # train fraction
CRITERIA = ("paper", "code")
FRACTIONS = "python examples/long_runs/evidence.py effective_theory_fractions"
HIERARCHY = "python examples/long_runs/evidence.py effective_theory_p4"
OF_TOY = ("critical_fraction", "predicted_accuracy", "ideal_bounds", "ideal_measured", "grokking_rate", "three_n_h")
OF_S3 = ("s3_rqi", "s3_steps", "s3_bound", "s3_hexagon")
NEVER = 1e9  # in n_h
RANDOM_HEXAGONS = 0.93  # regularity of the best of three planes of six random points in nine dimensions: 95% are below


def answer(claims: Any, found: Mapping[str, pd.DataFrame]) -> None:
    """Answer them, or say what was not run."""
    table = found.get("fractions")
    parts = {} if table is None else dict(list(table.groupby("operation")))
    for operation, names, rule, run in (("toy", OF_TOY, toy, "toy_fractions"), ("s3", OF_S3, s3, "s3_fractions")):
        if operation in parts:
            rule(claims, parts[operation])
            continue
        for name in names:
            claims.answer(name, "", holds=None, note=waits(run), command=FRACTIONS)
    if (table := found.get("p4")) is None:
        claims.answer(
            "hierarchy_found", "", holds=None, note=waits("p4_fast_decoder", "p4_slow_decoder"), command=HIERARCHY
        )
    else:
        hierarchy(claims, table)


def ran_of(claims: Any, name: str, table: pd.DataFrame, **more: float) -> dict[str, float]:
    """The size of the run in the names of a claim's needs."""
    seeds = table.groupby("n_train")["seed"].nunique() if "n_train" in table else table["seed"].nunique()
    ran = {"steps": int(table["steps"].min()), "seeds": int(np.min(seeds)), **more}
    return {key: ran[key] for key in claims.claims[name].get("needs", {})}


def three(whole: bool, partly: bool) -> bool | str:
    return True if whole else "in part" if partly else False


def toy(claims: Any, table: pd.DataFrame) -> None:
    """Figures 3, 4, 5 and 10, from the runs over all train sizes; the longer ones of large train sets show what these cut off."""
    every = table[table["steps"] == STEPS]
    longer = table[table["steps"] > STEPS]
    choices: dict[str, dict[str, Any]] = {name: {} for name in OF_TOY}
    told: dict[str, list[str]] = {name: [] for name in OF_TOY}
    for criterion in CRITERIA:
        for name, rule in (
            ("critical_fraction", critical), ("predicted_accuracy", predicted), ("ideal_bounds", bounds),
            ("grokking_rate", grokking_rate),
        ):  # fmt: skip
            choices[name][criterion], words = rule(every, criterion)
            told[name].append(f"{criterion}: {words}")
        choices["three_n_h"][criterion], words = three_n_h(table, criterion)
        told["three_n_h"].append(f"{criterion}: {words}")
    above = int((every["accuracy"] > every["ideal_accuracy"] + 1e-6).sum())
    choices["ideal_measured"][""] = within(above, len(every))
    low, high = share(above, len(every))
    told["ideal_measured"].append(
        f"above in {above} of {len(every)} networks, {above / len(every):.1%} [{low:.1%}, {high:.1%}]"
    )
    before = {
        "critical_fraction": "networks with an RQI above 0.95 by train sums; ",
        "grokking_rate": f"rank correlation within {STEPS:,} steps; ", "three_n_h": "median of steps / n_h; ",
        "predicted_accuracy": f"{len(every)} networks; ", "ideal_bounds": f"{len(every)} networks; ",
    }  # fmt: skip
    notes = {"critical_fraction": after_longer(longer), "grokking_rate": rate_after_longer(longer)}
    learned = min(int((every[f"reached_{c}"].notna() & (every["lambda_3"] > 0)).sum()) for c in CRITERIA)
    for name in OF_TOY:
        own, networks = (table, len(long_enough(table))) if name == "three_n_h" else (every, learned)
        claims.answer(
            name, before.get(name, "") + "; ".join(told[name]), holds=choices[name], note=notes.get(name, ""),
            command=FRACTIONS, ran=ran_of(claims, name, own, networks=networks),
        )  # fmt: skip


def critical(table: pd.DataFrame, criterion: str) -> tuple[Verdict, str]:
    """Figure 4b: from which size on networks learn the line, and whether any does within 0.1 of the critical fraction."""
    learned, fraction = table[f"reached_{criterion}"].notna(), table["n_train"] / table["samples"]
    by_size = learned.groupby(table["n_train"])
    shares, beyond = by_size.mean(), by_size.mean().index > CRITICAL * table["samples"].max()
    near = learned[(fraction > CRITICAL) & (fraction <= CRITICAL + 0.1)]
    few_below = learned[fraction < CRITICAL].mean() <= 0.1
    words = ", ".join(f"{n}: {v.sum()} of {len(v)}" for n, v in by_size)
    if few_below and (shares[beyond] > 0.5).all():
        return True, words
    if few_below and near.any():
        return "in part", words
    unseen = few_below and share(int(near.sum()), len(near))[1] > 0.5
    return "undecided" if unseen else False, words


def predicted(table: pd.DataFrame, criterion: str) -> tuple[Verdict, str]:
    """Figure 3."""
    fraction = table["n_train"] / table["samples"]
    own, left = table[f"predicted_{criterion}"], fraction < 1
    untrained = [((one - fraction) / (1 - fraction))[left].clip(0, 1) for one in (table["accuracy"], own)]
    correlation, gap = untrained[0].corr(untrained[1]), (table["accuracy"] - own).abs().mean()
    return bool(correlation > 0.9 and gap < 0.05), f"correlation {correlation:.3f}, mean difference {gap:.3f}"


def bounds(table: pd.DataFrame, criterion: str) -> tuple[Verdict, str]:
    """Equations 16 and 17."""
    over = [
        (table[f"rqi_{criterion}"] > table["ideal_rqi"] + 1e-6).mean(),
        (table[f"predicted_{criterion}"] > table["ideal_accuracy"] + 1e-6).mean(),
    ]
    words = f"RQI above in {over[0]:.1%}, predicted accuracy in {over[1]:.1%}"
    return three(max(over) <= 0.05, min(over) <= 0.05), words


def within(hits: int, n: int) -> Verdict:
    """Figure 10f: whether a share is at most 1 in 20, at most 1 in 5, or above; undecided where its interval holds a bound."""
    low, high = share(hits, n)
    if high <= 0.05:
        return True
    if low > 0.2:
        return False
    return "in part" if low > 0.05 and high <= 0.2 else "undecided"


def expected(table: pd.DataFrame) -> pd.Series:
    """n_h, in steps."""
    return 1 / (table["lambda_3"] * table["embedding_lr"])


def grokking_rate(table: pd.DataFrame, criterion: str) -> tuple[Verdict, str]:
    """Figure 5b: networks that do not get there within the run are tied as the slowest."""
    fits = table[table["lambda_3"] > 0]
    steps = fits[f"reached_{criterion}"]
    order, chance = rank_correlation(steps.fillna(np.inf).to_numpy(), expected(fits).to_numpy())
    there = steps.notna()
    alone = rank_correlation(steps[there].to_numpy(), expected(fits)[there].to_numpy())[0]
    words = (
        f"{order:.2f} (p = {chance:.2g}) over {len(fits)} networks, {alone:.2f} over the {there.sum()} that get there"
    )
    return bool(order > 0 and chance < 0.05), words


def long_enough(table: pd.DataFrame) -> pd.DataFrame:
    """The networks whose runs last 6 n_h and more; of one that was trained twice the longer."""
    last = table.sort_values("steps").groupby(["n_train", "seed"]).tail(1)
    return last[(last["lambda_3"] > 0) & (last["steps"] >= 6 * expected(last))]


def three_n_h(table: pd.DataFrame, criterion: str) -> tuple[Verdict, str]:
    """Section 3.2: steps over n_h, where runs last 6 n_h and more; a network that does not get there counts as later."""
    fits = long_enough(table)
    if fits.empty:
        return "undecided", "no run lasts 6 n_h"
    ratio = fits[f"reached_{criterion}"] / expected(fits)
    found = median(ratio.fillna(NEVER))
    _, low, high = found
    shown = ["never" if value > 6 else f"{value:.2f}" for value in found]
    words = f"{shown[0]} [{shown[1]}, {shown[2]}] of {len(fits)} networks, {ratio.notna().sum()} of which get there, "
    words += f"{ratio.between(1.5, 6).sum()} within 1.5 and 6"
    if low > 1.5 and high < 6:
        return True, words
    return False if high <= 1.5 or low >= 6 else "undecided", words


def after_longer(table: pd.DataFrame) -> str:
    """How many have the line at the end of the longer runs."""
    if table.empty:
        return ""
    told = (
        f"{criterion}: " + ", ".join(
            f"{n}: {v.sum()} of {len(v)}" for n, v in table[f"reached_{criterion}"].notna().groupby(table["n_train"])
        )
        for criterion in CRITERIA
    )  # fmt: skip
    return f"Within {table['steps'].min():,} steps {'; '.join(told)}"


def rate_after_longer(table: pd.DataFrame) -> str:
    """The rank correlation over the longer runs."""
    if table.empty:
        return ""
    told = "; ".join(f"{criterion}: {grokking_rate(table, criterion)[1]}" for criterion in CRITERIA)
    return f"Within {table['steps'].min():,} steps, from {table['n_train'].min()} sums on, {told}"


def s3(claims: Any, table: pd.DataFrame) -> None:
    """Figures 17 and 18."""
    choices: dict[str, dict[str, Any]] = {name: {} for name in OF_S3[:3]}
    told: dict[str, list[str]] = {name: [] for name in OF_S3[:3]}
    fraction = table["n_train"] / table["samples"]
    for criterion in CRITERIA:
        best = table.groupby("n_train")[f"rqi_{criterion}"].max()
        order = rank_correlation(best.index.to_numpy(), best.to_numpy())[0]
        choices["s3_rqi"][criterion] = three(order > 0.7, order > 0)
        told["s3_rqi"].append(f"{criterion}: " + ", ".join(f"{n}: {v:.2f}" for n, v in best.items()))
        learned = table[f"reached_{criterion}"].notna()
        above = learned[fraction > 0.555].groupby(table["n_train"]).any()
        near = learned[(fraction >= 0.44) & (fraction <= 0.6)]
        none_below = not learned[fraction < 0.44].any()
        choices["s3_steps"][criterion] = three(none_below and bool(above.all()), none_below and bool(near.any()))
        told["s3_steps"].append(
            f"{criterion}: " + ", ".join(f"{n}: {v}" for n, v in learned.groupby(table["n_train"]).sum().items())
        )
        gap = table["accuracy"] - table[f"predicted_{criterion}"]
        choices["s3_bound"][criterion] = bool((gap > -1e-6).all() and (gap > 1e-6).any())
        told["s3_bound"].append(
            f"{criterion}: below in {(gap < -1e-6).sum()}, above in {(gap > 1e-6).sum()} of {len(table)}"
        )
    before = {
        "s3_rqi": "best RQI by train products; ",
        "s3_steps": "networks with an RQI above 0.95 by train products; ",
    }
    for name in OF_S3[:3]:
        ran = ran_of(claims, name, table)
        claims.answer(
            name, before.get(name, "") + "; ".join(told[name]), holds=choices[name], command=FRACTIONS, ran=ran
        )
    general = table[table["test_accuracy"] >= 0.9]
    regular = general["regularity"] > RANDOM_HEXAGONS
    first_third = regular & (general["components"] == "1-3")
    planes = ", ".join(
        f"PC{one.replace('-', ' and PC')} in {k}" for one, k in general["components"].value_counts().items()
    )
    claims.answer(
        "s3_hexagon",
        f"{len(general)} networks generalise; {int(regular.sum())} are more regular than {RANDOM_HEXAGONS}; most regular on "
        + (planes or "none"),
        holds=three(bool(first_third.mean() > 0.5), bool(regular.mean() > 0.5)) if len(general) else "undecided",
        command=FRACTIONS, ran=ran_of(claims, "s3_hexagon", table, networks=len(general)),
    )  # fmt: skip


def hierarchy(claims: Any, table: pd.DataFrame) -> None:
    """Figure 12."""
    choices, told, starts = {}, [], []
    for criterion, part in table.groupby("criterion"):
        found = part.groupby("representation")["networks"].sum()
        ends = {}
        for rate, one in part.groupby("decoder_lr"):
            numbers = np.repeat(one["parallelograms"].to_numpy(), one["networks"].to_numpy())
            ends[rate] = mean(numbers)
            starts.append(len(numbers))
        slow, fast = ends[min(ends)], ends[max(ends)]
        choices[criterion] = several([bool((found > 0).all()), slow[1] > fast[2]])
        told.append(
            f"{criterion}: {int((found > 0).sum())} of {len(found)} found; parallelograms {said(slow, '{:.2f}')} slow, "
            f"{said(fast, '{:.2f}')} fast decoder"
        )
    ran = {"steps": int(table["steps"].min()), "starts": min(starts)}
    claims.answer("hierarchy_found", "; ".join(told), holds=choices, command=HIERARCHY, ran=ran)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Spearman's, and how likely a random order has one at least as large (t approximation); 0 and 1 for fewer than 4."""
    from scipy.stats import spearmanr

    if len(a) < 4 or len(set(a)) < 2 or len(set(b)) < 2:
        return 0.0, 1.0
    found = spearmanr(a, b)
    return float(found.statistic), float(found.pvalue)
