"""Modular arithmetic: tables by plain Python, splits as published, fitting to models."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp import (
    HookedMLP,
    HookedRNN,
    HookedTransformer,
    InterpError,
    MLPConfig,
    ModularArithmetic,
    RNNConfig,
    TransformerConfig,
)
from interp.errors import TaskMismatch, UnknownName
from interp.tasks import make_task, task_from_dict, task_to_dict
from interp.tasks.modular import OPERATIONS, discrete_logarithms, is_prime

BY_HAND = {
    "add": lambda a, b, p: (a + b) % p, "subtract": lambda a, b, p: (a - b) % p, "multiply": lambda a, b, p: a * b % p,
    "divide": lambda a, b, p: a * pow(b, p - 2, p) % p, "x^2+y^2": lambda a, b, p: (a**2 + b**2) % p,
    "x^2+xy+y^2": lambda a, b, p: (a**2 + a * b + b**2) % p, "x^2+xy+y^2+x": lambda a, b, p: (a**2 + a * b + b**2 + a) % p,
    "x^3+xy": lambda a, b, p: (a**3 + a * b) % p, "x^3+xy^2+y": lambda a, b, p: (a**3 + a * b**2 + b) % p,
}  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("p", [3, 7, 11])
def test_labels_by_plain_python(operation: str, p: int) -> None:
    """Every pair in row-major order, every answer by integer arithmetic."""
    task = ModularArithmetic(p, operation, train_fraction=0.5)
    pairs = [(a, b) for a in range(p) for b in range(1 if operation == "divide" else 0, p)]
    assert task.pairs.tolist() == [list(pair) for pair in pairs]
    assert task.labels.tolist() == [BY_HAND[operation](a, b, p) for a, b in pairs]


@given(st.sampled_from([3, 5, 7, 13]), st.sampled_from(["add", "subtract", "multiply", "divide"]))
def test_cyclic_structure_is_addition(p: int, operation: str) -> None:
    """Exponents of the operands add up to the answer's, for every pair inside the structure."""
    task = ModularArithmetic(p, operation, train_fraction=0.5)
    structure = task.cyclic()
    assert not isinstance(structure, str)
    i, j, k = structure.left[task.pairs[:, 0]], structure.right[task.pairs[:, 1]], structure.out[task.labels]
    inside = (i >= 0) & (j >= 0)
    assert int(inside.sum()) == structure.order**2
    assert torch.equal((i + j)[inside] % structure.order, k[inside])


def test_no_cyclic_structure_is_said() -> None:
    """Tasks without a Fourier basis give the reason."""
    assert "no Fourier basis" in str(ModularArithmetic(7, "x^2+y^2").cyclic())
    assert "composite" in str(ModularArithmetic(9, "multiply").cyclic())


def test_the_published_splits() -> None:
    """Python's shuffle of the list of pairs, and torch's global permutation, as the checkpoints' authors called them."""
    p, fraction, seed = 113, 0.3, 1
    pairs = [(i, j) for i in range(p) for j in range(p)]
    random.seed(seed)
    random.shuffle(pairs)
    cut = int(fraction * len(pairs))
    task = ModularArithmetic(p, "add", fraction, seed)
    assert [tuple(x) for x in task.pairs[task.train_indices].tolist()] == pairs[:cut]
    assert [tuple(x) for x in task.pairs[task.test_indices].tolist()] == pairs[cut:]
    torch.manual_seed(seed)
    order = torch.randperm(p * p)
    assert torch.equal(ModularArithmetic(p, "add", fraction, seed, "torch").train_indices, order[:cut])


def test_a_split_leaves_the_global_generators_alone() -> None:
    """Randomness comes from the task's seed only."""
    random.seed(5)
    torch.manual_seed(5)
    expected = random.Random(5).random(), torch.rand(1, generator=torch.Generator().manual_seed(5))
    for split in ("python", "torch"):
        assert len(ModularArithmetic(7, "add", 0.5, 3, split).train_indices) == 24
    assert (random.random(), torch.rand(1)) == expected


