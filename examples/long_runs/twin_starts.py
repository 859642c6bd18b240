"""Which starts of the skull's twins die: the runs ``starts_*`` of evidence/picbreeder.toml, a row per network.

    python examples/long_runs/twin_starts.py RUNS examples/measured

A network is dead where its train loss no longer changes by a bit: every pixel is clipped, and the gradient is 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import interp


def main(runs: Path, out: Path) -> None:
    tables = []
    for path in sorted(runs.glob("starts_*/run.json")):
        run = interp.Run(path.parent)
        if not run.finished:
            print(f"{path.parent.name} is not finished: left out", flush=True)
            continue
        last = run.members.reset_index()
        own = last[["member", "seed", "weight_decay", "step", "train_loss"]].assign(
            run=path.parent.name, lr=run.plan.optimizer.lr, warmup=run.plan.warmup,
            dead_since=last["member"].map(run.standing_still()).astype("Int64"),
        )  # fmt: skip
        tables.append(own)
        print(f"{path.parent.name}: {own['dead_since'].notna().sum()} of {len(own)} dead", flush=True)
    columns = ["run", "lr", "warmup", "weight_decay", "seed", "step", "train_loss", "dead_since"]
    pd.concat(tables)[columns].to_csv(out / "twin_starts.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
