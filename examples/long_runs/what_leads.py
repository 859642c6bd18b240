"""Which measure changes before test accuracy does: a row per run, network, window and measure, with its change point, as CSV.

    python examples/long_runs/what_leads.py RUNS examples/measured

RUNS is the folder of runs of `make evidence`; of those below, the ones that are there and finished are measured. what_leads.csv
has the rows, what_leads_runs.csv what was measured and what it cost. Further names measure these cases alone: `... p53 mlp`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import probes

sys.path.insert(0, str(Path(__file__).parents[1]))

from long_runs.results import finished, start, store

GENERAL = "accuracy,loss,weight_norm,spectral_norm,weight_entropy,activation_sparsity,activation_dimension"
MODES = f"{GENERAL},embedding_dimension,restricted_loss,excluded_loss,mode_power,spectral_gini"
TOY = "accuracy,loss,weight_norm,spectral_norm,weight_entropy,embedding_dimension,rqi,predicted_accuracy,effective_loss"
PARTS = ("test", "train")
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Case:
    """A run to measure.

    Attributes:
        what: the task and the network, in a few words.
        measures: their names.
        folders: of the run, or of the runs whose networks are the seeds; the first that there is of names in a tuple.
        every: every n-th checkpoint.
    """

    what: str
    measures: str
    folders: tuple[str, ...]
    every: int = 1


CASES: Mapping[str, Case] = {
    "p53": Case("addition modulo 53, transformer", MODES, ("p53",)),
    "p113": Case("addition modulo 113, transformer", MODES, tuple(f"p113_seed{seed}" for seed in range(5)), 2),
    "mlp": Case("addition modulo 53, small MLP", MODES, ("mlp_leads",)),
    "digits": Case("1,000 MNIST digits, MLP at 8 times its initial weights", GENERAL, ("digits_mse",)),
    "parity": Case("(50, 2)-parity, 500 units", GENERAL, ("parity_leads",), 2),
    "toy": Case("toy addition, p = 10", TOY, ("toy_leads",), 2),
}


def kept(frame: pd.DataFrame) -> pd.DataFrame:
    """The curves that stand for a measure: sums over key frequencies and layers, and of the rest those named `curve_name`."""
    names = [curve_name(m, w) for m, w in zip(frame["measure"], frame["where"], strict=True)]
    own = frame.assign(where=names)[~frame["where"].str.contains("squared|std of|mean of|others")]
    own = own[own["where"] != LEFT_OUT].dropna(subset=["value"])
    how = {True: "max", False: "sum"}  # by whether it is a spectral norm
    keys = ["step", "member", "measure", "where"]
    parts = [rows.groupby(keys, sort=False, as_index=False).agg({"value": how[bool(norm)]}) for norm, rows in own.groupby(
        own["measure"] == "spectral_norm"
    )]  # fmt: skip
    return pd.concat(parts)


def curve_name(measure: str, where: str) -> str:
    """What a curve is called in the table; those of one name are added (of spectral norms the largest counts)."""
    if measure in ("accuracy", "loss", "restricted_loss", "excluded_loss"):
        return where if where in PARTS else LEFT_OUT
    if measure in ("weight_norm", "weight_entropy"):
        return "all" if where == "all" else LEFT_OUT
    if measure == "spectral_gini":
        return {"W_E": "embedding", "logits": "logits"}.get(where, LEFT_OUT)
    return NAMES.get(measure, where)


NAMES = {
    "mode_power": "key frequencies", "local_complexity": "sum of layers", "spectral_norm": "largest of a matrix",
    "activation_sparsity": "hidden", "activation_dimension": "hidden", "embedding_dimension": "embedding",
}  # fmt: skip


def measured(runs: Path, case: Case) -> pd.DataFrame | None:
    """The curves of all networks of a case whose runs are finished; None where there is none."""
    frames: list[pd.DataFrame] = []
    for run in finished(runs, case.folders).values():
        frame = probes.progress(run, case.measures, every=case.every, options=options(case.measures))
        complexity = probes.progress(
            run, "local_complexity", every=case.every, options={"local_complexity": {"masks": 2}}
        )
        before = sum(own["member"].nunique() for own in frames)
        frames.append(kept(pd.concat([frame, complexity])).assign(member=lambda t, n=before: t["member"] + n))
    return pd.concat(frames) if frames else None


def options(measures: str) -> dict[str, dict[str, str]]:
    """Sparsity as the source publishes it; other measures as they are."""
    return {"activation_sparsity": {"form": "published"}} if "activation_sparsity" in measures else {}


def main(runs: Path, out: Path, *only: str) -> None:
    """Measure every case that is finished and replace its rows; those of the others stay."""
    for name, case in CASES.items():
        if only and name not in only:
            continue
        began = time.process_time()
        frame = measured(runs, case)
        if frame is None:
            continue
        found = pd.concat([
            probes.changes_by_network(frame, window=window).assign(window=window)
            for window in ("after memorisation", "whole run")
        ])  # fmt: skip
        found.insert(0, "run", name)
        networks, steps = frame["member"].nunique(), frame["step"]
        one = {"run": name, "what": case.what, "networks": networks, "generalised": found["member"].nunique(),
               "steps": steps.max(), "checkpoints": steps.nunique(), "cpu_s": round(time.process_time() - began)}  # fmt: skip
        store(found, out / "what_leads.csv")
        store(pd.DataFrame([one]), out / "what_leads_runs.csv")
        print(name, one, flush=True)


if __name__ == "__main__":
    start(main, __doc__, cases=CASES)
