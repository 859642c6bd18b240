"""Clocks and pizzas written by hand, whose gradients and right logits are known exactly; loops and numpy for the rest."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import interp
from interp import HookedMLP, HookedTransformer, InterpError, MLPConfig, ModularArithmetic, Subject, TransformerConfig
from interp.errors import MissingCapability
from probes import clock_pizza, cyclic_tables
from tests.models import subject
from tests.probes.by_hand import TASKS, written

F64 = torch.float64


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def pizza(p: int, k: int) -> Subject:
    """Embeddings (cos w a, sin w a) added; hidden units |s . u_j| of p directions, as pairs of ReLUs; cos(2 t_j - w c) out.

    s has the length 2 |cos(w (a - b) / 2)| and the direction w (a + b) / 2, so the logits are |cos(w (a - b) / 2)| times a
    function of a + b - c: the p directions are the same from every a + b.
    """
    angle = 2 * math.pi * k * torch.arange(p, dtype=F64) / p
    t = math.pi * torch.arange(p, dtype=F64) / p
    directions = torch.stack([t.cos(), t.sin()])
    config = MLPConfig(
        (2 * p,), p, d_vocab=p, d_embed=2, act_fn="relu", combine="sum", bias=False, unembed_bias=False
    )  # fmt: skip
    weights = {
        "embed.W_E": torch.stack([angle.cos(), angle.sin()], 1),
        "layers.0.W": torch.cat([directions, -directions], 1),
        "unembed.W_U": torch.cos(2 * t[:, None] - angle).repeat(2, 1),
    }
    model = HookedMLP.from_weights(config, weights)
    task = ModularArithmetic(p, "add", 0.5)
    return Subject("pizza", model, task.fit(model))


def everything(n: int) -> Tensor:
    return torch.cartesian_prod(*[torch.arange(n)] * 3)


@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize("keys", [[1], [2, 5], [1, 3, 4]])
def test_a_clock(name: str, keys: list[int]) -> None:
    """cos(w (a + b - c)) by products of both operands' waves: gradients at the angle w (a - b), right logits all the same."""
    one = written(TASKS[name], keys)
    n = one.require_cyclic().order
    triples = everything(n)
    found = clock_pizza.symmetricity(*clock_pizza.operand_gradients(one, triples))
    distance = (triples[:, 0] - triples[:, 1]).double()
    expected = sum(torch.cos(2 * math.pi * k * distance / n) for k in keys) / len(keys)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    mean, (low, high), count = clock_pizza.gradient_symmetricity(one, n_triples=n**3)
    assert mean == pytest.approx(0, abs=1e-10)
    assert low < mean < high
    assert count == n**3
    assert clock_pizza.distance_irrelevance(cyclic_tables.logit_table(one)) == 1
    for table in ("W_E left", "W_E right"):
        found = clock_pizza.circularity(cyclic_tables.embedding_tables(one)[table])
        # circles of the same size share their components, which are then no waves
        assert found == pytest.approx(1) if len(keys) == 1 else found < 1


@pytest.mark.parametrize(("p", "k"), [(7, 1), (11, 3), (13, 6)])
def test_a_pizza(p: int, k: int) -> None:
    """|cos(w (a - b) / 2)| cos(w (a + b - c)): gradients alike, right logits a function of the distance, one circle."""
    one = pizza(p, k)
    logits = cyclic_tables.logit_table(one)
    a, t = torch.arange(p, dtype=F64), math.pi * torch.arange(p, dtype=F64) / p
    size = 2 * (torch.cos(t).abs() * torch.cos(2 * t)).sum()
    right = logits.gather(-1, ((a[:, None] + a) % p).long()[..., None])[..., 0]
    torch.testing.assert_close(right, size * torch.cos(math.pi * k * (a[:, None] - a) / p).abs(), rtol=0, atol=1e-10)
    assert bool((logits.argmax(-1) == ((a[:, None] + a) % p)).all())
    assert clock_pizza.distance_irrelevance(logits) == 0
    assert clock_pizza.gradient_symmetricity(one, n_triples=300).mean == pytest.approx(1, abs=1e-10)
    circles = clock_pizza.circles(cyclic_tables.embedding_tables(one)["W_E"])
    assert circles.circularity == pytest.approx(1)
    assert circles.frequency.tolist() == [k, k]
    assert circles.variance.tolist() == pytest.approx([0.5, 0.5])


