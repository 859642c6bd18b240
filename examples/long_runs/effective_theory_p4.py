"""Toy addition with p = 4 from 100 starts at each of two pairs of rates, and the representations that it finds (Liu et al. 2022, Figure 12).

python examples/long_runs/effective_theory_p4.py RUN              trains: five minutes of one core
python examples/long_runs/effective_theory_p4.py RUN FOLDER       writes FOLDER/effective_theory_p4.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import interp

SUMS = [(0, 2), (1, 1), (0, 3), (1, 2), (1, 3), (2, 2)]  # equation 21: each of the three parallelograms is trained on
RATES = [
    {"embedding_lr": 1e-3, "decoder_lr": 1e-2},
    {"embedding_lr": 1e-2, "decoder_lr": 1e-3},
]  # fast decoder; slow decoder
STARTS = 100


def train(out: Path, starts: int = STARTS, steps: int = 5_000) -> interp.Run:
    """Train the networks of Figure 12; all starts on the same six sums."""
    pairs = interp.ToyAddition(4).pairs.tolist()
    trained = [k for k, (i, j) in enumerate(pairs) if (i, j) in SUMS]
    members = [rates | {"init_seed": seed} for rates in RATES for seed in range(starts)]
    schedule = {"metrics": "every:100", "checkpoints": f"every:{steps}"}
    return interp.train("addition:p=4", members=members, train_indices=trained, steps=steps, out=out, **schedule)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        train(Path(sys.argv[1]))
    else:
        sys.exit(__doc__)
