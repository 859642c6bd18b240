"""Examples that the user brings: what is refused, and losses against torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import circuits
import interp
from interp import Examples, InterpError, Subject
from interp.errors import UnknownName
from interp.tasks import task_to_dict

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
ANSWERS = torch.tensor([0, 2, 1, 2, 0, 1])
SIGNS = torch.tensor([1, -1, 1, 1, -1, -1])


@pytest.mark.parametrize("train", [[4, 0, 2], torch.tensor([4, 0, 2]), torch.tensor([1, 0, 1, 0, 1, 0]).bool()])
def test_what_is_not_trained_on_is_tested_on(train: Any) -> None:
    """Indices and a mask."""
    task = Examples(X, ANSWERS, train=train)
    assert sorted(task.train_indices.tolist()) == [0, 2, 4]
    assert task.test_indices.tolist() == [1, 3, 5]
    assert Examples(X, ANSWERS).train_indices.tolist() == list(range(6))
    assert Examples(X, ANSWERS).test_indices.tolist() == []


def test_losses_are_torchs() -> None:
    """Each loss against torch's function of the same numbers; an answer is right where the largest output says so."""
    outputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)).double()
    cross = Examples(X, ANSWERS, n_answers=3)
    torch.testing.assert_close(cross.losses(outputs).mean(), F.cross_entropy(outputs, ANSWERS))
    assert cross.correct(outputs).tolist() == (outputs.argmax(-1) == ANSWERS).tolist()
    one = outputs[:, :1]
    bce = F.binary_cross_entropy_with_logits(one[:, 0], (SIGNS > 0).double())
    torch.testing.assert_close(Examples(X, SIGNS, "bce").losses(one).mean(), bce)
    # torch's margin ranking loss of o against 0 with margin 1 is the hinge
    hinge = F.margin_ranking_loss(one[:, 0], torch.zeros(6).double(), SIGNS.double(), margin=1.0)
    torch.testing.assert_close(Examples(X, SIGNS, "hinge").losses(one).mean(), hinge)
    targets = outputs.flip(0)
    torch.testing.assert_close(Examples(X, targets, "regression").losses(outputs).mean(), F.mse_loss(outputs, targets))


@pytest.mark.parametrize(("loss", "labels", "width"), [
    ("cross_entropy", ANSWERS, 3), ("mse", ANSWERS.to(torch.uint8), 3), ("hinge", SIGNS, 1), ("bce", SIGNS.float(), 1),
    ("regression", torch.randn(6, 5), 5),
])  # fmt: skip
def test_a_wrapped_network_has_a_loss(loss: str, labels: torch.Tensor, width: int) -> None:
    """A subject of any network with any loss: its logits are read at the width of the loss."""
    net = nn.Linear(4, width).double()
    subject = Subject("mine", interp.wrap(net, X), Examples(X, labels, loss))
    torch.testing.assert_close(subject.logits(), net(X.double()))
    assert subject.require_task().losses(subject.logits()).shape == (6,)
    assert "examples: 6 inputs [4]" in repr(subject)


def test_a_position_is_read() -> None:
    """Outputs [batch, pos, width] at the readout."""
    output = torch.randn(6, 5, 7)
    assert torch.equal(Examples(X, ANSWERS, readout=-2).read(output), output[:, -2, :3])


@pytest.mark.parametrize("readout", [0, 1, 2, -2, -1])
def test_a_position_in_the_middle_is_read_of_a_transformer(readout: int) -> None:
    """Its last block computes that position alone, and the logits are those of the whole network there."""
    config = interp.TransformerConfig(
        n_layers=2, d_model=8, n_heads=2, d_head=4, d_vocab=5, d_vocab_out=3, n_ctx=4, d_mlp=8
    )
    model = interp.HookedTransformer(config).double().init_weights(seed=0)
    tokens = torch.randint(5, (6, 4), generator=torch.Generator().manual_seed(2))
    logits = Subject("middle", model, Examples(tokens, ANSWERS, readout=readout)).logits()
    torch.testing.assert_close(logits, model(tokens)[:, readout].detach())


@pytest.mark.parametrize(("given", "message"), [
    ({"inputs": X[:0], "labels": ANSWERS[:0]}, "at least one"),
    ({"labels": ANSWERS[:5]}, "6 inputs and 5 labels"),
    ({"n_answers": 2}, r"from 0 to 1 \(n_answers=2\); they reach from 0 to 2"),
    ({"labels": SIGNS}, "from 0 on; they reach from -1"),
    ({"labels": ANSWERS.float()}, r"whole numbers, these are \[6\] of float32"),
    ({"labels": ANSWERS[:, None]}, r"labels \[n\], these are \[6, 1\]"),
    ({"loss": "hinge"}, "-1 or 1"),
    ({"loss": "bce", "n_answers": 3, "labels": SIGNS}, "2 answers"),
    ({"loss": "regression", "labels": X[:, 0]}, r"\[n, width\]"),
    ({"loss": "regression", "labels": X, "n_answers": 3}, "width is 4"),
    ({"train": [0, 6]}, "from 0 to 5"), ({"train": [1, 1]}, "different"), ({"train": []}, "indices"),
    ({"n_answers": 0}, "at least 1"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(given: dict[str, Any], message: str) -> None:
    """Before anything is computed."""
    with pytest.raises(InterpError, match=message):
        Examples(**{"inputs": X, "labels": ANSWERS, **given})


def test_it_has_no_spec() -> None:
    """Neither for the command line nor for a run's file; an unknown loss is named."""
    task = Examples(X, ANSWERS)
    for write in (task.spec, lambda: task_to_dict(task)):
        with pytest.raises(InterpError, match="no spec"):
            write()
    assert task.title() == "examples"
    with pytest.raises(UnknownName, match="cross_entropy"):
        Examples(X, ANSWERS, "cross entropy")


def test_a_position_that_the_network_does_not_have() -> None:
    """Said where the answer is read, in words, and not by torch."""
    tokens = torch.randint(5, (6, 3))
    model = interp.wrap(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3)), tokens)
    for readout in (5, -4):
        subject = Subject("tokens", model, Examples(tokens, ANSWERS, readout=readout))
        with pytest.raises(InterpError, match=f"reads position {readout} of 3: readout is -3 to 2"):
            circuits.ablate(subject, site="0.hook_out")
