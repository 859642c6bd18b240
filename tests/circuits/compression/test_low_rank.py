"""`reduce` and `rank_curve`: numpy's singular values, the best approximation, and the same logits at full rank."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from circuits.compression.derived import score_columns, scores_of
from circuits.compression.low_rank import rank_curve, reduce
from interp import HookedMLP, InterpError, MLPConfig, Subject
from interp.errors import MissingCapability
from interp.snapshot import matrices
from tests.models import P, make, subject

NAMES = [
    "plain",
    "layer norm",
    "norm last",
    "gated",
    "no mlp",
    "bidirectional",
    "per operand",
    "deep",
    "product of tables",
]


def by_name(one: Subject) -> dict[str, np.ndarray]:
    return {n: W.detach().numpy() for n, W in matrices(dict(one.model.named_parameters()))}


def truncated(W: np.ndarray, rank: int) -> np.ndarray:
    """By numpy's eigenvectors of W^T W, not by an SVD: W on its first right singular vectors."""
    _, vectors = np.linalg.eigh(W.T @ W)
    V = vectors[:, ::-1][:, :rank]
    return W @ V @ V.T


@pytest.mark.parametrize("name", NAMES)
def test_every_matrix_is_its_best_approximation(name: str) -> None:
    """Against numpy, stacks one by one; what is not a matrix stays, bit for bit; the subject stays."""
    one = subject(name)
    before = {n: p.detach().clone() for n, p in one.model.named_parameters()}
    found = reduce(one, rank=2)
    small, table = by_name(found.subject), found.table.set_index("matrix")
    assert list(small) == list(table.index)
    for n, W in by_name(one).items():
        np.testing.assert_allclose(small[n], truncated(W, 2), atol=1e-9)
        s = np.linalg.svd(W, compute_uv=False)
        assert table["error"][n] == pytest.approx(math.sqrt(max(0, 1 - (s[:2] ** 2).sum() / (s**2).sum())), abs=1e-7)
        assert table["error"][n] == pytest.approx(np.linalg.norm(W - small[n]) / np.linalg.norm(W), abs=1e-7)
        assert (table["rank"][n], table["full_rank"][n]) == (min(2, *W.shape), min(W.shape))
        assert table["parameters"][n] == min(table["rank"][n] * sum(W.shape), W.size)
        assert table["shape"][n] == f"{W.shape[0]}x{W.shape[1]}"
    rest = {n for n, p in before.items() if p.ndim < 2 or ".b_" in n}
    changed = dict(found.subject.model.named_parameters())
    assert all(torch.equal(changed[n], before[n]) for n in rest)
    assert all(torch.equal(p, before[n]) for n, p in one.model.named_parameters())
    assert found.parameters == table["parameters"].sum()


@pytest.mark.parametrize("name", NAMES)
def test_full_rank_is_the_network(name: str) -> None:
    """By any rank that is large enough, and by no error; a lower rank moves the logits."""
    one = subject(name)
    for found in (reduce(one, rank=1000), reduce(one, error=0.0)):
        torch.testing.assert_close(found.subject.logits(), one.logits(), rtol=1e-9, atol=1e-9)
        assert (found.table["rank"] == found.table["full_rank"]).all()
        assert score_columns(found.scores) == pytest.approx(score_columns(found.scores_before))
    assert (reduce(one, rank=1).subject.logits() - one.logits()).abs().max() > 1e-3


