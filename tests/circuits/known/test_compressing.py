"""A narrower stream: the same network on every CPU, also where singular values are equal."""

from __future__ import annotations

from itertools import product
from math import cos, sin

import pytest
import torch

import circuits
from circuits.known.compressing import _settled
from circuits.known.known_circuit import known_circuit
from interp import HookedTransformer, Subject, TransformerConfig
from interp.errors import InterpError
from interp.tasks import Examples


def test_equal_singular_values_are_turned_to_one_basis() -> None:
    """Any turn of the directions of a double singular value gives the same vectors, and their product stays."""
    u, v = (
        torch.linalg.qr(torch.randn(5, 3, dtype=torch.double, generator=torch.Generator().manual_seed(s)))[0]
        for s in (0, 1)
    )
    sizes = torch.tensor([2.0, 2.0, 1.0], dtype=torch.double)
    found = []
    for angle in (0.0, 0.3, 2.0):
        turn = torch.eye(3, dtype=torch.double)
        c, s = cos(angle), sin(angle)
        turn[:2, :2] = torch.tensor([[c, -s], [s, c]], dtype=torch.double)
        left, right = _settled(u @ turn, sizes, turn.T @ v.T)
        assert torch.allclose(left * sizes @ right, u * sizes @ v.T, atol=1e-12)
        found.append((left[:, :2], right[:2]))
    for left, right in found[1:]:
        assert torch.allclose(left, found[0][0], atol=1e-12)
        assert torch.allclose(right, found[0][1], atol=1e-12)


def test_interference_begins_where_directions_are_left_out() -> None:
    """The stream of 24 dimensions has six equal singular values: 20 dimensions keep four of them, and all answers."""
    one = circuits.known.by_name("interfering_sort")
    assert one.subject.model.config.d_model == 20
    assert one.interference
    with pytest.raises(InterpError, match="48 of 120 answers are wrong"):
        circuits.known.compressed(d_model=19)


@pytest.mark.parametrize("positions", [True, False])
def test_all_that_writes_is_compressed(positions: bool) -> None:
    """The biases of attention are written into the stream as well, and a network may lack positions or an MLP's biases."""
    config = TransformerConfig(
        n_layers=2, d_model=40, n_heads=2, d_head=3, d_vocab=4, d_vocab_out=3, n_ctx=3, d_mlp=5, attn_bias=True,
        mlp_bias=False, positions=positions,
    )  # fmt: skip
    model = HookedTransformer(config).init_weights(seed=0).double()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, bias in model.named_parameters():
            if ".b_" in name:
                bias.copy_(0.1 * torch.randn(bias.shape, generator=draw, dtype=torch.double))
    inputs = torch.tensor(list(product(range(4), repeat=3)))
    task = Examples(inputs, model(inputs)[:, -1].argmax(-1), readout=-1, n_answers=3)
    wide = known_circuit("biased", Subject("biased", model, task), "By chance.")
    narrow = circuits.known.compressed(wide).subject.model
    assert narrow.config.d_model < 40
    assert torch.allclose(narrow(inputs), model(inputs), atol=1e-9)
