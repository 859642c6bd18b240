"""Classical multidimensional scaling: networks as points whose distances are close to those measured."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from jaxtyping import Float

from interp.errors import InterpError, require_range


def classical_scaling(distances: Float[np.ndarray, "k k"], dims: int = 2) -> tuple[Float[np.ndarray, "k dims"], float]:
    """Classical MDS (Torgerson 1952, https://doi.org/10.1007/BF02288916): principal coordinates of a matrix of distances.

    The doubly centred ``-D^2 / 2`` is the Gram matrix of points with these distances, if there are any; its largest
    eigenvectors, times the roots of their eigenvalues, are the coordinates. It misleads where the share is low: two points
    that lie on each other may be far apart in the dimensions left out.

    Args:
        distances: symmetric, 0 on the diagonal.
        dims: number of coordinates.

    Returns:
        Coordinates, largest axis first, each axis with a positive entry of largest size; and the share of the sum of the
        positive eigenvalues that they hold (NaN where all distances are 0).

    Raises:
        InterpError: not a square matrix of finite numbers.

    >>> points, share = classical_scaling(np.array([[0.0, 3.0], [3.0, 0.0]]), 1)
    >>> np.abs(points).ravel().round(9).tolist(), share
    ([1.5, 1.5], 1.0)
    """
    d = np.asarray(distances, dtype=float)
    require_range("dims", dims, 1)
    if d.ndim != 2 or d.shape[0] != d.shape[1] or not np.isfinite(d).all():
        raise InterpError(f"scaling needs a square matrix of finite distances, got {list(d.shape)}")
    squares = d**2
    gram = -(squares - squares.mean(0) - squares.mean(1)[:, None] + squares.mean()) / 2
    values, vectors = scipy.linalg.eigh((gram + gram.T) / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    positive = values.clip(min=0)
    found = np.zeros((len(d), dims))
    n = min(dims, len(d))
    found[:, :n] = vectors[:, :n] * np.sqrt(positive[:n])
    signs = np.sign(found[np.abs(found).argmax(0), range(dims)])
    total = positive.sum()
    return found * np.where(signs == 0, 1, signs), float(positive[:n].sum() / total) if total > 0 else float("nan")
