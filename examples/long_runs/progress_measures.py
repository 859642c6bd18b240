"""Measures along the runs on images and on reviews: into measured/progress_measures_*.csv.

    python examples/long_runs/progress_measures.py digits RUNS TABLES
    python examples/long_runs/progress_measures.py reviews RUNS TABLES

Takes the runs of evidence/progress_measures.toml that are finished; the rows of the others stay. The curves are for the notebook
progress_measures, too.
"""

import sys
from pathlib import Path

import pandas as pd
import torch

import interp
import probes

sys.path.insert(0, str(Path(__file__).parents[1]))

from long_runs.results import finished, start, store

MEASURES = "accuracy,weight_norm,weight_entropy,activation_sparsity,local_complexity"
OPTIONS = {"activation_sparsity": {"form": "published"}, "local_complexity": {"masks": 4}}
OF_REVIEWS = MEASURES.replace(
    ",local_complexity", ""
)  # an LSTM's complexity takes a forward pass per mask: of the network alone
TAUS = (1e-3, 0.1, 1.0)  # besides the measure's own, 0.01: the source does not say which it takes
DROPPED = "squared|mean of|accuracy all|weight_norm (?:layers|unembed)"
PIXELS = {"never lit": 0.0, "rarely lit": 0.02}  # lit by at most this share of the training images
MEMORISED, GENERALISED = 0.99, 0.6  # train and test accuracy, for good; 0.6 is that of Liu et al. 2022 for MNIST
PENALTIES = ("norm_penalty", "entropy_penalty", "sparsity_penalty", "complexity_penalty")
SETTINGS = ("run", "seed", "loss", "batch", "dropout", *PENALTIES, "steps")


def lit(task: interp.Digits) -> torch.Tensor:
    """Share of the training images that light a pixel, ``[pixel]``."""
    return (task.inputs[task.train_indices] > 0).double().mean(0)


def curves(run: interp.Run, member: int = 0) -> pd.DataFrame:
    """A row per checkpoint, a column per curve; of images the norm of the first layer's weights of rarely lit pixels, too."""
    task = run.subject(member).task
    images = isinstance(task, interp.Digits)
    used = {name: option for name, option in OPTIONS.items() if images or name != "local_complexity"}
    frame = probes.progress(run, MEASURES if images else OF_REVIEWS, options=used, members=[member])
    frame["curve"] = frame["measure"] + " " + frame["where"]
    table = frame.pivot(index="step", columns="curve", values="value")
    if isinstance(task, interp.Digits):
        light = lit(task)
        weights = [
            dict(run.subject(member, step).model.named_parameters())["layers.0.W"].detach() for step in table.index
        ]
        for name, share in PIXELS.items():
            table[f"weight_norm {name}"] = [float(w[light <= share].norm()) for w in weights]
    return table.drop(columns=table.columns[table.columns.str.contains(DROPPED)])


def more_curves(run: interp.Run, member: int) -> pd.DataFrame:
    """Sparsity at other thresholds, and complexity where a tenth of all weights is 0, by step."""
    found = {}
    for tau in TAUS:
        one = {"activation_sparsity": {"form": "published", "tau": tau}}
        for where, rows in probes.progress(run, "activation_sparsity", options=one, members=[member]).groupby("where"):
            found[f"activation_sparsity {where} tau {tau:g}"] = rows.set_index("step")["value"]
    masks = 4 if isinstance(run.plan.task, interp.Digits) else 1
    one = {"local_complexity": {"masks": masks, "scope": "network"}}
    frame = probes.progress(run, "local_complexity", options=one, members=[member])
    found["local_complexity network"] = frame[frame["where"] == "network"].set_index("step")["value"]
    return pd.DataFrame(found)


def events(accuracy: pd.DataFrame) -> tuple[int | None, int | None]:
    """The steps from which train and test accuracy stay at 0.99 and 0.6.

    Args:
        accuracy: by step, with ``accuracy train`` and ``accuracy test``.
    """
    reached = {"train": MEMORISED, "test": GENERALISED}
    first, second = (
        probes.change_points.first_step_above(list(accuracy[f"accuracy {part}"].items()), level)
        for part, level in reached.items()
    )
    return first, second


def settings(run: interp.Run, member: int) -> dict[str, object]:
    """What tells a network of these runs from the others."""
    plan = run.plan
    told = {
        "run": run.path.name, "seed": plan.members[member].get("seed", 0), "loss": plan.task.loss, "batch": plan.batch_size,
        "dropout": getattr(plan.model, "dropout", 0.0), "steps": plan.steps,
    }  # fmt: skip
    return {name: plan.setting(member, name) if name in PENALTIES else told[name] for name in SETTINGS}


def of_reviews(run: interp.Run, member: int, accuracy: pd.Series) -> dict[str, object]:
    """What is asked of reviews alone: how many there are, and from which step test accuracy tells more than the label does."""
    task = run.subject(member).task
    labels = task.labels[task.test_indices].double()
    majority = float(max(labels.mean(), 1 - labels.mean()))
    error = (majority * (1 - majority) / len(labels)) ** 0.5
    above = probes.change_points.first_step_above(list(accuracy.items()), majority + 3 * error)
    per_epoch = -(-len(task.train_indices) // run.plan.batch_size)
    imdb = len(task.labels) if Path(task.path).is_dir() else 0
    return {
        "imdb_reviews": imdb,
        "majority": majority,
        "error": error,
        "above": above,
        "epochs": run.plan.steps / per_epoch,
    }


def measured(run: interp.Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves and networks of a run."""
    all_curves, all_networks = [], []
    for member in range(len(run)):
        told, full = settings(run, member), run.metrics[run.metrics.member == member].set_index("step")
        begin, grokked = events(full.rename(columns={f"{p}_accuracy": f"accuracy {p}" for p in ("train", "test")}))
        ends = {
            "memorised": begin,
            "train_06": probes.change_points.first_step_above(list(full.train_accuracy.items()), GENERALISED),
            "generalised": grokked,
            "train_accuracy": full.train_accuracy.iloc[-1],
            "test_accuracy": full.test_accuracy.iloc[-1],
            "best_test_accuracy": full.test_accuracy.max(),
        }
        if isinstance(run.plan.task, interp.Reviews):
            ends |= of_reviews(run, member, full.test_accuracy)
        key = {"run": told["run"], "member": member}
        all_networks.append({**key, **told, **ends})
        table = curves(run, member).join(more_curves(run, member))
        all_curves.append(table.reset_index().assign(**key, seed=told["seed"]))
    joined, keys = pd.concat(all_curves, ignore_index=True), ["run", "member", "seed", "step"]
    return joined[[*keys, *(c for c in joined.columns if c not in keys)]], pd.DataFrame(all_networks)


def main(kind: str, folder: Path, tables: Path) -> None:
    tables.mkdir(exist_ok=True)
    runs = finished(folder, ["digits_*" if kind == "digits" else "*_lstm*"])
    if not runs:
        raise SystemExit(f"{folder} has no finished run of {kind}: python examples/long_runs/evidence.py --list")
    suffix = "" if kind == "digits" else "_reviews"
    for name, run in runs.items():
        print(name, f"{len(run)} networks", flush=True)
        along, rows = measured(run)
        store(along, tables / f"progress_measures{suffix}_curves.csv", digits=4)
        store(rows, tables / f"progress_measures{suffix}_networks.csv", digits=6)


if __name__ == "__main__":
    start(main, __doc__, kinds=("digits", "reviews"))
