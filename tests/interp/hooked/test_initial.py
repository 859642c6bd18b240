"""Initial weights: against torch's own modules, to the last bit, and against draws written out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from interp import HookedLSTM, HookedMLP, HookedTransformer, InterpError, LSTMConfig, MLPConfig
from interp.errors import UnknownName
from interp.hooked.base import HookedModel
from tests.models import TRANSFORMERS, make

SEEDS = [0, 7]


def torchs(modules: Sequence[nn.Module]) -> list[Tensor]:
    """The modules' parameters in order, matrices of Linear and LSTM turned into ``[in, out]``."""
    return [
        p.detach() if p.ndim == 1 or isinstance(module, nn.Embedding) else p.detach().T
        for module in modules
        for p in module.parameters()
    ]


def assert_same(model: HookedModel, expected: Sequence[Tensor]) -> None:
    ours = list(model.parameters())
    assert len(ours) == len(expected)
    assert all(torch.equal(p, e) for p, e in zip(ours, expected, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("bias", "unembed_bias"), [(True, True), (False, True), (True, False), (False, False)])
def test_vectors_in_draw_what_linears_draw(bias: bool, unembed_bias: bool, seed: int) -> None:
    """An MLP on vectors is a stack of nn.Linear; a layer without a bias draws none."""
    config = MLPConfig((200, 30), 10, d_in=78, bias=bias, unembed_bias=unembed_bias)
    torch.manual_seed(seed)
    linears = [nn.Linear(78, 200, bias), nn.Linear(200, 30, bias), nn.Linear(30, 10, unembed_bias)]
    assert_same(HookedMLP(config).init_weights(seed, scheme="torch"), torchs(linears))


@pytest.mark.parametrize("combine", ["concat", "sum", "product"])
def test_tokens_in_draw_an_embedding_first(combine: str) -> None:
    """One shared table, then the layers, whose first width follows from how operands are combined."""
    config = MLPConfig((20,), 6, d_vocab=6, d_embed=9, combine=combine)  # type: ignore[arg-type]
    torch.manual_seed(1)
    modules = [nn.Embedding(6, 9), nn.Linear(18 if combine == "concat" else 9, 20), nn.Linear(20, 6)]
    assert_same(HookedMLP(config).init_weights(1, scheme="torch"), torchs(modules))


def test_a_table_per_operand_is_an_embedding_each() -> None:
    """Tables are drawn one after the other, as two nn.Embedding would be."""
    config = MLPConfig((20,), 6, d_vocab=6, d_embed=5, embedding="per_operand", bias=False, unembed_bias=False)
    torch.manual_seed(1)
    left, right, *rest = torchs(
        [nn.Embedding(6, 5), nn.Embedding(6, 5), nn.Linear(10, 20, False), nn.Linear(20, 6, False)]
    )
    assert_same(HookedMLP(config).init_weights(1, scheme="torch"), [torch.stack([left, right]), *rest])


@pytest.mark.parametrize("seed", SEEDS)
def test_lstm_draws_what_torchs_modules_draw(seed: int) -> None:
    """Embedding, LSTM of two layers and Linear, built in this order."""
    torch.manual_seed(seed)
    modules = [nn.Embedding(50, 12), nn.LSTM(12, 20, 2), nn.Linear(20, 1)]
    model = HookedLSTM(LSTMConfig(50, 12, 20, 2, 1, n_ctx=3)).init_weights(seed, scheme="torch")
    assert_same(model, torchs(modules))


def test_scale_and_dtype() -> None:
    """Drawn in float32, then widened, then multiplied, biases too; the global generator is left alone."""
    config, before = MLPConfig((20,), 6, d_in=5), torch.random.get_rng_state()
    single = HookedMLP(config).init_weights(2, scheme="torch")
    double = HookedMLP(config).double().init_weights(2, scale=8.0, scheme="torch")
    assert_same(double, [8 * p.detach().double() for p in single.parameters()])
    assert single.layer(0).b.abs().min() > 0
    assert torch.equal(torch.random.get_rng_state(), before)


def test_normal_draws_written_out() -> None:
    """The default scheme: one float64 normal draw per matrix, in order; no draw for a bias."""
    config = MLPConfig((20,), 6, d_vocab=6, d_embed=5)
    generator = torch.Generator().manual_seed(4)

    def draw(std: float, *shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator, dtype=torch.float64) * std * 3.0).float()

    expected = [draw(5**-0.5, 6, 5), draw(10**-0.5, 10, 20), torch.zeros(20), draw(20**-0.5, 20, 6), torch.zeros(6)]
    assert_same(HookedMLP(config).init_weights(4, scale=3.0), expected)
    assert_same(HookedMLP(config).init_weights(4, scale=3.0, scheme="normal"), expected)


def test_refusals() -> None:
    """An unknown scheme names the nearest; a transformer says which schemes there are."""
    with pytest.raises(UnknownName, match=r"did you mean 'torch' or 'truncated'\? \(known: normal, torch, truncated\)"):
        make("deep").init_weights(0, scheme="torhc")
    with pytest.raises(InterpError, match="HookedTransformer .* use 'normal'"):
        HookedTransformer(TRANSFORMERS["plain"]).init_weights(0, scheme="torch")
