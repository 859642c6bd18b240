"""Activation matching: hidden neurons of two networks assigned on the correlations of their activations."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from circuits.weight_line.symmetries import Symmetries
from interp.activations.batches import model_for, placed
from interp.activations.capture import capture
from interp.errors import InterpError, MissingCapability
from interp.hooked import HookedCPPN
from interp.hooked.cppn.plane import coordinates
from interp.subject import Subject, at_readout

MOST = 4096  # examples, evenly spaced
SIZE = 64  # pixels along each edge of a picture


def orders_by_correlation(
    a: Subject, b: Subject, symmetries: Symmetries, inputs: Tensor | None = None
) -> dict[str, Tensor]:
    """The assignment of b's neurons to a's with the largest sum of correlations, layer by layer.

    Correlations are Pearson's over inputs (and positions); of odd functions their absolute value counts, since the sign is free.
    A neuron that does not vary has the correlation 0. Li et al. 2015, Convergent Learning, https://arxiv.org/abs/1511.07543

    Args:
        a: stays as it is.
        b: of the same architecture.
        symmetries: the architecture's; only groups with a hook point are assigned.
        inputs: what both run on; by default those of the task, or a picture's pixels.

    Returns:
        by group, b's unit that takes each place ``[unit]``.

    Raises:
        MissingCapability: no inputs, and no task that has some.
        InterpError: no group has a hook point, or inputs that do not fit.
    """
    groups = {name: group for name, group in symmetries.groups.items() if group.site}
    if not groups:
        raise InterpError(
            f"no neurons of a {type(a.model).__name__} are matched by their activations; use by='weights'"
        )
    shared = _inputs(a, b) if inputs is None else inputs
    runs = []
    for subject in (a, b):
        model = subject.model.cast(subject.precision)
        task = a.task or b.task
        model = model if task is None or inputs is not None else at_readout(model, task)
        runs.append(capture(model_for(model, shared), placed(shared, model), [group.site for group in groups.values()]))
    found = {}
    for name, group in groups.items():
        one, other = (_standard(run[group.site]) for run in runs)
        correlation = (one.mT @ other).cpu().numpy()
        order = np.arange(group.size)
        for units in group.classes().values():
            own = correlation[np.ix_(units, units)]
            value = np.abs(own) if group.parity(units[0]) == "odd" else own
            order[units] = np.asarray(units)[linear_sum_assignment(value, maximize=True)[1]]
        found[name] = torch.from_numpy(order)
    return found


def _inputs(a: Subject, b: Subject) -> Tensor:
    task = a.task or b.task
    if task is not None:
        every = max(1, -(-len(task.labels) // MOST))
        return task.inputs[::every]
    if isinstance(a.model, HookedCPPN):
        return coordinates(SIZE, SIZE, dtype=a.precision)
    raise MissingCapability(f"{a.name}: matching by activations {a.lacks(['activations'])[0]}; or pass inputs=")


def _standard(activations: Tensor) -> Tensor:
    """Columns ``[n, unit]`` with mean 0 and length 1; zeros where one does not vary."""
    x = activations.reshape(-1, activations.shape[-1]).double()
    x = x - x.mean(0)
    length = x.norm(dim=0)
    return torch.where(length > 1e-9 * length.max(), x / length, torch.zeros_like(x))
