"""Key frequencies of logits: planted keys beside harmonics and noise, a dense twin of the rule, networks that memorise."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import interp
from probes import cyclic_tables, fourier
from tests.conftest import DEMO
from tests.models import subject

F64 = torch.float64


def wave(p: int, k: int, phase: float = 0.0) -> Tensor:
    """cos(w_k (a + b - c) + phase) over the table, of mean square 1."""
    a = torch.arange(p, dtype=F64)
    values = torch.cos(2 * math.pi * k * (a[:, None, None] + a[:, None] - a) / p + phase)
    return values / values.pow(2).mean().sqrt()


def noise(p: int, seed: int) -> Tensor:
    return torch.randn(p, p, p, generator=torch.Generator().manual_seed(seed), dtype=F64)


def planted(p: int, shares: dict[int, float]) -> Tensor:
    """Logits of waves with these shares of the variance."""
    return sum((math.sqrt(share) * wave(p, k) for k, share in shares.items()), torch.zeros(p, p, p, dtype=F64))


def harmonics(keys: list[int], p: int) -> list[int]:
    """2k, 3k, and sums and differences of two keys, folded to 1..p//2; keys left out."""
    multiples = {m * k for k in keys for m in (2, 3)}
    pairs = {a + s * b for a in keys for b in keys for s in (1, -1)}
    folded = {min(k % p, -k % p) for k in multiples | pairs}
    return sorted(folded - {0, *keys})


