"""The decoder over the plane of embeddings: a network read by hand, and plain PyTorch for a trained one."""

from __future__ import annotations

import pytest
import torch

import interp
from interp.errors import MissingCapability
from probes.analyses.decoder_plane import decoder_plane as analysed
from probes.decoder_plane import answers_of, decoder_plane

SETTINGS = {"steps": 200, "embedding_lr": 1e-2, "metrics": "every:200", "checkpoints": "every:200"}


@pytest.fixture(scope="module")
def run() -> interp.Run:
    return interp.train("addition:p=5,train_fraction=0.8", "mlp:d_embed=2,hidden=20", **SETTINGS)


def test_midpoints_have_the_answers_of_the_network(run: interp.Run) -> None:
    """The plane at ``(E_i + E_j) / 2`` is the network on (i, j): right as often as it was measured."""
    subject = run.subject()
    plane = decoder_plane(subject, resolution=9)
    right = subject.require_task().correct(subject.logits()).cpu()
    assert torch.equal(plane.right, right)
    last = run.metrics.iloc[-1]
    assert float(plane.right[plane.trained].double().mean()) == pytest.approx(last["train_accuracy"])
    torch.testing.assert_close(plane.midpoints[0], plane.embeddings[0])


def test_the_grid_by_plain_pytorch(run: interp.Run) -> None:
    """Nearest target of the decoder at twice each point, rows from below."""
    subject = run.subject()
    plane, weights = decoder_plane(subject, resolution=7), subject.model.state_dict()
    targets = subject.require_task().criterion.vectors(torch.zeros(1))  # type: ignore[attr-defined]
    for row, column in ((0, 0), (3, 5), (6, 2)):
        z = torch.tensor([plane.x[column], plane.y[row]])
        hidden = torch.tanh(2 * z @ weights["layers.0.W"] + weights["layers.0.b"])
        out = hidden @ weights["unembed.W_U"] + weights["unembed.b_U"]
        assert int(plane.answers[row, column]) == int((out - targets).square().sum(1).argmin())


def test_answers_of_classes_are_the_largest_logits() -> None:
    task = interp.ToyAddition(3, loss="cross_entropy")
    outputs = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(answers_of(task, outputs), outputs.argmax(1))


def test_the_analysis_draws_it(run: interp.Run) -> None:
    found = analysed(run.subject(), resolution=12)
    assert found.figures["plane"].data[0].z.shape == (12, 12)
    assert found.metrics["right"] == found.metrics["right_in_train"] + found.metrics["right_in_test"]
    assert sum(len(trace.x) for trace in found.figures["plane"].data[1:3]) == 15


def test_other_networks_are_refused() -> None:
    run = interp.train("addition:p=4", "mlp:hidden=8", steps=1)
    with pytest.raises(MissingCapability, match="embeddings of two dimensions"):
        decoder_plane(run.subject())
