"""Symmetries of tasks: what is a group's average, and that every task's labels follow its group."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import interp
from interp.errors import InterpError
from interp.tasks import (
    BinaryOperation,
    GridDirections,
    GroupComposition,
    ImageTask,
    ModularArithmetic,
    SparseParity,
    Task,
    ToyAddition,
)
from interp.tasks.factors import FactorAxis, fourier_rows, walsh_rows
from interp.tasks.pair_symmetry import generators
from interp.tasks.symmetry import Symmetry


def matrix(inputs: Tensor, outputs: Tensor, signs: Tensor) -> Tensor:
    """What one element does to functions: ``(M v)[x, c] = sign(c) v[g x, g c]``."""
    n, width = len(inputs), len(outputs)
    M = torch.zeros(n * width, n * width, dtype=torch.float64)
    for x, c in itertools.product(range(n), range(width)):
        M[x * width + c, inputs[x] * width + outputs[c]] = float(signs[c])
    return M


def group_of(symmetry: Symmetry) -> list[Tensor]:
    """Every element as a matrix, by multiplying generators until nothing is new."""
    signs = torch.ones_like(symmetry.outputs) if symmetry.signs is None else symmetry.signs
    steps = [matrix(*parts) for parts in zip(symmetry.inputs, symmetry.outputs, signs, strict=True)]
    start = torch.eye(symmetry.n_examples * symmetry.width, dtype=torch.float64)
    known, todo = {tuple(start.flatten().tolist()): start}, [start]
    while todo:
        here = todo.pop()
        for step in steps:
            new = step @ here
            key = tuple(new.flatten().tolist())
            if key not in known:
                known[key] = new
                todo.append(new)
    return list(known.values())


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.booleans(), st.integers(0, 10**6))
def test_the_average_is_the_mean_over_the_whole_group(n: int, width: int, steps: int, signed: bool, seed: int) -> None:
    """Of random permutation groups, with signs and without: average, share and its expectation, by brute force."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.stack([torch.randperm(n, generator=draw) for _ in range(steps)])
    outputs = torch.stack([torch.randperm(width, generator=draw) for _ in range(steps)])
    signs = 2 * torch.randint(0, 2, (steps, width), generator=draw) - 1 if signed else None
    symmetry = Symmetry("random", inputs, outputs, signs)
    P = torch.stack(group_of(symmetry)).mean(0)
    values = torch.randn(2, n, width, dtype=torch.float64, generator=draw)
    expected = (values.flatten(1) @ P.T).unflatten(1, (n, width))
    assert torch.allclose(symmetry.average(values), expected, atol=1e-12)
    assert torch.allclose(symmetry.share(values), expected.square().sum((1, 2)) / values.square().sum((1, 2)))
    assert symmetry.expected_share() == pytest.approx(float(P.trace()) / (n * width))
    centre = torch.eye(n * width, dtype=torch.float64) - torch.kron(
        torch.eye(n, dtype=torch.float64), torch.full((width, width), 1 / width, dtype=torch.float64)
    )
    if width > 1 and signs is None:
        assert symmetry.expected_share(centred=True) == pytest.approx(float((P @ centre).trace()) / (n * (width - 1)))


TASKS: dict[str, Task] = {
    "add": ModularArithmetic(7),
    "subtract": ModularArithmetic(7, "subtract"),
    "multiply": ModularArithmetic(7, "multiply"),
    "divide": ModularArithmetic(7, "divide"),
    "multiply, composite": ModularArithmetic(12, "multiply"),
    "x^2+y^2": ModularArithmetic(7, "x^2+y^2"),
    "x^2+xy+y^2": ModularArithmetic(7, "x^2+xy+y^2"),
    "S_3": GroupComposition("S_3"),
    "A_4": GroupComposition("A_4"),
    "C_2xC_4": GroupComposition("C_2xC_4"),
    "sums": ToyAddition(5, loss="cross_entropy"),
    "grid": GridDirections(3),
    "grid, angles": GridDirections(3, "angle"),
}