@given(st.sampled_from([3, 5, 7, 11, 13]), st.floats(0.1, 10), st.floats(0.1, 10), st.integers(0, 99))
def test_parts_of_distance_and_of_sum(p: int, by_distance: float, by_sum: float, seed: int) -> None:
    """Right logits f(b - a) + g(a + b): the deviation of g over that of the sum of both, for odd p."""
    f, g = noise(2, p, seed=seed)
    f, g = by_distance * (f - f.mean()), by_sum * (g - g.mean())
    a = torch.arange(p)
    logits = noise(p, p, p, seed=seed)
    right = f[(a - a[:, None]) % p] + g[(a[:, None] + a) % p]
    logits.scatter_(-1, ((a[:, None] + a) % p)[..., None], right[..., None])
    expected = float(g.std(correction=0) / (f.var(correction=0) + g.var(correction=0)).sqrt())
    assert clock_pizza.distance_irrelevance(logits) == pytest.approx(expected)
    assert clock_pizza.distance_irrelevance(3 * logits + 5) == pytest.approx(expected)


@given(st.integers(2, 9), st.integers(0, 99))
def test_distance_irrelevance_by_loops(p: int, seed: int) -> None:
    """The definition, one logit at a time."""
    logits = noise(p, p, p, seed=seed).numpy()
    right = np.array([[logits[i, (i + d) % p, (2 * i + d) % p] for i in range(p)] for d in range(p)])
    expected = np.mean([np.std(row) for row in right]) / np.std(
        [logits[i, j, (i + j) % p] for i in range(p) for j in range(p)]
    )
    assert clock_pizza.distance_irrelevance(torch.tensor(logits)) == pytest.approx(expected)


