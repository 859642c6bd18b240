"""Gradients of transformers that are read at one position, written out, against autograd."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import interp
from interp.hooked import HookedTransformer, TransformerConfig
from interp.tasks import Task, make_task
from interp.tasks.losses import CrossEntropy
from interp.training.by_hand import by_hand, transformer
from tests.interp.training.by_hand.twins import by_autograd, furthest, same_bits, stacked, written_out
from tests.interp.training.ensembles import ensemble

SMALL = TransformerConfig(1, 12, 3, 4, 14, 13, 3, d_mlp=20)
FORMS: dict[str, dict[str, Any]] = {
    "plain": {}, "at the readout": {"readout": -1}, "biases": {"attn_bias": True, "unembed_bias": True},
    "without biases": {"mlp_bias": False}, "both ways": {"causal": False, "attn_bias": True},
    "no positions": {"positions": False}, "own scale": {"attn_scale": 3.0, "attn_bias": True},
    "spare outputs": {"d_vocab_out": 16, "unembed_bias": True},
}  # fmt: skip


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little there is to do."""
    monkeypatch.setattr(transformer, "WORTH", 0)


def modular(loss: str = "cross_entropy") -> Task:
    return make_task(f"modular:p=13,train_fraction=0.5,loss={loss}")


def examples(task: Task) -> tuple[Tensor, Tensor]:
    return task.inputs[task.train_indices], task.labels[task.train_indices]


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form: str) -> None:
    """Two members with examples of their own, and shared ones; exact to float64's rounding."""
    model, task = HookedTransformer(replace(SMALL, **FORMS[form])).double(), modular()
    weights, (inputs, labels) = stacked(model.config, 2), examples(task)
    assert (
        furthest(
            written_out(model, task, weights, (inputs, labels, None)), by_autograd(model, task, weights, inputs, labels)
        )
        < 1e-12
    )
    own = torch.stack([inputs, inputs.flip(0)]), torch.stack([labels, labels.flip(0)])
    share = torch.rand(2, len(labels), dtype=torch.float64)
    found = written_out(model, task, weights, (*own, share))
    assert furthest(found, by_autograd(model, task, weights, *own, share)) < 1e-12


@pytest.mark.parametrize("asked", [0, 1])
def test_read_in_the_middle(asked: int) -> None:
    """A causal readout does not see what comes after it, and any of its tokens may vary: the sums are those of its parts."""
    task = modular()
    inputs, labels = examples(task)
    inputs = inputs[:, [0, 2, 1]]
    inputs[:40, 1] = asked
    for causal in (True, False):
        model = HookedTransformer(replace(SMALL, readout=1, causal=causal)).double()
        weights = stacked(model.config, 1)
        found = written_out(model, task, weights, (inputs, labels, None))
        assert furthest(found, by_autograd(model, task, weights, inputs, labels)) < 1e-12


def test_batch_after_batch() -> None:
    """What is remembered of one batch does not reach into the next; the batches' memory is reused by torch."""
    model, task = HookedTransformer(SMALL).double(), modular()
    weights, (inputs, labels) = stacked(SMALL, 1), examples(task)
    batches = [(inputs[i : i + 20].clone()[None], labels[i : i + 20].clone()[None], None) for i in range(0, 60, 20)]
    found = written_out(model, task, weights, *batches)
    assert furthest(found, by_autograd(model, task, weights, inputs[40:60], labels[40:60])) < 1e-12


def test_other_losses() -> None:
    model, task = HookedTransformer(SMALL).double(), modular("mse")
    weights, batch = stacked(SMALL, 1), examples(task)
    assert (
        furthest(written_out(model, task, weights, (*batch, None)), by_autograd(model, task, weights, *batch)) < 1e-12
    )


