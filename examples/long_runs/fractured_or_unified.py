"""Measure the networks of evidence/fractured_or_unified.toml: a row per network, with the scores of its weight sweeps, as CSV.

    python examples/long_runs/fractured_or_unified.py networks RUNS examples/measured
    python examples/long_runs/fractured_or_unified.py pictures RUNS examples/measured

RUNS holds the runs; those that are not there or not finished keep the rows that they have. Pictures go to a table of their own:
each evolved network beside its twins. INTERP_DATA names the folder of others' files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

import circuits
import interp
from circuits.weight_sweeps.network_sweep import Swept, network_matched_steps, network_sweep

sys.path.insert(0, str(Path(__file__).parents[1]))

from execute import data_folder
from long_runs.results import finished, start, store

DIRECTIONS = 48
EFFECT = 0.1
SETTINGS = ("weight_decay", "train_fraction", "init_scale", "n_train", "seed")
SAID = ("input_factors", "output_factors", "equivariant_share", "change_rank_share", "key_share", "extent")
PICTURE = ("antisymmetric_share", "change_rank_share", "extent", "roughness")


def scores_of(subject: interp.Subject) -> dict[str, Any]:
    """Scores of a network's sweeps along random columns, at one step and at matched effect."""
    swept, drawn = Swept(subject), circuits.random_directions(subject, DIRECTIONS)
    chosen, steps = network_matched_steps(swept, drawn, EFFECT)
    found = {
        "": network_sweep(swept, drawn).scores(),
        "matched_": network_sweep(swept, chosen, steps).scores() if chosen else {},
    }
    row: dict[str, Any] = {}
    for at, scores in found.items():
        for name in SAID:
            row[f"{at}{name}"] = scores[name].value if name in scores else None
    return row | {"keys": len(swept.meter.keys)}


def networks(run: interp.Run) -> list[dict[str, Any]]:
    """A row per network of a run, and one for its start."""
    rows, metrics, plan = [], run.metrics, run.plan
    for member, subject in enumerate(run.subjects):
        own = plan.members[member]
        last = metrics[metrics["member"] == member].iloc[-1]
        common = {**vars(plan), **vars(plan.optimizer), **vars(plan.task)}  # what a network does not set itself
        settings = {name: own.get(name, common.get(name)) for name in SETTINGS}
        about = {
            "run": run.path.name.removeprefix("unified_"), "task": plan.task.name, "optimizer": plan.optimizer.name,
            "width": plan.model.hidden[0],
            **settings, "step": int(last["step"]),
            "train_accuracy": last["train_accuracy"], "test_accuracy": last["test_accuracy"],
            "train_loss": last["train_loss"], "test_loss": last["test_loss"], "weight_norm": last["weight_norm"],
        }  # fmt: skip
        rows.append(about | scores_of(subject))
        print(run.path.name, member, f"{rows[-1]['input_factors']:.2f}", flush=True)
    return rows


def pictures(runs: Iterable[interp.Run], data: Path) -> list[dict[str, Any]]:
    """A row per image network: the evolved one, and its twins."""
    rows = []
    for run in runs:
        name = run.path.name.removeprefix("twin_")
        genome = next(
            p
            for p in (*data.glob(f"picbreeder/{name}.*"), *data.glob(f"picbreeder_cppnx/{name}.*"))
            if p.suffix in (".zip", ".xml")
        )
        evolved = interp.load(genome)
        for kind, subject in (("evolved", evolved), *((f"sgd {i}", s) for i, s in enumerate(run.subjects))):
            row: dict[str, Any] = {
                "picture": name,
                "network": kind,
                "steps": run.plan.steps,
                "size": run.plan.task.size,
            }
            if kind != "evolved":
                row["loss"] = run.metrics.query(f"member == {int(kind[4:])}")["train_loss"].iloc[-1]
            for sort, drawn in (
                ("single", circuits.single_entries(subject, n=200)),
                ("random", circuits.random_directions(subject, 200)),
            ):
                scores = circuits.sweep(subject.model, drawn).scores(150)
                row |= {f"{sort}_{n}": scores[n].value if n in scores else None for n in PICTURE}
            rows.append(row)
            print(name, kind, flush=True)
    return rows


def main(kind: str, runs: Path, out: Path) -> None:
    if kind == "networks":
        rows = [row for run in finished(runs, ["unified_*"]).values() for row in networks(run)]
        store(pd.DataFrame(rows), out / "fractured_or_unified.csv", digits=6)
    else:
        rows = pictures(finished(runs, ["twin_*"]).values(), data_folder())
        store(pd.DataFrame(rows), out / "fractured_or_unified_pictures.csv", "picture", digits=6)


if __name__ == "__main__":
    start(main, __doc__, kinds=("networks", "pictures"))
