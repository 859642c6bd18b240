"""Train the checkpoint series that ships with the package and that `interp demo` analyses.

    python examples/make_demo.py interp/demo/run

A one-layer transformer learns (a + b) mod 53 from 46% of all pairs. It memorises them within some hundred steps and
generalises (groks) later. Takes about two minutes on two CPU cores; seeds are fixed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

import interp
from interp.tasks import task_to_dict

CHECKPOINTS = (0, 200, 600, 1200, 1800, 2400, 3000, 3400, 3800, 4400, 6000, 8000)
SEED = 2  # of the split and of the initial weights
OPTIMIZER = {"name": "AdamW", "lr": 1e-3, "weight_decay": 1.5, "betas": (0.9, 0.98)}


def main(folder: Path) -> None:
    torch.set_num_threads(2)
    task = interp.ModularArithmetic(53, "add", train_fraction=0.46, seed=SEED)
    config = interp.TransformerConfig(
        n_layers=1, d_model=48, n_heads=4, d_head=12, d_mlp=192, d_vocab=54, d_vocab_out=53, n_ctx=3
    )
    model = interp.HookedTransformer(config).init_weights(seed=SEED)
    reader = model.read_at(-1)  # shares the weights; computes the last block where the answer is read
    options = {k: v for k, v in OPTIMIZER.items() if k != "name"}
    optimizer = torch.optim.AdamW(reader.parameters(), **options)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    run = {"name": "demo: (a + b) mod 53", "version": interp.__version__, "task": task_to_dict(task), "model": config.to_dict(),
           "optimizer": OPTIMIZER, "seed": SEED, "script": "examples/make_demo.py"}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run, indent=2))
    train = task.train_indices
    with (folder / "metrics.jsonl").open("w") as metrics:
        for step in range(CHECKPOINTS[-1] + 1):
            if step % 50 == 0:
                metrics.write(json.dumps({"step": step, "member": 0, **measure(reader, task)}) + "\n")
            if step in CHECKPOINTS:
                interp.save(
                    model,
                    folder / "checkpoints" / f"step_{step:05d}.safetensors",
                    task=task,
                    step=step,
                    force=True,
                )
            loss = task.losses(task.read(reader(task.inputs[train])), task.labels[train]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@torch.no_grad()
def measure(model: interp.HookedTransformer, task: interp.ModularArithmetic) -> dict[str, float]:
    logits = task.read(model(task.inputs))
    losses, correct = task.losses(logits), task.correct(logits)
    row = {}
    for name, part in (("train", task.train_indices), ("test", task.test_indices)):
        row[f"{name}_loss"] = losses[part].mean().item()
        row[f"{name}_accuracy"] = correct[part].double().mean().item()
    print(" ".join(f"{k} {v:.3g}" for k, v in row.items()))
    return row


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "interp/demo/run"))
