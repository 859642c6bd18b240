"""The effective theory: loops, autograd, numerical integration, dense ranks, the counts of its authors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.stats import binomtest
from torch import Tensor

from interp import GroupComposition, InterpError, ModularArithmetic, Subject
from interp.errors import MissingCapability
from interp.tasks import Task, ToyAddition
from probes import effective_theory as theory
from probes.effective_theory import Probability, effective_flow, effective_loss, grokking_rate
from probes.measures.effective_theory import effective, lambda_3
from probes.parallelograms import Samples, equations, samples_of
from tests.circuits.cppns import dense as cppn
from tests.models import make, subject
from tests.probes.test_parallelograms import by_loop, dense, draw, some, unordered

seeds = st.integers(0, 10**6)

PUBLISHED = {
    18: 373,
    20: 1754,
    22: 4270,
    23: 5795,
    25: 8027,
    30: 9814,
}  # of 10,000 train sets (counted by the authors' code)

EIGENVALUES = [0, 0, 30, 31.27, 36.55, 38.38, 42.14, 45.73, 47.31, 48.62]


def addition(p: int) -> tuple[Samples, Tensor]:
    return samples_of(ToyAddition(p, 1.0))


def structure(p: int) -> list[tuple[int, int]]:
    return by_loop(unordered(p), [i + j for i, j in unordered(p)])


def slow_loss(E: Tensor, samples: Samples, trained: Tensor) -> float:
    """Over all pairs of samples of one answer."""
    rows = [E[i].view(3, 3) @ E[j].view(3, 3) if samples.product else E[i] + E[j] for i, j in samples.pairs.tolist()]
    pairs = [(s, t) for s, t in by_loop(rows, samples.labels.tolist()) if trained[s] and trained[t]]
    return float(np.mean([((rows[s] - rows[t]) ** 2).sum() for s, t in pairs]) / (E**2).sum()) if pairs else 0.0


@pytest.mark.parametrize("task", [ToyAddition(6), ModularArithmetic(7, "add", 0.5), GroupComposition("S_3", 0.5)])
def test_effective_loss_by_a_loop(task: Task) -> None:
    """Sums and products, all train sets from none to all."""
    samples, _ = samples_of(task, product=isinstance(task, GroupComposition))
    for seed, share in enumerate((0.0, 0.1, 0.3, 0.5, 0.8, 1.0)):
        E, trained = draw(seed, samples.n_symbols, 9) + 1, some(len(samples.labels), share, seed)
        for dtype, rel in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
            found = effective_loss(E.to(dtype), samples, trained)
            assert found.item() == pytest.approx(slow_loss(E, samples, trained), rel=rel)


@given(seeds, st.floats(0.01, 100))
def test_effective_loss_laws(seed: int, scale: float) -> None:
    """Scale and rotation change nothing, and the gradient stands at right angles to the embeddings."""
    (samples, _), trained, E = addition(6), some(21, 0.6, seed), draw(seed, 6, 3).requires_grad_()
    found = effective_loss(E, samples, trained)
    turn = torch.linalg.qr(draw(seed + 1, 3, 3))[0]
    assert effective_loss(scale * E @ turn, samples, trained).item() == pytest.approx(found.item())
    (gradient,) = torch.autograd.grad(found, E)
    assert abs((gradient * E).sum().item()) < 1e-12


@given(seeds, st.integers(3, 12))
def test_line_laws(seed: int, p: int) -> None:
    """A representation on a line has no loss but rounding, and a mean of squares is never negative."""
    samples, trained = addition(p)
    found = effective_loss(draw(seed, 1, 2) + draw(seed + 1, 1, 2) * torch.arange(p)[:, None], samples, trained).item()
    assert 0 <= found < 1e-14


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_parallelogram_no_gradient(dtype: torch.dtype) -> None:
    """Where P0(D) is empty the loss is 0, and so is its gradient: the embeddings stay where they are."""
    (samples, trained), E = addition(4), draw(0, 4, 2).to(dtype).requires_grad_()
    found = effective_loss(E, samples, ~trained)
    assert found == 0
    assert torch.equal(torch.autograd.grad(found, E)[0], torch.zeros_like(E))


def test_eigenvalues_of_the_whole_set() -> None:
    """Those of the source, from our Gram matrix and from the dense one; the rate and the Hessian follow."""
    samples, trained = addition(10)
    A = dense(unordered(10), structure(10), 10)
    np.testing.assert_allclose(np.linalg.eigvalsh(A.T @ A), EIGENVALUES, atol=0.006)
    np.testing.assert_allclose(torch.linalg.eigvalsh(equations(samples, trained)), EIGENVALUES, atol=0.006)
    assert grokking_rate(samples, trained) == pytest.approx(np.linalg.eigvalsh(2 * A.T @ A / 700)[2])
    assert grokking_rate(samples, trained, z0=2.5) == pytest.approx(np.linalg.eigvalsh(2 * A.T @ A / 175)[2])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_hessian_by_autograd(share: float) -> None:
    """The second derivative of l0 at constant Z0; half of its quadratic form is the loss."""
    (samples, _), trained, E = addition(7), some(28, share, 3), draw(0, 7, 1)
    z0 = float(E.square().sum())

    def l0(flat: Tensor) -> Tensor:
        return effective_loss(flat[:, None], samples, trained) * flat.square().sum() / z0

    H, loss = theory.hessian(samples, trained, z0), effective_loss(E, samples, trained)
    np.testing.assert_allclose(H, torch.autograd.functional.hessian(l0, E[:, 0]), atol=1e-10)
    assert (E.T @ H @ E).item() / 2 == pytest.approx(loss.item(), abs=1e-14)


def test_the_rate_is_0_where_no_line_is_forced() -> None:
    """By the rank of the dense equations, over many train sets."""
    (samples, _), both = addition(6), set()
    for seed in range(40):
        trained = some(21, 0.6, seed)
        A = dense(unordered(6), [(s, t) for s, t in structure(6) if trained[s] and trained[t]], 6)
        both.add(forced := bool(np.linalg.matrix_rank(A) == 4))
        expected = np.linalg.eigvalsh(2 * A.T @ A / (len(A) * 6))[2] if forced else 0
        assert grokking_rate(samples, trained) == pytest.approx(expected)
    assert both == {True, False}


def integrated(start: Tensor, samples: Samples, trained: Tensor, times: np.ndarray) -> np.ndarray:
    """The gradient flow of the loss itself, by an integrator and autograd."""

    def slope(_: float, flat: np.ndarray) -> np.ndarray:
        E = torch.tensor(flat).view(start.shape).requires_grad_()
        return -torch.autograd.grad(effective_loss(E, samples, trained), E)[0].flatten().numpy()

    options = {"t_eval": times, "rtol": 1e-10, "atol": 1e-12}
    return solve_ivp(slope, (0, times[-1]), start.flatten().numpy(), **options).y.T.reshape(len(times), *start.shape)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_the_flow_by_integration(centred: bool, share: float) -> None:
    """The closed form is the flow; Z0 is constant, sum E_k only where it is 0, growing elsewhere as stated."""
    (samples, _), trained, start = addition(6), some(21, share, 1), draw(4, 6, 2)
    start = start - start.mean(0) + (0 if centred else 0.8)
    times = torch.linspace(0, 40, 21, dtype=torch.float64)
    flow = effective_flow(start, samples, trained, times)
    np.testing.assert_allclose(flow, integrated(start, samples, trained, times.numpy()), atol=1e-6)
    np.testing.assert_allclose(flow[0], start, atol=1e-12)
    z0 = float(start.square().sum())
    np.testing.assert_allclose(flow.square().sum((1, 2)), z0, rtol=1e-12)
    sums = flow.sum(1)
    if centred:
        np.testing.assert_allclose(sums, 0, atol=1e-12)
        return
    assert (sums[-1] / sums[0]).min() > 1.05
    h = 1e-5
    for t in (0.0, 3.0, 10.0):
        near = effective_flow(start, samples, trained, torch.tensor([t, t + h, t + 2 * h], dtype=torch.float64))
        slope = (near[2] - near[0]).sum(0) / (2 * h)
        l0 = effective_loss(near[1], samples, trained) * z0
        np.testing.assert_allclose(slope, 2 * l0 / z0**2 * near[1].sum(0), rtol=1e-4)


def test_the_flow_settles_on_a_line_at_the_rate() -> None:
    """What is off the line decays as exp(-lambda_3 t), relative to it; without equations nothing moves."""
    (samples, trained), start = addition(6), draw(2, 6, 2) - draw(2, 6, 2).mean(0)
    z0 = float(start.square().sum())
    line = torch.linalg.qr(torch.stack([torch.ones(6), torch.arange(6.0)], 1).double())[0]
    flow = effective_flow(start, samples, trained, torch.tensor([12.0, 12.2]) / grokking_rate(samples, trained, z0))
    on = line @ (line.T @ flow)
    off = ((flow - on).flatten(1).norm(dim=1) / on.flatten(1).norm(dim=1)).log()
    assert (off[0] - off[1]).item() == pytest.approx(0.2, rel=1e-3)
    still = effective_flow(start, samples, ~trained, torch.tensor([5.0, 1e6]))
    np.testing.assert_allclose(still, start.expand(2, 6, 2), atol=1e-12)


@pytest.mark.parametrize("p", [2, 3, 4])
def test_all_train_sets_by_ranks(p: int) -> None:
    """Every train set of every size but none."""
    n = len(unordered(p))
    for size in range(1, n + 1):
        forced = 0
        for subset in map(set, itertools.combinations(range(n), size)):
            rows = dense(unordered(p), [(s, t) for s, t in structure(p) if {s, t} <= subset], p)
            forced += p - int(np.linalg.matrix_rank(rows) if len(rows) else 0) == 2
        assert theory.linear_probability(p, size) == Probability(forced, math.comb(n, size), exact=True)


def test_no_train_set_forces_no_line() -> None:
    """The one empty train set: no equations, p free numbers."""
    assert theory.linear_probability(4, 0) == Probability(0, 1, exact=True)


def test_the_counts_of_the_authors() -> None:
    """Within four standard errors of theirs, by draws of our own; half of the train sets at a share of about 0.4."""
    for size, count in PUBLISHED.items():
        found = theory.linear_probability(10, size, seed=7)
        middle = (found.value + count / 1e4) / 2
        assert (found.total, found.exact) == (10_000, False)
        assert abs(found.value - count / 1e4) < 4 * math.sqrt(2 * middle * (1 - middle) / 1e4)
    shares = [theory.linear_probability(10, size, draws=4000, seed=11).value for size in range(20, 25)]
    assert shares == sorted(shares)
    assert shares[0] < 0.5 < shares[-1]  # at train shares of 0.36 and 0.44


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_interval_laws(total: int, share: float) -> None:
    """scipy's Wilson interval; a point where all train sets were tried."""
    found = Probability(round(share * total), total, exact=False)
    assert found.interval == pytest.approx(
        tuple(binomtest(found.forced, total).proportion_ci(0.95, "wilson")), abs=1e-7
    )
    assert Probability(found.forced, total, exact=True).interval == (found.value, found.value)


def test_refusals() -> None:
    """What the theory does not cover says so; what is not a number is not a loss of 0."""
    samples, trained = addition(4)
    with pytest.raises(InterpError, match="do not flow"):
        effective_flow(torch.zeros(4, 2), samples, trained, torch.ones(1))
    for wrong in ({"n_train": -1}, {"n_train": 56}, {"n_train": 20, "draws": 0}):
        with pytest.raises(InterpError, match=list(wrong)[-1]):
            theory.linear_probability(10, **wrong)
    with pytest.raises(MissingCapability, match="not reduced"):
        lambda_3(subject("plain"))
    bare = [(Subject("cppn", cppn()), "needs a task"), (Subject("lstm", make("lstm")), "needs a task")]
    for measure in (effective, lambda_3):
        for one, message in [*bare, (subject("per operand"), "one table for both operands")]:
            with pytest.raises(InterpError, match=message):
                measure(one)
