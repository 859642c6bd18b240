"""Measure the twins that picbreeder_vs_sgd.sh trained: a row per network, and their losses over the steps, as CSV.

    python examples/long_runs/picbreeder_vs_sgd.py RUNS examples/measured

RUNS holds the runs, beside each the command that made it (NAME.command), and skull.zip.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import circuits
import interp
import probes

SAID = ("antisymmetric_share", "change_rank_share")
USED = 1e-4  # mean squared change of the picture when a unit is held at its mean


def measured(name: str, cppn: interp.HookedCPPN, target: interp.HookedCPPN) -> dict[str, object]:
    """Units, symmetry and sweeps of one network."""
    maps = probes.feature_maps.of(cppn)
    effects = circuits.compression.image_curves.unit_effects(cppn)
    row: dict[str, object] = {
        "network": name,
        "arch": cppn.config.arch,
        "mse_256": float((cppn.draw(256).pixels - target.draw(256).pixels).square().mean()),
        "total": maps.active.numel(),
        "active": int(maps.active.sum()),
        "active_own": int(maps.own.sum()),
        "active_0.1": int((maps.deviation > 0.1).sum()),
        "active_0.2": int((maps.deviation > 0.2).sum()),
        "active_0.3": int((maps.deviation > 0.3).sum()),
        "used": int((effects >= USED).sum()),
        "distinct": int(maps.distinct.sum()),
        "symmetric_share": float((maps.symmetric & maps.own).sum() / maps.own.sum().clamp_min(1)),
        "effective_rank": maps.rank(),
    }
    drawn = {"single": circuits.single_entries(cppn, n=200), "random": circuits.random_directions(cppn, 200)}
    for kind, directions in drawn.items():
        scores = circuits.sweep(cppn, directions).scores(150)
        for measure, score in scores.items():  # none where the picture is one colour and no weight changes it
            if measure in SAID:
                row |= {f"{kind}_{measure}": score.value, f"{kind}_{measure}_low": score.low}
                row[f"{kind}_{measure}_high"] = score.high
    return row


def main(runs: Path, out: Path) -> None:
    evolved = interp.load(runs / "skull.zip").model
    rows, losses = [measured("evolved", evolved, evolved)], []
    for path in sorted(runs.glob("*/run.json")):
        run = interp.Run(path.parent)
        metrics = run.metrics
        command = path.parent.with_suffix(".command").read_text(encoding="utf8").strip()
        for member, subject in enumerate(run.subjects):
            decay = run.plan.members[member]["weight_decay"]
            name = f"{path.parent.name} decay {decay:g}"
            own = metrics[metrics["member"] == member]
            losses.append(pd.DataFrame({"network": name, "step": own["step"], "loss": own["train_loss"]}))
            rows.append(
                measured(name, subject.model, evolved)
                | {
                    "run": path.parent.name,
                    "weight_decay": decay,
                    "lr": run.plan.optimizer.lr,
                    "steps": run.plan.steps,
                    "size": run.plan.task.size,
                    "mse": own["train_loss"].iloc[-1],
                    "command": command,
                }
            )
            print(name, flush=True)
    pd.DataFrame(rows).to_csv(out / "picbreeder_vs_sgd.csv", index=False, float_format="%.6g")
    pd.concat(losses).to_csv(out / "picbreeder_vs_sgd_losses.csv", index=False, float_format="%.5g")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