@pytest.mark.parametrize("name", TASKS)
def test_labels_follow_the_group(name: str) -> None:
    """Every generator takes each example to one with the answer that it takes the answer to."""
    task = TASKS[name]
    symmetry = task.symmetry()
    assert isinstance(symmetry, Symmetry)
    for there, out in zip(symmetry.inputs, symmetry.outputs, strict=True):
        assert torch.equal(task.labels[there], out[task.labels])
    one_hot = torch.nn.functional.one_hot(task.labels, task.n_outputs).double()
    assert symmetry.share(one_hot) == pytest.approx(1)
    assert symmetry.breach(task.labels) is None
    assert symmetry is task.symmetry()  # made once


def test_translations_leave_functions_of_the_difference() -> None:
    """(a + b) mod p: what is equivariant is a function of a + b - c, p - 1 of p^2 (p - 1) dimensions without the mean."""
    symmetry = ModularArithmetic(7).symmetry()
    assert isinstance(symmetry, Symmetry)
    assert symmetry.expected_share(centred=True) == pytest.approx(6 / (49 * 6))
    a = torch.arange(7)
    values = torch.randn(7, dtype=torch.float64)[(a[:, None, None] + a[:, None] - a) % 7].reshape(49, 7)
    assert symmetry.share(values) == pytest.approx(1)


@pytest.mark.parametrize(("n", "k", "encoding"), [(4, 2, "signs"), (30, 3, "bits"), (12, 1, "inverted")])
def test_parity_changes_sign_with_each_relevant_bit(n: int, k: int, encoding: str) -> None:
    """The product of the first k bits is equivariant under flips, and one Walsh function."""
    task = SparseParity(n, k, encoding=encoding)
    symmetry, factors = task.symmetry(), task.factors()
    assert isinstance(symmetry, Symmetry)
    assert symmetry.examples is not None
    assert not isinstance(factors, str)
    bits = symmetry.examples if encoding == "signs" else (2 * symmetry.examples - 1) * (1 if encoding == "bits" else -1)
    labels = bits[:, :k].prod(1)
    assert symmetry.breach(labels.long()) is None
    assert symmetry.share(labels.double().unsqueeze(1)) == pytest.approx(1)
    axis = factors.inputs[0]
    power = axis.power(labels.double()[axis.index], len(factors.names))
    assert power[factors.correct].item() == pytest.approx(len(labels))
    assert power.sum() == pytest.approx(len(labels))
    other = bits[:, k].double().unsqueeze(1)  # an irrelevant bit
    assert symmetry.share(other) == pytest.approx(0)


