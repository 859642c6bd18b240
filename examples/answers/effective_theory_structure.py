"""The claims of Liu et al. 2022 about the embeddings' structure: train fractions, S_3, the hierarchy for p = 4, transformers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

CRITERIA = ("paper", "code")
FRACTIONS = "python examples/long_runs/evidence.py effective_theory_fractions"
HIERARCHY = "python examples/long_runs/evidence.py effective_theory_p4"
ALONG = "python examples/long_runs/evidence.py effective_theory_embeddings"
OF_TOY = ("critical_fraction", "predicted_accuracy", "ideal_bounds", "ideal_measured", "grokking_rate", "three_n_h")
OF_S3 = ("s3_rqi", "s3_steps", "s3_bound", "s3_hexagon")
RANDOM_HEXAGONS = 0.93  # regularity of the best of three planes of six random points in nine dimensions: 95% are below


def answer(claims: Any, found: Mapping[str, pd.DataFrame]) -> None:
    """Answer them, or say what was not run."""
    table = found.get("fractions")
    parts = {} if table is None else dict(list(table.groupby("operation")))
    for operation, names, rule in (("toy", OF_TOY, toy), ("s3", OF_S3, s3)):
        if operation in parts:
            rule(claims, parts[operation])
            continue
        for name in names:
            claims.answer(name, "", holds=None, note="The runs were not made: 10 minutes of a core", command=FRACTIONS)
    if (table := found.get("p4")) is None:
        claims.answer(
            "hierarchy_found", "", holds=None, note="The run was not made: 5 minutes of a core", command=HIERARCHY
        )
    else:
        hierarchy(claims, table)
    if (table := found.get("embeddings")) is None:
        for name in ("effective_dimension", "first_components"):
            claims.answer(name, "", holds=None, note="The run was not made: 45 minutes of a core", command=ALONG)
    else:
        along_training(claims, table)


def ran_of(claims: Any, name: str, table: pd.DataFrame, **more: float) -> dict[str, float]:
    """The size of the run in the names of a claim's needs."""
    seeds = table.groupby("n_train")["seed"].nunique() if "n_train" in table else table["seed"].nunique()
    ran = {"steps": int(table["steps"].min()), "seeds": int(np.min(seeds)), **more}
    return {key: ran[key] for key in claims.claims[name].get("needs", {})}


def three(whole: bool, partly: bool) -> bool | str:
    return True if whole else "in part" if partly else False


def toy(claims: Any, table: pd.DataFrame) -> None:
    """Figures 3, 4, 5 and 10."""
    fraction = table["n_train"] / table["samples"]
    choices: dict[str, dict[str, Any]] = {name: {} for name in OF_TOY}
    told: dict[str, list[str]] = {name: [] for name in OF_TOY}
    networks = 10**9
    for criterion in CRITERIA:
        learned = table[f"reached_{criterion}"].notna()
        shares = learned.groupby(table["n_train"]).mean()
        low, high = learned[table["n_train"] < 22].mean(), shares[shares.index > 22]
        choices["critical_fraction"][criterion] = three(
            bool(low <= 0.1 and (high > 0.5).all()), bool(low <= 0.1 and (shares[shares.index >= 30] > 0).all())
        )
        told["critical_fraction"].append(f"{criterion}: " + ", ".join(f"{n}: {v:.0%}" for n, v in shares.items()))
        predicted = table[f"predicted_{criterion}"]
        left = fraction < 1
        untrained = [((one - fraction) / (1 - fraction))[left].clip(0, 1) for one in (table["accuracy"], predicted)]
        correlation, gap = untrained[0].corr(untrained[1]), (table["accuracy"] - predicted).abs().mean()
        choices["predicted_accuracy"][criterion] = bool(correlation > 0.9 and gap < 0.05)
        told["predicted_accuracy"].append(f"{criterion}: correlation {correlation:.3f}, mean difference {gap:.3f}")
        over = [
            (table[f"rqi_{criterion}"] > table["ideal_rqi"] + 1e-6).mean(),
            (predicted > table["ideal_accuracy"] + 1e-6).mean(),
        ]
        choices["ideal_bounds"][criterion] = three(max(over) <= 0.05, min(over) <= 0.05)
        told["ideal_bounds"].append(f"{criterion}: RQI above in {over[0]:.1%}, predicted accuracy in {over[1]:.1%}")
        fits = table[learned & (table["lambda_3"] > 0)]
        networks = min(networks, len(fits))
        steps, expected = fits[f"reached_{criterion}"], 1 / (fits["lambda_3"] * fits["embedding_lr"])
        order, chance = rank_correlation(steps.to_numpy(), expected.to_numpy())
        choices["grokking_rate"][criterion] = bool(order > 0 and chance < 0.05)
        told["grokking_rate"].append(f"{criterion}: {order:.2f} (p = {chance:.3f}) over {len(fits)} networks")
        low, high = interval((steps / expected).to_numpy()) if len(fits) else (np.nan, np.nan)
        choices["three_n_h"][criterion] = bool(low > 1.5 and high < 6)
        told["three_n_h"].append(
            f"{criterion}: {(steps / expected).median():.2f} [{low:.2f}, {high:.2f}] of {len(fits)} networks"
        )
    measured = (table["accuracy"] > table["ideal_accuracy"] + 1e-6).mean()
    choices["ideal_measured"] = {"": three(measured <= 0.05, measured <= 0.2)}
    told["ideal_measured"].append(f"above in {measured:.1%} of {len(table)} networks")
    before = {
        "critical_fraction": "share with RQI above 0.95 by train sums; ", "grokking_rate": "rank correlation; ",
        "three_n_h": "median of steps / n_h; ", "predicted_accuracy": f"{len(table)} networks; ",
        "ideal_bounds": f"{len(table)} networks; ",
    }  # fmt: skip
    for name in OF_TOY:
        holds = choices[name] if len(choices[name]) > 1 else choices[name][""]
        ran = ran_of(claims, name, table, networks=networks)
        claims.answer(name, before.get(name, "") + "; ".join(told[name]), holds=holds, command=FRACTIONS, ran=ran)


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
        none_below = not learned[fraction < 0.44].any()
        choices["s3_steps"][criterion] = three(none_below and bool(above.all()), none_below and bool(above.any()))
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
            ends[rate] = (*interval(numbers, np.mean), numbers.mean())
            starts.append(len(numbers))
        slow, fast = ends[min(ends)], ends[max(ends)]
        choices[criterion] = three(
            bool((found > 0).all() and slow[0] > fast[1]), bool((found > 0).all() or slow[0] > fast[1])
        )
        told.append(
            f"{criterion}: {int((found > 0).sum())} of {len(found)} found; parallelograms "
            f"{slow[2]:.2f} [{slow[0]:.2f}, {slow[1]:.2f}] slow, {fast[2]:.2f} [{fast[0]:.2f}, {fast[1]:.2f}] fast decoder"
        )
    ran = {"steps": int(table["steps"].min()), "starts": min(starts)}
    claims.answer("hierarchy_found", "; ".join(told), holds=choices, command=HIERARCHY, ran=ran)


