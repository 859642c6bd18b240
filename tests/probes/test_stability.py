"""Softmax collapse against float32 losses, slingshots against a plain search."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from probes.stability import slingshots, softmax_collapse

seeds = st.integers(0, 10**6)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(seeds, st.floats(0.1, 60.0))
def test_collapse_laws(seed: int, scale: float) -> None:
    """The share of float32 cross-entropies that are 0."""
    logits, labels = scale * random(seed, 40, 5), torch.arange(40) % 5
    loss = F.cross_entropy(logits.float(), labels, reduction="none")
    assert softmax_collapse(logits, labels).item() == pytest.approx((loss == 0).double().mean().item())


@given(st.lists(st.one_of(st.floats(-14, 3), st.just(math.nan)), max_size=40), st.floats(2, 100))
def test_slingshot_laws(logs: list[float], factor: float) -> None:
    """The first of every run of losses far above the lowest before; NaN, and what is under a thousandth, is passed over."""
    losses = [10**x for x in logs]
    first = next((x for x in losses if not math.isnan(x)), 1.0)
    kept = [(step, max(x, 1e-3 * first)) for step, x in enumerate(losses) if not math.isnan(x)]
    far = [i > 0 and v >= factor * min(w for _, w in kept[:i]) for i, (_, v) in enumerate(kept)]
    expected = [kept[i][0] for i in range(len(kept)) if far[i] and not far[i - 1]]
    assert slingshots(range(len(losses)), losses, factor=factor) == expected


def test_slingshots_from_0_and_from_infinity() -> None:
    """A loss that stays 0 does not spike, nor does one that was infinite at first."""
    assert slingshots(range(4), [0.0, 0.0, 0.0, 0.5]) == [3]
    assert slingshots(range(4), [math.inf, 1.0, 0.5, 0.4]) == []
    assert slingshots(range(4), [1.0, 0.1, math.inf, 0.1]) == [2]
