"""The embeddings of ten transformers on p = 53 along training: how many dimensions they fill, and how few suffice. A row per
seed and checkpoint, as CSV.

    python examples/long_runs/effective_theory_embeddings.py RUNS examples/measured

RUNS holds the run p53 of evidence/modular_addition.toml.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import circuits
import interp
from probes.dimension import effective_dimension

sys.path.insert(0, str(Path(__file__).parents[1]))

from long_runs.results import only, replace, start

KEPT = [2, 4, 6, 10]  # components that the embeddings are held to
RUN = "p53"


def along_training(run: interp.Run, member: int) -> pd.DataFrame:
    """One network at every checkpoint.

    Returns:
        ``step``, ``test_accuracy``, ``effective_dimension`` of the operands' embeddings; ``own_k`` and ``end_k``, the accuracy
        over all sums with the embeddings held to their first k components, of that step and of the last.
    """
    end = interp.load(run.path, member=member)
    curves = run.metrics.query("member == @member").set_index("step")["test_accuracy"]
    rows = []
    assert end.series is not None
    for step in end.series.steps:
        here = interp.load(run.path, member=member, step=step)
        operands = here.model.W_E.detach().double()[: here.require_task().p]
        row = {"step": step, "test_accuracy": curves[step], "effective_dimension": effective_dimension(operands)}
        for name, basis in (("own", None), ("end", end)):
            held = circuits.component_curve(here, "hook_embed", basis_from=basis, amounts=KEPT)
            row |= {f"{name}_{k}": accuracy for k, accuracy in zip(held["components"], held["accuracy"], strict=True)}
        rows.append(row)
    return pd.DataFrame(rows)


def main(runs: Path, out: Path) -> None:
    run, tables = only(runs, RUN), []
    for member in range(len(run)):
        tables.append(along_training(run, member).assign(seed=member))
        print(f"seed {member}", flush=True)
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "seed", table.pop("seed"))
    replace(out / "effective_theory_embeddings.csv", table.round(6).to_csv(index=False))


if __name__ == "__main__":
    start(main, __doc__)
