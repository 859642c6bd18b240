"""Structure of the embeddings against the size of the train set (Liu et al. 2022, Figures 3 to 5, 10, 17, 18), a row per network.

    python effective_theory_fractions.py RUNS FOLDER       writes FOLDER/effective_theory_fractions.csv

From the runs toy_fractions_* and s3_fractions_* of evidence/effective_theory.toml; those that are not there or not finished keep
the rows that they have. RQI, predicted accuracy and the first checkpoint with an RQI above 0.95 are by both criteria, paper and
code.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open

import interp
from interp.scores import score
from probes.analyses.theory import embedding_rate
from probes.deduction import ideal_of_products
from probes.effective_theory import grokking_rate
from probes.parallelograms import ideal, normalised, parallelograms, samples_of
from probes.polygons import most_regular_plane
from probes.rqi_criteria import CRITERIA, code_scale

sys.path.insert(0, str(Path(__file__).parents[1]))

from long_runs.results import finished, start, store

LEARNED = 0.95


def embeddings_of(run: interp.Run) -> dict[int, torch.Tensor]:
    """The embeddings of all networks at every checkpoint, ``[member, symbol, dim]``: a thousandth of what the files hold."""
    found = {}
    for path in sorted((run.path / "checkpoints").glob("step_*.safetensors")):
        with safe_open(path, "pt") as file:
            found[int(path.stem.removeprefix("step_"))] = file.get_tensor("embed.W_E")
    return found


def network(run: interp.Run, member: int, operation: str, saved: dict[int, torch.Tensor]) -> dict[str, object]:
    """A row: settings, train set's ideals, what the last checkpoint has, steps to the structure (NaN: never)."""
    subject, product = run.subject(member), operation == "s3"
    task = subject.require_task()
    samples, trained = samples_of(task, product)
    best = ideal_of_products(samples, trained) if product else ideal(samples, trained)
    settings = run.plan.members[member]
    row: dict[str, object] = {
        "operation": operation, "seed": settings["seed"], "n_train": int(trained.sum()), "samples": len(trained),
        "steps": run.plan.steps, "ideal_rqi": best.rqi, "ideal_accuracy": best.accuracy,
    }  # fmt: skip
    scores = score(task, subject.logits())
    row |= {"accuracy": scores.accuracy, "test_accuracy": scores.test.accuracy}
    if not product:
        row |= {"lambda_3": grokking_rate(samples, trained), "embedding_lr": embedding_rate(subject)}
    reached = dict.fromkeys(CRITERIA, math.nan)
    for step, tables in saved.items():
        for criterion in CRITERIA:
            scaled = scale(tables[member], criterion, product)
            found = parallelograms(scaled, samples, trained, criterion=criterion)
            if found.rqi > LEARNED and math.isnan(reached[criterion]):
                reached[criterion] = step
            row |= {f"rqi_{criterion}": found.rqi, f"predicted_{criterion}": found.accuracy}  # the last step stays
    row |= {f"reached_{criterion}": step for criterion, step in reached.items()}
    if product:
        plane = most_regular_plane(subject.model.W_E.detach(), within=3)
        row |= {"components": "-".join(str(k + 1) for k in plane.components), "regularity": plane.regularity}
    return row


def scale(embeddings: torch.Tensor, criterion: str, product: bool) -> torch.Tensor:
    """As `probes.measures.parallelograms` scales them: matrices are not centred."""
    if criterion == "code":
        return code_scale(embeddings, product)
    table = embeddings.double()
    return table / table.square().sum(1).mean().sqrt() if product else normalised(embeddings)


def main(folder: Path, out: Path) -> None:
    rows = []
    for operation in ("toy", "s3"):
        for name, run in finished(folder, [f"{operation}_fractions_*"]).items():
            saved = embeddings_of(run)
            rows += [network(run, member, operation, saved) for member in range(len(run))]
            print(f"{name}: {len(run)} networks", flush=True)
    if not rows:
        raise SystemExit(f"{folder} holds no finished run of train fractions")
    table = pd.DataFrame(rows)
    store(table, out / "effective_theory_fractions.csv", ["operation", "seed", "steps"], digits=6)
    columns = ["test_accuracy", "rqi_paper", "rqi_code", "ideal_rqi"]
    print(table.groupby(["operation", "n_train"])[columns].mean().round(3).to_string())


if __name__ == "__main__":
    start(main, __doc__)
