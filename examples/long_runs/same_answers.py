"""How alike networks that give the same answers are inside, and whether they can use each other's layers: a row per pair, as CSV.

    python examples/long_runs/same_answers.py seeds RUNS examples/measured      every two of ten seeds, before and after they grok
    python examples/long_runs/same_answers.py skulls RUNS examples/measured     every two skulls, layer by layer

RUNS holds what evidence/*.toml train, INTERP_DATA names the folder with the published networks.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

import circuits
import interp
import probes
from interp import Subject
from interp.sites import hidden_sites
from probes.fourier.keys import logit_frequencies
from probes.group_tables import logit_table

sys.path.insert(0, str(Path(__file__).parents[1]))

from execute import data_folder
from long_runs.results import only, replace, start

BEFORE = 400  # steps: all networks know the train sums and few others
SOLVED = 0.99  # test accuracy from which a network counts as grokked
SITE = "blocks.0.mlp.hook_post"


def members(run: Path, step: int) -> dict[str, Subject]:
    """The networks of a run at a step, by seed."""
    count = interp.load(run).members
    return {f"seed {i}": interp.load(run, member=i, step=step) for i in range(count)}


def grokked_at(run: Path) -> int:
    """The first checkpoint at which all networks answer `SOLVED` of the test sums, by the run's own curves."""
    series, metrics = interp.load(run).series, interp.Run(run).metrics
    assert series is not None
    worst = {step: min(own) for step, own in metrics.groupby("step")["test_accuracy"]}
    return next(step for step in series.steps if worst.get(step, 0) >= SOLVED)


def test_accuracy(subject: Subject) -> float:
    task = subject.require_task()
    return float(task.correct(subject.logits())[task.test_indices.to(subject.model.device)].double().mean())


def stitched(one: Subject, other: Subject, site: str) -> dict[str, Any]:
    """Both directions of a stitch: own, clean and random values, and how much of the way it goes (``relative``)."""
    found = circuits.stitch(one, other, site, site, n_inputs=None).rows
    row: dict[str, Any] = {}
    for way, (_, own) in zip(("a_to_b", "b_to_a"), found.iterrows(), strict=True):
        for column in (
            "accuracy",
            "clean_accuracy",
            "random_accuracy",
            "loss",
            "clean_loss",
            "random_loss",
            "relative",
        ):
            if column in own:
                row[f"{way}_{column}"] = own[column]
        row[f"{way}_beyond_random"] = bool(own["beyond_random"])
    return row


def alike(networks: Mapping[str, Subject], sites: list[str], measure: str) -> pd.DataFrame:
    """The map's table; values beside 39 pairs of random networks of the architecture."""
    return probes.similarity_map(networks, sites=sites, measure=measure, n_inputs=None).table


def seeds(run: Path) -> pd.DataFrame:
    """Every two seeds, before and after grokking: keys, similarity, stitching, and the line between their weights."""
    rows = []
    for stage, step in (("before", BEFORE), ("after", grokked_at(run))):
        networks = members(run, step)
        keys = {name: set(logit_frequencies(logit_table(one))) for name, one in networks.items()}
        accuracy = {name: test_accuracy(one) for name, one in networks.items()}
        cka = alike(networks, [SITE], "cka").set_index(["a", "b"])
        near = alike(networks, [SITE], "mutual_knn").set_index(["a", "b"])
        for a, b in combinations(networks, 2):
            line = circuits.linear_connectivity(networks[a], networks[b], part="test").barriers.set_index("matched")
            rows.append({
                "stage": stage, "step": step, "a": a, "b": b,
                "keys_a": " ".join(map(str, sorted(keys[a]))), "keys_b": " ".join(map(str, sorted(keys[b]))),
                "shared_keys": len(keys[a] & keys[b]), "jaccard": len(keys[a] & keys[b]) / max(1, len(keys[a] | keys[b])),
                "test_accuracy_a": accuracy[a], "test_accuracy_b": accuracy[b],
                **{f"cka_{name}": cka.loc[(a, b), name] for name in ("value", "null", "low", "high", "beyond")},
                **{f"knn_{name}": near.loc[(a, b), name] for name in ("value", "null", "low", "high", "beyond")},
                **stitched(networks[a], networks[b], SITE),
                "barrier": line.loc[False, "barrier"], "barrier_matched": line.loc[True, "barrier"],
            })  # fmt: skip
            print(stage, a, b, flush=True)
    return pd.DataFrame(rows)


def skulls(run: Path, data: Path) -> pd.DataFrame:
    """Every two skulls, layer by layer: evolved, published SGD, and the seeds trained here."""
    networks = {
        "evolved": interp.load(data / "picbreeder" / "skull.zip"),
        "published SGD": interp.load(data / "picbreeder" / "sgd_skull.npz"),
    } | {f"SGD {i}": interp.load(run, member=i) for i in range(interp.load(run).members)}
    sites = hidden_sites(networks["evolved"].model)
    cka = alike(networks, sites, "cka").set_index(["a", "b", "site"])
    rows = []
    for a, b in combinations(networks, 2):
        for layer, site in enumerate(sites):
            own = cka.loc[(a, b, site)]
            rows.append({
                "a": a, "b": b, "layer": layer, **{f"cka_{n}": own[n] for n in ("value", "null", "low", "high", "beyond")},
                **stitched(networks[a], networks[b], site),
            })  # fmt: skip
        print(a, b, flush=True)
    return pd.DataFrame(rows)


def main(kind: str, runs: Path, out: Path) -> None:
    name, written = {"seeds": ("p53", "same_answers_p53"), "skulls": ("same_answers_skull", "same_answers_skull")}[kind]
    run = only(runs, name).path
    table = seeds(run) if kind == "seeds" else skulls(run, data_folder())
    replace(out / f"{written}.csv", table.round(6).to_csv(index=False))


if __name__ == "__main__":
    start(main, __doc__, kinds=("seeds", "skulls"))
