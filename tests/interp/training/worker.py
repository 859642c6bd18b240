"""Processes that train, and that can be made to die. They are forked from a server that has imported torch once."""

from __future__ import annotations

import io
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

import interp
from interp.training import Progress, launch, loop

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
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


def begin(target: Callable[..., None], *args: Any) -> tuple[ForkServerProcess, Connection]:
    """Run a function of this file in a process of its own; it is given the other end of the connection first."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=target, args=(theirs, *args))
    process.start()
    theirs.close()
    return process, ours


def ended(process: ForkServerProcess, seconds: float = 120) -> int:
    """The exit code of a process that ends by itself; a signal counts as its negative number."""
    process.join(seconds)
    assert process.exitcode is not None, "it is still running"
    return process.exitcode


def train(
    told: Connection, folder: Path, die_at: int = -1, save_seconds: float = 0, steps: int = STEPS, pause: float = 0
) -> None:
    """Train a run that uses everything that resuming must restore, or go on with it.

    Args:
        told: is sent a word as soon as it trains.
        die_at: the update at which the process dies as by kill -9; -1 for none.
        save_seconds: how often a state is saved; 0: as often as possible.
        pause: seconds between two updates.
    """
    torch.set_num_threads(1)
    loop.SAVE_SECONDS = save_seconds
    began = False

    def watch(seen: Progress) -> None:
        nonlocal began
        if not began:
            told.send("training")
            began = True
        time.sleep(pause)
        if 0 <= die_at <= seen.step:
            os.kill(os.getpid(), signal.SIGKILL)

    if (folder / "run.json").exists():
        interp.resume(folder, device="cpu", progress=watch)
    else:
        interp.train(**SETTINGS, out=folder, steps=steps, progress=watch)


def train_on_a_full_disk(told: Connection, folder: Path, size: int, save_seconds: float) -> None:
    """``interp train`` where, from step 20 on, no file can grow beyond ``size`` bytes; sends what it wrote to stderr."""
    from interp.cli.commands.app import main

    torch.set_num_threads(1)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    loop.SAVE_SECONDS, original, said = save_seconds, launch.train, io.StringIO()

    def limit(seen: Progress) -> None:
        if seen.step >= 20:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def limited(*args: Any, **kwargs: Any) -> interp.Run:
        return original(*args, **{**kwargs, "progress": limit})

    launch.train = limited
    sys.stderr = said
    sys.argv = [
        "interp", "train", "addition", "--p", "5", "--seed", "1", "--model", "mlp:hidden=20", "--steps", "60", "--device", "cpu",
        "--checkpoints", "every:10", "--metrics", "every:1", "--out", str(folder),
    ]  # fmt: skip
    try:
        main()
    finally:
        told.send(said.getvalue())


def train_setup(told: Connection, folder: Path, given: dict[str, Any], pause: float) -> None:
    """Train one of `tests.interp.training.setups`, or go on with it, as a program would that takes SIGTERM in hand."""
    torch.set_num_threads(1)
    loop.SAVE_SECONDS = 0.05
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def watch(seen: Progress) -> None:
        time.sleep(pause)

    told.send("ready")
    try:
        if (folder / "run.json").exists():
            interp.resume(folder, device="cpu", progress=watch)
        else:
            interp.train(**given, out=folder, progress=watch)
    except KeyboardInterrupt:
        sys.exit(130)
