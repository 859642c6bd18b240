"""Random subsets of the complexity penalty: quick to draw, and those that a stable sort gives."""

from __future__ import annotations

import pytest
import torch

from interp.hooked.dropout import uniform
from interp.training import output_penalties


@pytest.mark.parametrize("values", [2, 1 << 24])
def test_a_random_subset_is_that_of_a_stable_sort(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks of the first draws among all; where draws are equal, too."""

    def drawn(key: torch.Tensor, shape: tuple[int, ...], salt: int) -> torch.Tensor:
        return (uniform(key, shape, salt) * values).floor() / values

    monkeypatch.setattr(output_penalties, "uniform", drawn)
    keys = torch.arange(5) * 991 + 3
    every = torch.stack([drawn(key, (60,), 4) for key in keys])
    for share in (0.0, 0.1, 0.5, 1.0):
        expected = every.argsort(dim=1, stable=True) < round(share * 60)
        assert torch.equal(output_penalties._subsets(keys, 60, share, 4), expected)
