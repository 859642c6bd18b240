"""Which starts of the skull's twins die: the runs ``starts_*`` of evidence/picbreeder.toml, a row per network.

    python examples/long_runs/twin_starts.py RUNS examples/measured

A network is dead where its train loss no longer changes by a bit: every pixel is clipped, and the gradient is 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from long_runs.results import finished, start, store


def main(runs: Path, out: Path) -> None:
    tables = []
    for name, run in finished(runs, ["starts_*"]).items():
        last = run.members.reset_index()
        own = last[["member", "seed", "weight_decay", "step", "train_loss"]].assign(
            run=name, lr=run.plan.optimizer.lr, warmup=run.plan.warmup,
            dead_since=last["member"].map(run.standing_still()).astype("Int64"),
        )  # fmt: skip
        tables.append(own)
        print(f"{name}: {own['dead_since'].notna().sum()} of {len(own)} dead", flush=True)
    columns = ["run", "lr", "warmup", "weight_decay", "seed", "step", "train_loss", "dead_since"]
    if tables:
        store(pd.concat(tables)[columns], out / "twin_starts.csv", digits=4)


if __name__ == "__main__":
    start(main, __doc__)
