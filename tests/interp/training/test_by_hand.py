"""Gradients that are written out equal autograd's, and blocks that train side by side equal those that take turns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import interp
from interp._util.threads import Lanes
from interp.hooked import build
from interp.hooked.activation_functions import ACTIVATIONS
from interp.training.block import Block
from interp.training.by_hand import by_hand
from interp.training.by_hand.activations import BY_HAND
from interp.training.ensemble import Ensemble
from tests.interp.training.ensembles import by_member, ensemble, gap, same_bits

MEMBERS = interp.seeds(3)
MODULAR = "modular:p=7,train_fraction=0.6"
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{f"concat {act}": (MODULAR, f"mlp:d_embed=3,hidden=6x5,act_fn={act}", {}) for act in BY_HAND},
    "sum, vectors": ("addition:p=5", "mlp:hidden=6x6", {}),
    "sum, classes": ("addition:p=5,loss=cross_entropy", "mlp:hidden=6", {}),
    "sum, a table per operand": (MODULAR, "mlp:combine=sum,embedding=per_operand,d_embed=3,hidden=5", {}),
    "concat, a table per operand": (MODULAR, "mlp:embedding=per_operand,d_embed=3,hidden=5", {}),
    "product": ("group:table=S_3", "mlp:d_embed=4,hidden=5", {}),
    "one-hot": (f"{MODULAR},loss=mse", "mlp:d_embed=3,hidden=5", {}),
    "hinge, batches": ("parity:n=6,k=2,n_train=20,n_test=8", "mlp:hidden=9", {"batch_size": 8}),
    "bce": ("parity:n=6,k=2,n_train=20,n_test=8,loss=bce", "mlp:hidden=9", {"batch_size": None}),
    "no hidden layer": ("parity:n=6,k=2,n_train=20,n_test=8", "mlp:hidden=,bias=False", {"batch_size": None}),
    "batches of tokens": (MODULAR, "mlp:d_embed=3,hidden=5", {"batch_size": 8}),
    **{f"dropout {act}": (MODULAR, f"mlp:d_embed=3,hidden=6x5,act_fn={act},dropout=0.4", {}) for act in BY_HAND},
    "dropout, batches": ("parity:n=6,k=2,n_train=20,n_test=8", "mlp:hidden=9x7,dropout=0.3", {"batch_size": 8}),
}  # fmt: skip


def by_autograd(found: Ensemble, block: Block) -> list[dict[str, Tensor]]:
    """The gradient of each member's loss on its first batch, one network after the other."""
    model, gradients = build(found.plan.model).double(), []
    rows = block.train.rows(torch.arange(len(block.train)).expand(len(block.ids), -1))
    inputs, labels = block.train.take(rows) if block._drawn(0) is block.train else block._batch(0)
    for i in range(len(block.ids)):
        weights = {n: p[i].detach().requires_grad_() for n, p in block.parameters.items()}
        noise = {"noise": block._noise_keys[i]} if block._dropout else {}
        outputs = block.task.read(functional_call(model, weights, (inputs[i],), noise))
        block.task.criterion(outputs, labels[i]).mean().backward()
        gradients.append({n: w.grad for n, w in weights.items()})
    return gradients


@pytest.mark.parametrize("name", CASES)
def test_equal_to_autograd(name: str) -> None:
    """Every activation function, combination, bias and loss; also at the second call, which uses what it kept."""
    task, model, settings = CASES[name]
    found = ensemble(task, model, MEMBERS, init="torch", **{"batch_size": None, **settings})
    assert by_hand(build(found.plan.model), found.task) is not None
    for block in found.blocks:
        expected = by_autograd(found, block)
        for _ in range(3):
            gradients = block.gradients(0)
            for i, own in enumerate(expected):
                assert gap({n: g[i] for n, g in gradients.items()}, own) < 1e-13


def test_thousand_steps() -> None:
    """The weights after 1,000 steps in float32 are those of autograd to 1e-5, losses to 1e-6."""
    losses = []
    for written_out in (True, False):
        found = ensemble(
            "addition:p=6", "mlp:hidden=20x20", MEMBERS, init="torch", dtype="float32", metrics="every:100"
        )
        if not written_out:
            for block in found.blocks:
                block._by_hand = None
        found.advance(1000)
        losses.append([row["train_loss"] for row in found.measure()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_every_activation_is_written_out() -> None:
    assert set(BY_HAND) == set(ACTIVATIONS)


def test_another_kind_is_left_to_autograd() -> None:
    found = ensemble(MODULAR, "rnn:d_embed=3,d_hidden=4", MEMBERS)
    assert by_hand(build(found.plan.model), found.task) is None


@pytest.mark.parametrize("changed", [{"label_smoothing": 0.1}, {"softmax_dtype": "float32"}], ids=str)
def test_another_loss_is_left_to_autograd(changed: dict[str, Any]) -> None:
    found = ensemble(MODULAR, "mlp:d_embed=3,hidden=5", MEMBERS, **changed)
    assert all(block._by_hand is None for block in found.blocks)


def testside_by_side() -> None:
    """Two threads or one: the same bits."""
    before, trained = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found = ensemble("addition:p=5", "mlp:hidden=9x9", interp.seeds(7), size=2, dtype="float32")
            assert [len(block.ids) for block in found.blocks] == [2, 2, 2, 1]
            found.advance(30)
            found.measure()
            assert torch.get_num_threads() == threads
            trained.append(by_member(found))
    finally:
        torch.set_num_threads(before)
    assert all(same_bits(one, other) for one, other in zip(*trained, strict=True))


@pytest.mark.parametrize(
    ("task", "model", "settings"),
    [
        ("addition:p=7", "mlp:hidden=20x20", {}), (MODULAR, "mlp:d_embed=3,hidden=10", {"batch_size": 8}),
        ("group:table=S_3", "mlp:d_embed=9,hidden=10", {}), ("parity:n=6,k=2,n_train=20,n_test=8", "mlp:hidden=9", {}),
        (MODULAR, "mlp:d_embed=3,hidden=10x9,dropout=0.3", {"batch_size": 8}),
    ],
    ids=["sum", "concat", "product", "one output", "dropout"],
)  # fmt: skip
def test_same_bits_in_any_company(task: str, model: str, settings: dict[str, Any]) -> None:
    """Alone or among six others, in float32: every bit of every weight, although vectors and sums end elsewhere."""
    trained = []
    for size in (7, 3, 1):
        found = ensemble(
            task, model, interp.seeds(7), size, init="torch", dtype="float32", optimizer="adamw", **settings
        )
        found.advance(40)
        trained.append(by_member(found))
    for others in trained[1:]:
        assert all(same_bits(one, other) for one, other in zip(trained[0], others, strict=True))


def test_lanes_pass_on_an_error() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            Lanes().run([lambda: 1 / 0, lambda: 1.0], 1)
        assert torch.get_num_threads() == 2
        assert Lanes().run([lambda: 1, lambda: 2, lambda: 3], 1) == [1, 2, 3]
    finally:
        torch.set_num_threads(before)


def test_even_blocks_when_few_are_left() -> None:
    """When most members have retired, the rest is spread over two blocks."""
    found = ensemble("addition:p=5", "mlp:hidden=9", interp.seeds(9), size=4, retire=0.0)
    found.measure()
    for status in found.statuses[:3]:
        status.train_at = status.test_at = -1
    found.retire()
    assert [len(block.ids) for block in found.blocks] == [2, 1]
