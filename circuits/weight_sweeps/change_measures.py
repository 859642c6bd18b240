"""Measures of how a picture changes when weights move: pure functions of the changes.

A change is the picture after a step minus the picture before it, ``[..., 3, row, col]``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from probes.spectra import effective_rank

SMALL = 1e-4  # mean square of a change below which it is left out


def mean_square(change: Float[Tensor, "*n 3 row col"]) -> Float[Tensor, "*n"]:
    """Mean squared change over pixels and channels."""
    return change.square().mean((-3, -2, -1))


def antisymmetric_share(change: Float[Tensor, "*n 3 row col"]) -> Float[Tensor, "*n"]:
    """Share of the change that is antisymmetric under the left-right mirror: ``|(D - mirror D) / 2|^2 / |D|^2``.

    Args:
        change: of the picture.

    Returns:
        0: fully symmetric, both sides move alike; 1/2: unrelated halves; 1: the sides move in opposite directions.

    >>> even, odd = torch.tensor([1.0, 1.0]), torch.tensor([1.0, -1.0])
    >>> antisymmetric_share(torch.stack([even, odd]).reshape(2, 1, 1, 2).expand(2, 3, 1, 2)).tolist()
    [0.0, 1.0]
    """
    odd = (change - change.flip(-1)) / 2
    return _share(odd.square().sum((-3, -2, -1)), change)


def roughness(change: Float[Tensor, "*n 3 row col"]) -> Float[Tensor, "*n"]:
    """Squared gradient over squared size, with coordinates from -1 to 1: large where the change has fine detail.

    Args:
        change: of the picture.

    Returns:
        about (pi k)^2 for a wave of k periods across the picture.
    """
    rows, columns = change.shape[-2:]
    down = change.diff(dim=-2).square().sum((-3, -2, -1)) * ((rows - 1) / 2) ** 2
    along = change.diff(dim=-1).square().sum((-3, -2, -1)) * ((columns - 1) / 2) ** 2
    return _share(down + along, change)


def extent(change: Float[Tensor, "*n 3 row col"]) -> Float[Tensor, "*n"]:
    """How much of the picture changes: (sum e)^2 / (pixels * sum e^2) of the squared change e per pixel.

    Args:
        change: of the picture.

    Returns:
        1 where all pixels change equally, 1 / pixels where one does.

    >>> extent(torch.eye(2).expand(3, 2, 2)).item()
    0.5
    """
    energy = change.square().sum(-3).flatten(-2)
    total = energy.sum(-1)
    return total.square() / (energy.shape[-1] * energy.square().sum(-1)).clamp_min(torch.finfo(energy.dtype).tiny)


def colour_share(change: Float[Tensor, "*n 3 row col"]) -> Float[Tensor, "*n"]:
    """Share of the change that differs between red, green and blue; 0 where only brightness (and so shape) changes."""
    colour = change - change.mean(-3, keepdim=True)
    return _share(colour.square().sum((-3, -2, -1)), change)


def change_rank(changes: Float[Tensor, "n features"]) -> float:
    """Effective rank of changes, each normalised to length 1, as a share of their number.

    Small where all directions do the same few things. It falls with the number of changes, so only equal numbers compare.
    Effective rank: Roy and Vetterli 2007, https://ieeexplore.ieee.org/document/7098875.

    Args:
        changes: flattened.

    Returns:
        a share, from 1 / n to 1.
    """
    return rank_of(gram(changes))


def gram(changes: Float[Tensor, "n features"]) -> Float[Tensor, "n n"]:
    """Inner products of the normalised changes."""
    unit = changes.double()
    unit = unit / unit.norm(dim=-1, keepdim=True).clamp_min(1e-300)
    return unit @ unit.T


def rank_of(inner: Float[Tensor, "n n"]) -> float:
    """`change_rank` from the `gram` of the changes."""
    return effective_rank(torch.linalg.eigvalsh(inner).clamp_min(0).sqrt()) / len(inner) if len(inner) else float("nan")


MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "antisymmetric_share": antisymmetric_share,
    "roughness": roughness,
    "extent": extent,
    "colour_share": colour_share,
}


def bootstrap_median(
    values: Float[Tensor, "n"], groups: Tensor, seed: int = 0, draws: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval of a median, drawing whole groups (the changes of one direction) with replacement.

    Args:
        values: one per change.
        groups: ``[n]``, to which direction each belongs.
        seed: of the draws.
        draws: number of bootstrap samples.
        level: of confidence.

    Returns:
        the ends of the interval.
    """
    _, index = groups.unique(return_inverse=True)
    order = index.argsort(stable=True)
    counts = index.bincount()
    starts = counts.cumsum(0) - counts
    widest = int(counts.max())
    table = torch.full((len(counts), widest), float("nan"), dtype=values.dtype)  # [group, member], padded
    for place in range(widest):
        has = counts > place
        table[has, place] = values[order[starts[has] + place]]
    drawn = torch.randint(len(counts), (draws, len(counts)), generator=torch.Generator().manual_seed(seed))
    medians = table[drawn].flatten(1).nanquantile(0.5, dim=1)
    low, high = medians.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=medians.dtype)).tolist()
    return low, high


def jackknife_rank(inner: Float[Tensor, "n n"], groups: Tensor, parts: int = 10) -> tuple[float, float]:
    """95% interval of the rank's share by the delete-d jackknife, leaving out a tenth of the directions at a time.

    A bootstrap would draw changes twice, which adds nothing to the rank. Shao and Wu 1989, A general theory for jackknife
    variance estimation, https://doi.org/10.1214/aos/1176347263.

    Args:
        inner: `gram` of the changes.
        groups: ``[n]``, to which direction each belongs.
        parts: in how many parts the directions are left out.

    Returns:
        the ends of the interval; NaN for fewer than two directions.
    """
    ids, index = groups.unique(return_inverse=True)
    parts = min(parts, len(ids))
    if parts < 2:
        return float("nan"), float("nan")
    own = torch.arange(len(ids)) % parts  # directions come in random order, or in that of the layers: spread them
    values = []
    for part in range(parts):
        kept = own[index] != part
        values.append(rank_of(inner[kept][:, kept]))
    found = torch.tensor(values, dtype=torch.float64)
    error = float(((parts - 1) / parts * (found - found.mean()).square().sum()).sqrt())
    centre = rank_of(inner)
    return max(0.0, centre - 1.96 * error), min(1.0, centre + 1.96 * error)  # a share stays one


def _share(part: Tensor, change: Tensor) -> Tensor:
    return part / change.square().sum((-3, -2, -1)).clamp_min(torch.finfo(change.dtype).tiny)
