"""Which two principal components of embeddings show a group: the plane on which they are closest to a regular polygon.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
https://arxiv.org/abs/2205.10343, figure 1 (a circle) and figure 17 (S_3: a hexagon on PC1 and PC3).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, require_range
from probes._tensors import as_tensor
from probes.spectra import pca


@dataclass(frozen=True)
class Plane:
    """Embeddings on two of their principal components.

    Attributes:
        components: the two, counted from 0.
        regularity: of the points, by `regularity`.
        points: ``[n, 2]``, on the components in their own units.
    """

    components: tuple[int, int]
    regularity: float
    points: Float[Tensor, "n 2"]


def regularity(points: Float[Tensor, "n 2"]) -> float:
    """How close points of a plane are to a regular polygon, in the order of their angles: 1 for one, near 0 for a line.

    Each axis is divided by its standard deviation first, since the scale of a component says nothing of its shape. With the
    points as complex numbers z_k in the order of their angles, it is ``|mean z_k exp(-2 pi i k / n)|^2 / mean |z_k|^2``: the
    share of their variance that the best fitting regular polygon has. Points of a normal distribution have 0.73 to 0.77, so
    compare with random ones: the best of the six planes of six random points has 0.86 on average, and above 0.94 one time in 20.

    Args:
        points: ``[n, 2]``, at least 3.

    Returns:
        From 0 to 1; 0 if they lie on a line.

    Raises:
        InterpError: points of another shape, or too few.

    >>> turn = 2 * math.pi * torch.arange(6.0) / 6
    >>> round(regularity(torch.stack([3 * turn.cos(), turn.sin()], 1)), 6)
    1.0
    """
    points = as_tensor(points, "points").double()
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise InterpError(f"regularity needs points [n, 2], at least 3, got {list(points.shape)}")
    centred = points - points.mean(0)
    scale = centred.square().mean(0).sqrt()
    if bool((scale <= 1e-9 * scale.max()).any()):
        return 0.0
    x, y = (centred / scale).T
    z = torch.complex(x, y)
    z = z[z.angle().argsort()]
    turn = -2 * math.pi * torch.arange(len(z), dtype=torch.float64, device=z.device) / len(z)
    return float((z * torch.polar(torch.ones_like(turn), turn)).mean().abs().square() / z.abs().square().mean())


def most_regular_plane(embeddings: Float[Tensor, "symbol dim"], within: int = 4) -> Plane:
    """The two of the first principal components on which embeddings are closest to a regular polygon.

    Args:
        embeddings: one per symbol, ``[symbol, dim]``; matrices flattened.
        within: look among the first so many components; fewer if there are not as many.

    Returns:
        The plane with the highest `regularity`.

    Raises:
        InterpError: embeddings of fewer than two dimensions or three symbols.

    >>> turn = 2 * math.pi * torch.arange(6.0) / 6
    >>> flat = torch.stack([torch.tensor([5.0, -5, 5, -5, 5, -5]), 2 * turn.cos(), turn.sin()], 1)
    >>> most_regular_plane(flat).components
    (1, 2)
    """
    require_range("within", within, 2)
    embeddings = as_tensor(embeddings, "embeddings").double()
    axes = pca(embeddings)
    count = min(within, len(axes.singular_values))
    if count < 2 or len(embeddings) < 3:
        raise InterpError(f"a plane needs two dimensions and three symbols, got embeddings {list(embeddings.shape)}")
    on = (embeddings - axes.mean) @ axes.basis.directions[:count].T
    planes = [
        Plane(pair, regularity(on[:, list(pair)]), on[:, list(pair)])
        for pair in itertools.combinations(range(count), 2)
    ]
    return max(planes, key=lambda plane: plane.regularity)
