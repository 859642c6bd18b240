"""Embeddings on their components: alignment by a search, projections by numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import interp
from interp import InterpError
from interp.scores import Scores, score
from interp.snapshot import Snapshot
from probes.embedding_views import aligned, embedding_table, projected
from probes.spectra import pca
from tests.models import P, make, subject

ONE_TABLE = ["plain", "two layers", "layer norm", "shared concat", "shared sum", "product", "deep"]


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def table_of(model: interp.hooked.HookedModel) -> Tensor:
    """The embeddings in the model, to be written to."""
    return next(p for name, p in model.named_parameters() if name.endswith("W_E")).data


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_alignment_laws(seed: int, d: int) -> None:
    """Only signs of whole axes change; the result is the nearest of all; a second time changes nothing."""
    points, to = draw(seed, 5, d), draw(seed + 1, 5, d)
    found = aligned(points, to)
    assert torch.equal(found.abs(), points.abs())
    every = [points * torch.tensor(signs) for signs in np.array(np.meshgrid(*[[-1.0, 1.0]] * d)).reshape(d, -1).T]
    assert (found - to).norm() == pytest.approx(min(float((e - to).norm()) for e in every))
    assert torch.equal(aligned(found, to), found)
    assert torch.equal(aligned(-points, to), found)


def scored(one: Subject) -> Scores:
    return score(one.require_task(), one.logits())


@pytest.mark.parametrize("name", ONE_TABLE)
def test_all_components_are_the_clean_network(name: str) -> None:
    """Loss and accuracy to rounding."""
    one, clean = subject(name), scored(subject(name))
    snapshot = Snapshot(one)
    reduction = pca(embedding_table(snapshot).rows)
    before = {k: v.clone() for k, v in one.model.state_dict().items()}
    (found,) = projected(snapshot, reduction, [len(reduction.singular_values)])
    assert found.loss == pytest.approx(clean.loss, abs=1e-9)
    assert found.accuracy == clean.accuracy
    assert all(torch.equal(v, before[k]) for k, v in one.model.state_dict().items())


@pytest.mark.parametrize("name", ["plain", "shared concat", "product"])
def test_some_components_by_hand(name: str) -> None:
    """Projected by numpy's SVD, written into a copy; on axes of other embeddings, too; ``=`` keeps its own."""
    one, other = subject(name), make(name, 5)
    losses = []
    for axes_of in (one.model, other):
        basis = table_of(axes_of)[:P].numpy()
        directions = np.linalg.svd(basis - basis.mean(0))[2]
        rows = table_of(one.model)[:P].numpy()
        for found in projected(Snapshot(one), pca(torch.as_tensor(basis)), [0, 1, 3]):
            kept = directions[: found.components]
            changed = make(name)
            table_of(changed)[:P] = torch.as_tensor(rows.mean(0) + (rows - rows.mean(0)) @ kept.T @ kept)
            expected = scored(replace(one, model=changed))
            assert found.loss == pytest.approx(expected.loss, abs=1e-9)
            assert found.accuracy == expected.accuracy
            losses.append(round(found.loss, 6))
    assert len(set(losses)) == 5  # without components, axes say nothing; else each count and basis differ


def test_counts_and_axes_that_do_not_fit() -> None:
    """A count from the end would keep all but one, and one beyond the axes would be reported as so many."""
    snapshot = Snapshot(subject("plain"))
    rows = embedding_table(snapshot).rows
    n = len(pca(rows).singular_values)
    for counts in ([-1], [n + 1], ["2"], [1.5], 2):
        with pytest.raises(InterpError, match=f"counts are whole numbers from 0 to {n}"):
            projected(snapshot, pca(rows), counts)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match=r"axes of 2 dimensions, embeddings of \d+"):
        projected(snapshot, pca(rows[:, :2]), [1])
