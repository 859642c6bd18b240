"""What stands where in an input, how operands are encoded, and which pairs are trained on: against loops in plain Python."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import interp
from interp import InterpError, MLPConfig, TaskMismatch, TransformerConfig
from interp.tasks import ModularArithmetic, SparseParity, make_task, task_from_dict, task_to_dict

PAIRS = [(a, b) for a in range(5) for b in range(5)]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("", lambda a, b: [a, b, 5]), ("b a =", lambda a, b: [b, a, 5]), ("a op b =", lambda a, b: [a, 6, b, 5]),
        ("= a b", lambda a, b: [5, a, b]), ("a 7 b 9", lambda a, b: [a, 7, b, 9]), ("a b", lambda a, b: [a, b]),
    ],
)  # fmt: skip
def test_forms(form: str, expected: object) -> None:
    """Tokens by hand; labels are those of the pair, and a model of that length and vocabulary fits."""
    task = ModularArithmetic(5, "subtract", form=form)
    table = [expected(a, b) for a, b in PAIRS]  # type: ignore[operator]
    assert task.inputs.tolist() == table
    assert task.labels.tolist() == [(a - b) % 5 for a, b in PAIRS]
    needed = 1 + max(map(max, table))
    config = TransformerConfig(
        n_layers=1, d_model=8, n_heads=2, d_head=4, d_mlp=8, d_vocab=needed, d_vocab_out=5, n_ctx=len(table[0])
    )
    model = interp.HookedTransformer(config).init_weights(seed=0)
    assert task.shape("transformer") == {"d_vocab": needed, "d_vocab_out": 5, "n_ctx": len(table[0])}
    fitted = task.fit(model)
    assert fitted.inputs.tolist() == table
    assert interp.Subject("net", model, fitted).logits().shape == (25, 5)
    if form:
        with pytest.raises(TaskMismatch, match="context is"):
            ModularArithmetic(5, form=form + " 1").fit(model)


def test_vectors_for_networks_that_take_them() -> None:
    """One-hot operands side by side or added, in either order; the model's width tells which."""
    a, b = torch.tensor(PAIRS).T
    side = torch.cat([F.one_hot(a, 5), F.one_hot(b, 5)], 1).float()
    swapped = torch.cat([F.one_hot(b, 5), F.one_hot(a, 5)], 1).float()
    both = (F.one_hot(a, 5) + F.one_hot(b, 5)).float()
    for options, expected, told in (
        ({}, side, "one_hot"), ({"form": "b a"}, swapped, "one_hot"), ({"encoding": "sum"}, both, "sum"), ({}, both, "sum"),
    ):  # fmt: skip
        task = ModularArithmetic(5, **options)  # type: ignore[arg-type]
        mlp = interp.HookedMLP(MLPConfig((8,), 5, d_in=expected.shape[1])).init_weights(seed=0)
        fitted = task.fit(mlp)
        assert torch.equal(fitted.inputs, expected)
        assert fitted.encoding == told
        assert f"encoding={told}" in fitted.spec()
        assert torch.equal(interp.Subject("mlp", mlp, fitted).logits(), mlp.cast(torch.float64)(expected.double()))
        assert fitted.shape("mlp") == {"d_in": expected.shape[1], "d_out": 5}
    odd = interp.HookedMLP(MLPConfig((8,), 5, d_in=7)).init_weights(seed=0)
    with pytest.raises(TaskMismatch, match=r"vectors of 10 \(encoding=one_hot\) or 5 \(encoding=sum\)"):
        ModularArithmetic(5).fit(odd)
    tokens = interp.HookedMLP(MLPConfig((8,), 5, d_vocab=5, d_embed=3)).init_weights(seed=0)
    with pytest.raises(TaskMismatch, match="takes tokens, the task gives vectors"):
        ModularArithmetic(5, encoding="one_hot").fit(tokens)
    assert ModularArithmetic(5, form="b a").fit(tokens).inputs.tolist() == [[b, a] for a, b in PAIRS]


