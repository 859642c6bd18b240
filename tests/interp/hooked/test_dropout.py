"""Dropout's numbers: the hash against plain integers, their statistics, and the models that use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from interp import (
    HookedLSTM,
    HookedMLP,
    HookedTransformer,
    InterpError,
    LSTMConfig,
    MLPConfig,
    TransformerConfig,
)
from interp.hooked import build
from interp.hooked.base import HookedModel
from interp.hooked.dropout import dropout, kept, uniform
from tests.models import LSTMS, MLPS, TRANSFORMERS, P

KEY = torch.tensor(11)
CONFIGS = {
    "mlp": replace(MLPS["deep"], dropout=0.4),
    "transformer": replace(TRANSFORMERS["two layers"], dropout=0.4),
    "transformer without mlp": replace(TRANSFORMERS["no mlp"], dropout=0.4),
    "lstm": replace(LSTMS["lstm"], dropout=0.4),
}


def splitmix(state: int) -> Iterator[int]:
    """splitmix64 in Python's integers, as published."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        yield z ^ (z >> 31)


def nth(numbers: Iterable[int], n: int) -> int:
    return next(islice(numbers, n, None))


def test_the_twin_is_splitmix64() -> None:
    """The generator's published first outputs for the seed 1234567."""
    assert list(islice(splitmix(1234567), 3)) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("key", [0, 1, 12345, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("salt", [0, 1, 7, 1000])
def test_numbers_are_the_hash_in_plain_integers(key: int, salt: int) -> None:
    """Products wrap and shifts are logical: every bit as in Python's integers."""
    stream = nth(splitmix(nth(splitmix(key % 2**64), 0)), salt)
    expected = [(z >> 40) / 2**24 for z in islice(splitmix(stream), 12)]
    assert uniform(torch.tensor(key), (3, 4), salt).flatten().tolist() == expected


@pytest.mark.parametrize(("key", "salt"), [(0, 0), (1, 0), (0, 1), (-5, 3)])
def test_uniform(key: int, salt: int) -> None:
    """Mean, variance and a chi-square over 64 bins of 200,000 numbers."""
    u = uniform(torch.tensor(key), (400, 500), salt).double()
    assert u.min() >= 0
    assert u.max() < 1
    assert u.mean().item() == pytest.approx(0.5, abs=4 * (12 * u.numel()) ** -0.5)
    assert u.var().item() == pytest.approx(1 / 12, rel=0.01)
    counts = torch.bincount((u.flatten() * 64).long(), minlength=64)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


@torch.no_grad()
def test_neighbours_are_unrelated() -> None:
    """Next keys, next salts, next and shifted elements: correlations as of independent numbers."""
    n = 100_000
    u = uniform(KEY, (n,), 0)
    others = {f"key + {d}": uniform(KEY + d, (n,), 0) for d in (1, 2, 64)}
    others |= {f"salt {s}": uniform(KEY, (n,), s) for s in (1, 2)}
    others |= {"key + 1, salt 1": uniform(KEY + 1, (n,), 1), "next": u.roll(1), "next row": u.roll(128)}
    for name, other in others.items():
        correlation = torch.corrcoef(torch.stack([u, other]).double())[0, 1].item()
        assert abs(correlation) < 4 * n**-0.5, name
    first = torch.stack([uniform(torch.tensor(k), (2,), 0) for k in range(4000)])  # the same element over many keys
    assert stats.kstest(first[:, 0].numpy(), "uniform").pvalue > 1e-3
    assert abs(torch.corrcoef(first.T)[0, 1].item()) < 4 * 4000**-0.5


def test_repeats_and_the_global_generator() -> None:
    """The same call gives the same bits, and neither reads nor moves torch's generator."""
    before = torch.random.get_rng_state()
    once = uniform(KEY, (50, 3), 2)
    torch.rand(3)
    assert torch.equal(uniform(KEY, (50, 3), 2), once)
    torch.random.set_rng_state(before)
    uniform(KEY, (5,), 0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_vmap_equals_the_loop() -> None:
    """A member draws the same numbers alone and in an ensemble, whether its activations are batched or not."""
    keys, x = torch.arange(5) * 3, torch.randn(5, 6, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(vmap(lambda k: uniform(k, (6, 4), 1))(keys), torch.stack([uniform(k, (6, 4), 1) for k in keys]))
    together = vmap(lambda a, k: dropout(a, 0.3, k, 1))(x, keys)
    assert torch.equal(together, torch.stack([dropout(a, 0.3, k, 1) for a, k in zip(x, keys, strict=True)]))
    shared = vmap(lambda k: dropout(x[0], 0.3, k, 1))(keys)
    assert torch.equal(shared, torch.stack([dropout(x[0], 0.3, k, 1) for k in keys]))


def test_a_key_each_equals_the_loop() -> None:
    """Without vmap, too: keys of members and their stacked activations."""
    keys, x = torch.arange(5) * 3, torch.randn(5, 6, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(uniform(keys, (6, 4), 1), torch.stack([uniform(k, (6, 4), 1) for k in keys]))
    each = [dropout(a, 0.3, k, 1) for a, k in zip(x, keys, strict=True)]
    assert torch.equal(dropout(x, 0.3, keys, 1), torch.stack(each))


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.1, 0.3, 0.5, 0.7, 1 - 2**-24, 5 / 2**24, 0.999999999])
def test_what_is_kept_has_larger_numbers(p: float) -> None:
    assert torch.equal(kept(KEY, (300, 300), p, 2), uniform(KEY, (300, 300), 2) >= p)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_keep_rate_and_scale(p: float, dtype: torch.dtype) -> None:
    """A share of p is zero, the rest is divided by 1 - p, and so is its gradient."""
    x = torch.full((300, 300), 2.0, dtype=dtype, requires_grad=True)
    out = dropout(x, p, KEY, 0)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert out.dtype == dtype
    assert (out == 0).double().mean().item() == pytest.approx(p, abs=4 * (p * (1 - p)) ** 0.5 / 300)
    assert set(out.unique().tolist()) == {0.0, (torch.tensor(2.0, dtype=dtype) / (1 - p)).item()}
    torch.testing.assert_close(gradient, out.detach() / 2)


def test_nothing_to_drop_is_the_tensor_itself() -> None:
    """Evaluation and rate 0 cost nothing."""
    x = torch.ones(3)
    assert dropout(x, 0.5, None, 0) is x
    assert dropout(x, 0.0, KEY, 0) is x


def inputs_of(model: HookedModel) -> Tensor:
    columns = 3 if isinstance(model.config, TransformerConfig) else 2
    return torch.randint(0, P, (6, columns), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_models_without_a_key_are_those_without_dropout(name: str) -> None:
    """No key, or rate 0 with a key: the same logits to the last bit."""
    config = CONFIGS[name]
    model, plain = (build(c).double().init_weights(0) for c in (config, replace(config, dropout=0.0)))
    x = inputs_of(model)
    assert torch.equal(model(x), plain(x))
    assert torch.equal(plain(x, KEY), plain(x))
    assert torch.equal(model(x, KEY), model(x, KEY))
    assert not torch.equal(model(x, KEY), model(x))
    assert not torch.equal(model(x, KEY), model(x, KEY + 1))


@torch.no_grad()
def test_mlp_drops_behind_every_activation() -> None:
    """By hand: hook_post is the activation times its mask, with another mask in each layer."""
    model = HookedMLP(MLPConfig((40, 40, 40), 3, d_in=4, act_fn="tanh", dropout=0.25)).double().init_weights(0)
    x = torch.ones(5, 4, dtype=torch.float64)
    with model.hooks([("layers.*.hook_pre", lambda pre, hook: pre)]):
        _, cache = model.run_with_cache(x, KEY)
    masks = [uniform(KEY, (5, 40), layer) >= 0.25 for layer in range(3)]
    for layer, mask in enumerate(masks):
        expected = torch.tanh(cache[f"layers.{layer}.hook_pre"]) * mask / 0.75
        torch.testing.assert_close(cache[f"layers.{layer}.hook_post"], expected, rtol=1e-12, atol=1e-12)
    assert not torch.equal(masks[0], masks[1])


@torch.no_grad()
def test_transformer_drops_what_is_written() -> None:
    """The stream receives what hook_attn_out and hook_mlp_out pass: the write, masked, a mask to each."""
    model = HookedTransformer(replace(TRANSFORMERS["two layers"], dropout=0.25)).double().init_weights(0)
    _, cache = model.run_with_cache(inputs_of(model), KEY)
    sites = [f"blocks.{layer}.hook_{part}_out" for layer in range(2) for part in ("attn", "mlp")]
    for salt, site in enumerate(sites):
        dropped = uniform(KEY, cache[site].shape, salt) < 0.25
        assert torch.equal(cache[site] == 0, dropped)
    for layer in range(2):
        z, post = cache[f"blocks.{layer}.attn.hook_z"], cache[f"blocks.{layer}.mlp.hook_post"]
        whole = {"attn": z.flatten(-2) @ model.W_O[layer].flatten(0, 1), "mlp": post @ model.W_out[layer]}
        for part, written in whole.items():
            passed = cache[f"blocks.{layer}.hook_{part}_out"]
            torch.testing.assert_close(passed, torch.where(passed == 0, 0.0, written / 0.75), rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_lstm_drops_between_its_parts() -> None:
    """The embedding, what the first layer hands up and the last state: masked, by nn.LSTM run on masked inputs."""
    model = HookedLSTM(LSTMConfig(P, 5, 6, 2, 3, n_ctx=4, dropout=0.25)).double().init_weights(0)
    tokens = torch.randint(0, P, (8, 4), generator=torch.Generator().manual_seed(1))
    masks = [
        (uniform(KEY, shape, salt) >= 0.25).double() / 0.75 for salt, shape in enumerate([(8, 4, 5), (8, 4, 6), (8, 6)])
    ]
    x = model.W_E[tokens] * masks[0]
    for layer, mask in zip(model.layers, masks[1:], strict=True):
        twin = torch.nn.LSTM(x.shape[-1], 6, batch_first=True).double()
        for theirs, ours in zip(twin.parameters(), layer.parameters(), strict=True):
            theirs.copy_(ours.T if ours.ndim == 2 else ours)
        x = twin(x)[0]
        x = (x if mask.ndim == 3 else x[:, -1]) * mask
    _, cache = model.run_with_cache(tokens, KEY, names_filter="hook_final")
    torch.testing.assert_close(cache["hook_final"], x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(model(tokens, KEY), x @ model.W_U + model.unembed.b_U, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_ensembles_drop_as_their_members_do(name: str) -> None:
    """vmap over parameters and keys equals the loop."""
    members = [build(CONFIGS[name]).double().init_weights(seed) for seed in range(3)]
    parameters, _ = stack_module_state(members)  # type: ignore[arg-type]
    keys, x = torch.tensor([5, 6, 7]), inputs_of(members[0])
    together = vmap(lambda p, k: functional_call(members[0], p, (x, k)))(parameters, keys)
    for member, key, logits in zip(members, keys, together, strict=True):
        torch.testing.assert_close(logits, member(x, key), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_impossible_rates(p: float) -> None:
    """A rate of 1 would divide by 0."""
    for config in CONFIGS.values():
        with pytest.raises(InterpError, match=f"less than 1, got {p}"):
            replace(config, dropout=p)
