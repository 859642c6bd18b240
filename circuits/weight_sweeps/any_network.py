"""Weight sweeps at the door: of a picture where the network draws one, of all outputs everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

import torch
from torch import Tensor

from circuits.weight_sweeps import image_sweep
from circuits.weight_sweeps.directions import Direction
from circuits.weight_sweeps.image_sweep import SIZE
from circuits.weight_sweeps.network_sweep import MAX_BYTES, STEP, NetworkSweep, network_matched_steps, network_sweep
from circuits.weight_sweeps.sweep_result import Sweep
from interp._util.bar import with_bar
from interp._util.renamed import renamed
from interp.errors import InterpError, require_positive
from interp.hooked import HookedCPPN
from interp.hooked.base import HookedModel
from interp.hooked.coerce import as_model
from interp.subject import Subject, as_subject

Progress = Callable[[int, int], None]


@overload
def sweep(
    subject: HookedCPPN, directions: Sequence[Direction], steps: Sequence[float] | Tensor | None = None,
    size: int | None = None, progress: Progress | bool | None = None, *, dtype: torch.dtype | str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Sweep: ...  # fmt: skip
@overload
def sweep(
    subject: Subject | HookedModel, directions: Sequence[Direction], steps: Sequence[float] | Tensor | None = None,
    size: int | None = None, progress: Progress | bool | None = None, *, dtype: torch.dtype | str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Sweep | NetworkSweep: ...  # fmt: skip
@renamed(cppn="subject")
@with_bar
def sweep(
    subject: Subject | HookedModel,
    directions: Sequence[Direction],
    steps: Sequence[float] | Tensor | None = None,
    size: int | None = None,
    progress: Progress | bool | None = None,
    *,
    dtype: torch.dtype | str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Sweep | NetworkSweep:
    """Weight sweep: move the weights of a network along each direction, and measure how its outputs change.

    Moving one weight of a unified factored representation (UFR) changes a whole factor of the behaviour, and respects the
    symmetry of the task; in a fractured entangled one (FER) it changes a little of everything (Kumar et al. 2025, Questioning
    Representational Optimism in Deep Learning, https://arxiv.org/abs/2505.11581). Of an image network the picture is measured
    (`circuits.weight_sweeps.change_measures`); of any other the outputs at all examples: the equivariant share of each change
    under `Task.symmetry`, and how many of `Task.factors` it touches (`circuits.weight_sweeps.factor_measures`).

    Only what a move reaches is computed, and where what follows is linear, the change stays a product of two vectors.

    Args:
        subject: a Subject with a task; or an image network.
        directions: of `circuits.single_entries` or `circuits.random_directions`.
        steps: how far, for all directions ``[step]``, or for each ``[direction, step]``; by default 0.3, of a picture -1 and 1.
        size: pixels along each edge of a picture, 64 by default.
        progress: called with (directions done, directions in all). By default a notebook shows a bar; False
            leaves it out.
        dtype: in which any other network is run; by default the subject's precision.
        max_bytes: of its changes that are kept for their rank.

    Returns:
        measures of every change, scores with intervals, and films of a picture.

    Raises:
        MissingCapability: neither a picture nor a task.
        InterpError: no directions, one of another network, or steps of another shape.

    >>> import interp, circuits
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> subject = interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model))
    >>> found = circuits.sweep(subject, circuits.random_directions(model, 20))
    >>> sorted(found.scores())
    ['change_rank_share', 'equivariant_share', 'extent', 'input_factors', 'output_factors']
    """
    if isinstance(model := as_model(subject), HookedCPPN):
        given = image_sweep.STEPS if steps is None else steps
        return image_sweep.sweep(model, directions, given, SIZE if size is None else size, progress)
    given = (STEP,) if steps is None else steps
    return network_sweep(as_subject(subject), directions, given, dtype=dtype, max_bytes=max_bytes, progress=progress)


@renamed(cppn="subject")
def matched_steps(
    subject: Subject | HookedModel,
    directions: Sequence[Direction],
    effect: float = 0.1,
    size: int = 32,
    low: float | None = None,
    high: float | None = None,
) -> tuple[list[Direction], Tensor]:
    """For each direction the steps at which the outputs change by the same root mean square.

    So a network that moves less per unit step is compared at the same size of change.

    Args:
        subject: a Subject with a task; or an image network.
        directions: of `circuits.single_entries` or `circuits.random_directions`.
        effect: root mean square of the change; in standard deviations of the clean outputs, except for a picture.
        size: pixels along each edge of a picture.
        low: the smallest step; by default 1e-4, of a picture 1e-3.
        high: the largest step; by default 64, of a picture 16.

    Returns:
        the directions that reach the effect, and their steps ``[direction, 1]``; of a picture, steps back and forth
        ``[direction, 2]``. Steps are searched on at most 512 examples, to one per cent.

    Raises:
        MissingCapability: neither a picture nor a task.
        InterpError: a direction of another network, or an effect or steps that are not above 0.
    """
    if isinstance(model := as_model(subject), HookedCPPN):
        low, high = _range(effect, 1e-3 if low is None else low, 16.0 if high is None else high)
        return image_sweep.matched_steps(model, directions, effect, size, low, high)
    low, high = _range(effect, 1e-4 if low is None else low, 64.0 if high is None else high)
    return network_matched_steps(as_subject(subject), directions, effect, low, high)


def _range(effect: float, low: float, high: float) -> tuple[float, float]:
    for name, value in (("effect", effect), ("low", low), ("high", high)):
        require_positive(name, value)
    if not low < high:
        raise InterpError(f"the smallest step must lie below the largest, got low={low} and high={high}")
    return low, high