def test_splits() -> None:
    """The first rows, numpy's permutation, and a number instead of a share."""
    first = ModularArithmetic(5, split="first", n_train=7)
    assert first.train_indices.tolist() == list(range(7))
    assert first.test_indices.tolist() == list(range(7, 25))
    assert len(ModularArithmetic(5, split="first", train_fraction=0.3).train_indices) == 7
    np.random.seed(3)
    order = np.random.permutation(25)
    found = ModularArithmetic(5, split="numpy", seed=3, train_fraction=0.4)
    assert found.train_indices.tolist() == order[:10].tolist()
    assert found.test_indices.tolist() == order[10:].tolist()
    counted, share = ModularArithmetic(5, seed=2, n_train=9), ModularArithmetic(5, seed=2, train_fraction=0.36)
    assert torch.equal(counted.train_indices, share.train_indices)
    whole = ModularArithmetic(5, n_train=25)
    assert len(whole.test_indices) == 0


def test_they_are_a_part_of_the_task() -> None:
    """Specs are typed back; stored tasks load; what is usual is not written; older files load."""
    for text in (
        "modular:p=5,form=a op b =,split=first,n_train=7", "modular:p=5,encoding=one_hot", "group:table=S_3,form=b a =",
        "addition:p=4,encoding=sum", "grid:side=2,form=a b", "parity:encoding=bits", "parity:encoding=inverted",
    ):  # fmt: skip
        task = make_task(text)
        assert make_task(task.spec()) == task
        assert task_from_dict(json.loads(json.dumps(task_to_dict(task)))) == task
    assert ModularArithmetic(5).spec() == "modular:p=5,operation=add,train_fraction=0.3,seed=0,split=python"
    assert "encoding" not in SparseParity().spec()
    stored = {k: v for k, v in task_to_dict(ModularArithmetic(5)).items() if k not in ("form", "encoding", "n_train")}
    assert task_from_dict(stored) == ModularArithmetic(5)


def test_parity_as_bits() -> None:
    """0 and 1 for -1 and 1, or the other way round; the labels do not change."""
    signs, bits, inverted = (SparseParity(6, 3, encoding=e) for e in ("signs", "bits", "inverted"))
    assert torch.equal(bits.inputs, (signs.inputs + 1) / 2)
    assert torch.equal(inverted.inputs, (1 - signs.inputs) / 2)
    assert torch.equal(bits.labels, signs.labels)
    odd = inverted.inputs[:, :3].sum(1) % 2 == 1
    assert torch.equal(inverted.labels == -1, odd)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("modular:p=5,form=a =", "must hold a and b once each"), ("modular:p=5,form=a b c", "must hold a and b once each"),
        ("modular:p=5,form=a a b", "must hold a and b once each"), ("modular:p=5,form=3", "form must be a text"),
        ("modular:p=5,encoding=onehot", "nearest|one_hot"), ("modular:p=5,encoding=one_hot,form=a b =", "form must be 'a b'"),
        ("modular:p=5,n_train=0", "n_train must be a whole number"), ("modular:p=5,n_train=26", "there are 25 pairs"),
        ("parity:encoding=pm1", "encoding for parity"),
    ],
)  # fmt: skip
def test_bad_forms(spec: str, message: str) -> None:
    """Refused, with what is needed."""
    with pytest.raises(InterpError, match=message):
        make_task(spec)


def test_a_wrapped_module_may_answer_without_positions() -> None:
    """Outputs [n, answers] are read as they are, whatever position a transformer would be read at."""
    torch.manual_seed(0)
    embed, head = torch.nn.Embedding(6, 4), torch.nn.Linear(12, 5)
    task = ModularArithmetic(5)
    model = interp.wrap(torch.nn.Sequential(embed, torch.nn.Flatten(), head), task.inputs)
    subject = interp.Subject("net", model, task.fit(model), precision=torch.float32)
    assert torch.equal(subject.logits(), head(embed(task.inputs).flatten(1)))