def by_the_text(logits: Tensor) -> list[int]:
    """The rule as the docs state it, by dense projections in numpy."""
    cube = logits.double().numpy()
    p = len(cube)
    a, b, c = np.meshgrid(*[np.arange(p)] * 3, indexing="ij")
    centred = cube - cube.mean((0, 1))
    total = (centred**2).sum()

    def waves(angle: np.ndarray) -> list[np.ndarray]:
        return [w / np.linalg.norm(w) for w in (np.cos(angle), np.sin(angle)) if np.linalg.norm(w) > 1e-6]

    everything = list(range(1, p // 2 + 1))
    share, size = {}, {}
    for k in everything:
        share[k] = sum((w * centred).sum() ** 2 for w in waves(2 * np.pi * k * (a + b - c) / p)) / total
        output = sum(((centred @ w) ** 2).sum() for w in waves(2 * np.pi * k * np.arange(p) / p)) / total
        size[k] = share[k] ** 2 / output if output else 0.0
    floor = max(1 - sum(share.values()), 1e-12) * 2 / p**3
    ranked = sorted(everything, key=lambda k: -size[k])
    ladder = [max(size[k], floor) for k in ranked] + [floor]

    def without(lower: list[int]) -> np.ndarray:
        left = cube.copy()
        for k in lower:
            for w in waves(2 * np.pi * k * (a + b - c) / p):
                left = left - (w * cube).sum() * w
        return left

    def right(lower: list[int]) -> int:
        return int((without(lower).argmax(-1) == (a + b)[..., 0] % p).sum())

    def loss(lower: list[int]) -> float:
        left = torch.tensor(without(lower)).flatten(0, 1)
        return float(torch.nn.functional.cross_entropy(left, torch.tensor(((a + b)[..., 0] % p).ravel())))

    all_right = right([])
    drops = [i for i in range(1, len(ladder)) if ladder[i - 1] >= 20 * ladder[i]]
    if all_right < 0.95 * p * p:
        drops = [i for i in drops if i <= math.ceil(len(ranked) / 2)]
    for cut in drops:
        if right(ranked[cut:]) >= 0.9 * all_right:
            return ranked[:cut]
    if drops:
        return ranked[: drops[-1]]
    if all_right >= 0.95 * p * p:
        return [k for k in everything if size[k] > floor and loss([k]) >= 2 * loss([])]
    return []


@st.composite
def tables(draw: st.DrawFn) -> Tensor:
    """Waves whose shares fall by a random factor from one to the next, over noise."""
    p, seed = draw(st.sampled_from([5, 7, 8, 11, 13])), draw(st.integers(0, 999))
    order = draw(st.permutations(range(1, p // 2 + 1)))
    factors = draw(st.lists(st.sampled_from([1.5, 5.0, 15.0, 30.0, 200.0]), min_size=len(order), max_size=len(order)))
    shares = dict(zip(order, 1 / np.cumprod(factors), strict=True))
    return planted(p, shares) + draw(st.sampled_from([1e-3, 0.05, 0.3, 1.0])) * noise(p, seed)


@given(tables())
@settings(deadline=None)
def test_the_rule_as_the_docs_state_it(logits: Tensor) -> None:
    """Fast transforms against dense projections and removals, where drops exist and where none does."""
    assert sorted(fourier.logit_frequencies(logits)) == sorted(by_the_text(logits))


@given(
    st.sampled_from([29, 31, 53]), st.integers(2, 5), st.integers(0, 99), st.sampled_from([0.0, 1e-4, 0.05, 0.3]),
    st.floats(1e-4, 1e-3),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_harmonics_are_no_keys(p: int, n: int, seed: int, level: float, strength: float) -> None:
    """Unequal keys are found exactly; harmonics at up to a thousandth of the variance, far above noise, are not."""
    generator = torch.Generator().manual_seed(seed)
    keys = (torch.randperm(p // 2, generator=generator)[:n] + 1).tolist()
    sizes = 8 ** -torch.rand(n, generator=generator, dtype=F64)
    shares = dict(zip(keys, (sizes / sizes.sum()).tolist(), strict=True))
    others = dict.fromkeys(harmonics(keys, p)[:6], strength)
    found = fourier.logit_frequencies(planted(p, shares | others) + level * noise(p, seed))
    assert sorted(found) == sorted(keys)
    assert found == sorted(found, key=lambda k: -shares[k]) or level


def test_a_weak_key_that_answers_need_is_kept() -> None:
    """One wave with 97% of the variance cannot tell neighbours apart: two that follow at a 60th are needed."""
    p = 53
    weak = planted(p, {5: 0.97, 11: 0.016, 19: 0.014}) + 0.1 * noise(p, 0)
    assert fourier.logit_frequencies(weak) == [5, 11, 19]
    assert fourier.logit_frequencies(planted(p, {5: 0.97}) + 0.1 * noise(p, 0)) == [5]


def test_a_network_with_a_slope_has_the_frequencies_that_its_loss_needs() -> None:
    """Shares that fall by 4 each, all inputs answered: no drop, so the loss decides; where it is not answered, none."""
    p = 29
    shares = {k: 4.0**-i for i, k in enumerate((3, 7, 1, 12, 9, 14, 2, 5, 11, 4, 13, 6, 10, 8))}
    logits = 4 * planted(p, shares) + 0.01 * noise(p, 0)
    table = logits.flatten(0, 1)
    answers = ((torch.arange(p)[:, None] + torch.arange(p)) % p).flatten()

    def loss(values: Tensor) -> float:
        return float(torch.nn.functional.cross_entropy(values, answers))

    needed = [k for k in shares if loss(table - (4 * planted(p, {k: shares[k]})).flatten(0, 1)) > 2 * loss(table)]
    assert needed == [3, 7, 1, 12]
    assert fourier.logit_frequencies(logits) == needed
    assert fourier.logit_frequencies(logits + 20 * noise(p, 1)) == []


def test_a_look_up_table_has_none() -> None:
    """Large logits at memorised answers, noise elsewhere: all modes alike, whatever the train fraction; all, if it knows all."""
    for p, fraction in ((29, 0.3), (31, 0.7), (53, 0.5)):
        generator = torch.Generator().manual_seed(p)
        index = torch.arange(p)
        answers = torch.nn.functional.one_hot((index[:, None] + index) % p, p).double()
        known = (torch.rand(p, p, generator=generator) < fraction).double()[..., None]
        table = 10 * known * answers + 0.5 * noise(p, p)
        assert int((table.argmax(-1) == (index[:, None] + index) % p).sum()) > fraction * 0.8 * p * p
        assert fourier.logit_frequencies(table) == []
        assert len(fourier.logit_frequencies(10 * answers + 0.5 * noise(p, p))) == p // 2


@given(st.integers(1, 10), st.floats(1e-3, 1e3), st.integers(0, 20))
def test_relabelling_and_scaling(unit: int, scale: float, seed: int) -> None:
    """Multiplying all elements by u takes frequency k to k / u; multiplying logits, or adding to all of a row, changes none."""
    p = 11
    logits = planted(p, {2: 0.6, 5: 0.3, 1: 0.0004}) + 0.2 * noise(p, seed)
    index = torch.arange(p) * unit % p
    moved = logits[index][:, index][..., index]
    expected = [min(k * unit % p, -k * unit % p) for k in fourier.logit_frequencies(logits)]
    assert fourier.logit_frequencies(moved) == expected
    rows = noise(p, seed)[..., :1]
    assert fourier.logit_frequencies(scale * logits + 0.01 * scale * rows) == fourier.logit_frequencies(logits)


def without_in_embedding(one: interp.Subject, k: int) -> float:
    """Accuracy with one frequency removed from the embedding."""
    model = copy.deepcopy(one.model)
    assert isinstance(model, interp.HookedTransformer)
    n = one.require_cyclic().order
    modes = fourier.frequency_basis(n, [k]).directions.to(model.W_E)
    with torch.no_grad():
        model.W_E[:n] -= modes.T @ (modes @ model.W_E[:n])
    logits = cyclic_tables.logit_table(interp.Subject("changed", model, one.task))
    index = torch.arange(n)
    return float((logits.argmax(-1) == (index[:, None] + index) % n).double().mean())


def test_the_demo_needs_its_keys_and_no_others() -> None:
    """Removed from the embedding, a key costs a twentieth of the answers or more, any other at most one in a hundred."""
    one = interp.load(DEMO)
    keys = fourier.logit_frequencies(cyclic_tables.logit_table(one))
    assert keys == [24, 6, 8]
    for k in range(1, 27):
        assert (without_in_embedding(one, k) < 0.95) == (k in keys)
        assert k in keys or without_in_embedding(one, k) > 0.99


def test_no_false_keys_before_the_demo_generalises() -> None:
    """Along the run keys are added, never replaced: a frequency that the final network does not need is never key."""
    final, found = {24, 6, 8}, []
    for step in (0, 200, 600, 1200, 1800, 2400, 3000, 3400, 3800):
        found.append(set(fourier.logit_frequencies(cyclic_tables.logit_table(interp.load(DEMO, step=step)))))
        assert found[-1] <= final
    assert found[0] == set()
    assert found[-3:] == [final] * 3


@pytest.mark.parametrize("name", ["plain", "layer norm", "shared concat", "per operand"])
def test_random_networks_have_none(name: str) -> None:
    """Initial weights know no frequency."""
    assert fourier.logit_frequencies(cyclic_tables.logit_table(subject(name))) == []


def test_answer_shares() -> None:
    """A wave keeps its share; one whose output frequency mostly says something else keeps little of it."""
    p, a = 11, torch.arange(11, dtype=F64)
    other = torch.cos(2 * math.pi * (2 * a[:, None, None] + 3 * a[:, None] - 4 * a) / p)  # at c's frequency 4
    other = other / other.pow(2).mean().sqrt()
    shares = fourier.logit_shares(planted(p, {2: 0.6, 4: 0.1}) + math.sqrt(0.3) * other)
    assert shares.by_output.tolist() == pytest.approx([0, 0, 0.6, 0, 0.4, 0], abs=1e-12)
    assert fourier.answer_shares(shares).tolist() == pytest.approx([0, 0, 0.6, 0, 0.1 * 0.25, 0], abs=1e-12)
