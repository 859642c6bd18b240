"""Sweeps: weights moved along single entries and random directions, and what the picture does.

Source: METHODS A; Kumar et al. 2025 look at such sweeps by eye.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor

from circuits.weight_sweeps import change_measures as sweep_scores
from circuits.weight_sweeps.change_measures import SMALL
from circuits.weight_sweeps.directions import Direction
from circuits.weight_sweeps.render import Block, Renderer
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.pictures import Picture, sheet

STEPS = (-1.0, 1.0)
SIZE = 64
KEPT_BYTES = 256 << 20  # of changes that are kept for their rank


@dataclass(frozen=True)
class Score:
    """A measure over many changes, with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass
class Sweep:
    """What the picture did along each direction. No pictures are kept: `film` draws them again.

    Attributes:
        cppn: the network, unchanged.
        directions: what its weights were moved along.
        steps: how far, ``[direction, step]``.
        table: one row per direction and step: ``direction``, ``name``, ``layer``, ``step``, ``mean_square`` of the change, and
            each of `sweep_scores.MEASURES`.
        settled: directions that were settled without rendering, since the picture does not depend on them.
        size: pixels along each edge at which the changes were measured.
    """

    cppn: HookedCPPN
    directions: Sequence[Direction]
    steps: Tensor
    table: pd.DataFrame
    settled: int
    size: int
    _changes: Tensor = field(repr=False)  # [change, features] of the rows of `_kept`
    _kept: Tensor = field(repr=False)

    def counted(self) -> pd.DataFrame:
        """The rows whose change is not small (mean square of at least 1e-4)."""
        return self.table.query(f"mean_square >= {SMALL}")

    def scores(self, n: int | None = None, seed: int = 0) -> dict[str, Score]:
        """Medians of the measures over the counted changes, and the rank of the changes as a share of their number.

        Args:
            n: of so many changes at most, those of whole directions drawn at random; the rank's share compares at equal
                numbers alone.
            seed: of the choice and of the bootstrap.

        Returns:
            by name: the measures of `sweep_scores.MEASURES`, and ``change_rank_share``; empty where nothing changed.
        """
        rows = self.counted()
        rows = rows.loc[rows.index.intersection(self._kept.tolist())]
        if n is not None and n < len(rows):
            rows = _whole_directions(rows, n, seed)
        if rows.empty:
            return {}
        groups = torch.tensor(rows["direction"].to_numpy())
        found = {}
        for name in sweep_scores.MEASURES:
            values = torch.tensor(rows[name].to_numpy(), dtype=torch.float64)
            found[name] = Score(float(values.quantile(0.5)), *sweep_scores.bootstrap_median(values, groups, seed))
        place = {int(row): i for i, row in enumerate(self._kept.tolist())}
        inner = sweep_scores.gram(self._changes[[place[int(i)] for i in rows.index]])
        interval = sweep_scores.jackknife_rank(inner, groups)
        found["change_rank_share"] = Score(sweep_scores.rank_of(inner), *interval)
        return found

    def film(self, i: int, steps: Sequence[float] | None = None, size: int = 128) -> Picture:
        """The pictures along direction ``i``, from left to right, with the steps under them.

        Args:
            steps: by default seven, from the furthest step back to the furthest forward.
            size: pixels along each edge of a picture.
        """
        if not -len(self.directions) <= i < len(self.directions):
            raise InterpError(f"direction {i} is none of the {len(self.directions)} of this sweep")
        far = float(self.steps[i].abs().max())
        steps = [far * k / 3 for k in range(-3, 4)] if steps is None else list(steps)
        return film(Renderer(self.cppn, size), self.directions[i], steps)

    def by_effect(self, share: float) -> int:
        """The direction at this place when the counted ones are ordered by the size of their change, 0 least to 1 most.

        Raises:
            InterpError: nothing changed, so there is none.
        """
        order = pd.Series(self.counted().groupby("direction")["mean_square"].max()).sort_values()
        if order.empty:
            raise InterpError("no direction of the sweep changes the picture by a mean square of 1e-4 or more")
        return int(order.index[round(share * (len(order) - 1))])

    def __repr__(self) -> str:
        lines = [f"{name}: {score}" for name, score in self.scores().items()]
        head = f"Sweep of {len(self.directions)} directions, {len(self.counted())} of {len(self.table)} changes counted"
        return "\n  ".join([head, *lines])