@pytest.mark.parametrize("error", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("name", ["plain", "two layers", "per operand"])
def test_the_error_holds_for_every_matrix_and_no_lower_rank_would_do(name: str, error: float) -> None:
    one = subject(name)
    found = reduce(one, error=error)
    small = by_name(found.subject)
    ranks = dict(zip(found.table["matrix"], found.table["rank"], strict=True))
    for n, W in by_name(one).items():
        assert np.linalg.norm(W - small[n]) <= error * np.linalg.norm(W) * (1 + 1e-9)
        assert np.linalg.norm(W - truncated(W, ranks[n] - 1)) > error * np.linalg.norm(W)
    assert len(set(ranks.values())) > 1


def planted(*values: float) -> Subject:
    model = HookedMLP(MLPConfig((len(values),), P, d_in=len(values), bias=False, unembed_bias=False)).double()
    model.layer(0).W.data.copy_(torch.diag(torch.tensor(values)))
    model.W_U.data.copy_(torch.ones(len(values), P))
    return Subject("planted", model)


def test_by_hand() -> None:
    """Singular values 4, 2, 1, 0: relative errors sqrt(5 / 21), sqrt(1 / 21), 0; the ones have rank 1; no task, no scores."""
    one = planted(4.0, 2.0, 1.0, 0.0)
    for rank, error in ((1, math.sqrt(5 / 21)), (2, math.sqrt(1 / 21)), (3, 0.0)):
        table = reduce(one, rank=rank).table.set_index("matrix")
        assert table["error"]["layers.0.W"] == pytest.approx(error, abs=1e-12)
        assert table["error"]["unembed.W_U"] == pytest.approx(0, abs=1e-12)
    found = reduce(one, error=0.25)
    assert found.table["rank"].tolist() == [2, 1]
    assert found.table["parameters"].tolist() == [16, 4 + P]
    assert found.scores is found.scores_before is None


def test_a_matrix_of_zeros() -> None:
    """Rank 0 is exact; an error of 1 lets all go."""
    one = planted(0.0, 0.0, 0.0)
    found = reduce(one, error=0.1)
    assert found.table["rank"].tolist() == [0, 1]
    assert found.table["error"].tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    gone = reduce(subject("plain"), error=1.0)
    assert gone.table["rank"].tolist() == [0] * len(gone.table)
    assert gone.parameters == 0
    assert not any(W.any() for W in by_name(gone.subject).values())


@pytest.mark.parametrize("name", ["plain", "deep"])
def test_the_curve_is_reduce_at_each_size(name: str) -> None:
    one = subject(name)
    for sizes, found in (("rank", rank_curve(one, ranks=[1, 3])), ("error", rank_curve(one, errors=[0.6, 0.2]))):
        for size, row in zip([1, 3] if sizes == "rank" else [0.6, 0.2], found.to_dict("records"), strict=True):
            twin = reduce(one, **{sizes: size})  # type: ignore[arg-type]
            assert twin.scores is not None
            assert {k: row[k] for k in score_columns(twin.scores)} == pytest.approx(score_columns(twin.scores))
            assert row["parameters"] == twin.parameters
            assert (row["rank"], row["error"]) == (twin.table["rank"].max(), twin.table["error"].max())
    by_default = rank_curve(one)
    assert by_default["rank"].tolist()[:3] == [1, 2, 4]
    assert by_default.iloc[-1]["loss"] == pytest.approx(scores_of(one).loss)


def test_refusals() -> None:
    one = subject("plain")
    for given in ({}, {"rank": 1, "error": 0.1}):
        with pytest.raises(InterpError, match="either rank="):
            reduce(one, **given)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="rank must be at least 1"):
        reduce(one, rank=0)
    for error in (-0.1, 1.1, float("nan")):
        with pytest.raises(InterpError, match="error must be"):
            reduce(one, error=error)
    with pytest.raises(InterpError, match="either ranks="):
        rank_curve(one, ranks=[1], errors=[0.1])
    with pytest.raises(MissingCapability, match="needs a task"):
        rank_curve(Subject("alone", make("plain")))
    broken = subject("plain")
    broken.model.W_U.data[0, 0] = float("nan")  # type: ignore[union-attr]
    with pytest.raises(InterpError, match=r"NaN or infinity.*unembed\.W_U"):
        reduce(broken, rank=1)


def test_precision_and_place_stay() -> None:
    """A float32 model is decomposed and judged in the subject's precision."""
    model = make("plain").cast(torch.float32)
    one = Subject("single", model, subject("plain").task)
    found = reduce(one, rank=3)
    assert found.subject.model.dtype == torch.float64
    assert model.dtype == torch.float32
    W: Tensor = found.subject.model.W_U  # type: ignore[assignment]
    assert int(torch.linalg.matrix_rank(W)) == 3
