"""Label noise that grokking survives: n by weight decay by noise by seed, 500 epochs each, into measured/sparse_parity_noise.csv.

    python examples/long_runs/sparse_parity.py [SEEDS]          3 by default; about two minutes per seed on one quiet core

The table is written anew after every block of networks, so that what is finished counts when it is stopped.
"""

import sys
from pathlib import Path

import pandas as pd

import interp

TABLE = Path(__file__).parents[1] / "measured" / "sparse_parity_noise.csv"
BITS = (30, 50, 70)
DECAYS = (0.01, 0.05, 0.1)
NOISE = (0.0, 0.01, 0.02, 0.03, 0.05, 0.06, 0.09, 0.12, 0.16, 0.20, 0.25, 0.30)
EPOCHS = 500


def main(seeds: int) -> None:
    found = []
    for seed in range(seeds):
        for n in BITS:
            members = interp.grid({"seed": [seed], "weight_decay": DECAYS, "label_noise": NOISE})
            task = interp.SparseParity(n=n, k=2, n_train=300, n_test=500)
            run = interp.train(task, members=members, epochs=EPOCHS, metrics="every:100")
            best = run.metrics.groupby("member").test_accuracy.max()
            last = run.metrics[run.metrics.step == run.metrics.step.max()].set_index("member")
            for i, member in enumerate(members):
                found.append(
                    {
                        "n": n,
                        "weight_decay": member["weight_decay"],
                        "label_noise": member["label_noise"],
                        "seed": seed,
                        "epochs": EPOCHS,
                        "train_accuracy": round(float(last.train_accuracy[i]), 4),
                        "test_accuracy": round(float(last.test_accuracy[i]), 4),
                        "best_test_accuracy": round(float(best[i]), 4),
                    }
                )
            pd.DataFrame(found).to_csv(TABLE, index=False)
            print(f"seed {seed}, n = {n}: {len(found)} networks", flush=True)


if __name__ == "__main__":
    TABLE.parent.mkdir(exist_ok=True)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
