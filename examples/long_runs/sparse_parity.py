"""Tables of the runs on sparse parity, into measured/sparse_parity_*.csv.

    python examples/long_runs/sparse_parity.py RUNS TABLES

Takes the runs of evidence/sparse_parity.toml that are finished, and leaves the tables of others as they are.
"""

import sys
from pathlib import Path

import pandas as pd
import torch
from sklearn.metrics import silhouette_score

import interp
import probes

sys.path.insert(0, str(Path(__file__).parents[1]))

from long_runs.results import finished, start, store

LEARNED = 0.999  # train and test accuracy of the source's two epochs, to be exceeded
SOLVED = 0.99  # test accuracy from which a small network counts as having found the rule
SURVIVED = 0.97  # test accuracy that counts as grokking in spite of label noise; see the notebook for others
MATRICES = {"W": "layers.0.W", "u": "unembed.W_U"}
SMALL = ("parity_two", "parity_few", "parity_few_5000", "parity_few_long", "parity_five_l1")
MOMENTS = ("memorised", "generalised", "end")


def per_epoch(run: interp.Run) -> int:
    """Updates of an epoch."""
    return -(-run.plan.task.n_train // run.plan.batch_size)


def events(run: interp.Run) -> pd.DataFrame:
    """The first epochs with a train and a test accuracy above 0.999, a row per network."""
    found = run.phases(threshold=LEARNED, side=">")
    return pd.DataFrame({"memorised": found.train_at / per_epoch(run), "generalised": found.test_at / per_epoch(run)})


def norms(run: interp.Run, member: int) -> pd.DataFrame:
    """Spectral norms of both matrices, and accuracies, by epoch."""
    frame = probes.progress(run, "spectral_norm", members=[member])
    table = frame.pivot(index="step", columns="where", values="value")
    table.index = table.index / per_epoch(run)
    table = table[list(MATRICES.values())].set_axis(list(MATRICES), axis=1).rename_axis("epoch")
    full = run.metrics[run.metrics.member == member].set_index("step")
    full.index = full.index / per_epoch(run)
    accuracies = {
        part: [float(at(full, epoch)[f"{part}_accuracy"]) for epoch in table.index] for part in ("train", "test")
    }
    return table.assign(**accuracies)


def at(table: pd.DataFrame, epoch: float) -> pd.Series:
    """The row next to an epoch; of the last where it never came."""
    return table.iloc[-1] if pd.isna(epoch) else table.iloc[abs(table.index - epoch).argmin()]


def right_before(table: pd.DataFrame, epoch: float) -> pd.Series:
    """The row at an epoch, or the last within one epoch before it; without values where there is none."""
    own = table[(table.index <= epoch) & (table.index >= epoch - 1)]
    return own.iloc[-1] if len(own) else pd.Series(float("nan"), table.columns)


def network(
    run: interp.Run, member: int, reached: pd.Series, table: pd.DataFrame, *, switches: bool = False
) -> dict[str, float]:
    """Spectral norms at the two events and at the end, and where that of W and test accuracy change from memorisation on.

    Args:
        switches: whether the weight decay changes at memorisation, so that a checkpoint after it shows another network.
    """
    start, end = reached["memorised"], reached["generalised"]
    begins = right_before(table, start) if switches else at(table, start)
    moments = {"memorised": begins, "generalised": at(table, end), "end": table.iloc[-1]}
    row = {f"{name}_{moment}": float(values[name]) for moment, values in moments.items() for name in MATRICES}
    since = table.loc[start:] if pd.notna(start) else table.iloc[:0]
    row["W_lowest"] = float(since.loc[:end, "W"].min()) if pd.notna(end) else float("nan")
    for name in ("W", "test"):
        found = probes.change_points.change_point(since.index.tolist(), since[name].tolist())
        row |= {f"{name}_change_low": found.low, f"{name}_change_high": found.high} if found else {}
    last = run.members.loc[member]
    return row | {f"{part}_accuracy": float(last[f"{part}_accuracy"]) for part in ("train", "test")}


def shapes(run: interp.Run, member: int, reached: pd.Series) -> list[dict[str, object]]:
    """By moment: the silhouette of the hidden units by the k bits, on the test examples, and how narrow the weights are."""
    known = run.series(member).steps
    wanted = [*(reached[list(MOMENTS[:2])].fillna(1e9) * per_epoch(run)), known[-1]]
    rows = []
    for moment, step in zip(MOMENTS, wanted, strict=True):
        subject = run.subject(member, min(known, key=lambda s, w=step: abs(s - w)))
        k, inputs = subject.task.k, subject.task.inputs[subject.task.test_indices]
        hidden = interp.capture(subject.model, inputs.to(subject.model.device), "layers.0.hook_post")
        bits = ((inputs[:, :k] > 0) * 2 ** torch.arange(k)).sum(1)
        row: dict[str, object] = {
            "at": moment,
            "silhouette": silhouette_score(hidden["layers.0.hook_post"].cpu(), bits),
        }
        weights = dict(subject.model.named_parameters())
        for name, layer in MATRICES.items():
            flat = pd.Series(weights[layer].detach().flatten().cpu())
            row |= {
                f"{name}_within_0.01": (flat.abs() < 0.01).mean(),
                f"{name}_std": flat.std(),
                f"{name}_kurtosis": flat.kurt(),
            }
        rows.append(row)
    return rows


def units_left(subject: interp.Subject) -> float:
    """Fewest units that answer 99% of all examples, the others set to 0; strongest first, by the spread of what they add."""
    hidden = interp.capture(subject.model, subject.task.inputs, "layers.0.hook_post")["layers.0.hook_post"]
    added = hidden * subject.model.W_U[:, 0].detach()
    order = added.std(0).argsort(descending=True)
    right = (added[:, order].cumsum(1) > 0) == (subject.task.labels[:, None] > 0)
    enough = right.double().mean(0) >= SOLVED
    return float(enough.int().argmax() + 1) if bool(enough.any()) else float("nan")


def published(folder: Path) -> dict[str, list[dict[str, object]]]:
    """Networks, their curves and their shapes: as published, and with more weight decay once memorised."""
    rows: dict[str, list[dict[str, object]]] = {"networks": [], "curves": [], "moments": []}
    for name, run in finished(folder, ("parity_k2", "parity_k3", "parity_late")).items():
        reached = events(run)
        for member, own in enumerate(run.plan.members):
            key = {
                "run": name,
                "k": run.plan.task.k,
                "seed": own["seed"],
                "late_weight_decay": own.get("late_weight_decay"),
            }
            table = norms(run, member)
            told = {"epochs": run.plan.steps // per_epoch(run), **reached.loc[member]}
            switches = name == "parity_late"
            rows["networks"].append(
                {**key, **told, **network(run, member, reached.loc[member], table, switches=switches)}
            )
            for epoch, values in table.iloc[:: 5 if len(table) > 50 else 1].iterrows():
                rows["curves"].append({**key, "epoch": epoch, **values})
            if not switches:
                rows["moments"] += [{**key, **row} for row in shapes(run, member, reached.loc[member])]
    return rows


def noise(folder: Path) -> list[dict[str, object]]:
    """Accuracies at the end, and the epoch at which 0.97 is reached, by n, weight decay, label noise and seed."""
    rows = []
    for run in finished(folder, (f"parity_noise_{n}" for n in (30, 50, 70))).values():
        first = run.metrics[run.metrics.test_accuracy >= SURVIVED].groupby("member").step.min() / per_epoch(run)
        for member, own in enumerate(run.plan.members):
            last = run.members.loc[member]
            told = {name: own[name] for name in ("weight_decay", "label_noise", "seed")}
            told |= {"epochs": run.plan.steps // per_epoch(run), "reached": first.get(member)}
            rows.append(
                {
                    "n": run.plan.task.n,
                    **told,
                    "train_accuracy": last.train_accuracy,
                    "test_accuracy": last.test_accuracy,
                }
            )
    return rows


def small(folder: Path) -> list[dict[str, object]]:
    """Starts, and how many of them find the rule, by units, output bias, L1, examples and epochs."""
    rows = []
    for name, run in finished(folder, SMALL).items():
        config, task = run.plan.model, run.plan.task
        told = [
            {
                "units": int(own.get("hidden", config.hidden)[0]) if not isinstance(own.get("hidden"), int) else own["hidden"],
                "output_bias": own.get("unembed_bias", config.unembed_bias), "l1": own.get("l1", 0.0),
            }
            for own in run.plan.members
        ]  # fmt: skip
        frame = pd.DataFrame(told).join(run.members[["train_accuracy", "test_accuracy"]])
        for key, own in frame.groupby(["units", "output_bias", "l1"]):
            settings = dict(zip(("units", "output_bias", "l1"), key, strict=True))
            size = {
                "k": task.k,
                "examples": task.n_train,
                "epochs": run.plan.steps // per_epoch(run),
                "starts": len(own),
            }
            found = {
                "solved": int((own.test_accuracy > SOLVED).sum()), "best_test_accuracy": own.test_accuracy.max(),
                "median_train_accuracy": own.train_accuracy.median(),
            }  # fmt: skip
            rows.append({"run": name, **settings, **size, **found})
    return rows


def wide(folder: Path) -> list[dict[str, object]]:
    """Networks of 500 units by L1: accuracies, and how many units the rule needs in the end."""
    rows = []
    for name, run in finished(folder, ["parity_wide_l1"]).items():
        for member, own in enumerate(run.plan.members):
            subject, last = run.subject(member), run.members.loc[member]
            W = subject.model.layer(0).W.detach()
            found = {
                "units_left": units_left(subject),
                "units_alive": int((W.abs().max(0).values > 0.01).sum()),
                "weights_within_0.001": float((W.abs() < 0.001).double().mean()),
            }
            accuracy = {f"{part}_accuracy": last[f"{part}_accuracy"] for part in ("train", "test")}
            told = {
                "run": name,
                "l1": own["l1"],
                "seed": own["seed"],
                "epochs": run.plan.steps // per_epoch(run),
            }
            rows.append({**told, **accuracy, **found})
    return rows


def main(folder: Path, tables: Path) -> None:
    found = {**published(folder), "noise": noise(folder), "small": small(folder), "wide": wide(folder)}
    for name, rows in found.items():
        store(pd.DataFrame(rows), tables / f"sparse_parity_{name}.csv", "n" if name == "noise" else "run")


if __name__ == "__main__":
    start(main, __doc__)