def along_training(claims: Any, table: pd.DataFrame) -> None:
    """Figures 7 (left) and 22: the embeddings of transformers at every checkpoint."""
    seeds = dict(list(table.groupby("seed")))
    ran = {"seeds": len(seeds)}
    dimension = {seed: part.set_index("step")["effective_dimension"] for seed, part in seeds.items()}
    falls = {seed: bool(own.iloc[-1] < 0.7 * own.iloc[0]) for seed, own in dimension.items()}
    peaks = {seed: bool(own.max() > 1.05 * own.iloc[0]) for seed, own in dimension.items()}
    ends = pd.DataFrame({"first": own.iloc[0], "last": own.iloc[-1], "most": own.max()} for own in dimension.values())
    generalised = [part.loc[part["test_accuracy"] >= 0.9, "step"].min() for part in seeds.values()]
    half = [own.index[own < (own.iloc[0] + own.iloc[-1]) / 2][0] for own in dimension.values()]
    claims.answer(
        "effective_dimension",
        f"from {ends['first'].mean():.1f} to {ends['last'].mean():.1f} on average, the most {ends['most'].mean():.1f}; "
        f"it falls by 30% in {sum(falls.values())} of {len(seeds)} seeds, after a peak in {sum(peaks.values())}",
        holds=three(all(falls.values()) and all(peaks.values()), all(falls.values())),
        note=f"Half of the fall is over at step {min(half):,} to {max(half):,}, test accuracy passes 90% at {min(generalised):,} "
        f"to {max(generalised):,}",
        command=ALONG, ran=ran,
    )  # fmt: skip
    kept = sorted(int(column.removeprefix("end_")) for column in table if column.startswith("end_"))
    last = table.groupby("seed").last()
    enough = {seed: next((k for k in kept if row[f"end_{k}"] >= 0.99), None) for seed, row in last.iterrows()}
    before = table[table["step"] < table["step"].max()].set_index("seed")
    means = {axes: before[[f"{axes}_{k}" for k in kept]].mean(axis=1).groupby("seed").mean() for axes in ("end", "own")}
    few, better = all(enough.values()), means["end"] > means["own"]
    numbers = Counter(k for k in enough.values() if k)
    told = ", ".join(f"{k} in {n}" for k, n in sorted(numbers.items()))
    claims.answer(
        "first_components",
        f"axes of the end that reach 99%: {told or 'none'} of {len(seeds)} seeds; mean accuracy before the end on "
        f"{', '.join(map(str, kept))} final axes {means['end'].mean():.3f}, on those of the time {means['own'].mean():.3f}; "
        f"the final ones do better in {int(better.sum())}",
        holds=three(few and bool(better.all()), few or bool(better.all())), command=ALONG, ran=ran,
    )  # fmt: skip


def rank_correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Spearman's, and how likely a random order has one at least as large (t approximation); 0 and 1 for fewer than 4."""
    from scipy.stats import spearmanr

    if len(a) < 4 or len(set(a)) < 2 or len(set(b)) < 2:
        return 0.0, 1.0
    found = spearmanr(a, b)
    return float(found.statistic), float(found.pvalue)


def interval(values: np.ndarray, statistic: Any = np.median, draws: int = 2_000) -> tuple[float, float]:
    """The bootstrap's 95% interval of a statistic over networks."""
    drawn = np.random.default_rng(0).choice(values, (draws, len(values)))
    low, high = np.quantile(statistic(drawn, axis=1), [0.025, 0.975])
    return float(low), float(high)