def test_inputs_end_in_equals_for_positions() -> None:
    """(a, b, =) with = as token p, read at the last position; (a, b) without."""
    task = ModularArithmetic(5)
    assert task.inputs[7].tolist() == [1, 2, 5]
    logits = torch.arange(2 * 3 * 6).reshape(2, 3, 6)
    assert task.read(logits).tolist() == [[12, 13, 14, 15, 16], [30, 31, 32, 33, 34]]


def test_loss_is_float64_and_exact_where_float32_is_zero() -> None:
    """At a log-odds of 30 the loss is e^-30, which float32 cross-entropy rounds to 0."""
    task = ModularArithmetic(2, "add", 0.5)
    logits = torch.tensor([[30.0, 0.0]])
    loss = task.losses(logits, torch.tensor([0]))
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(math.log1p(math.exp(-30)), rel=1e-2, abs=0)
    assert torch.nn.functional.cross_entropy(logits, torch.tensor([0])).item() == 0


def test_fit_to_models_and_mismatches() -> None:
    """A transformer gets =, an MLP does not; what does not fit is said with both numbers."""
    task = ModularArithmetic(7)
    transformer = HookedTransformer(TransformerConfig(1, 4, 1, 4, 8, 7, 3))
    mlp = HookedMLP(MLPConfig((4,), 7, d_vocab=7, d_embed=3))
    assert task.fit(transformer).inputs.shape == (49, 3)
    assert task.fit(mlp).inputs.shape == (49, 2)
    for p in (5, 11):
        with pytest.raises(TaskMismatch, match=rf"embeds 8 tokens, the task has {p + 1}"):
            ModularArithmetic(p).fit(transformer)
        with pytest.raises(TaskMismatch, match=rf"7 outputs, the task has {p} answers"):
            ModularArithmetic(p).fit(mlp)
    with pytest.raises(TaskMismatch, match="context is 2"):
        task.fit(HookedTransformer(TransformerConfig(1, 4, 1, 4, 8, 7, 2)))
    assert task.fit(HookedTransformer(TransformerConfig(1, 4, 1, 4, 8, 7, 18))).inputs.shape == (49, 3)
    with pytest.raises(TaskMismatch, match="vectors of 2"):
        task.fit(HookedMLP(MLPConfig((4,), 7, d_in=2)))


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("a b =", [1, 2, 7]), ("a op b =", [1, 8, 2, 7]), ("b op a =", [2, 8, 1, 7]), ("a b", [1, 2]), ("b a =", [2, 1, 7]),
        ("a 8 b 7", [1, 8, 2, 7]), ("9 a b = 0", [9, 1, 2, 7, 0]),
    ],
)  # fmt: skip
def test_forms(form: str, row: list[int]) -> None:
    """The order and the signs are settable; a spec keeps them, and the same answers belong to the same pairs."""
    task = make_task(f"modular:p=7,form={form}")
    assert task.inputs[9].tolist() == row
    assert task.labels[9] == 3
    assert make_task(task.spec()).inputs.equal(task.inputs)
    shape = task.shape("transformer")
    assert (shape["d_vocab"], shape["n_ctx"]) == (max(7, *(t + 1 for t in row)), len(row))
    model = HookedTransformer(TransformerConfig(1, 4, 1, 4, **shape))
    assert task.fit(model).inputs.equal(task.inputs)


@pytest.mark.parametrize(
    ("vocabulary", "outputs", "n_ctx", "form"),
    [
        (8, 7, 3, "a b ="),
        (8, 8, 5, "a b ="),
        (9, 9, 4, "a op b ="),
        (9, 7, 64, "a op b ="),
        (7, 7, 2, "a b"),
        (7, 7, 5, "a b"),
    ],
)
def test_the_vocabulary_says_which_signs_there_are(vocabulary: int, outputs: int, n_ctx: int, form: str) -> None:
    """One token more than symbols is =, two are op and =; another form than the usual is a note."""
    task = ModularArithmetic(7).fit(HookedTransformer(TransformerConfig(1, 4, 1, 4, vocabulary, outputs, n_ctx)))
    assert task.form == ("" if form == "a b =" else form)
    assert (form in " ".join(task.notes)) == (form != "a b =")


