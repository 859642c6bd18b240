"""The claims of Liu et al. 2022 about transformers and images that rest on long runs: Figures 1, 7, 8, 20, 21 and 22."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from answers import measured_networks
from answers.effective_theory_rules import PHASES, SIDES, counted, four_phases
from answers.spans import several
from answers.waiting import waits

DIAGRAMS = "python examples/long_runs/evidence.py effective_theory_diagrams"
ALONG = "python examples/long_runs/evidence.py effective_theory_embeddings"
OF_EMBEDDINGS = ("effective_dimension", "dimension_peak", "first_components")
EMBEDDINGS_DECAYED = (
    "Weight decay of {decay:g} lay on the embeddings, too; the source has none on them in Figure 7, right, and does not say "
    "what this figure has"
)


def answer(claims: Any, of: Mapping[str, pd.DataFrame], found: Mapping[str, pd.DataFrame]) -> None:
    """Answer them, or say what was not run.

    Args:
        of: networks of the diagrams by run.
        found: tables by name.
    """
    transformers(claims, of, found)
    images(claims, of)
    grokking_on_images(claims, measured_networks.networks().get("digits_mse", []))
    if (table := found.get("embeddings")) is None:
        for name in OF_EMBEDDINGS:
            claims.answer(name, "", holds=None, note=waits("p53"), command=ALONG)
    else:
        along_training(claims, table)


def steps_by(table: pd.DataFrame, setting: str, side: str) -> pd.DataFrame:
    """Steps to the test threshold, a row per seed and a column per setting; never counts as the end of the run."""
    filled = table.assign(at=table[f"test_{side}"].fillna(table["steps"]))
    return filled.pivot(index="seed", columns=setting, values="at")


def transformers(claims: Any, of: Mapping[str, pd.DataFrame], found: Mapping[str, pd.DataFrame]) -> None:
    """Figure 7: the diagram, decay, dropout."""
    coarse, command = found.get("transformer"), "examples/long_runs/effective_theory.sh transformer coarse"
    if coarse is None:
        claims.answer("phases_transformer", "", holds=None, note="256 dimensions: 430 core-hours", command=command)
    else:
        n = coarse["phase"].value_counts()
        holds = four_phases(coarse, "decoder_lr", "decoder_weight_decay", "phase", {"memorization"})
        here = ", ".join(f"{n.get(phase, 0)} {phase}" for phase in PHASES)
        claims.answer(
            "phases_transformer", here, holds=holds, command=command, ran={"steps": 2_000, "dimensions": 48},
            note="256 dimensions, 110 networks and 100,000 steps cost 430 core-hours",
        )  # fmt: skip
    command = DIAGRAMS
    for name, setting in (("transformer_decay", "decoder_weight_decay"), ("transformer_dropout", "dropout")):
        table = of.get(name)  # a claim has its run's name
        if table is None:
            claims.answer(name, "", holds=None, note=waits(name), command=command)
            continue
        choices, told = {}, []
        for side in SIDES:
            at = steps_by(table, setting, side)
            rest = at.drop(columns=0.0).min(axis=1)
            if setting == "dropout":
                early, late = bool((rest < 1_000).all()), bool((at[0.0] >= 1_000).all())
                choices[side.replace("_", " ")] = (True if late else "in part") if early else False
            else:
                choices[side.replace("_", " ")] = bool((rest <= at[0.0] / 2).all())
            told.append(f"{side.replace('_', ' ')}: " + ", ".join(f"{k:g}: {v:,.0f}" for k, v in at.median().items()))
        here = (
            f"{at.shape[0]} seeds; median steps to 0.9 by {setting} (end of the run: {table['steps'].max():,}); "
            + "; ".join(told)
        )
        claims.answer(name, here, holds=choices, command=command, ran={"seeds": len(at), "dimensions": 256})


def images(claims: Any, of: Mapping[str, pd.DataFrame]) -> None:
    """Figures 8b and 20."""
    command, table = DIAGRAMS, of.get("mnist_rate")
    if table is None:
        claims.answer("phases_mnist", "", holds=None, note=waits("mnist_rate"), command=command)
    else:
        choices = {side.replace("_", " "): four_phases(table, "last_lr", "weight_decay", side, set()) for side in SIDES}
        ran = {"steps": int(table["steps"].min()), "networks": len(table)}
        claims.answer("phases_mnist", counted(table), holds=choices, command=command, ran=ran)
    table = of.get("mnist_sizes")
    if table is None:
        claims.answer("mnist_sizes", "", holds=None, note=waits("mnist_sizes"), command=command)
        return
    at = steps_by(table, "n_train", "at_least")
    sizes = pd.Series(at.columns, index=at.columns).rank()
    falls = [at.loc[seed].rank().corr(sizes) <= -0.9 for seed in at.index]
    reached = table.dropna(subset="test_at_least")
    ratio = [part.set_index("n_train")["test_at_least"].sort_index() for _, part in reached.groupby("seed")]
    fast = len(ratio) == len(at) and all(len(one) > 1 and one.iloc[0] >= 3 * one.iloc[-1] for one in ratio)
    told = ", ".join(f"{n:,.0f}: {steps:,.0f}" for n, steps in at.median().items())
    claims.answer(
        "mnist_sizes", f"median steps to 0.6 by images (100,000: never): {told}", command=command,
        holds=True if all(falls) and fast else "in part" if all(falls) else False,
        ran={"steps": int(table["steps"].min()), "seeds": len(at)},
    )  # fmt: skip


def grokking_on_images(claims: Any, own: Sequence[measured_networks.Network]) -> None:
    """Figure 8a, on the run of progress_measures: train accuracy by appendix J's threshold and by Table 1's."""
    command = "python examples/long_runs/evidence.py digits_curves"
    if not own:
        claims.answer("mnist_grokking", "", holds=None, note=waits("digits_mse"), command=command)
        return
    at = [int(n.told["generalised"]) if pd.notna(n.told["generalised"]) else None for n in own]
    choices, fitted = {}, {}
    for name, threshold in (("appendix J", 0.95), ("Table 1", 0.9)):
        fitted[name] = [n.table.index[n.table["accuracy train"] >= threshold].min() for n in own]
        late = [then is not None and then - first >= 1_000 for first, then in zip(fitted[name], at, strict=True)]
        choices[name] = several(late)
    best = [n.told["best_test_accuracy"] for n in own]
    claims.answer(
        "mnist_grokking",
        "steps to the train threshold "
        + ", ".join(f"by {name} {', '.join(f'{step:,.0f}' for step in steps)}" for name, steps in fitted.items())
        + f"; to a test accuracy of 0.6 {', '.join('never' if then is None else f'{then:,}' for then in at)}",
        holds=choices, note=f"Table 1's 0.9 is asked of validation, too; no network has more than {max(best):.2f}"
        if max(best) < 0.9 else "", command=command,
        ran={"steps": min(int(n.told["steps"]) for n in own), "seeds": len(own)},
    )  # fmt: skip


def along_training(claims: Any, table: pd.DataFrame) -> None:
    """Figures 1, 7 (left), 21 and 22: the embeddings of the largest transformers at every checkpoint, a network per seed."""
    table = table[table["dimensions"] == table["dimensions"].max()]
    ran = {"seeds": table["seed"].nunique(), "dimensions": int(table["dimensions"].max())}
    decay = table["embedding_weight_decay"].max()
    about = EMBEDDINGS_DECAYED.format(decay=decay) if decay else ""
    dimensions(claims, table, ran, about)
    components(claims, table, ran, about)
    if table.get("circle_share", pd.Series(dtype=float)).notna().any():
        circles(claims, table, ran, about)


def dimensions(claims: Any, table: pd.DataFrame, ran: dict[str, int], about: str) -> None:
    """Figure 7, left."""
    seeds = {seed: part.set_index("step") for seed, part in table.groupby("seed")}
    ends = pd.DataFrame({
        seed: {
            "first": own["effective_dimension"].iloc[0], "last": own["effective_dimension"].iloc[-1],
            "most": own["effective_dimension"].max(), "peak": own["effective_dimension"].idxmax(),
            "general": own.index[own["test_accuracy"] >= 0.9].min(),
        }
        for seed, own in seeds.items()
    }).T  # fmt: skip
    falls, peaks = ends["last"] < 0.7 * ends["first"], ends["most"] > 1.05 * ends["first"]
    claims.answer(
        "effective_dimension",
        f"from {ends['first'].mean():.1f} to {ends['last'].mean():.1f} on average, the most {ends['most'].mean():.1f}; "
        f"it falls by 30% in {falls.sum()} of {len(ends)} seeds, after a peak in {peaks.sum()}",
        holds=True if (falls & peaks).all() else "in part" if falls.all() else False, note=about, command=ALONG, ran=ran,
    )  # fmt: skip
    near = (ends["peak"] >= ends["general"] / 2) & (ends["peak"] <= 2 * ends["general"])
    claims.answer(
        "dimension_peak",
        f"largest at step {_from_to(ends['peak'])}; test accuracy reaches 90% at {_from_to(ends['general'])}; within a factor "
        f"of 2 in {near.sum()} of {len(ends)} seeds",
        holds=several(near.tolist()), note=about, command=ALONG, ran=ran,
    )  # fmt: skip


def _from_to(steps: pd.Series) -> str:
    return f"{steps.min():,.0f}" if steps.nunique() == 1 else f"{steps.min():,.0f} to {steps.max():,.0f}"


def components(claims: Any, table: pd.DataFrame, ran: dict[str, int], about: str) -> None:
    """Figure 22."""
    kept = sorted(int(column.removeprefix("end_")) for column in table if column.startswith("end_"))
    last = table.groupby("seed").last()
    enough = {seed: next((k for k in kept if row[f"end_{k}"] >= 0.99), None) for seed, row in last.iterrows()}
    before = table[table["step"] < table.groupby("seed")["step"].transform("max")].set_index("seed")
    means = {axes: before[[f"{axes}_{k}" for k in kept]].mean(axis=1).groupby("seed").mean() for axes in ("end", "own")}
    few, better = all(enough.values()), means["end"] > means["own"]
    numbers = Counter(k for k in enough.values() if k)
    told = ", ".join(f"{k} in {n}" for k, n in sorted(numbers.items()))
    claims.answer(
        "first_components",
        f"axes of the end that reach 99%: {told or 'none'} of {len(last)} seeds; mean accuracy before the end on "
        f"{', '.join(map(str, kept))} final axes {means['end'].mean():.3f}, on those of the time {means['own'].mean():.3f}; "
        f"the final ones do better in {int(better.sum())}",
        holds=several([few, bool(better.all())]), note=about, command=ALONG, ran=ran,
    )  # fmt: skip


def circles(claims: Any, table: pd.DataFrame, ran: dict[str, int], about: str) -> None:
    """Figures 1 and 21."""
    first, last = (table.groupby("seed").nth(k).set_index("seed") for k in (0, -1))
    round_ = (last["circle_share"] > 0.8) & (last["circle_unevenness"] < 0.25)
    claims.answer(
        "circle",
        f"one frequency has {last['circle_share'].min():.0%} of the plane's variance or more, the radius varies by up to "
        f"{last['circle_unevenness'].max():.0%} of its mean; a circle in {round_.sum()} of {len(last)} networks",
        holds=several(round_.tolist()), note=about, command=ALONG, ran=ran,
    )  # fmt: skip
    ticket, beaten = first["final_share"], first["random_below"]
    claims.answer(
        "lottery_ticket",
        f"the final frequency has {ticket.min():.0%} to {ticket.max():.0%} of the start's variance on the final axes, more than "
        f"on {beaten.min():.1%} of random planes or more",
        holds=True if (ticket > 0.5).all() else "in part" if (beaten > 0.99).all() else False,
        note=about, command=ALONG, ran=ran,
    )  # fmt: skip
