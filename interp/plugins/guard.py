"""What an analysis must leave as it was: the networks, the data of their tasks, torch's settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from interp.subject import Subject

MOST_BYTES = 256 << 20  # that are copied, so that they can be compared and put back


@contextmanager
def left_alone(subjects: Sequence[Subject]) -> Iterator[list[str]]:
    """Put back what an analysis changes in place, so that those after it see the networks and tasks that were given.

    Weights and data of more than `MOST_BYTES` are not copied, and so neither compared nor put back; hooks, modes (train or
    evaluation) and torch's settings always are.

    Args:
        subjects: what the analysis runs on.

    Yields:
        the names of what was changed, filled on the way out: of tensors, "hooks", "the mode (train or evaluation)".

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig(d_in=2, d_out=1, hidden=(3,))).init_weights(seed=0)
    >>> with left_alone([interp.Subject("mine", model)]) as changed:
    ...     model.layers[0].W.data[0] = 0
    >>> changed, bool(model.layers[0].W[0].any())
    (['layers.0.W'], True)
    """
    changed: list[str] = []
    held = [(name, tensor, tensor.detach().clone()) for name, tensor in _copied(subjects)]
    modules = [module for one in subjects for module in one.model.modules()]
    modes = [module.training for module in modules]
    hooks = [set(module._forward_hooks) | set(module._forward_pre_hooks) for module in modules]
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        yield changed
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        for name, tensor, was in held:
            if not _same(tensor.detach(), was):
                with torch.no_grad():
                    tensor.copy_(was)
                changed.append(name)
        if modes != [module.training for module in modules]:
            changed.append("the mode (train or evaluation)")
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode
        left = [
            (registered, key)
            for module, before in zip(modules, hooks, strict=True)
            for registered in (module._forward_hooks, module._forward_pre_hooks)
            for key in set(registered) - before
        ]
        if left:
            changed.append("hooks")
            for registered, key in left:
                del registered[key]
        if changed:
            for one in subjects:
                one.keep_logits(None)  # what torch does not count: changes of the data, or by way of .data


def _copied(subjects: Sequence[Subject]) -> list[tuple[str, Tensor]]:
    """Weights, and what a task has computed of its data, by name; the smallest first while they fit."""
    found: list[tuple[str, Tensor]] = []
    for one in subjects:
        whose = f" of {one.name}" if len(subjects) > 1 else ""
        found += [(f"{name}{whose}", tensor) for name, tensor in one.model.state_dict(keep_vars=True).items()]
        if one.task is not None:
            _ = one.task.inputs, one.task.labels  # computed once, and shared from then on
            data = {name: part for name, part in vars(one.task).items() if isinstance(part, Tensor)}
            found += [(f"{name} of the task{whose}", part) for name, part in data.items()]
    fit, room = [], MOST_BYTES
    for name, tensor in sorted(found, key=lambda pair: pair[1].nbytes):
        room -= tensor.nbytes
        if room >= 0:
            fit.append((name, tensor))
    return fit


def _same(tensor: Tensor, was: Tensor) -> bool:
    """Equal, NaN included."""
    return tensor.shape == was.shape and bool(((tensor == was) | ((tensor != tensor) & (was != was))).all())
