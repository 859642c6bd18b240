"""Which representations of p = 4 training finds (Liu et al. 2022, Figure 12), by rates, criterion and representation.

    python effective_theory_p4.py RUNS FOLDER        writes FOLDER/effective_theory_p4.csv

From the runs p4_fast_decoder and p4_slow_decoder of evidence/effective_theory.toml; both must be finished.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import interp
from probes import parallelogram_sets as sets
from probes.rqi_criteria import CRITERIA

sys.path.insert(0, str(Path(__file__).parents[1]))

from long_runs.results import only, replace, start

NAMES = ("p4_fast_decoder", "p4_slow_decoder")
SUMS = {(0, 2), (1, 1), (0, 3), (1, 2), (1, 3), (2, 2)}  # equation 21: each of the three parallelograms is trained on


def counted(run: interp.Run) -> pd.DataFrame:
    """How often a run's networks have each representation, by both criteria."""
    task = run.subject().require_task()
    trained = {tuple(pair) for pair in task.pairs[task.train_indices].tolist()}  # type: ignore[attr-defined]
    if trained != SUMS:
        raise SystemExit(f"{run!r} trains on {sorted(trained)}, not on the sums of equation 21")
    found = {criterion: sets.found_by(run.subjects, criterion=criterion) for criterion in CRITERIA}
    table = pd.concat(found, names=["criterion"]).reset_index("criterion")
    rates = {name: run.plan.optimizer.to_dict()[name] for name in ("embedding_lr", "decoder_lr")}
    return table.assign(steps=run.plan.steps, **rates)


def main(folder: Path, out: Path) -> None:
    table = pd.concat([counted(only(folder, name)) for name in NAMES], ignore_index=True)
    replace(out / "effective_theory_p4.csv", table.to_csv(index=False, float_format="%.4g"))
    print(table.to_string(index=False))


if __name__ == "__main__":
    start(main, __doc__)
