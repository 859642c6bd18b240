"""The phase diagram of toy addition at the source's size, a row per network, beside the authors' counts.

    python effective_theory_phases.py TABLE RUN [RUN ...]

The runs are those of "effective_theory.sh toy full": one folder with all train sets, or a folder for each. Every network has
its phase by both sides of the threshold: above 0.9 (the source's table 1) and at least 0.9 (its appendix H, the authors' code).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import interp

THRESHOLD, LIMIT, GAP = 0.9, 100_000, 1_000
SIDES = {"above": ">", "at_least": ">="}
PHASES = ("comprehension", "grokking", "memorization", "confusion")
CELL = ["decoder_lr", "decoder_weight_decay"]
LETTERS = {"C": "comprehension", "G": "grokking", "M": "memorization", "X": "confusion"}
TRAIN_SETS = 5  # of the whole diagram

# The grids that the authors stored, 11 by 11, one network a cell, at least 0.9. The coarse one has the rates 1e-4 to 1e-2 and the
# decays 0 to 10; the fine one lies where grokking is.
AUTHORS = {"coarse": (17, 16, 49, 39), "fine": (4, 97, 10, 10)}
# The three rates of the coarse grid that are rates here, too, decays 0, 1, ..., 10: from phase_diagram_plot/train_steps.txt
# and test_steps.txt of github.com/ejmichaud/grokking-squared.
SHARED = {1e-4: "CCCCGGGGGGM", 1e-3: "MMMMMMXXXMX", 1e-2: "MMMXXXXXXXX"}


def networks(run: interp.Run) -> pd.DataFrame:
    """A row per network of a finished run.

    Returns:
        settings; ``train_at`` and ``test_at`` (steps; NaN: not reached) and the phase by each side; most right answers.

    Raises:
        SystemExit: a run that is not finished: what it has not reached yet would count as never reached.
    """
    if not run.finished:
        raise SystemExit(f"{run!r} is not finished; go on with interp train --resume")
    settings = pd.DataFrame(list(run.plan.members), columns=[*CELL, "seed"])
    columns = {}
    for name, side in SIDES.items():
        found = run.phases(THRESHOLD, side=side, limit=LIMIT, gap=GAP)
        columns |= {f"train_{name}": found["train_at"], f"test_{name}": found["test_at"], name: found["phase"]}
    both = run.phases(THRESHOLD, limit=LIMIT, gap=GAP)
    right = both[["train_correct", "train_n", "test_correct", "test_n", "test_reachable"]]
    return settings.join(pd.DataFrame(columns)).assign(phase=both["phase"]).join(right)


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """Networks of each phase: a row per side and train set, one for all of them, and the authors' two."""
    rows = {}
    for name, side in SIDES.items():
        parts = {f"train set {seed}": part for seed, part in table.groupby("seed")}
        for what, part in {**parts, "all": table}.items():
            rows[f"{side} {THRESHOLD}, {what}"] = [int((part[name] == phase).sum()) for phase in PHASES]
    rows |= {f"the authors' {grid} grid": list(found) for grid, found in AUTHORS.items()}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(PHASES))
    return frame.assign(networks=frame.sum(axis=1))


def agreement(table: pd.DataFrame) -> pd.DataFrame:
    """In how many of the cells that both grids have the phase is the authors': a row per train set, a column per side."""
    theirs = {(lr, decay): LETTERS[c] for lr, row in SHARED.items() for decay, c in enumerate(row)}
    cells = zip(table["decoder_lr"].round(9), table["decoder_weight_decay"], strict=True)
    shared = table.assign(theirs=[theirs.get((lr, decay)) for lr, decay in cells]).dropna(subset="theirs")
    same = {f"{side} {THRESHOLD}": shared[name] == shared["theirs"] for name, side in SIDES.items()}
    by_seed = pd.DataFrame(same).groupby(shared["seed"])
    return by_seed.sum().assign(cells=by_seed.size())


def main(arguments: Sequence[str]) -> None:
    path, *runs = map(Path, arguments)
    table = pd.concat([networks(interp.Run(run)) for run in runs], ignore_index=True)
    table.to_csv(path, index=False, float_format="%.6g")
    print(f"{table['seed'].nunique()} of {TRAIN_SETS} train sets, {len(table)} networks\n")
    print(counts(table).to_string())
    print(f"\nthe authors' phase in the cells of both grids\n{agreement(table).to_string()}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1:])