@given(st.integers(5, 14), st.integers(0, 99))
def test_circularity_by_sums(p: int, seed: int) -> None:
    """Components by numpy's SVD, waves by explicit sums."""
    table = noise(p, 6, seed=seed)
    centred = table.numpy() - table.numpy().mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    each = []
    for v in (u * s).T[:4]:
        waves = [
            (1 if 2 * k == p else 2) * abs(sum(v[j] * np.exp(2j * math.pi * k * j / p) for j in range(p))) ** 2
            for k in range(1, p // 2 + 1)
        ]
        each.append(max(waves) / (p * (v**2).sum()))
    assert clock_pizza.circularity(table) == pytest.approx(np.mean(each))
    assert clock_pizza.circles(table).by_component.tolist() == pytest.approx(each)


def test_circles_at_their_ends_and_refusals() -> None:
    """Circles of several frequencies 1; a component of two equal waves 1/2; the alternating vector 1; a constant refused."""
    t = 2 * math.pi * torch.arange(12, dtype=F64) / 12
    two = torch.stack([3 * t.cos(), 3 * t.sin(), (5 * t).cos(), (5 * t).sin()], 1)
    assert clock_pizza.circularity(two + 7) == pytest.approx(1)
    assert sorted(clock_pizza.circles(two).frequency.tolist()) == [1, 1, 5, 5]
    assert clock_pizza.circularity((t.cos() + (2 * t).cos())[:, None]) == pytest.approx(0.5)
    assert clock_pizza.circularity((6 * t).cos()[:, None]) == pytest.approx(1)
    with pytest.raises(InterpError, match="differs between elements"):
        clock_pizza.circularity(torch.ones(5, 3))
    with pytest.raises(InterpError, match=r"\[p, d\]"):
        clock_pizza.circularity(torch.ones(5))
    with pytest.raises(InterpError, match="n_components"):
        clock_pizza.circularity(two, 0)


def by_parameters(one: Subject, a: int, b: int, c: int) -> tuple[Tensor, Tensor]:
    """Gradients of a logit with respect to the rows of the embedding, for two different tokens; addition alone."""
    one = one.cast(F64)
    model, task = one.model, one.require_task()
    assert isinstance(model, (HookedMLP, HookedTransformer))
    assert isinstance(task, ModularArithmetic)
    row = a * task.n_symbols + b
    logit = task.read(model(task.inputs[row : row + 1]))[0, c]
    (gradient,) = torch.autograd.grad(logit, [p for name, p in model.named_parameters() if name == "embed.W_E"])
    return (gradient[a], gradient[b]) if gradient.ndim == 2 else (gradient[0, a], gradient[1, b])


@pytest.mark.parametrize("name", ["plain", "layer norm", "bidirectional", "shared concat", "per operand", "product"])
def test_gradients_through_the_parameters(name: str) -> None:
    """All triples in one pass, against one backward pass for each through the embedding's rows."""
    one = subject(name)
    triples = torch.tensor([(a, b, c) for a, b, c in ((0, 1, 2), (3, 1, 4), (4, 0, 4), (2, 3, 0))])
    left, right = clock_pizza.operand_gradients(one, triples)
    for i, (a, b, c) in enumerate(triples.tolist()):
        torch.testing.assert_close((left[i], right[i]), by_parameters(one, a, b, c), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["a b =", "b a =", "a op b ="])
def test_operands_are_found_where_they_stand(form: str) -> None:
    """By the task's form, not by position 0 and 1."""
    task = ModularArithmetic(5, "add", 0.5, form=form)
    places = form.split()
    config = TransformerConfig(
        1, 8, 2, 4, d_vocab=7 if "op" in places else 6, d_vocab_out=5, n_ctx=len(places), d_mlp=8, act_fn="relu"
    )
    model = HookedTransformer(config).double().init_weights(0)
    one = Subject(form, model, task.fit(model))
    left, right = clock_pizza.operand_gradients(one, torch.tensor([[1, 3, 2]]))
    torch.testing.assert_close((left[0], right[0]), by_parameters(one, 1, 3, 2), rtol=1e-9, atol=1e-12)


def test_the_draw_is_the_authors() -> None:
    """random.Random(42).sample over all triples in row-major order, without listing them."""
    listed = random.Random(42).sample(list(itertools.product(range(7), repeat=3)), 100)
    assert clock_pizza.draw_triples(7, 100, 42).tolist() == [list(triple) for triple in listed]
    assert sorted(clock_pizza.draw_triples(3, 1000, 0).tolist()) == [
        list(t) for t in itertools.product(range(3), repeat=3)
    ]


def test_the_interval_covers_the_mean_of_all_triples() -> None:
    """In about 19 of 20 draws."""
    one = written(TASKS["add"], [1])
    found = [clock_pizza.gradient_symmetricity(one, 150, seed).interval for seed in range(60)]
    assert 51 <= sum(low <= 0 <= high for low, high in found) <= 60


def test_zero_gradients_do_not_count() -> None:
    """An unembedding of 0 has no gradients; a logit without one leaves the other triples."""
    one = pizza(5, 1)
    assert isinstance(one.model, HookedMLP)
    with torch.no_grad():
        one.model.W_U[:, 2] = 0
    assert clock_pizza.gradient_symmetricity(one, 125).triples == 100
    with torch.no_grad():
        one.model.W_U.zero_()
    assert math.isnan(clock_pizza.gradient_symmetricity(one, 50).mean)


def test_refusals() -> None:
    """What has no operands' embeddings, or no triples, is told what is needed."""
    with pytest.raises(InterpError, match="n_triples"):
        clock_pizza.gradient_symmetricity(pizza(5, 1), 0)
    vectors = HookedMLP(MLPConfig((4,), 5, d_in=10)).init_weights(0)
    task = ModularArithmetic(5, "add", 0.5)
    with pytest.raises(MissingCapability, match="takes vectors"):
        clock_pizza.gradient_symmetricity(Subject("vectors", vectors, task.fit(vectors)))
    with pytest.raises(InterpError, match=r"\[p, p, p\]"):
        clock_pizza.distance_irrelevance(torch.zeros(2, 3, 4))


@pytest.mark.parametrize(
    ("path", "irrelevance", "symmetricity"),
    [("grokking/wd_10-1_mod_addition_loss_curve.pth", 0.744, 0.71), ("groups/C113_T_seed1", 0.826, 0.325)],
)
@pytest.mark.real_data
def test_published_transformers_are_clocks(data: object, path: str, irrelevance: float, symmetricity: float) -> None:
    """Both lie in the paper's range of clocks (0.4 to 1; 0.85 for its own)."""
    one = interp.load(data / path)  # type: ignore[operator]
    assert clock_pizza.distance_irrelevance(cyclic_tables.logit_table(one)) == pytest.approx(irrelevance, abs=1e-3)
    assert clock_pizza.gradient_symmetricity(one).mean == pytest.approx(symmetricity, abs=0.01)