def test_pictures_have_the_mirrors_that_they_show(tmp_path: Path) -> None:
    """A symmetric picture has its mirror, one without any a reason; even and odd parts are factors of both."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "any.png")
    Image.fromarray(np.concatenate([pixels, pixels[:, ::-1]], 1)[:, 4:12]).save(tmp_path / "mirrored.png")
    mirrored, other = (ImageTask(str(tmp_path / f"{name}.png"), size=8) for name in ("mirrored", "any"))
    symmetry, factors = mirrored.symmetry(), mirrored.factors()
    assert isinstance(symmetry, Symmetry)
    assert symmetry.name == "left-right mirror"
    assert symmetry.breach(mirrored.labels) is None
    assert not isinstance(factors, str)
    axis = factors.inputs[0]
    even, odd = axis.power(mirrored.labels.double()[axis.index].flatten(1), 2)
    assert odd < 1e-9 < even
    assert "no symmetry" in str(other.symmetry())


def test_what_has_none_says_so() -> None:
    """A reason in words, for each kind of task without a symmetry."""
    for task in (ModularArithmetic(7, "x^3+xy"), ToyAddition(5), SparseParity(20, 12), interp.make_task("digits")):
        assert len(str(task.symmetry()).split()) > 4


def test_a_task_of_ones_own(demo: interp.Subject) -> None:
    """A permutation of inputs and one of outputs suffice."""

    class Doubled(ModularArithmetic):
        def make_symmetry(self) -> Symmetry:
            twice = torch.arange(self.p) * 2 % self.p
            a, b = self.pairs.T
            return Symmetry("doubling", (twice[a] * self.p + twice[b]).unsqueeze(0), twice.unsqueeze(0))

    task = Doubled(5)
    symmetry = task.symmetry()
    assert isinstance(symmetry, Symmetry)
    assert symmetry.breach(task.labels) is None
    assert "generator 0 takes example" in str(symmetry.breach(task.pairs[:, 0] * 0 + 1))


def test_wrong_groups_are_refused() -> None:
    """Rows that are not permutations, signs of another size, and values of another shape."""
    turn = torch.tensor([[1, 2, 0]])
    with pytest.raises(InterpError, match="not a permutation"):
        Symmetry("x", torch.tensor([[0, 0, 1]]), turn)
    with pytest.raises(InterpError, match="generators"):
        Symmetry("x", turn, turn.repeat(2, 1))
    with pytest.raises(InterpError, match="signs"):
        Symmetry("x", turn, turn, torch.tensor([[1, 0, 1]]))
    with pytest.raises(InterpError, match="acts on values"):
        Symmetry("x", turn, turn).average(torch.zeros(2, 3))
    with pytest.raises(InterpError, match="orthonormal"):
        FactorAxis("a", torch.zeros(2, 1, dtype=torch.long), torch.ones(2, 2), torch.arange(2))


def test_generators_reach_the_group() -> None:
    """Few elements, whose products are the whole group."""
    for name in ("S_4", "D_5", "C_2xC_2xC_2", "A_5"):
        task = GroupComposition(name)
        table = torch.tensor(task.table)
        chosen = generators(table)
        reached = {0}
        while len(new := reached | {int(table[x, g]) for x in reached for g in chosen}) > len(reached):
            reached = new
        assert len(reached) == len(table)
        assert len(chosen) <= 4


@pytest.mark.parametrize("n", [2, 7, 8])
def test_function_bases_are_orthonormal(n: int) -> None:
    """Fourier rows of Z_n and Walsh rows of n bits."""
    for rows in (fourier_rows(n)[0], walsh_rows(min(n, 6))):
        assert torch.allclose(rows @ rows.T, torch.eye(len(rows), dtype=torch.float64), atol=1e-12)


def test_frequencies_do_not_mix_under_translation() -> None:
    """The factors are invariant: the power of a frequency is the same after every generator."""
    task = ModularArithmetic(7, "multiply")
    factors, symmetry = task.factors(), task.symmetry()
    assert isinstance(symmetry, Symmetry)
    assert not isinstance(factors, str)
    assert isinstance(task, BinaryOperation)
    values = torch.randn(49, 7, dtype=torch.float64)
    for axis in factors.inputs:
        before = axis.power(values[axis.index].flatten(1), len(factors.names))
        for there in symmetry.inputs:
            after = axis.power(values[there][axis.index].flatten(1), len(factors.names))
            assert torch.allclose(before, after)


@pytest.mark.parametrize("name", ["S_3", "A_4", "D_5"])
def test_representations_do_not_mix_under_translation(name: str) -> None:
    """The factors of a group's functions are invariant under left and right translation, and together hold everything."""
    task = GroupComposition(name)
    factors, symmetry = task.factors(), task.symmetry()
    assert isinstance(symmetry, Symmetry)
    assert not isinstance(factors, str)
    assert factors.kind == "representation"
    n = task.n_symbols
    values = torch.randn(n * n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for axis in factors.inputs:
        before = axis.power(values[axis.index].flatten(1), len(factors.names))
        assert before.sum() == pytest.approx(float(values.square().sum()))
        for there in symmetry.inputs:
            after = axis.power(values[there][axis.index].flatten(1), len(factors.names))
            assert torch.allclose(before, after)