def test_float32() -> None:
    """As near to the gradient in float64 as autograd in float32 is, in the shape that is trained most."""
    config, task = (
        replace(SMALL, d_model=128, n_heads=4, d_head=32, d_mlp=512, d_vocab=114, d_vocab_out=113),
        make_task("modular:p=113"),
    )
    model, weights = HookedTransformer(config), stacked(config, 1, torch.float32)
    inputs, labels = (x[:1000] for x in examples(task))
    exact = by_autograd(model.double(), task, {n: w.double() for n, w in weights.items()}, inputs, labels)
    theirs = furthest(by_autograd(model.float(), task, weights, inputs, labels), exact)
    assert furthest(written_out(model.float(), task, weights, (inputs, labels, None)), exact) < max(1e-6, 1.5 * theirs)


def test_a_loss_that_is_nearly_nothing() -> None:
    """At log-odds of 60 a share of 1 less the label's own would be exactly 0."""
    loss = CrossEntropy()
    outputs = torch.tensor([[0.0, 60.0, 1.0]], dtype=torch.float64)
    small = torch.tensor([[-60.0, 0.0, -59.0]], dtype=torch.float64).exp()
    small[0, 1] = -small[0, 0] - small[0, 2]
    torch.testing.assert_close(loss.gradient(outputs, torch.tensor([1])), small, rtol=1e-14, atol=0)
    again = loss.gradient(outputs.float(), torch.tensor([1]))
    torch.testing.assert_close(again, small.float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "change",
    [
        {"n_layers": 2},
        {"normalization": "LN"},
        {"act_fn": "gelu"},
        {"dropout": 0.1},
        {"gated_mlp": True},
        {"d_mlp": None},
    ],
)
def test_what_is_left_to_autograd(change: dict[str, Any]) -> None:
    assert by_hand(HookedTransformer(SMALL), modular()) is not None
    assert by_hand(HookedTransformer(replace(SMALL, **change)), modular()) is None


def test_hooks_and_other_classes_are_left_to_autograd() -> None:
    class Own(HookedTransformer):
        pass

    model = HookedTransformer(SMALL)
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_z", lambda z, hook: 2 * z)]):
        assert by_hand(model, modular()) is None
    assert by_hand(model, modular()) is not None
    assert by_hand(Own(SMALL), modular()) is None


def test_threads_and_neighbours_change_no_bit() -> None:
    """One thread or two, alone or beside others: the same bits."""
    model, task = HookedTransformer(SMALL), modular()
    same_bits(model, task, stacked(SMALL, 3, torch.float32), *examples(task))


def test_small_steps_are_left_to_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "WORTH", 12 * 20 * 50)
    model = HookedTransformer(SMALL)
    assert by_hand(model, modular()) is not None
    assert by_hand(model, modular(), 50) is not None
    assert by_hand(model, modular(), 49) is None
    assert by_hand(model, modular(), 10**6) is not None


def test_a_run_of_many_steps() -> None:
    """Losses after 40 steps from the recipe, of two members, as autograd has them to 1e-5."""
    losses = []
    for ours in (True, False):
        found = ensemble(
            "modular:p=13", "transformer:d_model=16,n_heads=2,d_head=8,d_mlp=32", interp.seeds(2), dtype="float32"
        )
        for block in found.blocks:
            assert block._by_hand is not None
            block._by_hand = block._by_hand if ours else None
        found.advance(40)
        losses.append([row["train_loss"] for row in found.measure()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_measured_side_by_side() -> None:
    """Blocks share no model: two threads measure what one measures, however often they take turns."""
    small, before = "transformer:d_model=16,n_heads=2,d_head=8,d_mlp=32", sys.getswitchinterval()
    found = []
    try:
        sys.setswitchinterval(1e-6)
        for threads, times in ((1, 1), (2, 25)):
            torch.set_num_threads(threads)
            several = ensemble("modular:p=13", small, interp.seeds(4), size=1, dtype="float32")
            found += [[row["train_loss"] for row in several.measure()] for _ in range(times)]
    finally:
        sys.setswitchinterval(before)
    assert len(set(found[0])) == 4
    assert all(losses == found[0] for losses in found)