def sweep(
    cppn: HookedCPPN,
    directions: Sequence[Direction],
    steps: Sequence[float] | Tensor = STEPS,
    size: int = SIZE,
    progress: Callable[[int], None] | None = None,
) -> Sweep:
    """Move the weights of an image network along each direction, and measure what the picture does.

    Args:
        directions: `single_entries`, `random_directions`.
        steps: how far, for all, or ``[direction, step]``.
        size: pixels along each edge.
        progress: called with the number of directions that are done.

    Raises:
        InterpError: no directions, or one of another network.
    """
    if not directions:
        raise InterpError("a sweep needs at least one direction")
    given = torch.as_tensor(steps, dtype=torch.float64)
    given = given.expand(len(directions), -1) if given.ndim == 1 else given
    renderer = Renderer(cppn, size)
    row_bytes = renderer.base.numel() * renderer.base.element_size()
    every = max(1, -(-given.numel() * row_bytes // KEPT_BYTES))  # of the directions, the changes that are kept
    columns = {name: torch.zeros(given.shape, dtype=torch.float64) for name in ("mean_square", *sweep_scores.MEASURES)}
    kept, rows, done = [], [], 0
    for block in renderer.pictures(directions, given.to(renderer.base)):
        ids = torch.tensor(block.directions)
        if block.pictures is not None:
            change = block.pictures - renderer.base
            measured = {"mean_square": sweep_scores.mean_square, **sweep_scores.MEASURES}
            for name, measure in measured.items():
                columns[name][ids] = measure(change).double().cpu()
            wanted = ids % every == 0
            kept.append(change[wanted].flatten(0, 1).flatten(1))
            rows.append((ids[wanted].unsqueeze(1) * given.shape[1] + torch.arange(given.shape[1])).flatten())
        done += len(ids)
        if progress is not None:
            progress(done)
    names = [n for n, _ in cppn.named_parameters()]
    k = given.shape[1]
    table = pd.DataFrame(
        {
            "direction": [i for i in range(len(directions)) for _ in range(k)],
            "name": [str(d) for d in directions for _ in range(k)],
            "layer": [names.index(d.parameter) if d.parameter else -1 for d in directions for _ in range(k)],
            "step": given.flatten().numpy(),
            **{name: values.flatten().numpy() for name, values in columns.items()},
        }
    )
    changes = torch.cat(kept) if kept else renderer.base.new_zeros(0, renderer.base.numel())
    index = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.long)
    return Sweep(cppn, directions, given, table, renderer.settled, size, changes.cpu(), index)


def _whole_directions(rows: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """The changes of randomly drawn directions, at most ``n`` of them."""
    counts = pd.Series(rows.groupby("direction").size()).sample(frac=1, random_state=seed)
    within = counts.cumsum().to_numpy() <= n
    chosen = counts.index.to_numpy()[within].tolist()
    return rows.loc[[index for index, direction in rows["direction"].items() if direction in set(chosen)]]


def film(renderer: Renderer, direction: Direction, steps: Sequence[float]) -> Picture:
    """The pictures of one direction in a row, with the steps under them."""
    (block,) = renderer.pictures([direction], torch.tensor(list(steps), dtype=torch.float64))
    drawn = block.pictures if block.pictures is not None else renderer.base.expand(1, len(steps), *renderer.base.shape)
    tiles = [Picture(p.permute(1, 2, 0)) for p in drawn[0]]
    return sheet([tiles], [[f"{s:+.3g}" if s else "0" for s in steps]])


def matched_steps(
    cppn: HookedCPPN,
    directions: Sequence[Direction],
    effect: float = 0.1,
    size: int = 32,
    low: float = 1e-3,
    high: float = 16.0,
) -> tuple[list[Direction], Tensor]:
    """For each direction the steps back and forth at which the picture changes by a root mean square of ``effect``.

    A network that moves less per unit step is compared at the same size of change. Steps are looked for on a ladder from
    ``low`` to ``high``, and between its rungs by interpolation of the logarithms.

    Returns:
        the directions that reach the effect both ways, and their steps ``[direction, 2]``.
    """
    ladder = torch.logspace(
        torch.tensor(low).log10().item(), torch.tensor(high).log10().item(), 25, dtype=torch.float64
    )
    renderer = Renderer(cppn, size)
    found = torch.full((len(directions), 2), float("nan"), dtype=torch.float64)
    steps = torch.cat([-ladder, ladder])
    for block in _rendered(renderer, directions, steps):
        assert block.pictures is not None
        rms = sweep_scores.mean_square(block.pictures - renderer.base).double().cpu().sqrt().unflatten(1, (2, -1))
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
