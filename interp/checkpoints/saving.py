"""Our own checkpoints: safetensors whose header holds the model's config, the task and the step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from interp._util.files import atomic
from interp._util.versions import __version__
from interp.checkpoints.layouts.suite import HEADER
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.hooked.config import Config
from interp.tasks import Task, task_to_dict


def save(
    model: HookedModel,
    path: str | Path,
    *,
    task: Task | None = None,
    step: int | None = None,
    force: bool = False,
) -> Path:
    """Write a model as a safetensors file that `interp.load` reads back without being told anything.

    Raises:
        InterpError: the file exists and ``force`` is not set, or the folder cannot be written.
    """
    path = Path(path)
    if path.exists() and not force:
        raise InterpError(f"{path} exists already; choose another name, or overwrite it with --force (force=True)")
    write_tensors(path, dict(model.named_parameters()), {HEADER: header_text(model.config, task, step)})
    return path


def header_text(config: Config, task: Task | None, step: int | None, members: int | None = None) -> str:
    """What stands in the header of our files; with ``members``, tensors have a first axis of that many networks."""
    header: dict[str, Any] = {
        "version": __version__,
        "config": config.to_dict(),
        "step": None if step is None else int(step),
    }
    if task is not None:
        header["task"] = task_to_dict(task)
    if members is not None:
        header["members"] = members
    return json.dumps(header)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str], durable: bool = False) -> None:
    """Write a safetensors file as a whole or not at all.

    Raises:
        InterpError: the folder cannot be written, or the disk is full.
    """
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    try:
        with atomic(path, durable) as temporary:
            save_file(plain, temporary, metadata=metadata)
    except SafetensorError as error:
        raise InterpError(f"cannot write {path}: {error}") from error
