"""The embeddings of transformers on p = 53 along training: how many dimensions they fill, how few suffice, whether they lie on a
circle. A row per run, seed and checkpoint.

    python examples/long_runs/effective_theory_embeddings.py RUNS FOLDER       writes FOLDER/effective_theory_embeddings.csv

From p53 of evidence/modular_addition.toml (48 dimensions, ten seeds), and from transformer_decay_seed* and transformer_seeds of
evidence/effective_theory.toml (256 dimensions): of these the networks whose decoder has a weight decay of 1. Runs that are not
there or not finished keep the rows that they have.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import circuits
import interp
from probes.dimension import effective_dimension
from probes.spectra import pca

sys.path.insert(0, str(Path(__file__).parents[1]))

from answers.circles import on_plane, on_random_planes, unevenness
from long_runs.results import finished, start, store

KEPT = [2, 4, 6, 10]  # components that the embeddings are held to
RUNS = ["p53", "transformer_decay_seed*", "transformer_seeds"]
DECAY = 1.0  # of the decoder, where a run has several


def along_training(run: interp.Run, member: int) -> pd.DataFrame:
    """One network at every checkpoint.

    Returns:
        ``step``, ``test_accuracy``, ``effective_dimension`` of the operands' embeddings; ``own_k`` and ``end_k``, the accuracy
        over all sums with the embeddings held to their first k components, of that step and of the last; ``circle_share`` and
        ``circle_unevenness`` of their first two; of the last step's best frequency its share on the last step's first two
        components, ``final_share``, and the share of random planes that have less of it, ``random_below``.
    """
    end = interp.load(run.path, member=member)
    curves = run.metrics.query("member == @member").set_index("step")["test_accuracy"]
    assert end.series is not None
    p = end.require_task().p
    tables = {step: own.W_E.detach().double()[:p] for step, own in zip(end.series.steps, end.series, strict=True)}
    last = pca(tables[max(tables)]).basis.directions[:2]
    frequency = int(on_plane(tables[max(tables)], last)[1].argmax()) + 1
    rows = []
    for step, operands in tables.items():
        row = {"step": step, "test_accuracy": curves[step], "effective_dimension": effective_dimension(operands)}
        here = interp.load(run.path, member=member, step=step)
        for name, basis in (("own", None), ("end", end)):
            held = circuits.component_curve(here, "hook_embed", basis_from=basis, amounts=KEPT)
            row |= {f"{name}_{k}": accuracy for k, accuracy in zip(held["components"], held["accuracy"], strict=True)}
        flat, shares = on_plane(operands, pca(operands).basis.directions[:2])
        row |= {"circle_share": float(shares.max()), "circle_unevenness": unevenness(flat)}
        final = on_plane(operands, last)[1][frequency - 1]
        below = (on_random_planes(operands, frequency) < final).double().mean()
        row |= {"final_share": float(final), "random_below": float(below)}
        rows.append(row)
    return pd.DataFrame(rows)


def networks(name: str, run: interp.Run) -> list[pd.DataFrame]:
    """One table per network of a run."""
    found = []
    for member, settings in enumerate(run.plan.members):
        rates = run.plan.optimizer.to_dict() | settings
        if rates.get("decoder_weight_decay", DECAY) != DECAY:
            continue
        table = along_training(run, member)
        table.insert(0, "run", name)
        table.insert(1, "seed", settings.get("seed", settings.get("init_seed", member)))
        table.insert(2, "dimensions", run.subject(member=member).model.W_E.shape[1])
        table.insert(3, "embedding_weight_decay", rates.get("embedding_weight_decay", rates.get("weight_decay")))
        found.append(table)
        print(f"{name}, seed {table['seed'][0]}", flush=True)
    return found


def main(runs: Path, out: Path) -> None:
    tables = [table for name, run in finished(runs, RUNS).items() for table in networks(name, run)]
    if tables:
        store(pd.concat(tables, ignore_index=True), out / "effective_theory_embeddings.csv", ["run", "seed"], digits=6)


if __name__ == "__main__":
    start(main, __doc__)
