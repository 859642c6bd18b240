"""Our own checkpoints: safetensors whose header holds the model's config, the task and the step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file

from interp import __version__
from interp.checkpoints.layouts.suite import HEADER
from interp.errors import InterpError
from interp.files import atomic
from interp.hooked.base import HookedModel
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
    header: dict[str, Any] = {
        "version": __version__,
        "config": model.config.to_dict(),
        "step": None if step is None else int(step),
    }
    if task is not None:
        header["task"] = task_to_dict(task)
    tensors = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters()}
    try:
        with atomic(path) as temporary:
            save_file(tensors, temporary, metadata={HEADER: json.dumps(header)})
    except SafetensorError as error:
        raise InterpError(f"cannot write {path}: {error}") from error
    return path
