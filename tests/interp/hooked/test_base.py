"""Groups of parameters, for optimisers that treat embedding and decoder differently."""

from __future__ import annotations

import pytest

from interp import HookedMLP, MLPConfig
from tests.models import CONFIGS, LSTMS, make

DECODER, LAST = ("decoder",), ("decoder", "last")


@pytest.mark.parametrize("name", [*CONFIGS, *LSTMS])
def test_every_parameter_is_in_one_general_group(name: str) -> None:
    """Embedding and decoder share the parameters out; exactly the unembedding is last."""
    model = make(name)
    groups = model.parameter_groups()
    assert list(groups) == [n for n, _ in model.named_parameters()]
    tables = {"embed.W_E", "pos_embed.W_pos"} & set(groups)
    assert {n for n, g in groups.items() if g == ("embedding",)} == tables
    assert {n for n, g in groups.items() if g == LAST} == {"unembed.W_U", "unembed.b_U"} & set(groups)
    assert set(groups.values()) == {("embedding",), DECODER, LAST}


def test_without_an_embedding_all_is_decoder() -> None:
    """Vectors in: no group of that name."""
    groups = HookedMLP(MLPConfig((4,), 3, d_in=2)).parameter_groups()
    assert groups == {"layers.0.W": DECODER, "layers.0.b": DECODER, "unembed.W_U": LAST, "unembed.b_U": LAST}
