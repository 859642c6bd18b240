"""Runs that several tests of analyses share."""

from __future__ import annotations

import pytest

import interp


@pytest.fixture(scope="module")
def toy() -> interp.Run:
    """Embeddings of one number each."""
    members = [{"seed": 0}, {"seed": 1}]
    model = "mlp:hidden=16,d_embed=1"
    return interp.train("addition:p=5", model, steps=60, checkpoints="every:10", members=members, lr=0.01, device="cpu")
