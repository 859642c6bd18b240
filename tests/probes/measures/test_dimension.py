"""Effective dimension of a network's embeddings, by scikit-learn's PCA."""

from __future__ import annotations

import math

import pytest
from sklearn.decomposition import PCA
from torch import Tensor

from probes.measures.dimension import embedding_dimension
from tests.models import P, subject


def by_sklearn(points: Tensor) -> float:
    q = PCA().fit(points.detach().double().numpy()).explained_variance_ratio_
    return math.exp(-sum(x * math.log(x) for x in q if x > 1e-15))


@pytest.mark.parametrize("name", ["plain", "shared concat", "per operand"])
def test_embedding_dimension_leaves_out_equals(name: str) -> None:
    """The symbols alone, by sklearn; the row of = may be anything."""
    one = subject(name)
    table = one.model.W_E.detach()
    tables = {"embed.W_E": table[:P]} if table.ndim == 2 else {f"embed.W_E[{i}]": t for i, t in enumerate(table)}
    assert embedding_dimension(one) == pytest.approx({n: by_sklearn(t) for n, t in tables.items()})
