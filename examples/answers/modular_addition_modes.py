"""Modular addition: answers that rest on a row per curve, mode, start or forgotten example."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from interp.phase_diagrams.confidence import share_interval
from probes.leads import order_of_intervals

from answers.intervals import Told, mean, of, of_every, read, said
from answers.waiting import NotRun
from long_runs.what_leads import CASES


def leads(
    run: str, measure: str, where: str, up: bool | None = None, than: tuple[str, str] | None = None
) -> Callable[[pd.DataFrame], Told]:
    """Whether a curve changes before another, by default test accuracy, in every network of a case, from memorisation on."""

    def told(rows: pd.DataFrame) -> Told:
        own = changes(rows, run, measure, where)
        if than is not None:
            own = beside(own, changes(rows, run, *than))
        order = own["order"].where((own["after"] > own["before"]) == up, "follows") if up is not None else own["order"]
        holds = (
            {"leads": True, "follows": False}.get(order.iloc[0], "undecided") if order.nunique() == 1 else "undecided"
        )
        count = ", ".join(f"{(own['order'] == name).sum()} {name}" for name in ("leads", "undecided", "follows"))
        touching = int(((own["high"] == own["test_low"]) & (own["order"] == "leads")).sum())
        count += f", of which {touching} share{'s' * (touching == 1)} an end" if touching else ""
        way = "" if up is None else f"; it rises in {(own['after'] > own['before']).sum()} of {len(own)}"
        lead = said(mean(own["changes_at"] - own["test_at"]), "{:+,.0f}")
        reference = "test loss" if than else "test accuracy"
        here = f"in {len(own)} networks {count}; it changes {lead} steps (mean) from {reference} "
        here += f"(negative: before){way}"
        return here, holds, {"steps": steps_of(run), "seeds": len(own)}, ""

    return told


def beside(own: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The changes of one curve, set beside those of another in place of test accuracy's."""
    other = other.loc[own.index]
    ends = [list(zip(one["low"], one["high"], strict=True)) for one in (own, other)]
    order = list(map(order_of_intervals, *ends))
    return own.assign(order=order, test_low=other["low"], test_high=other["high"], test_at=other["changes_at"])


def changes(rows: pd.DataFrame, run: str, measure: str, where: str) -> pd.DataFrame:
    """The changes of one curve after memorisation, by network."""
    own = of(rows, run)
    same = (own["measure"] == measure) & (own["where"] == where) & (own["window"] == "after memorisation")
    return of(own[same], run).set_index("member")


def steps_of(run: str) -> int:
    """Steps of a measured case."""
    about = read("what_leads_runs")
    return int(about.loc[about["run"] == run, "steps"].min()) if (about["run"] == run).any() else 0


def steps_of_networks(run: str) -> int:
    """The fewest steps of any network of a run in the table of networks."""
    return int(of(read("modular_addition_networks"), run)["steps"].min())


def sparse(rows: pd.DataFrame) -> Told:
    own = of(rows, "p53", "p113").query("window == 'whole run' and measure == 'spectral_gini'")
    rises = own["after"] > own["before"]
    parts = [
        f"{run}, {where}: {part['before'].mean():.2f} to {part['after'].mean():.2f}, "
        f"up in {(part['after'] > part['before']).sum()} of {len(part)}"
        for (run, where), part in own.groupby(["run", "where"])
    ]  # fmt: skip
    seeds = own[own["run"] == "p53"]["member"].nunique()
    there = set(own["run"]) == {"p53", "p113"}
    holds = bool(rises.all()) if there else "undecided"
    return (
        "; ".join(parts),
        holds,
        {"steps": steps_of("p53"), "seeds": seeds},
        "" if there else "p = 113 waits for its runs",
    )


def everywhere(rows: pd.DataFrame) -> Told:
    """Measures that exist in all cases, by their verdict in each."""
    from probes.leads import CONTROL, lead_over_seeds

    cases = {run: own.query("window == 'after memorisation'") for run, own in rows.fillna({"where": ""}).groupby("run")}
    cases = {run: own for run, own in cases.items() if own["member"].nunique() >= 4}
    if len(cases) < 2:
        raise NotRun(*(folder for case in CASES.values() for folder in case.folders))
    found = {run: lead_over_seeds(own).set_index(["measure", "where"]) for run, own in cases.items()}
    verdicts = pd.DataFrame(  # a curve that is still from memorisation on has no change there
        {run: own.loc[own["seeds"] > cases[run]["member"].nunique() / 2, "verdict"] for run, own in found.items()}
    )
    common = verdicts.dropna().drop(index=CONTROL, level=0, errors="ignore")
    always = common[(common == "leads").all(axis=1)].index
    never = common[common.isin(("follows", "gradual")).any(axis=1)].index
    holds = True if len(always) else False if len(never) == len(common) else "undecided"
    names = ", ".join(" ".join(key) for key in always) or "none"
    count = "; ".join(
        f"{' '.join(key)}: {', '.join(f'{run} {v}' for run, v in row.items())}" for key, row in common.iterrows()
    )
    here = f"{len(common)} measures in {len(cases)} tasks ({', '.join(cases)}); lead in all: {names}"
    return here, holds, {"tasks": len(cases)}, count


