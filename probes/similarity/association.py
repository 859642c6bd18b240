"""The Mantel test: whether two tables of pairs go together, such as similarity and stitching between networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from interp.errors import InterpError, require_range

BATCH = 1000  # permutations at once


@dataclass(frozen=True)
class Mantel:
    """Association of two tables of pairs.

    Attributes:
        correlation: Spearman's, over the pairs; NaN where a table is constant.
        p: share of relabellings whose correlation is at least as large in size, the observed one included.
        pairs: how many there are.
        networks: how many there are.
    """

    correlation: float
    p: float
    pairs: int
    networks: int

    def __repr__(self) -> str:
        return f"Mantel: {self.correlation:+.2f} over {self.pairs} pairs of {self.networks} (p = {self.p:.2g})"


def mantel(
    x: ArrayLike | pd.DataFrame, y: ArrayLike | pd.DataFrame, *, permutations: int = 9999, seed: int = 0
) -> Mantel:
    """Mantel test: Spearman's correlation over pairs of networks, against relabellings of the networks.

    Pairs that share a network are not independent, so the correlation's usual p value is far too small. Here the networks of one
    table are relabelled, rows and columns together, which keeps that dependence.

    Args:
        x: a number for every two networks ``[k, k]``; of a table that is not symmetric the mean of both directions counts, the
            diagonal does not.
        y: another, of the same networks in the same order.
        permutations: random relabellings.
        seed: of the relabellings.

    Returns:
        correlation and p, two-sided.

    Raises:
        InterpError: tables of other shapes or different networks, fewer than 4 networks, or NaN beside the diagonal.

    Mantel 1967, The detection of disease clustering and a generalized regression approach,
    https://pubmed.ncbi.nlm.nih.gov/6018555/. It misleads for fewer than 7 networks: of so few there are few relabellings.

    >>> near = [[0, 1, 5, 6], [1, 0, 4, 7], [5, 4, 0, 2], [6, 7, 2, 0]]
    >>> mantel(near, near).correlation
    1.0
    """
    require_range("permutations", permutations, 1)
    if isinstance(x, pd.DataFrame) and isinstance(y, pd.DataFrame) and list(x.index) != list(y.index):
        raise InterpError("the two tables are of different networks, or in another order")
    one, other = _table(x), _table(y)
    k = len(one)
    if len(other) != k or k < 4:
        raise InterpError(f"a Mantel test needs two tables of the same 4 or more networks, got {k} and {len(other)}")
    upper = np.triu_indices(k, 1)
    a, b = _standard(rankdata(one[upper])), np.zeros((k, k))
    b[upper] = _standard(rankdata(other[upper]))
    b += b.T
    observed = float(a @ b[upper])
    if not np.isfinite(observed):
        return Mantel(float("nan"), float("nan"), len(a), k)
    draw, beyond = np.random.default_rng(seed), 0
    for start in range(0, permutations, BATCH):
        orders = draw.permuted(np.tile(np.arange(k), (min(BATCH, permutations - start), 1)), axis=1)
        found = b[orders[:, upper[0]], orders[:, upper[1]]] @ a
        beyond += int((np.abs(found) >= abs(observed) - 1e-12).sum())
    return Mantel(round(observed, 12), (beyond + 1) / (permutations + 1), len(a), k)


def _table(given: ArrayLike | pd.DataFrame) -> np.ndarray:
    table = np.asarray(given, dtype=float)
    if table.ndim != 2 or table.shape[0] != table.shape[1]:
        raise InterpError(f"a table of pairs is square [networks, networks], got {list(table.shape)}")
    table = (table + table.T) / 2
    if np.isnan(table[np.triu_indices(len(table), 1)]).any():
        raise InterpError("a table of pairs holds NaN; leave out the networks that it concerns")
    return table


def _standard(values: np.ndarray) -> np.ndarray:
    """Centred, of length 1; NaN where all are equal."""
    centred = values - values.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length > 0 else np.full(len(values), np.nan)
