"""Networks whose loss no longer changes are told."""

from __future__ import annotations

import interp
from interp.training.standstill import Standstill

SETTINGS = {"lr": 1e-3, "weight_decay": 0.0, "steps": 100, "metrics": "every:10", "device": "cpu"}
STUCK = 1e-30  # a learning rate below the precision of any weight


def test_the_rule_by_hand() -> None:
    """Four equal losses in a row, since the first of them; never 0, nan or none, and not after a change."""
    found = Standstill()
    losses = {
        0: [3, 2, 2, 2, 2],
        1: [2, 2, 2, 2, 1],
        2: [0] * 5,
        3: [float("nan")] * 5,
        4: [None] * 5,
        5: [1, 2, 2, 2, 2.5],
    }
    for i in range(5):
        found.add([{"step": 10 * i, "member": m, "train_loss": values[i]} for m, values in losses.items()])
    assert found.since == {0: 10}
    found.add([{"step": 50, "member": 0, "train_loss": 2}, {"step": 50, "member": 1, "train_loss": 1}])
    assert found.since == {0: 10}
    found.add([{"step": 60, "member": 0, "train_loss": 1.5}])
    assert found.since == {}


def test_while_it_trains_and_afterwards() -> None:
    """The bar counts them from the fourth equal measurement on; the run names them."""
    seen: list[str] = []
    members = [{"seed": 0}, {"seed": 0, "lr": STUCK}]
    run = interp.train("addition:p=4", members=members, progress=lambda p: seen.append(p.summary), **SETTINGS)
    assert run.standing_still().to_dict() == {1: 0}
    assert "1 of 2 at a standstill" in seen[-1]
    assert "standstill" not in seen[0]
    assert interp.train("addition:p=4", **SETTINGS).standing_still().empty
