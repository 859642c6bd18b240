"""A Subject of the user's own class with a file's weights: what ``interp analyze --module`` analyses."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from interp._util.devices import resolve_device
from interp._util.specs import format_spec, parse_spec
from interp.checkpoints.formats.reading import sha256
from interp.checkpoints.loading import nonfinite
from interp.checkpoints.rebuilt import Rebuilt, rebuild
from interp.errors import InterpError, TaskMismatch
from interp.hooked import HookedModel, wrap
from interp.subject import Provenance, Subject
from interp.tasks import Task, make_task

INPUTS = 3  # in an example made from a shape
HOW = "write the shape of one input (1x28x28, or 64), or tokens:POSITIONS:VOCABULARY (tokens:3:113)"


def load_rebuilt(
    source: Path,
    module: str,
    *,
    example: str | None = None,
    kwargs: str | None = None,
    task: str | None = None,
    key: str | None = None,
    device: str | torch.device = "auto",
) -> Subject:
    """Build a module from where its class is imported, fill in the weights of a file, and wrap it as a Subject.

    Args:
        source: the file of weights.
        module: ``package.module:Class``.
        example: what it runs on, as text (`parse_example`); by default the task's first inputs.
        kwargs: what the class is called with, ``width=6,depth=2``.
        task: what it was trained on, as a spec.
        key: where in the file the weights are, if there are several.
        device: of the model.

    Returns:
        the network, its task, and where both came from.

    Raises:
        InterpError: neither example nor task, or text that cannot be read; and as `wrap_file`.
    """
    chosen = None if task is None else make_task(task)
    if example is None and chosen is None:
        raise InterpError(f"a module needs inputs to show its hook points: give --example ({HOW}), or --task")
    arguments = parse_spec(f":{kwargs or ''}")[1]
    given = chosen.inputs[:INPUTS] if example is None and chosen is not None else parse_example(str(example))
    rebuilt = rebuild(source, module, kwargs=arguments, key=key)
    model = _wrapped(rebuilt, given, module).to(resolve_device(device))
    if chosen is not None:
        chosen = chosen.fit(model)
        _require_runs(model, chosen)
    called = f"module {format_spec(module, arguments)}"
    notes = (*(chosen.notes if chosen else ()), f"{called}: built by your own code, its weights from the file")
    return Subject(
        source.name,
        model,
        chosen,
        provenance=_provenance(source.expanduser(), rebuilt, key, called, notes),
        step=rebuilt.found.step,
        warnings=nonfinite(model),
    )


def _wrapped(rebuilt: Rebuilt, example: Tensor, module: str) -> HookedModel:
    try:
        return wrap(rebuilt.module, example)
    except InterpError as error:
        raise InterpError(f"{module} on inputs {list(example.shape)}: {error}; --example: {HOW}") from error


def parse_example(text: str) -> Tensor:
    """Inputs of a shape, standard normal, or tokens; the same every time. They only show which hook points there are.

    Args:
        text: the shape of one input, ``1x28x28`` or ``64``; or ``tokens:3:113``, three tokens each below 113, where a
            shape of two numbers includes the batch (``tokens:2x3:113``).

    Returns:
        a batch of inputs.

    Raises:
        InterpError: other text.

    >>> parse_example("1x28x28").shape, parse_example("tokens:4:113").shape, parse_example("tokens:2x4:113").dtype
    (torch.Size([3, 1, 28, 28]), torch.Size([3, 4]), torch.int64)
    """
    generator, parts = torch.Generator().manual_seed(0), text.strip().lower().split(":")
    if parts[0] != "tokens" and len(parts) == 1:
        return torch.randn(INPUTS, *_shape(parts[0], text), generator=generator)
    if parts[0] != "tokens" or len(parts) != 3:
        raise InterpError(f"--example {text!r} cannot be read: {HOW}")
    shape, (vocabulary,) = _shape(parts[1], text), _shape(parts[2], text, most=1)
    if len(shape) > 2 or (len(shape) == 2 and shape[0] < 2):
        raise InterpError(f"--example {text!r}: tokens are [position], or [batch, position] with a batch of 2 or more")
    return torch.randint(vocabulary, shape if len(shape) == 2 else (INPUTS, *shape), generator=generator)


def _shape(text: str, whole: str, most: int = 8) -> tuple[int, ...]:
    parts = text.split("x")
    if not all(p.isascii() and p.isdigit() and 0 < int(p) < 10**7 for p in parts) or len(parts) > most:
        raise InterpError(f"--example {whole!r} cannot be read: {HOW}")
    return tuple(map(int, parts))


def _require_runs(model: HookedModel, task: Task) -> None:
    """Run two of the task's inputs, so that a task that does not fit is refused before anything is analysed."""
    inputs = task.inputs[:2].to(model.device)
    try:
        with torch.no_grad():
            outputs = task.read(model(inputs.to(model.dtype) if inputs.is_floating_point() else inputs))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise TaskMismatch(
            f"the module cannot run on the inputs of {task}, {list(inputs.shape)}: {error}; choose the task's options "
            "(such as images=true), or another task"
        ) from error
    if outputs.shape != (len(inputs), task.width):
        raise TaskMismatch(
            f"the module's outputs for {len(inputs)} inputs of {task} are {list(outputs.shape)}, the task needs "
            f"{[len(inputs), task.width]}"
        )


def _provenance(path: Path, rebuilt: Rebuilt, key: str | None, layout: str, notes: tuple[str, ...]) -> Provenance:
    contents, found = rebuilt.contents, rebuilt.found
    weights = found.weights.values()
    dtypes = {str(t.dtype).removeprefix("torch.") for t in weights if t.dtype.is_floating_point}
    return Provenance(
        path=str(path),
        sha256=sha256(path),
        size=path.stat().st_size,
        format=contents.format,
        layout=layout,
        key=key,
        stored_dtypes=tuple(sorted(dtypes)),
        stored_devices=tuple(sorted({t.device for t in weights})),
        stripped_prefixes=found.stripped,
        unknown_classes=contents.stubs,
        notes=(*contents.notes, *notes),
    )
