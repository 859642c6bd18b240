"""Measures along the runs of progress_measures.sh, one small table per network: ``progress_measures_curves.py RUNS TABLES``."""

import sys
from pathlib import Path

import interp
import probes

MEASURES = "accuracy,weight_norm,weight_entropy,activation_sparsity,local_complexity"
OPTIONS = {"activation_sparsity": {"form": "published"}, "local_complexity": {"masks": 4}}
DROPPED = "squared|mean of|accuracy all|(?:entropy|norm) (?:layers|unembed)"


def curves(run: interp.Run, member: int):
    """A row per checkpoint, a column per curve; and the first layer's weights of pixels that few training images light."""
    frame = probes.progress(run, MEASURES, options=OPTIONS, members=[member])
    frame["curve"] = frame["measure"] + " " + frame["where"]
    table = frame.pivot(index="step", columns="curve", values="value")
    task = run.subject(member).task
    lit = (task.inputs[task.train_indices] > 0).double().mean(0)
    weights = [dict(run.subject(member, step).model.named_parameters())["layers.0.W"].detach() for step in table.index]
    for name, share in (("never", 0.0), ("rarely", 0.02)):
        table[f"weight_norm {name} lit"] = [float(w[lit <= share].norm()) for w in weights]
    return table.drop(columns=table.columns[table.columns.str.contains(DROPPED)])


if __name__ == "__main__":
    runs, tables = map(Path, sys.argv[1:])
    tables.mkdir(exist_ok=True)
    for name, folder, member in (("published", "mnist", 0), ("norm_penalty", "mnist", 1), ("dropout", "dropout", 0)):
        table = curves(interp.Run(runs / folder), member)
        table.to_csv(tables / f"progress_measures_{name}.csv", float_format="%.5g")
        print(name, len(table), "checkpoints")
