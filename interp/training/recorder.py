"""`record`: a training loop of your own writes our run folder while it trains."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from interp.errors import InterpError, kind_of
from interp.subject import Subject
from interp.tasks import Task, make_task
from interp.training.plan import require_whole
from interp.training.recorded import RecordedDirectory, network_of
from interp.training.schedule import Schedule, parse_schedule
from interp.training.schedule import every as each

ROWS, SECONDS = 200, 30.0  # measurements that wait on the device before they are written
USUAL = Schedule(steps=(0, *(round(10 ** (k / 8)) for k in range(8 * 9))))  # eight for every factor of ten
TEXT = 200  # characters


def record(
    model: nn.Module | Subject,
    task: str | Task | None = None,
    out: str | Path | None = None,
    *,
    every: int | None = None,
    checkpoints: str | Schedule | None = None,
    steps: int | None = None,
    config: Mapping[str, Any] | None = None,
    name: str | None = None,
    resume: bool = False,
) -> Recorder:
    """Write a run folder from a training loop of your own, for `interp.load` and every analysis of curves and checkpoints.

    Call `Recorder.step` after each update (and once with step 0 before the first). Snapshots of the weights are taken at the
    first call at or after each scheduled step, and at the end
    (of the updates after the last call, too). What is written stays readable after a crash: at most 200
    measurements or half a minute of them are lost, never a snapshot.

    Args:
        model: the network that trains: a hooked model, one that `interp.wrap` made, or any ``nn.Module``. Wrappers for several
            GPUs and compilation are taken off. Of a module that no layout knows the weights alone are read later.
        task: what it is trained on, as a spec or a Task; None where it is not known.
        out: the folder; new, or empty.
        every: a snapshot every so many steps. By default they are spaced in the logarithm, eight for every factor of ten.
        checkpoints: in its place a schedule, as `interp.train` takes it: ``"log:60"`` (needs ``steps``), ``"0,10,100"``.
        steps: number of updates in all, if it is known.
        config: settings to keep with the run, such as learning rates, or ``n_heads``, which layouts look for.
        name: of the run; by default the folder's.
        resume: go on in a folder that a recorded run has left. What it holds from the first step given on is replaced.

    Returns:
        The recorder, to use in a ``with`` block.

    Raises:
        OutputExists: the folder holds something already.
        InterpError: no module, a task that cannot be stored, or a schedule that cannot be read.

    >>> import tempfile, interp
    >>> model, out = torch.nn.Linear(2, 1), tempfile.mkdtemp()
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with interp.record(model, out=out, every=10) as run:
    ...     for step in range(21):
    ...         loss = model(torch.ones(4, 2)).pow(2).mean()
    ...         run.step(step, train_loss=loss)
    ...         optimizer.zero_grad(); loss.backward(); optimizer.step()
    >>> subject = interp.load(out)
    >>> subject.series.steps, len(subject.curves["train_loss"])
    ([0, 10, 20, 21], 21)
    """
    if out is None or not isinstance(out, (str, Path)):
        raise InterpError(f"record needs the folder of the run, interp.record(model, task, out), got {kind_of(out)}")
    if every is not None and checkpoints is not None:
        raise InterpError("every and checkpoints both say when to take snapshots; give one of them")
    if steps is not None:
        require_whole("steps", steps)
    schedule = USUAL if every is None else each(every)
    if checkpoints is not None:
        if steps is None and isinstance(checkpoints, str) and checkpoints.startswith("log"):
            raise InterpError(f"checkpoints={checkpoints!r} needs the number of steps, steps=20_000")
        schedule = parse_schedule(checkpoints, steps or 0)
    held = model.model if isinstance(model, Subject) else model
    if not isinstance(held, nn.Module):
        raise InterpError(f"record needs the module that trains, got {kind_of(model)}")
    of_subject = model.task if isinstance(model, Subject) else None
    known = of_subject if task is None else make_task(task)
    about = {"name": name or Path(out).resolve().name, "config": dict(config or {}), "total": steps}
    return Recorder(held, RecordedDirectory(Path(out), network_of(held), known, about), schedule, resume)


class Recorder:
    """Writes one run; made by `record`.

    Args:
        model: the network that trains.
        directory: where it is written.
        schedule: when to take snapshots.
        resume: whether the folder holds the beginning of the run.
    """

    def __init__(self, model: nn.Module, directory: RecordedDirectory, schedule: Schedule, resume: bool):
        self._model, self._directory, self._schedule, self._resume = model, directory, schedule, resume
        self._rows: list[dict[str, Any]] = []
        self._last: int | None = None
        self._saved: int | None = None
        self._version, self._rate = 0, 0.0  # changes in place so far, and how many a step makes
        self._flushed = time.monotonic()
        self._held = ExitStack()
        self._writes = _rank() == 0
        self._open = False

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return self._directory.path

    def __enter__(self) -> Self:
        if self._writes:
            self._directory.begin(self._resume)
            self._held.enter_context(self._directory.locked())
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits, and the last weights where they are still those of the last step; also after an error."""
        with self._held:
            self._open = False
            if not self._writes:
                return
            self._flush()
            self._end(clean=kind is None)
            self._directory.state(self._last, finished=kind is None)

    def _end(self, *, clean: bool) -> None:
        """Save the last weights at the step that they have: the loop may have updated them once more after its last call."""
        if self._last is None:
            return
        later = _version(self._model) - self._version
        if later and not clean:
            return  # an update may have been broken off
        if later and (not self._rate or later % self._rate):
            warnings.warn(
                f"the weights changed after step {self._last}, and nothing says by how many updates, so the last ones are not "
                "saved: call run.step after the last update",
                stacklevel=3,
            )
            return
        self._last += int(later / self._rate) if later else 0
        if self._saved != self._last:
            self._save()

    def step(self, step: int, /, **values: Any) -> None:
        """Record measurements at a step, and a snapshot where one is due.

        Tensors on a device are copied there and read together later, so that nothing waits for the device. Usual names are
        ``train_loss``, ``test_loss``, ``train_accuracy`` and ``test_accuracy`` (``loss``, ``val_loss`` and the like are read as
        these); all others are kept, too.

        Args:
            step: number of updates that the weights have had; calls for one step add to each other.
            **values: numbers, or tensors with one element.

        Raises:
            InterpError: outside of the ``with`` block, a step that goes back, or a value that is not a number.
        """
        if not self._open:
            raise InterpError("run.step belongs inside the block: with interp.record(model, task, out) as run: ...")
        if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 1 << 62:
            raise InterpError(f"step must be a whole number of at least 0, got {step!r}")
        if self._last is not None and step < self._last:
            raise InterpError(f"step {step} comes after step {self._last}: steps of a run go up")
        row = {name: _waiting(name, value) for name, value in values.items()}
        if not self._writes:
            return
        if self._last is None:
            self._directory.cut(step)
        if self._rows and self._rows[-1]["step"] == step:
            self._rows[-1] |= row
        elif row:
            self._rows.append({"step": step, "member": 0, **row})
        first, before = self._last is None, self._last
        version = _version(self._model)
        if before is not None and step > before:
            self._rate = (version - self._version) / (step - before)
        self._last, self._version = step, version
        if first or self._due(before, step):
            self._save()
        if len(self._rows) > ROWS or time.monotonic() - self._flushed > SECONDS:
            self._flush()

    def snapshot(self) -> None:
        """Save the weights now, as those of the last step that was recorded.

        Raises:
            InterpError: no step was recorded yet.
        """
        if self._last is None:
            raise InterpError("a snapshot belongs to a step: call run.step(0) first")
        if self._writes:
            self._save()

    def _due(self, before: int | None, step: int) -> bool:
        """Whether a scheduled step lies after the last recorded one, up to this one."""
        if before is None or before == step:
            return False
        later = self._schedule.after(before)
        return later is not None and later <= step

    def _save(self) -> None:
        self._flush()
        assert self._last is not None
        self._directory.checkpoint(self._last)
        self._saved = self._last
        self._directory.state(self._last, finished=False)

    def _flush(self) -> None:
        """Write the measurements that wait; the tensors of a device come over in one transfer."""
        waiting = [(row, n, v) for row in self._rows for n, v in row.items() if isinstance(v, Tensor)]
        for device in {v.device for _, _, v in waiting}:
            own = [(row, n, v) for row, n, v in waiting if v.device == device]
            numbers = torch.stack([v.reshape(()).to(_WIDE.get(device.type, torch.float64)) for _, _, v in own]).tolist()
            for (row, name, _), number in zip(own, numbers, strict=True):
                row[name] = _finite(number)
        rows, self._rows, self._flushed = self._rows, [], time.monotonic()
        if rows:
            self._directory.append(rows)


_WIDE = {"mps": torch.float32}  # which has no float64


def _waiting(name: str, value: Any) -> Any:
    """A value as it waits in a row: a number, a short text, or a copy on the device."""
    if name in ("step", "member"):
        raise InterpError(f"{name} is not a measurement; choose another name for it")
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.is_complex():
            raise InterpError(
                f"{name} must be a number, got {kind_of(value)} of shape {list(value.shape)}: take its mean"
            )
        return _finite(value.detach().item()) if value.device.type == "cpu" else value.detach().clone()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= TEXT:
        return value
    try:
        return _finite(float(value))  # numpy's numbers, too
    except (TypeError, ValueError, OverflowError):
        raise InterpError(f"{name} must be a number, got {kind_of(value)}") from None


def _finite(value: float) -> float | None:
    """A number as JSON holds it; null for NaN and infinity, as in the runs of `interp.train`."""
    return value if math.isfinite(value) else None


def _version(model: nn.Module) -> int:
    """How often the weights have been changed in place, as torch counts."""
    return sum(p._version for p in model.parameters())


def _rank() -> int:
    """This process's number among those that train together; the first one writes."""
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
