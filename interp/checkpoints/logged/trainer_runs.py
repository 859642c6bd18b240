"""Folders of the Trainer of Hugging Face: ``checkpoint-N`` with weights and trainer_state.json, which holds the curves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from interp._util.files import no_follow
from interp._util.schema import parse_json
from interp.checkpoints.formats.folders import WEIGHTS
from interp.checkpoints.logged.log import Log, scalars
from interp.errors import InterpError, UnreadableFile

KIND = "the Trainer of Hugging Face"
STATE = "trainer_state.json"
CHECKPOINT = re.compile(r"checkpoint-(\d{1,18})")
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
JSON_BYTES = 256 << 20
SUMMARY = "train_runtime"  # only the last row has it: means of the whole training, not points of a curve


def is_run(folder: Path) -> bool:
    """Whether a folder is an output of the Trainer, or one of its checkpoints."""
    return (folder / STATE).is_file() or any((inner / STATE).is_file() for inner in _checkpoints(folder))


def read_run(folder: Path) -> Log:
    """The curves of the latest state, and the weights at their steps.

    Args:
        folder: of the training, or of one checkpoint.

    Returns:
        The log.

    Raises:
        UnreadableFile: no state can be read.
    """
    log = Log(KIND)
    steps = _checkpoints(folder)
    states = [p / STATE for p in (folder, *reversed(list(steps))) if (p / STATE).is_file()]
    found = [state for path in states if (state := _state(path, log)) is not None]
    if not found:
        raise UnreadableFile(log.notes[0])
    state = max(found, key=_step)
    for row in state["log_history"] if isinstance(state.get("log_history"), list) else ():
        _row(row, log)
    for inner, step in steps.items():
        if (weights := _weights(inner, log)) is not None:
            log.files[weights] = step
    final = _weights(folder, log)
    if final is not None and not log.files:
        log.files[final] = None if state.get("best_model_checkpoint") else _step(state)
    elif final is not None:
        log.notes.append(
            f"{final.name} beside the checkpoints is left out of the series: nothing says at which step it was saved "
            f"(name {final} to read it)"
        )
    return log


def _checkpoints(folder: Path) -> dict[Path, int]:
    """The folders of checkpoints in the order of their steps; links are not followed."""
    found = [(int(m[1]), p) for p in folder.iterdir() if (m := CHECKPOINT.fullmatch(p.name))]
    return {path: step for step, path in sorted(found) if path.is_dir() and not path.is_symlink()}


def _weights(folder: Path, log: Log) -> Path | None:
    """The weights in a folder: a model of transformers, or any module, which has no config beside it."""
    for name in WEIGHTS:
        path = folder / name
        if path.is_symlink():
            log.notes.append(f"{folder.name}/{name} is a link, which is not followed; name the file that it leads to")
        elif path.is_file():
            return path
    if any((folder / name).is_file() for name in ADAPTERS):
        log.notes.append(f"{folder.name} holds adapters alone: merge them into their model, and save that")
    return None


def _state(path: Path, log: Log) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > JSON_BYTES:
            raise UnreadableFile(f"it is larger than {JSON_BYTES >> 20} MB")
        with open(path, encoding="utf-8", errors="replace", opener=no_follow) as file:
            state = parse_json(file.read())
        if isinstance(state, dict):
            return state
        log.notes.append(f"{path} was ignored: it holds no object")
    except (InterpError, OSError) as error:
        log.notes.append(f"{path} was ignored: {error}")
    return None


def _step(state: dict[str, Any]) -> int:
    step = state.get("global_step")
    return step if isinstance(step, int) and not isinstance(step, bool) else 0


def _row(row: Any, log: Log) -> None:
    step = row.get("step") if isinstance(row, dict) else None
    if not isinstance(step, int) or isinstance(step, bool):
        return
    for name, value in row.items():
        if name != "step":
            for full, number in scalars(name, value):
                log.add(
                    f"{full} (mean of the training)" if SUMMARY in row and full == "train_loss" else full, step, number
                )
