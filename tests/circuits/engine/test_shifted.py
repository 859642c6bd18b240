"""Cross-entropy and margins of shifted logits against the logits written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from circuits.engine.shifted import Shifted
from interp import ModularArithmetic

TASK = ModularArithmetic(7)


def shifted(size: int, scale: float) -> tuple[Shifted, Tensor]:
    """49 inputs, 20 groups; and the logits of every pair ``[group, input, output]``."""
    random = torch.Generator().manual_seed(0)
    clean, reach, moves = (
        torch.randn(shape, generator=random, dtype=torch.float64) for shape in ((49, 7), (40, 7), (49, 40))
    )
    clean, reach = (scale * clean).round(), reach.round()  # whole numbers, so that many logits are equal
    groups = torch.randint(0, 40, (20, size), generator=random)
    one = Shifted(TASK, clean, TASK.labels, moves.round(), reach, groups)
    return one, clean + torch.einsum("ngk,gkv->gnv", one.moves[:, groups], reach[groups])


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_margins_and_their_ties(size: int, scale: float) -> None:
    one, logits = shifted(size, scale)
    labels = TASK.labels.expand(20, 49)
    own = logits.gather(-1, labels[..., None])[..., 0]
    others = logits.scatter(-1, labels[..., None], -torch.inf).amax(-1)
    margin, right = one.margins(slice(3, 20), slice(5, 49))
    assert torch.equal(margin.T, (own - others)[3:, 5:])
    assert torch.equal(right.T, TASK.correct(logits)[3:, 5:])
    ties = (own == others) & TASK.correct(logits)
    assert ties.any()
    assert not torch.equal(ties, own == others)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("scale", [0.3, 1.0, 1000.0])
def test_losses_and_answers(size: int, scale: float) -> None:
    """Logits of 1,000 are beyond what exponentials bear; equal logits have a loss of exactly ln 2 or ln 7."""
    one, logits = shifted(size, scale)
    relative = one.clean - one.clean.gather(1, one.labels[:, None])
    whole = Shifted(TASK, relative, one.labels, one.moves, one.reach, one.groups)
    assert whole.stable == (scale < 1000)
    losses = whole.losses(slice(0, 20), slice(0, 49))
    torch.testing.assert_close(losses.T, TASK.losses(logits), rtol=1e-12, atol=1e-12)
    assert torch.equal(whole.right(losses, slice(0, 20), slice(0, 49)).T, TASK.correct(logits))
