"""The gradient of an MLP that draws an image, written out: its labels have an axis of colours."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

import interp
from tests.interp.training.ensembles import ensemble


def test_equal_to_autograd(tmp_path: Path) -> None:
    """The mean goes over the pixels, not over the colours."""
    Image.new("RGB", (6, 6), (200, 30, 90)).save(tmp_path / "red.png")
    task = f"image:target={tmp_path / 'red.png'},size=6"
    block = ensemble(task, "mlp:hidden=6", interp.seeds(2), steps=3).blocks[0]
    assert block._by_hand is not None
    ours = {name: g.clone() for name, g in block.gradients(0).items()}
    block._by_hand = None
    for name, gradient in block.gradients(0).items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-12, atol=1e-15)