def test_a_vocabulary_of_another_task_is_refused() -> None:
    """Two tokens more need four positions; three more belong to nothing that we know, unless the user says so."""
    for vocabulary, n_ctx in ((9, 3), (10, 9), (6, 3)):
        with pytest.raises(TaskMismatch, match=f"embeds {vocabulary} tokens"):
            ModularArithmetic(7).fit(HookedTransformer(TransformerConfig(1, 4, 1, 4, vocabulary, 7, n_ctx)))
    told = ModularArithmetic(7, form="a 9 b 8")
    assert told.fit(HookedTransformer(TransformerConfig(1, 4, 1, 4, 10, 10, 9))) == told


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("modular:p=1", "at least 2"), ("modular:p=7.5", "whole number"), ("modular:p=99999", "limited"),
        ("modular:p=9,operation=divide", "prime"), ("modular:p=7,operation=ad", "did you mean 'add'"),
        ("modular:p=7,train_fraction=0", "train_fraction"), ("modular:p=7,train_fraction=1.5", "train_fraction"),
        ("modular:p=7,train_fraction=0.001", "no training example"), ("modular:p=7,split=jax", "split"),
        ("modular:p=7,sed=1", "did you mean 'seed'"), ("modula:p=7", "did you mean 'modular'"), ("modular", "needs p"),
        ("modular:p", "key=value"), ("modular:p=7,p=5", "given twice"),
    ],
)  # fmt: skip
def test_bad_specs(spec: str, message: str) -> None:
    """One clear message each."""
    with pytest.raises(InterpError, match=message):
        make_task(spec)


def test_round_trips() -> None:
    """As text and as JSON, a task comes back equal."""
    task = make_task("modular:p=7,operation=x^2+y^2,train_fraction=0.4,seed=3,split=torch")
    assert make_task(task.spec()) == task
    assert task_from_dict(task_to_dict(task)) == task
    with pytest.raises(UnknownName, match="unknown task"):
        task_from_dict({"name": "chess"})
    with pytest.raises(InterpError, match="does not fit this version"):
        task_from_dict({"name": "modular", "p": 7, "colour": "red"})


@given(st.sampled_from([p for p in range(3, 60) if is_prime(p)]))
def test_discrete_logarithms(p: int) -> None:
    """Products become sums of exponents."""
    logs = discrete_logarithms(p).tolist()
    assert sorted(logs) == list(range(-1, p - 1))
    a, b = random.Random(p).choices(range(1, p), k=2)
    assert (logs[a] + logs[b]) % (p - 1) == logs[a * b % p]


def test_recurrent_networks_read_the_operands_in_turn() -> None:
    """At the last step without =, at each step with it; other vocabularies are another task's."""
    task = ModularArithmetic(7)

    def rnn(d_vocab: int, read: str, **fields: int) -> HookedRNN:
        return HookedRNN(RNNConfig(6, 7, d_vocab=d_vocab, d_embed=3, read=read, **fields)).init_weights(0)  # pyright: ignore[reportArgumentType]

    for model, width in ((rnn(7, "last"), 2), (rnn(8, "each"), 3)):
        fitted = task.fit(model)
        assert fitted.inputs.shape == (49, width)
        outputs = fitted.read(model(fitted.inputs))
        assert outputs.shape == (49, 7)
        torch.testing.assert_close(outputs, model(fitted.inputs).reshape(49, -1, 7)[:, -1])
    for model, message in (
        (rnn(8, "last"), "read=each"),
        (rnn(7, "each"), "embeds 7 tokens, the task has 8"),
        (rnn(9, "each"), "embeds 9 tokens"),
        (rnn(7, "last", n_ctx=1), "context is 1 positions"),
    ):
        with pytest.raises(TaskMismatch, match=message):
            task.fit(model)
