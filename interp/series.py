"""A series of checkpoints of one training run, opened lazily."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from interp.errors import InterpError
from interp.hooked.base import HookedModel


@dataclass(frozen=True)
class Entry:
    """One step of a series, and where its weights are.

    Attributes:
        step: the training step.
        path: of the file.
        key: the path of keys inside a file that holds many steps.
        known: whether the step is known; if it is not, 0 stands for it.
    """

    step: int
    path: Path
    key: str | None = None
    known: bool = True


@dataclass(frozen=True)
class CheckpointSeries:
    """Checkpoints in the order of their steps, each read when it is used.

    Attributes:
        entries: one per step.

    Raises:
        InterpError: a step that occurs twice, or entries that are out of order.

    >>> import tempfile, interp
    >>> folder = Path(tempfile.mkdtemp())
    >>> model = interp.HookedMLP(interp.MLPConfig((4,), 3, d_in=2)).init_weights(seed=0)
    >>> for step in (0, 100):
    ...     _ = interp.save(model, folder / f"step_{step}.safetensors", step=step)
    >>> series = interp.load(folder).series
    >>> series.steps, series.repeated()
    ([0, 100], [[0, 100]])
    """

    entries: tuple[Entry, ...]
    _open: Callable[[Entry], HookedModel] = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        steps = [e.step for e in self.entries]
        twice = {s for s in steps if steps.count(s) > 1} if len(set(steps)) < len(steps) else set()
        if twice:
            step = min(twice)
            where = ", ".join(str(e.path) for e in self.entries if e.step == step)
            raise InterpError(f"step {step} occurs more than once in the series: {where}; remove or rename one")
        if steps != sorted(steps):
            raise InterpError("the entries of a series must be in the order of their steps")

    @property
    def steps(self) -> list[int]:
        """The training steps, in ascending order."""
        return [e.step for e in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> HookedModel:
        """The model at a position in the series (-1: the last), read now."""
        return self._open(self.entries[index])

    def __iter__(self) -> Iterator[HookedModel]:
        return (self._open(entry) for entry in self.entries)

    def at(self, step: int) -> HookedModel:
        """The model at a training step, read now; errors as in `entry`."""
        return self._open(self.entry(step))

    def entry(self, step: int) -> Entry:
        """Where the checkpoint of a training step is.

        Args:
            step: the training step.

        Returns:
            Its entry.

        Raises:
            InterpError: no checkpoint was kept at that step; the nearest one is named.
        """
        for entry in self.entries:
            if entry.step == step:
                return entry
        closest = min(self.steps, key=lambda s: abs(s - step))
        raise InterpError(f"no checkpoint at step {step}; the nearest is at {closest} ({len(self)} steps in all)")

    def repeated(self) -> list[list[int]]:
        """Groups of steps with identical weights, bit for bit: a sign of a run that made no progress."""
        groups: dict[str, list[int]] = {}
        for step, model in zip(self.steps, self, strict=True):
            groups.setdefault(weights_digest(model), []).append(step)
        return [steps for steps in groups.values() if len(steps) > 1]


def weights_digest(model: HookedModel) -> str:
    """SHA-256 of the parameters' names, dtypes and bytes."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        data = parameter.detach().cpu().contiguous().view(-1)
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype};".encode())
        digest.update(data.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
