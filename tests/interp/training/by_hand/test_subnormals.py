"""No training path hands the weights gradients below the smallest normal number, which a CPU is slow at."""

from __future__ import annotations

import pytest
import torch

from interp.tasks import ModularArithmetic
from interp.training import seeds
from interp.training.ensemble import Ensemble
from interp.training.planning import make_plan

# it trains on the pairs whose sum is 0, 1 or 2
TASK = ModularArithmetic(7, split=tuple(7 * a + b for a in range(7) for b in range(7) if (a + b) % 7 < 3))


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("mlp:unembed_bias=true", {}),
        ("mlp:unembed_bias=true,dropout=0.1", {}),
        ("mlp:unembed_bias=true", {"label_smoothing": 1e-43}),  # by autograd, from its loss
        ("transformer:unembed_bias=true", {}),
    ],
)
def test_a_sure_network(model: str, settings: dict[str, float]) -> None:
    """Six answers are as likely as each other, the seventh has exp(-95): its share is 0 in the gradient, the others' are not."""
    block = Ensemble(make_plan(TASK, model=model, members=seeds(2), **settings), torch.device("cpu")).blocks[0]
    weights = block.parameters
    for name in ("unembed.W_U", "unembed.b_U"):
        weights[name].data.zero_()
    weights["unembed.b_U"].data[:, 3] = -95
    found = block.gradients(0)["unembed.b_U"]
    share = torch.tensor([-95.0]).exp() / 6
    assert 0 < share < torch.finfo(torch.float32).tiny
    assert (found[:, 3] == 0).all()
    torch.testing.assert_close(found[:, :3], torch.full_like(found[:, :3], 1 / 6 - 1 / 3))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_dead_unit(optimizer: str) -> None:
    """The means of gradients that have become 0 fall to 0; by rounding alone they stay at the smallest number for good."""
    settings = {"optimizer": optimizer, "weight_decay": 0.0, "momentum": 0.9 if optimizer == "sgd" else 0.0}
    plan = make_plan(TASK, model="mlp:act_fn=relu", members=seeds(2), steps=200, batch_size=None, **settings)
    ensemble = Ensemble(plan, torch.device("cpu"))
    block = ensemble.blocks[0]
    block.parameters["layers.0.b"].data[:, 0] = -1e6
    means = next(iter(block.optimizer.moments.values()))["layers.0.W"]
    means[:, :, 0] = 1e-38
    ensemble.advance(200)
    assert (means[:, :, 0] == 0).all()
    assert (means[:, :, 1:] != 0).any()
