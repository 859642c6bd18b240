"""Callbacks that let other trainers write our run folder: for Lightning, and for the Trainer of Hugging Face."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from interp.errors import InterpError, MissingCapability
from interp.tasks import Task
from interp.training.recorder import Recorder, record
from interp.training.schedule import Schedule


def lightning_callback(
    task: str | Task | None = None,
    out: str | Path | None = None,
    *,
    network: str | None = None,
    every: int | None = None,
    checkpoints: str | Schedule | None = None,
    config: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Any:
    """A callback for Lightning's Trainer that writes our run folder: ``Trainer(callbacks=[lightning_callback(task, out)])``.

    Whatever the module logs is recorded at the step at which it is logged, and its weights at the steps of the schedule.
    Lightning is imported here, not before: ``lightning`` or ``pytorch_lightning``, whichever is in use.

    Args:
        task: as in `interp.record`.
        out: the folder of the run.
        network: the attribute of the LightningModule that is the network, such as ``"net"``; by default all of its weights.
        every: as in `interp.record`.
        checkpoints: as in `interp.record`.
        config: as in `interp.record`; by default the module's saved hyperparameters.
        resume: as in `interp.record`.

    Returns:
        a ``Callback`` of Lightning.

    Raises:
        MissingCapability: Lightning is not installed.
    """
    schedule = {"every": every, "checkpoints": checkpoints, "resume": resume}

    class RunFolder(_lightning()):
        """Records a fit."""

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            settings = dict(getattr(pl_module, "hparams", {})) if config is None else config
            self._run = record(_part(pl_module, network), task, out, config=settings, **schedule)  # pyright: ignore[reportArgumentType]
            self._run.__enter__()
            self._often, self._rare = set[str](), set[str]()
            self._run.step(trainer.global_step)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            values = self._news(trainer, rare=False)
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
            if loss is not None and not any("loss" in n and not n.startswith(("val", "test")) for n in values):
                values["train_loss"] = loss
            self._run.step(trainer.global_step, **values)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking and hasattr(self, "_run"):
                self._run.step(trainer.global_step, **self._news(trainer))

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            self._run.step(trainer.global_step, **self._news(trainer))

        def _news(self, trainer: Any, rare: bool = True) -> dict[str, Any]:
            """What is logged after batches, or what is logged more rarely, which Lightning shows after batches, too."""
            now = {n: v for n, v in trainer.callback_metrics.items() if _single(v)}
            others = self._often if rare else self._rare
            (self._rare if rare else self._often).update(n for n in now if n not in others)
            return {n.replace("/", "_"): v for n, v in now.items() if n not in others}

        def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
            self._close(None)

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            self._close(exception)

        def _close(self, error: BaseException | None) -> None:
            run: Recorder | None = self.__dict__.pop("_run", None)
            if run is not None:
                run.__exit__(type(error) if error else None, error, None)

    return RunFolder()


def trainer_callback(
    task: str | Task | None = None,
    out: str | Path | None = None,
    *,
    every: int | None = None,
    checkpoints: str | Schedule | None = None,
    config: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Any:
    """A callback for the Trainer of Hugging Face that writes our run folder.

    ``transformers.Trainer(model, arguments, callbacks=[trainer_callback(task, out)])``

    Args:
        task: as in `interp.record`.
        out: the folder of the run.
        every: as in `interp.record`.
        checkpoints: as in `interp.record`.
        config: as in `interp.record`.
        resume: as in `interp.record`.

    Returns:
        a ``TrainerCallback`` of transformers.

    Raises:
        MissingCapability: transformers is not installed.
    """
    try:
        base = import_module("transformers").TrainerCallback
    except ImportError:
        raise MissingCapability("the callback needs transformers: pip install transformers") from None

    class RunFolder(base):
        """Records a training."""

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
            if state.is_world_process_zero:
                self._run = record(model, task, out, every=every, checkpoints=checkpoints, config=config, resume=resume)
                self._run.__enter__()
                self._run.step(state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if hasattr(self, "_run"):
                self._run.step(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            numbers = {
                n: v for n, v in (logs or {}).items() if isinstance(v, (int, float)) and "train_runtime" not in logs
            }
            if hasattr(self, "_run") and numbers:
                self._run.step(state.global_step, **numbers)

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            run: Recorder | None = self.__dict__.pop("_run", None)
            if run is not None:
                run.__exit__(None, None, None)

    return RunFolder()


def _lightning() -> Any:
    """The class of Lightning's callbacks, of the package that the user has imported."""
    names = ("lightning.pytorch", "pytorch_lightning")
    for name in sorted(names, key=lambda n: n not in sys.modules):
        try:
            return import_module(name).Callback
        except ImportError:
            continue
    raise MissingCapability("the callback needs Lightning: pip install lightning")


def _part(module: nn.Module, name: str | None) -> nn.Module:
    try:
        return module if name is None else module.get_submodule(name)
    except AttributeError:
        known = ", ".join(n for n, _ in module.named_children())
        raise InterpError(
            f"network={name!r} is not part of the {type(module).__name__}; its parts are: {known}"
        ) from None


def _single(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, "numel", lambda: 0)() == 1
