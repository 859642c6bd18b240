"""Weight sweeps of image networks: weights moved along single entries and random directions, and how the picture changes.

Kumar et al. 2025 look at such sweeps by eye (https://arxiv.org/abs/2505.11581); here the changes are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from circuits.weight_sweeps import change_measures
from circuits.weight_sweeps.directions import Direction, as_steps
from circuits.weight_sweeps.image_network import as_cppn
from circuits.weight_sweeps.render import Block, Renderer
from circuits.weight_sweeps.scored import frame_of
from circuits.weight_sweeps.sweep_result import Sweep
from interp._util.estimate import told
from interp.hooked import HookedCPPN
from interp.subject import Subject

STEPS = (-1.0, 1.0)
SIZE = 64
KEPT_BYTES = 256 << 20  # of changes that are kept for their rank


def sweep(
    cppn: HookedCPPN | Subject,
    directions: Sequence[Direction],
    steps: Sequence[float] | Tensor = STEPS,
    size: int = SIZE,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Sweep:
    """Weight sweep: move the weights of an image network along each direction, and measure how the picture changes.

    Kumar et al. 2025 look at such sweeps to tell a fractured entangled representation (FER), where each weight disturbs some
    part of the picture, from a unified factored representation (UFR), where weights change meaningful parts together
    (Questioning Representational Optimism in Deep Learning: The Fractured Entangled Representation Hypothesis,
    https://arxiv.org/abs/2505.11581).

    Args:
        cppn: an image network, or a Subject of one.
        directions: of `circuits.single_entries` or `circuits.random_directions`.
        steps: how far, for all directions ``[step]``, or for each ``[direction, step]``.
        size: pixels along each edge.
        progress: called with (directions done, directions in all).

    Returns:
        `Sweep`: measures of every change, scores with intervals, and films.

    Raises:
        InterpError: a network that does not draw an image, no directions, one of another network, steps of another shape, or
            a size that no picture can have.

    >>> import interp
    >>> from circuits import single_entries
    >>> cppn = interp.HookedCPPN(interp.CPPNConfig("1;sin:2")).init_weights(seed=0)
    >>> found = sweep(cppn, single_entries(cppn), size=16)
    >>> len(found.measured)
    28
    """
    cppn, directions = as_cppn(cppn), list(directions)
    given = as_steps(steps, len(directions))
    renderer = Renderer(cppn, size)
    row_bytes = renderer.base.numel() * renderer.base.element_size()
    every = max(1, -(-given.numel() * row_bytes // KEPT_BYTES))  # of the directions, the changes that are kept
    columns = {
        name: torch.zeros(given.shape, dtype=torch.float64) for name in ("mean_square", *change_measures.MEASURES)
    }
    kept, rows, done, shown = [], [], 0, told("directions", progress)
    for block in renderer.pictures(directions, given.to(renderer.base)):
        ids = torch.tensor(block.directions)
        if block.pictures is not None:
            change = block.pictures - renderer.base
            measured = {"mean_square": change_measures.mean_square, **change_measures.MEASURES}
            for name, measure in measured.items():
                columns[name][ids] = measure(change).double().cpu()
            wanted = ids % every == 0
            kept.append(change[wanted].flatten(0, 1).flatten(1))
            rows.append((ids[wanted].unsqueeze(1) * given.shape[1] + torch.arange(given.shape[1])).flatten())
        done += len(ids)
        shown(done, len(directions))
    layers = {name: i for i, (name, _) in enumerate(cppn.named_parameters())}
    table = frame_of(directions, given, layers, columns)
    changes = torch.cat(kept) if kept else renderer.base.new_zeros(0, renderer.base.numel())
    index = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.long)
    return Sweep(cppn, directions, given, table, renderer.settled, size, changes.cpu(), index)


def matched_steps(
    cppn: HookedCPPN | Subject,
    directions: Sequence[Direction],
    effect: float = 0.1,
    size: int = 32,
    low: float = 1e-3,
    high: float = 16.0,
) -> tuple[list[Direction], Tensor]:
    """For each direction the steps back and forth at which the picture changes by the same root mean square.

    So a network that moves less per unit step is compared at the same size of change. Steps are searched on a ladder from
    ``low`` to ``high``, and between its rungs by interpolation of the logarithms.

    Args:
        cppn: an image network, or a Subject of one.
        directions: of `circuits.single_entries` or `circuits.random_directions`.
        effect: root mean square of the change.
        size: pixels along each edge.
        low: the smallest step.
        high: the largest step.

    Returns:
        the directions that reach the effect both ways, and their steps ``[direction, 2]``.

    Raises:
        InterpError: a network that does not draw an image, or a direction of another network.
    """
    cppn = as_cppn(cppn)
    ladder = torch.logspace(
        torch.tensor(low).log10().item(), torch.tensor(high).log10().item(), 25, dtype=torch.float64
    )
    renderer = Renderer(cppn, size)
    found = torch.full((len(directions), 2), float("nan"), dtype=torch.float64)
    steps = torch.cat([-ladder, ladder])
    for block in _rendered(renderer, directions, steps):
        assert block.pictures is not None
        rms = change_measures.mean_square(block.pictures - renderer.base).double().cpu().sqrt().unflatten(1, (2, -1))
        ids = torch.tensor(block.directions)
        for side in (0, 1):
            found[ids, side] = (-1.0, 1.0)[side] * _crossing(rms[:, side], ladder, effect)
    reached = found.isfinite().all(1)
    return [directions[i] for i in reached.nonzero().squeeze(1).tolist()], found[reached]


def _rendered(renderer: Renderer, directions: Sequence[Direction], steps: Tensor) -> Iterator[Block]:
    return (b for b in renderer.pictures(directions, steps) if b.pictures is not None)


def _crossing(rms: Tensor, ladder: Tensor, effect: float) -> Tensor:
    """Where each row of ``rms [n, rung]`` first reaches the effect; NaN where it does not, or passed it below the ladder."""
    above = rms >= effect
    first = above.int().argmax(1)
    rows = torch.arange(len(rms))
    before = (first - 1).clamp_min(0)
    r0, r1 = rms[rows, before].clamp_min(1e-12).log(), rms[rows, first].clamp_min(1e-12).log()
    s0, s1 = ladder[before].log(), ladder[first].log()
    weight = ((torch.tensor(effect).log() - r0) / (r1 - r0)).nan_to_num(0).clamp(0, 1)
    step = (s0 + weight * (s1 - s0)).exp()
    found = above.any(1) & ((first > 0) | (rms[:, 0] <= effect * 1.01))  # below the lowest rung nothing is known
    return torch.where(found, step, torch.full_like(step, float("nan")))
