"""Saving our own checkpoints: safetensors whose header holds the model's config, the task and the step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from interp._util.files import atomic
from interp.checkpoints.formats.header import HEADER, header_text
from interp.errors import InterpError, kind_of
from interp.hooked import HookedModel
from interp.hooked.coerce import as_model
from interp.subject import Subject
from interp.tasks import Task, make_task


def save(
    model: HookedModel | Subject,
    path: str | Path,
    *,
    task: str | Task | None = None,
    step: int | None = None,
    force: bool = False,
) -> Path:
    """Write a model as a safetensors file that `interp.load` reads back without options.

    Args:
        model: a hooked model, or a Subject, whose task and step are saved too.
        path: of the file.
        task: what the model was trained on, as a spec or a Task; by default the Subject's.
        step: the training step; by default the Subject's.
        force: overwrite an existing file.

    Returns:
        The path.

    Raises:
        InterpError: the file exists and ``force`` is not set, the folder cannot be written, the task cannot be stored, or
            ``model`` is neither a hooked model nor a Subject.
    """
    subject = model if isinstance(model, Subject) else None
    model = as_model(model)
    if not isinstance(path, (str, Path)):
        raise InterpError(f"save needs the path of a file, got {kind_of(path)}: interp.save(model, path)")
    given = subject.task if task is None and subject is not None else task
    if step is None and subject is not None:
        step = subject.step
    path = Path(path)
    if path.exists() and not force:
        raise InterpError(f"{path} exists already; choose another name, or overwrite it with --force (force=True)")
    text = header_text(model.config, None if given is None else make_task(given), step)
    write_tensors(path, dict(model.named_parameters()), {HEADER: text})
    return path


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str], durable: bool = False) -> None:
    """Write a safetensors file as a whole or not at all.

    Args:
        path: of the file.
        tensors: by name, on any device.
        metadata: the file's header.
        durable: whether the bytes must be on the disk before the file appears, as for a run that may lose power.

    Raises:
        InterpError: the folder cannot be written, or the disk is full.
    """
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    try:
        with atomic(path, durable) as temporary:
            save_file(plain, temporary, metadata=metadata)
    except SafetensorError as error:
        raise InterpError(f"cannot write {path}: {error}") from error
