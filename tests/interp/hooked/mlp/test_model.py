"""The MLP: worked by hand, against torch's modules, and by other routes through itself."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from interp import HookedMLP, InterpError, MLPConfig
from interp.errors import UnknownSite
from interp.hooked import config_from_dict
from tests.models import MLPS, P, make

NAMES = sorted(MLPS)
PAIRS = torch.cartesian_prod(torch.arange(P), torch.arange(P))


def test_by_hand() -> None:
    """Weights 1, 2, 3: a person worked out the activations and the logits."""
    weights = {
        "layers.0.W": torch.tensor([[1.0, -1.0], [2.0, 0.0]]), "layers.0.b": torch.tensor([0.0, 3.0]),
        "unembed.W_U": torch.tensor([[1.0], [10.0]]), "unembed.b_U": torch.tensor([0.5]),
    }  # fmt: skip
    model = HookedMLP.from_weights(MLPConfig((2,), 1, d_in=2), weights)
    logits, cache = model.run_with_cache(torch.tensor([[1.0, 2.0], [4.0, 0.0]]))
    assert cache["layers.0.hook_pre"].tolist() == [[5.0, 2.0], [4.0, -1.0]]
    assert cache["layers.0.hook_post"].tolist() == [[5.0, 2.0], [4.0, 0.0]]
    assert logits.tolist() == [[25.5], [4.5]]


@torch.no_grad()
def test_equals_torchs_modules() -> None:
    """A shared embedding, concatenated, then Linear layers: the same numbers as nn.Sequential."""
    model = make("shared concat")
    table, first, last = nn.Embedding(P, 5).double(), nn.Linear(10, 9).double(), nn.Linear(9, P).double()
    for module, w, b in ((first, model.layers[0].W, model.layers[0].b), (last, model.W_U, model.unembed.b_U)):
        module.weight.copy_(w.T)
        module.bias.copy_(b)
    table.weight.copy_(model.W_E)
    expected = nn.Sequential(table, nn.Flatten(), first, nn.ReLU(), last)(PAIRS)
    torch.testing.assert_close(model(PAIRS), expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_table_per_operand_is_used_by_that_operand() -> None:
    """Changing the right operand's table leaves the left one's embedding alone."""
    model = make("per operand")
    _, before = model.run_with_cache(PAIRS)
    model.W_E[1] += 1
    _, after = model.run_with_cache(PAIRS)
    moved = (after["hook_embed"] - before["hook_embed"]).abs().amax((0, 2))
    assert moved.tolist() == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("name", ["product", "product of tables"])
@torch.no_grad()
def test_product_multiplies_matrices_in_order(name: str) -> None:
    """Each operand's embedding is a square matrix, rows first; the left one stands left."""
    model = make(name)
    _, cache = model.run_with_cache(PAIRS)
    for (a, b), together in zip(PAIRS.tolist(), cache["hook_input"], strict=True):
        left, right = (model.W_E[a], model.W_E[b]) if model.W_E.ndim == 2 else (model.W_E[0, a], model.W_E[1, b])
        side = int(len(left) ** 0.5)
        expected = left.numpy().reshape(side, side) @ right.numpy().reshape(side, side)
        torch.testing.assert_close(together, torch.from_numpy(expected).flatten(), rtol=1e-12, atol=1e-12)


def test_permutation_matrices_compose() -> None:
    """S_3 by its 3 x 3 matrices: three operands in order give the matrix of the composed permutation."""
    symbols = list(itertools.permutations(range(3)))
    matrices = torch.stack([torch.eye(3)[list(s)] for s in symbols])  # row i of matrix s is e_s(i)
    weights = {"embed.W_E": matrices.flatten(1), "unembed.W_U": matrices.flatten(1).T}
    config = MLPConfig((), 6, d_vocab=6, d_embed=9, n_operands=3, combine="product", unembed_bias=False)
    model = HookedMLP.from_weights(config, weights)
    triples = list(itertools.product(range(6), repeat=3))
    composed = [tuple(symbols[c][symbols[b][symbols[a][i]]] for i in range(3)) for a, b, c in triples]
    answers = torch.tensor([symbols.index(s) for s in composed])
    assert torch.equal(model(torch.tensor(triples)).argmax(-1), answers)
    assert config.width_in == 9


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_resume_and_writes(name: str) -> None:
    """The rest of the model from every place, and where a change of a layer arrives."""
    model = make(name)
    logits, before = model.run_with_cache(PAIRS)
    for site in (n for n in before if n != "hook_logits"):
        torch.testing.assert_close(model.resume(site, before[site]), logits, rtol=0, atol=0)
        stream, matrix = model.writes(site)
        change = torch.randn(before[site].shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        with model.hooks([(site, lambda x, hook, d=change: x + d)]):
            moved, after = model.run_with_cache(PAIRS, names_filter=stream)
        expected = before[stream] + (change if matrix is None else change @ matrix)
        torch.testing.assert_close(after[stream], expected, rtol=1e-10, atol=1e-10)
        rest = model.linear_rest(stream)
        if rest is not None:
            torch.testing.assert_close(moved, logits + (expected - before[stream]) @ rest, rtol=1e-9, atol=1e-9)


def test_refusals() -> None:
    """Impossible shapes and places are named."""
    for config in MLPS.values():
        assert config_from_dict(config.to_dict()) == config
    with pytest.raises(InterpError, match="d_vocab"):
        MLPConfig((4,), 3)
    with pytest.raises(InterpError, match="d_embed"):
        MLPConfig((4,), 3, d_vocab=5)
    with pytest.raises(InterpError, match="per_operand"):
        MLPConfig((4,), 3, d_vocab=5, d_embed=2, embedding="both")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="'product'"):
        MLPConfig((4,), 3, d_vocab=5, d_embed=2, combine="times")  # type: ignore[arg-type]
    for fields in ({"d_vocab": 5, "d_embed": 5}, {"d_in": 4}):
        with pytest.raises(InterpError, match="square number, got (5|None)"):
            MLPConfig((4,), 3, combine="product", **fields)
    with pytest.raises(UnknownSite, match="hook_input"):
        make("deep").resume("layers.9.hook_pre", torch.zeros(1))


def test_vectors_in_need_no_embedding() -> None:
    """Without tokens there is no embedding to hook."""
    model = HookedMLP(MLPConfig((), 2, d_in=3)).init_weights(0)
    assert list(model.hook_dict) == ["hook_input", "hook_logits"]
    assert model(torch.ones(4, 3)).shape == (4, 2)
