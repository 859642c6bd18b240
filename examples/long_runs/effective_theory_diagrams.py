"""Phases of the networks of Liu et al.'s diagrams, a row per network, from the runs of evidence/effective_theory.toml.

    python effective_theory_diagrams.py RUNS FOLDER        writes FOLDER/effective_theory_diagrams.csv

Runs that are not there or not finished keep the rows that they have. Every network has its phase by both sides of the threshold:
above (the source's table 1) and at least (its appendix H, the authors' code); the threshold is 0.9, for MNIST 0.6.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd

import interp

sys.path.insert(0, str(Path(__file__).parents[1]))

from long_runs.results import finished, start, store

LIMIT, GAP = 100_000, 1_000
SIDES = {"above": ">", "at_least": ">="}
GROUPS = re.compile(r"(s3|toy_\w+|classes_\w+|mnist_sizes|mnist_rate|transformer_\w+?)(_seed\d+|_1e-\d)")
SETTINGS = (
    "decoder_lr", "decoder_weight_decay", "embedding_lr", "embedding_weight_decay", "embedding_scale", "batch_size", "n_train",
    "dropout", "last_lr", "weight_decay",
)  # fmt: skip


def networks(run: interp.Run, group: str) -> pd.DataFrame:
    """A row per network of a finished run: settings, steps to the threshold (NaN: not reached) and phase by each side."""
    threshold = 0.6 if group.startswith("mnist") else 0.9
    members = pd.DataFrame(list(run.plan.members))
    columns: dict[str, object] = {"run": group, "seed": members.get("seed", 0), "steps": run.plan.steps}
    columns |= {name: members.get(name) for name in SETTINGS}
    columns["last_lr"] = members.get("last_lr", run.plan.optimizer.last_lr)  # one a run, in a diagram of several
    for name, side in SIDES.items():
        found = run.phases(threshold, side=side, limit=min(LIMIT, run.plan.steps), gap=GAP)
        columns |= {f"train_{name}": found["train_at"], f"test_{name}": found["test_at"], name: found["phase"]}
    return pd.DataFrame(columns).assign(phase=run.phases(threshold, limit=min(LIMIT, run.plan.steps), gap=GAP)["phase"])


def main(folder: Path, out: Path) -> None:
    groups = {path.name: found[1] for path in folder.iterdir() if (found := GROUPS.fullmatch(path.name))}
    runs = finished(folder, sorted(groups))
    if not runs:
        raise SystemExit(f"{folder} holds no finished run of a diagram")
    table = pd.concat([networks(run, groups[name]) for name, run in runs.items()], ignore_index=True)
    store(table, out / "effective_theory_diagrams.csv", ["run", "seed"], digits=6)
    print(f"{len(runs)} runs, {len(table)} networks: {', '.join(runs)}")
    print(table.groupby(["run", "above"]).size().unstack(fill_value=0).to_string())


if __name__ == "__main__":
    start(main, __doc__)
