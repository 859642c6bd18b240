"""Measures along a run on images, a table per network: for the notebook progress_measures, and for progress_measures.sh,

    python progress_measures_curves.py RUNS TABLES

which writes a small CSV file for each of its networks.
"""

import sys
from pathlib import Path

import pandas as pd
import torch

import interp
import probes

MEASURES = "accuracy,weight_norm,weight_entropy,activation_sparsity,local_complexity"
OPTIONS = {"activation_sparsity": {"form": "published"}, "local_complexity": {"masks": 4}}
DROPPED = "squared|mean of|accuracy all|(?:entropy|norm) (?:layers|unembed)"
PIXELS = {"never lit": 0.0, "rarely lit": 0.02}  # lit by at most this share of the training images


def lit(task: interp.Digits) -> torch.Tensor:
    """Share of the training images that light a pixel, ``[pixel]``."""
    return (task.inputs[task.train_indices] > 0).double().mean(0)


def curves(run: interp.Run, member: int = 0) -> pd.DataFrame:
    """A row per checkpoint, a column per curve; and the norm of the first layer's weights of pixels that few images light."""
    frame = probes.progress(run, MEASURES, options=OPTIONS, members=[member])
    frame["curve"] = frame["measure"] + " " + frame["where"]
    table = frame.pivot(index="step", columns="curve", values="value")
    light = lit(run.subject(member).task)
    weights = [dict(run.subject(member, step).model.named_parameters())["layers.0.W"].detach() for step in table.index]
    for name, share in PIXELS.items():
        table[f"weight_norm {name}"] = [float(w[light <= share].norm()) for w in weights]
    return table.drop(columns=table.columns[table.columns.str.contains(DROPPED)])


if __name__ == "__main__":
    runs, tables = map(Path, sys.argv[1:])
    tables.mkdir(exist_ok=True)
    for name, folder, member in (("published", "mnist", 0), ("norm_penalty", "mnist", 1), ("dropout", "dropout", 0)):
        table = curves(interp.Run(runs / folder), member)
        table.to_csv(tables / f"progress_measures_{name}.csv", float_format="%.5g")
        print(name, len(table), "checkpoints")
