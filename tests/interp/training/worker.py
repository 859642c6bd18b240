"""A process that trains a run which uses everything that resuming must restore, and that can be made to die.

``python -m tests.interp.training.worker start|resume FOLDER [STEP] [SECONDS]``: at the update STEP it dies as a kill -9 would;
a state is saved every SECONDS (0: as often as possible).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

import interp
from interp.training import Progress, loop

STEPS = 120
SETTINGS: dict[str, Any] = {
    "task": "parity:n=8,k=2,n_train=40,n_test=40",
    "model": "mlp:hidden=24,dropout=0.1",
    "members": [
        {"seed": 0, "data_seed": 0, "lr": 0.3},
        {"seed": 1, "data_seed": 1, "lr": 0.3, "label_noise": 0.1},
        {"seed": 2, "data_seed": 2, "lr": 0.001},
        {"seed": 3, "data_seed": 3, "lr": 0.05, "weight_decay": 0.1},
        {"seed": 4, "data_seed": 4, "lr": 0.2},
    ],
    "batch_size": 16,
    "momentum": 0.5,
    "late_weight_decay": 0.05,
    "late_at": "memorised",
    "retire": 0.9,
    "metrics": "every:4",
    "checkpoints": "every:10",
    "device": "cpu",
}  # batches, dropout, noise, momentum, late weight decay and retirement, all at once


def main(action: str, folder: str, die_at: str = "-1", seconds: str = "0", *rest: str) -> None:
    torch.set_num_threads(1)
    loop.SAVE_SECONDS, step = float(seconds), int(die_at)
    steps = int(rest[0]) if rest else STEPS
    pause = float(rest[1]) if len(rest) > 1 else 0.0

    def watch(seen: Progress) -> None:
        print("training", flush=True)
        time.sleep(pause)
        if 0 <= step <= seen.step:
            os.kill(os.getpid(), signal.SIGKILL)

    if action == "start" and not (Path(folder) / "run.json").exists():
        interp.train(**SETTINGS, out=folder, steps=steps, progress=watch)
    else:
        interp.resume(folder, device="cpu", progress=watch)


if __name__ == "__main__":
    main(*sys.argv[1:])
