"""Parallelograms against loops over all pairs of samples, ideals against ranks of the dense matrix of equations."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp import GroupComposition, HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability
from interp.tasks import BinaryOperation, SparseParity, ToyAddition
from probes.measures.parallelograms import predicted_accuracy, rqi
from probes.parallelograms import (
    Found,
    equations,
    ideal,
    normalised,
    null_space,
    nullity,
    parallelograms,
    samples_of,
)  # fmt: skip
from probes.rqi_criteria import code_scale

seeds = st.integers(0, 10**6)

Pairs = list[tuple[int, int]]


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some(n: int, share: float, seed: int) -> Tensor:
    """A random train set."""
    chosen = torch.zeros(n, dtype=torch.bool)
    chosen[random.Random(seed).sample(range(n), int(share * n))] = True
    return chosen


def by_loop(pairs: Pairs, answers: list[int]) -> Pairs:
    """All parallelograms, as indices of two samples."""
    return [(s, t) for s, t in itertools.combinations(range(len(pairs)), 2) if answers[s] == answers[t]]


def dense(pairs: Pairs, found: Pairs, n: int) -> np.ndarray:
    """The matrix of equations E_i + E_j - E_m - E_n = 0, a row each."""
    rows = [sum(np.eye(n)[k] for k in pairs[s]) - sum(np.eye(n)[k] for k in pairs[t]) for s, t in found]
    return np.array(rows).reshape(len(found), n)


def counted(P0: Pairs, trained: list[bool], near: Callable[[int, int], bool]) -> Found:
    """RQI and accuracy from which parallelograms are near."""
    mine = [(s, t) for s, t in P0 if near(s, t)]
    reached = {s for s in range(len(trained)) if trained[s]}
    reached |= {t for s, t in mine if trained[s]} | {s for s, t in mine if trained[t]}
    return Found(len(mine) / len(P0), len(reached) / len(trained))


def unordered(n: int) -> Pairs:
    return [(i, j) for i in range(n) for j in range(i, n)]


OPERATIONS: dict[str, tuple[BinaryOperation, Callable[[int, int], int]]] = {
    "addition": (ToyAddition(6), lambda i, j: i + j),
    "modular, odd": (ModularArithmetic(7, "add", 0.5), lambda i, j: (i + j) % 7),
    "modular, even": (ModularArithmetic(6, "add", 0.5), lambda i, j: (i + j) % 6),
    "multiplication": (ModularArithmetic(5, "multiply", 0.5), lambda i, j: i * j % 5),
    "klein": (GroupComposition("C_2xC_2", 0.5), lambda i, j: i ^ j),
}


@pytest.mark.parametrize(("p", "count"), [(2, 0), (3, 1), (4, 3), (10, 70)])
def test_number_of_parallelograms(p: int, count: int) -> None:
    """Of the source: 3 for p = 4 and 70 for p = 10; the Gram matrix is that of the dense equations."""
    (samples, _), pairs = samples_of(ToyAddition(p)), unordered(p)
    A = dense(pairs, by_loop(pairs, [i + j for i, j in pairs]), p)
    assert samples.total == len(A) == count
    np.testing.assert_allclose(equations(samples, torch.ones(len(pairs), dtype=torch.bool)), A.T @ A, atol=1e-9)


@pytest.mark.parametrize("name", OPERATIONS)
def test_samples_are_unordered_pairs(name: str) -> None:
    """Each once, with its answer; trained on where either order is."""
    task, answer = OPERATIONS[name]
    samples, trained = samples_of(task)
    assert (pairs := [tuple(p) for p in samples.pairs.tolist()]) == unordered(task.n_symbols)
    assert samples.labels.tolist() == [answer(i, j) for i, j in pairs]
    in_train = {tuple(sorted(p)) for p in task.pairs[task.train_indices].tolist()}
    assert trained.tolist() == [pair in in_train for pair in pairs]


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("delta", [0.0, 0.01, 1.0, 2.5, 100.0])
def test_rqi_and_accuracy_by_a_loop(name: str, delta: float) -> None:
    """Over all pairs of samples, of embeddings that are whole numbers, too, so that some coincide."""
    task, answer = OPERATIONS[name]
    samples, _ = samples_of(task)
    pairs, n = unordered(task.n_symbols), task.n_symbols
    P0 = by_loop(pairs, [answer(i, j) for i, j in pairs])
    for seed, E in enumerate((draw(0, n, 2), draw(1, n, 2).round(), draw(2, n, 2), draw(3, n, 2).round())):
        trained = some(len(pairs), 0.4, seed)
        sums = np.array([(E[i] + E[j]).numpy() for i, j in pairs])
        expected = counted(P0, trained.tolist(), lambda s, t, x=sums: np.linalg.norm(x[s] - x[t]) <= delta + 1e-9)
        assert parallelograms(E, samples, trained, delta) == expected


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2, 1.0])
def test_matrices_of_s3_by_a_loop(noise: float) -> None:
    """Products in order, squared Frobenius distance; the true matrices have every parallelogram."""
    elements = list(itertools.permutations(range(3)))
    table = [[elements.index(tuple(a[b[i]] for i in range(3))) for b in elements] for a in elements]
    task = GroupComposition(table, 0.5, seed=1)
    samples, trained = samples_of(task, product=True)
    E = torch.stack([torch.eye(3)[list(p)].T.flatten() for p in elements]).double() + noise * draw(0, 6, 9)
    M, pairs = E.view(6, 3, 3).numpy(), list(itertools.product(range(6), repeat=2))
    products, P0 = [M[a] @ M[b] for a, b in pairs], by_loop(pairs, [table[a][b] for a, b in pairs])
    for delta in (0.01, 0.5, 4.0):
        near = lambda s, t, delta=delta: ((products[s] - products[t]) ** 2).sum() <= delta  # noqa: E731
        found = parallelograms(E, samples, trained, delta)
        assert found == counted(P0, trained.tolist(), near)
        assert (found.rqi == 1.0) or noise > 0
    assert samples.total == len(P0) == 6 * math.comb(6, 2)
    model = HookedMLP(MLPConfig((9,), 6, d_vocab=6, d_embed=9, combine="product")).double().init_weights(0)
    with torch.no_grad():
        model.W_E.copy_(E)
    one = Subject("S_3", model, task.fit(model))
    scaled = parallelograms(E / E.square().sum(1).mean().sqrt(), samples, trained, 0.1)
    assert rqi(one, delta=0.1)[""] == scaled.rqi
    assert predicted_accuracy(one, delta=0.1)[""] == scaled.accuracy


@given(seeds, st.integers(3, 14), st.integers(1, 5), st.floats(-5, 5))
def test_linear_structure_laws(seed: int, p: int, dim: int, offset: float) -> None:
    """E_k = a + k b has all parallelograms, random embeddings in eight dimensions none."""
    line = draw(seed, 1, dim) * torch.arange(p)[:, None] + offset * draw(seed + 1, 1, dim)
    samples, trained = samples_of(ToyAddition(p))
    assert parallelograms(normalised(line), samples, trained).rqi == 1
    assert parallelograms(normalised(line.float()), samples, trained).rqi == 1
    assert parallelograms(normalised(draw(seed, p, 8)), samples, trained).rqi == 0


@given(seeds, st.floats(0.01, 100), st.floats(-10, 10))
def test_invariance_laws(seed: int, scale: float, shift: float) -> None:
    """Translation, scale and rotation of vectors change nothing; neither does the order of the coordinates."""
    samples, trained = samples_of(ToyAddition(7))
    E = torch.arange(7.0)[:, None].double() * draw(seed, 1, 3) + 0.3 * draw(seed + 1, 7, 3)
    turn = torch.linalg.qr(draw(seed + 2, 3, 3))[0]
    for delta in (0.05, 0.3, 1.0):
        found = parallelograms(normalised(E), samples, trained, delta)
        assert parallelograms(normalised((scale * E + shift) @ turn), samples, trained, delta) == found
        assert parallelograms(normalised(E.flip(1)), samples, trained, delta) == found
        assert found.accuracy <= parallelograms(normalised(E), samples, trained, 2 * delta).accuracy


@given(seeds, st.floats(0, 1))
def test_ideal_laws(seed: int, share: float) -> None:
    """The embeddings of the null space reach the ideal, and no solution of the equations stays below it."""
    samples, _ = samples_of(ToyAddition(6))
    trained = some(21, share, seed)
    best, N = ideal(samples, trained), null_space(equations(samples, trained))
    assert parallelograms(N @ draw(seed, N.shape[1], 4), samples, trained, 1e-9) == best
    assert best.accuracy >= trained.double().mean().item()
    assert ideal(samples, trained | some(21, 0.3, seed + 1)).rqi >= best.rqi


@pytest.mark.parametrize("name", OPERATIONS)
def test_nullity_and_ideal_by_ranks(name: str) -> None:
    """The dense equations' rank, and whether each other row raises it, over many train sets."""
    task, answer = OPERATIONS[name]
    samples, _ = samples_of(task)
    pairs, n = unordered(task.n_symbols), task.n_symbols
    P0 = by_loop(pairs, [answer(i, j) for i, j in pairs])
    sets = [some(len(pairs), share, seed) for share in (0.2, 0.5, 0.7, 1) for seed in range(6)]
    for trained in [*sets, torch.zeros(len(pairs), dtype=torch.bool)]:
        A = dense(pairs, [(s, t) for s, t in P0 if trained[s] and trained[t]], n)
        rank = int(np.linalg.matrix_rank(A)) if len(A) else 0
        assert nullity(equations(samples, trained)).item() == n - rank
        assert null_space(equations(samples, trained)).shape == (n, n - rank)
        inside = {q for q in P0 if np.linalg.matrix_rank(np.vstack([A, dense(pairs, [q], n)])) == rank}
        assert ideal(samples, trained) == counted(P0, trained.tolist(), lambda s, t, inside=inside: (s, t) in inside)
    stacked = nullity(equations(samples, torch.stack(sets)))
    assert stacked.tolist() == [nullity(equations(samples, t)).item() for t in sets]