def losers(rows: pd.DataFrame) -> Told:
    holds, words, ran = {}, [], []
    for width, run in ((12, "mlp_modes"), (24, "mlp_embed24")):
        own = of(rows, run)
        seeds = [settled(part, 0.05 * np.log(own["p"].iloc[0])) for _, part in own.groupby("member")]
        lost = own[~own["key"].astype(bool)]
        change = lost[["without_low", "without_high"]].abs().max(axis=1)
        levels = {"kept alone": lost["alone_mean"].median(), "removed": change.median()}
        for how, level in levels.items():
            calm, apart = (np.array([one[how][i] for one in seeds]) for i in (0, 1))
            both = calm & apart
            choice = f"embedding of {width}, {how}"
            holds[choice] = True if both.all() else "in part" if both.mean() > 0.5 else False
            words.append(f"{choice}: {both.sum()} of {len(both)} seeds (calm {calm.sum()}, told apart from every learned one "
                         f"{apart.sum()}); median {'change of the ' * (how == 'removed')}loss {level:.2g}")  # fmt: skip
        ran.append({"steps": steps_of_networks(run), "seeds": len(seeds)})
    return "; ".join(words) + f" (ln 53 = {np.log(53):.2f})", holds, {k: min(r[k] for r in ran) for k in ran[0]}, ""


def settled(part: pd.DataFrame, near: float) -> dict[str, tuple[bool, bool]]:
    """Whether the modes that one network has not learned stay calm, and whether they matter less than those that it has."""
    key = part["key"].astype(bool)
    lost, learnt = part[~key], part[key]
    return {
        "kept alone": (
            bool((lost["alone_away"] <= near).all()),
            bool(lost["alone_low"].min() > learnt["alone_high"].max()),
        ),
        "removed": (
            bool((lost["without_high"] <= near).all() and (lost["without_low"] >= -near).all()),
            bool(lost["without_high"].max() < learnt["without_low"].min()),
        ),
    }


def mode_growth(rows: pd.DataFrame) -> Told:
    own = of(rows, "mlp_modes")
    own = own[own["key"].astype(bool)]
    kinds = own["kind"].value_counts()
    n = len(own)
    share = {kind: share_interval(int(kinds.get(kind, 0)), n)[0] > 0.5 for kind in ("sigmoid", "jump")}
    holds = True if share["sigmoid"] else False if share["jump"] else "undecided"
    took = own.loc[own["kind"] == "sigmoid", "duration"]
    here = (
        "; ".join(f"{kind}: {count} of {n}" for kind, count in kinds.items())
        + f"; 10% to 90% in {took.median():,.0f} batches (median)"
    )
    return here, holds, {"steps": steps_of_networks("mlp_modes"), "seeds": own["member"].nunique()}, ""


def early_cross_entropy(rows: pd.DataFrame) -> Told:
    own = of_every(rows, "mlp_modes", "p53")
    cosine = own["right_logit"]
    holds = (
        True
        if (cosine >= 0.9).all()
        else "in part"
        if (cosine >= 0.7).all()
        else False
        if (cosine < 0.7).all()
        else "undecided"
    )
    here = "; ".join(
        f"{run}: cosine {part['right_logit'].min():.2f} to {part['right_logit'].max():.2f}, with the mean logit subtracted "
        f"{part['right_minus_mean'].min():.2f} to {part['right_minus_mean'].max():.2f}"
        for run, part in own.groupby("run")
    )  # fmt: skip
    return (
        here,
        holds,
        {"seeds": int(own.groupby("run").size().min())},
        ("The denominator changes with every input in the same direction: to the weights it is a signal, not noise"),
    )


def one_dimension(rows: pd.DataFrame) -> Told:
    own = of(rows, "mlp_memory")
    lost = own["others_lost_median"]
    other = of(rows, "mlp_modes")["others_lost_median"]
    few = bool((lost <= 0.01).all()) and not (len(other) and (other <= 0.01).all())
    holds = True if few else False if (lost > 0.1).all() else "undecided"
    here = f"median share of other examples lost with one: {lost.min():.2%} to {lost.max():.2%}" + (
        f"; in networks that generalise {other.min():.2%} to {other.max():.2%}" if len(other) else ""
    )
    rank = own["gradient_rank"]
    note = "Networks that generalise lose as few, so this does not tell the two apart. " if len(other) else ""
    note += f"Effective rank of 50 examples' gradients over their number: {rank.min():.2f} to {rank.max():.2f}"
    return here, holds, {"steps": int(own["steps"].min()), "seeds": len(own)}, note
