"""Toy addition with p = 4 from 100 starts at two pairs of rates, and the representations found (Liu et al. 2022, Fig. 12).

python examples/long_runs/effective_theory_p4.py --out RUNS/p4_hierarchy      trains: five minutes of one core
python examples/long_runs/effective_theory_p4.py RUNS FOLDER                  writes FOLDER/effective_theory_p4.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import interp
from probes import parallelogram_sets as sets

SUMS = [(0, 2), (1, 1), (0, 3), (1, 2), (1, 3), (2, 2)]  # equation 21: each of the three parallelograms is trained on
RATES = [
    {"embedding_lr": fast, "decoder_lr": slow} for fast, slow in ((1e-3, 1e-2), (1e-2, 1e-3))
]  # decoder fast; slow
STARTS = 100


def train(out: Path, starts: int = STARTS, steps: int = 5_000) -> interp.Run:
    """Train the networks of Figure 12; all starts on the same six sums."""
    pairs = interp.ToyAddition(4).pairs.tolist()
    trained = [k for k, (i, j) in enumerate(pairs) if (i, j) in SUMS]
    members = [rates | {"init_seed": seed} for rates in RATES for seed in range(starts)]
    schedule = {"metrics": "every:100", "checkpoints": f"every:{steps}"}
    return interp.train("addition:p=4", members=members, train_indices=trained, steps=steps, out=out, **schedule)


def measure(runs: Path, folder: Path) -> None:
    """A row per pair of rates, criterion and representation, of the finished run in ``runs``."""
    run = interp.Run(runs / "p4_hierarchy")
    if not run.finished:
        raise SystemExit(f"{run!r} is not finished; go on with interp train --resume")
    by = list(RATES[0])
    found = {criterion: sets.found_by(run.subjects, by, criterion=criterion) for criterion in ("paper", "code")}
    table = pd.concat(found, names=["criterion"]).reset_index("criterion").assign(steps=run.plan.steps)
    table.to_csv(folder / "effective_theory_p4.csv", index=False, float_format="%.4g")
    print(table.to_string(index=False))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if sys.argv[1] == "--out":
        train(Path(sys.argv[2]))
    else:
        measure(Path(sys.argv[1]), Path(sys.argv[2]))