def test_operations_without_parallelograms() -> None:
    """p = 2 has none, so RQI is 0 and accuracy the train share; all of it where everything is trained on."""
    samples, _ = samples_of(ToyAddition(2))
    assert parallelograms(draw(0, 2, 3), samples, torch.tensor([True, False, False])).accuracy == pytest.approx(1 / 3)
    assert parallelograms(draw(0, 2, 3), samples, torch.ones(3, dtype=torch.bool)).rqi == 0


def test_refusals_of_shapes_and_tasks() -> None:
    """No square matrices, no equations of products, no operation at all."""
    samples, trained = samples_of(GroupComposition("S_3", 0.5), product=True)
    with pytest.raises(InterpError, match="not square matrices"):
        parallelograms(draw(0, 6, 5), samples, trained)
    with pytest.raises(MissingCapability, match="not linear"):
        equations(samples, trained)
    with pytest.raises(MissingCapability, match="does not commute"):
        samples_of(GroupComposition("S_3", 0.5))
    with pytest.raises(MissingCapability, match="need an operation on two symbols"):
        samples_of(SparseParity(n=6, k=2, n_train=9, n_test=1))


@pytest.mark.parametrize("d", [1, 3])
def test_rqi_as_the_authors_code_counts(d: int) -> None:
    """Sums: per dimension the unbiased deviation, the mean of squares below 0.01; in one dimension that is |d| < 0.1."""
    task = ToyAddition(7, 0.5)
    samples, trained = samples_of(task)
    line = torch.arange(7.0, dtype=torch.float64)[:, None] * torch.ones(d) + 0.1 * draw(3, 7, d)
    E = ((line - line.mean(0)) / line.std(0)).numpy()
    pairs = unordered(7)
    P0 = by_loop(pairs, [i + j for i, j in pairs])

    def near(s: int, t: int) -> bool:
        (i, j), (m, n) = pairs[s], pairs[t]
        return bool(((E[i] + E[j] - E[m] - E[n]) ** 2).mean() < 0.01)

    found = parallelograms(code_scale(line, product=False), samples, trained, criterion="code")
    assert found == counted(P0, trained.tolist(), near)
    assert 0 <= parallelograms(normalised(line), samples, trained).rqi < found.rqi < 1
    model = HookedMLP(MLPConfig((4,), 30, d_vocab=7, d_embed=d, combine="sum")).double().init_weights(0)
    with torch.no_grad():
        model.W_E.copy_(line)
    one = Subject("line", model, task.fit(model))
    assert rqi(one, criterion="code") == {"code": found.rqi}
    assert predicted_accuracy(one, criterion="code") == {"code": found.accuracy}
    assert list(rqi(one)) == [""]
    with pytest.raises(InterpError, match="criterion"):
        rqi(one, criterion="authors")
    with pytest.raises(InterpError, match="unknown criterion 'codes'; did you mean 'code'"):
        parallelograms(line, samples, trained, criterion="codes")  # type: ignore[arg-type]


