"""The Mantel test: the correlation is scipy's, relabelling finds what goes together, and dependence does not fool it."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from interp import InterpError
from probes.similarity import mantel


def tables(k: int, shared: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two tables with strong effects of single networks, which go together as far as ``shared``."""
    draw = np.random.default_rng(seed)
    u, v, pair = draw.normal(size=k), draw.normal(size=k), draw.normal(size=(k, k))
    x = draw.normal(size=(k, k)) + 3 * (u[:, None] + u) + shared * pair
    return x, draw.normal(size=(k, k)) + 3 * (v[:, None] + v) + shared * pair


def test_the_correlation_is_spearmans_of_the_mean_of_both_directions() -> None:
    x, y = tables(9, 1.0, 0)
    upper = np.triu_indices(9, 1)
    found = mantel(x, y, permutations=9)
    assert found.correlation == pytest.approx(spearmanr((x + x.T)[upper], (y + y.T)[upper]).statistic, abs=1e-12)
    assert (found.pairs, found.networks) == (36, 9)


def test_p_is_the_share_of_all_relabellings() -> None:
    """Of 5 networks there are 120, the observed one among them."""
    x, y = tables(5, 0.5, 1)
    x, y = x + x.T, y + y.T
    upper = np.triu_indices(5, 1)
    all_of_them = [
        spearmanr(x[upper], y[np.ix_(order, order)][upper]).statistic for order in itertools.permutations(range(5))
    ]
    exact = float(np.mean(np.abs(all_of_them) >= abs(all_of_them[0]) - 1e-12))
    assert mantel(x, y, permutations=20_000, seed=0).p == pytest.approx(exact, abs=0.015)


def test_effects_of_single_networks_are_no_association() -> None:
    """Pairs that share a network are dependent: of 100 unrelated tables about 5 are below 0.05; a plain test calls more."""
    found = [tables(8, 0.0, seed) for seed in range(100)]
    ps = np.array([mantel(x, y, permutations=199, seed=i).p for i, (x, y) in enumerate(found)])
    assert (ps < 0.05).sum() <= 11
    upper = np.triu_indices(8, 1)
    plain = [spearmanr((x + x.T)[upper], (y + y.T)[upper]).pvalue for x, y in found]
    assert (np.array(plain) < 0.05).sum() > 15


def test_a_shared_part_is_found() -> None:
    assert mantel(*tables(10, 20.0, 3), permutations=499).p < 0.01


def test_what_is_no_pair_of_tables() -> None:
    """Constant tables have no correlation; everything else is refused with its reason."""
    assert np.isnan(mantel(np.ones((5, 5)), np.eye(5)).correlation)
    holes = np.arange(25.0).reshape(5, 5)
    holes[0, 1] = np.nan
    for x, y, said in (
        (np.eye(5), np.eye(4), "same 4 or more networks"), (np.eye(3), np.eye(3), "4 or more"),
        (np.ones((4, 5)), np.eye(4), "square"), (holes, np.eye(5), "NaN"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=said):
            mantel(x, y)
    one = pd.DataFrame(np.eye(4), index=list("abcd"), columns=list("abcd"))
    with pytest.raises(InterpError, match="different networks"):
        mantel(one, one.loc[list("badc"), list("badc")])
