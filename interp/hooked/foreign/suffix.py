"""Whether a wrapped module treats examples one by one, and whether it can be replayed from a hook point on: tried on a few."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.hooked.foreign.guest import _INSTALLED
from interp.hooked.foreign.replay import Recorder, Recording, replayed
from interp.hooked.foreign.several import tiled_inputs
from interp.hooked.foreign.wrap import Wrapped

TRIAL = 8  # examples that it is tried on
ROUNDINGS = 1e4  # differences of so many roundings do not count


@torch.no_grad()
def treats_examples_alone(model: Any, inputs: Any) -> bool:
    """Whether a model gives an example the same output alone as in a batch; False with statistics of the batch, or noise.

    Args:
        model: a hooked model.
        inputs: at least one.

    Returns:
        whether copies of a batch may run in one.
    """
    few = inputs[:TRIAL]
    together = model(few)
    if together.ndim == 0 or len(together) != len(few):
        return False
    alone = torch.cat([model(few[i : i + 1]) for i in range(len(few))])
    return _alike(together, alone)


@dataclass
class Suffix:
    """A module that has run up to a hook point, for one batch of inputs.

    Attributes:
        model: the wrapped module.
        recording: what it had finished by then.
    """

    model: Wrapped
    recording: Recording

    def copies(self, n: int) -> AbstractContextManager[None]:
        """Within the block the module runs from the hook point on, given ``n`` copies of the batch."""
        return replayed(self.model.module, self.recording, n)


@torch.no_grad()
def suffix_from(model: Any, site: str, inputs: Any) -> Suffix | None:
    """Run a module once and keep what it had finished when a hook point fired.

    A trial on a few inputs comes first: two copies of them, replayed, must give the outputs that they have.

    Args:
        model: a hooked model.
        site: name of the hook point.
        inputs: the whole batch.

    Returns:
        the rest of the module; None where nothing can be spared, or the trial failed.
    """
    if not isinstance(model, Wrapped) or len(inputs) < 2:
        return None
    few = inputs[: min(TRIAL, len(inputs))]
    outputs, trial = _recorded(model, site, few)
    if not trial.calls or not trial.located(_recorded(model, site, few[:-1])[1]):
        return None
    try:
        with _INSTALLED, Suffix(model, trial).copies(2):
            again = model(tiled_inputs(few, 2))
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        return None  # it keeps something of an earlier call that is not an output: it has to run whole
    if again.shape[0] != 2 * len(few) or not _alike(again, torch.cat([outputs, outputs])):
        return None
    _, recording = _recorded(model, site, inputs)
    same = [(c.name, c.index) for c in recording.calls] == [(c.name, c.index) for c in trial.calls]
    recording.batch_axes = trial.batch_axes
    return Suffix(model, recording) if same else None


def _recorded(model: Wrapped, site: str, inputs: Any) -> tuple[Tensor, Recording]:
    recorder = Recorder(model.module)
    handle = model.hook_dict[site].register_forward_hook(lambda *_: recorder.stop())
    try:
        with _INSTALLED, recorder.recording():
            outputs = model(inputs)
    finally:
        handle.remove()
    return outputs, recorder.found()


def _alike(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    limit = ROUNDINGS * torch.finfo(a.dtype).eps * max(1e-30, float(b.abs().max()) if b.numel() else 1.0)
    return bool(((a - b).abs() <= limit).all())
