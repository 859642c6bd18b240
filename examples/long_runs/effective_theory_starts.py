"""How much the phase of a network of toy addition hangs on the weights that it starts from: no weight decay, 10,000 steps.

    python examples/long_runs/effective_theory_starts.py        three minutes of CPU

Five starts on each train set of "effective_theory.sh toy full", and ten on the one that the authors' notebook draws
(phase_diagram_plot/phase_diagram.ipynb of github.com/ejmichaud/grokking-squared: NumPy's seed 58, after the vectors).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import interp

RATES = [1e-4, 1e-3]
TRAIN_SETS = [1, 7, 8, 13, 14]
SETTINGS = {"steps": 10_000, "metrics": "every:50", "retire": 0.95, "checkpoints": "every:10000"}


def authors_train_set(seed: int = 58, p: int = 10, n: int = 45) -> list[int]:
    """The sums that their notebook trains on, as numbers of the examples of `interp.ToyAddition`."""
    drawn = np.random.RandomState(seed)
    drawn.normal(size=(p + 2 * p - 1, 30))  # their vectors of the inputs and of the answers
    pairs = [(i, j) for i in range(p) for j in range(i, p)]
    chosen = {pairs[k] for k in drawn.choice(len(pairs), n, replace=False)}
    return [k for k, pair in enumerate(interp.ToyAddition(p).pairs.tolist()) if tuple(pair) in chosen]


def phases(run: interp.Run) -> pd.DataFrame:
    """How many networks are of each phase (at least 0.9), by train set and rate."""
    found = run.phases(0.9, side=">=", limit=SETTINGS["steps"])
    keys = [key for key in ("data_seed", "decoder_lr") if key in found]
    return found.groupby(keys)["phase"].value_counts().unstack(fill_value=0)


if __name__ == "__main__":
    own = interp.grid({"decoder_lr": RATES, "data_seed": TRAIN_SETS, "init_seed": range(5)})
    print(phases(interp.train("addition", members=own, **SETTINGS)).to_string(), flush=True)
    theirs = interp.grid({"decoder_lr": RATES, "init_seed": range(10)})
    run = interp.train("addition", members=theirs, train_indices=authors_train_set(), **SETTINGS)
    print(f"\nthe authors' train set\n{phases(run).to_string()}")