def test_rqi_of_matrices_as_the_authors_code_counts() -> None:
    """Entries of mean square 1, not centred; mean square of the products' difference below 0.5."""
    task = GroupComposition("S_3", 0.6)
    samples, trained = samples_of(task, product=True)
    elements = list(itertools.permutations(range(3)))
    exact = torch.stack([torch.eye(3)[list(p)].T.flatten() for p in elements]).double()
    E = 2.5 * (exact + 0.2 * draw(5, 6, 9))
    M = (E / E.square().mean().sqrt()).view(6, 3, 3).numpy()
    pairs = [tuple(pair) for pair in task.pairs.tolist()]
    P0 = by_loop(pairs, task.labels.tolist())
    products = [M[a] @ M[b] for a, b in pairs]
    near = lambda s, t: ((products[s] - products[t]) ** 2).mean() < 0.5  # noqa: E731
    found = parallelograms(code_scale(E, product=True), samples, trained, criterion="code")
    assert found == counted(P0, trained.tolist(), near)
    assert 0 < found.rqi < 1


@pytest.mark.parametrize("n", [7, 10, 53])
def test_embeddings_that_coincide_have_no_scale(n: int) -> None:
    """The mean of seven times 0.1 is not 0.1; what is left was divided by itself, to 1 / sqrt(dim) everywhere."""
    same = torch.full((n, 3), 0.1, dtype=torch.float64)
    assert not normalised(same).any()
    assert not code_scale(same, False).any()
