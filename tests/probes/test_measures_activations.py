"""Measures of activations and answers: numpy, sklearn, whole forward passes in loops, a network by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import entr, log_softmax, rel_entr
from sklearn.decomposition import PCA
from torch import Tensor

from interp import HookedMLP, InterpError, LSTMConfig, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability, UnknownName
from interp.hooked import HookedModel, build
from interp.tasks import Reviews, SparseParity, ToyAddition
from probes.analyses import performance
from probes.complexity import kl_divergence, local_complexity, random_masks
from probes.dimension import activation_dimension
from probes.measures.performance import accuracy, loss
from probes.sparsity import activation_sparsity, active_units, sparsity
from tests.circuits.cppns import dense
from tests.models import MLPS, TRANSFORMERS, P, make, subject

seeds = st.integers(0, 10**6)


def parity(loss: str, seed: int = 1) -> Subject:
    task = SparseParity(n=6, k=2, n_train=20, n_test=10, loss=loss)
    return Subject(loss, HookedMLP(MLPConfig((5, 4), 1, d_in=6)).double().init_weights(seed, 2.0), task)


def lstm(folder: Path) -> Subject:
    rows = [f"{w} film good {'bad ' * (i % 3)}{w},{i % 2}" for i, w in enumerate("abcdefgh")]
    (folder / "r.csv").write_text("review,sentiment\n" + "\n".join(rows))
    task = Reviews(str(folder / "r.csv"), n=0, vocabulary=5, train_fraction=0.75)
    model = build(LSTMConfig(7, 5, 6, 2, 1, n_ctx=task.inputs.shape[1])).double().init_weights(0, 3.0)
    return Subject("lstm", model, task.fit(model))


def hidden(one: Subject) -> dict[str, np.ndarray]:
    """The activations behind every nonlinearity where the answer is read, by TransformerLens's cache."""
    _, cache = one.model.run_with_cache(one.require_task().inputs.to(torch.long))
    sites = [n for n in one.model.hook_dict if n.endswith("hook_post")]
    return {n: (cache[n][:, -1] if cache[n].ndim == 3 else cache[n]).numpy() for n in sites}


@pytest.mark.parametrize("name", [*(n for n in TRANSFORMERS if n != "no mlp"), *MLPS])
def test_hidden_layers_of_every_model(name: str) -> None:
    """Sparsity in both forms and over every part, active units, effective dimension: numpy and sklearn."""
    one = subject(name)
    task, units = one.require_task(), 0
    for site, values in hidden(one).items():
        for part, index in (("train", task.train_indices), ("test", task.test_indices), ("all", torch.arange(P * P))):
            of = values[index.numpy()]
            signed, plain = (np.abs(of) < 0.4).mean(), (of < 0.4).mean()
            assert sparsity(one, tau=0.4, part=part, form="absolute")[site] == pytest.approx(signed)
            assert sparsity(one, tau=0.4, part=part, form="published")[site] == pytest.approx(plain)
            assert sparsity(one, tau=0.4, part=part)[site] == pytest.approx(signed if (of < 0).any() else plain)
        spread = values.std(0)
        units += (expected := int((spread > 1e-6 * spread.max()).sum()))
        assert active_units(one)[site] == expected
        assert active_units(one, tolerance=0.7)[site] == int((spread > 0.7 * spread.max()).sum())
        q = PCA().fit(values).explained_variance_ratio_
        assert activation_dimension(one)[site] == pytest.approx(math.exp(-sum(x * math.log(x) for x in q if x > 1e-15)))
    assert active_units(one)["all"] == units


def test_sparsity_at_the_threshold_and_nan() -> None:
    """Strictly below tau; what is not a number makes no share of anything."""
    values = torch.tensor([[0.0, 0.5, -0.5, 1.0]])
    assert activation_sparsity(values, 0.5).item() == 0.5
    assert activation_sparsity(values, 0.5, absolute=True).item() == 0.25
    assert activation_sparsity(values, 0.0).item() == 0.25
    assert activation_sparsity(values.bfloat16(), 0.6, absolute=True).item() == 0.75
    for absolute in (False, True):
        assert math.isnan(activation_sparsity(values.where(values != 1, torch.nan), 0.5, absolute=absolute).item())


@given(seeds, st.floats(0, 2), st.floats(0, 2))
def test_sparsity_laws(seed: int, tau: float, more: float) -> None:
    """Grows with tau; the absolute form is the smaller one, and the same on what is not negative."""
    values = torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert activation_sparsity(values, tau).item() <= activation_sparsity(values, tau + more).item()
    assert activation_sparsity(values, tau, absolute=True).item() <= activation_sparsity(values, tau).item()
    assert activation_sparsity(values.abs(), tau).item() == activation_sparsity(values, tau, absolute=True).item()


@given(seeds, st.floats(0.1, 30))
def test_kl_laws(seed: int, scale: float) -> None:
    """scipy's; 0 to itself; one output is the pair (0, z)."""
    p, q = scale * torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = rel_entr(p.softmax(-1).numpy(), q.softmax(-1).numpy()).sum(-1)
    np.testing.assert_allclose(kl_divergence(p, q).numpy(), expected, rtol=1e-8, atol=1e-10)
    assert (kl_divergence(p, p) == 0).all()
    pairs = [torch.cat([torch.zeros_like(z[:, :1]), z[:, :1]], 1) for z in (p, q)]
    assert torch.equal(kl_divergence(p[:, :1], q[:, :1]), kl_divergence(*pairs))


@given(seeds, st.integers(1, 60), st.floats(0, 1), st.integers(1, 5))
def test_mask_laws(seed: int, numel: int, share: float, n: int) -> None:
    """So many entries each, the same for the same seed, and every one as likely as every other."""
    masks = random_masks(numel, share, n, seed)
    assert masks.sum(1).tolist() == [round(share * numel)] * n
    assert torch.equal(masks, random_masks(numel, share, n, seed))
    assert (random_masks(8, 0.25, 2000, seed).double().mean(0) - 0.25).abs().max() < 6 * math.sqrt(0.25 * 0.75 / 2000)


def by_loop(one: Subject, name: str, share: float, masks: int, index: Tensor) -> np.ndarray:
    """Every mask on a copy of the model, whole forward passes, KL by scipy."""
    task, found = one.require_task(), []

    def log_p(model: HookedModel) -> np.ndarray:
        outputs = model(task.inputs[index].to(torch.float64 if task.width == 1 and one.name != "lstm" else torch.long))
        outputs = (outputs[:, -1] if outputs.ndim == 3 else outputs)[:, : task.width].detach().numpy()
        return log_softmax(np.concatenate([0 * outputs, outputs], 1) if task.width == 1 else outputs, -1)

    for gone in random_masks(one.model.get_parameter(name).numel(), share, masks, seed=0):
        copy = type(one.model).from_weights(one.model.config, one.model.state_dict())
        with torch.no_grad():
            copy.get_parameter(name).view(-1)[gone] = 0
        p, q = log_p(one.model), log_p(copy)
        found.append((np.exp(p) * (p - q)).sum())
    return np.array(found)


def assert_agrees(one: Subject, names: set[str], index: Tensor, **options: object) -> None:
    found = local_complexity(one, masks=3, **options)
    assert set(found) == names | {f"{what} of {name}" for what in ("std", "mean") for name in names}
    for name in names:
        expected = by_loop(one, name, 0.1, 3, index)
        assert found[name] == pytest.approx(expected.mean(), rel=1e-8)
        assert found[f"std of {name}"] == pytest.approx(expected.std(), rel=1e-8)
        assert found[f"mean of {name}"] == pytest.approx(expected.mean() / len(index), rel=1e-8)


@pytest.mark.parametrize("name", [*TRANSFORMERS, *MLPS])
def test_complexity_of_the_layers_behind_attention(name: str) -> None:
    """By default: an MLP's layers, the last block's MLP, the readout, none of a stack of embeddings."""
    one = subject(name)
    last = f"blocks.{one.model.config.n_layers - 1}.mlp." if name in TRANSFORMERS else "layers."
    names = {n for n, w in one.model.named_parameters() if n.startswith((last, "unembed.")) and ".b" not in n}
    assert_agrees(one, names, one.require_task().train_indices)
    assert_agrees(one, names, one.require_task().test_indices, part="test")


@pytest.mark.parametrize("name", ["plain", "layer norm", "no mlp", "per operand", "product", "shared sum"])
def test_complexity_of_any_layer(name: str) -> None:
    """Attention and embeddings, through the whole forward pass; heads together, biases of heads never."""
    one = subject(name)
    names = {n for n, _ in one.model.named_parameters() if ".W" in n}
    assert_agrees(one, names, one.require_task().train_indices, layers="*")
    assert_agrees(one, {n for n in names if ".W_E" in n}, torch.arange(P * P), layers="*W_E", part="all")


@pytest.mark.parametrize("name", ["hinge", "bce", "lstm"])
def test_complexity_of_a_single_output(name: str, tmp_path: Path) -> None:
    """One output z is the pair (0, z); of an LSTM the readout alone, unless more is asked for."""
    one = lstm(tmp_path) if name == "lstm" else parity(name)
    default = {"unembed.W_U"} if name == "lstm" else {"layers.0.W", "layers.1.W", "unembed.W_U"}
    assert_agrees(one, default, one.require_task().train_indices)
    assert_agrees(
        one, {n for n, _ in one.model.named_parameters() if ".W" in n}, one.require_task().train_indices, layers="*"
    )


@pytest.mark.parametrize("name", [*TRANSFORMERS, *MLPS])
def test_nothing_taken_and_everything_taken(name: str) -> None:
    """share 0 changes nothing; a readout of zeros answers by chance: ln(width) - H(p)."""
    one = subject(name)
    assert max(map(abs, local_complexity(one, share=0.0, layers="*").values())) < 1e-12
    for name in {"unembed.b_U"} & set(dict(one.model.named_parameters())):
        torch.nn.init.zeros_(one.model.get_parameter(name))
    task = one.require_task()
    p = task.read(one.model(task.inputs)).detach().softmax(-1).numpy()[task.train_indices]
    expected = (math.log(P) - entr(p).sum(-1)).sum()
    found = local_complexity(one, share=1.0, layers="unembed.W_U")
    assert found["unembed.W_U"] == pytest.approx(expected)
    assert found["std of unembed.W_U"] == pytest.approx(0, abs=1e-12)


def test_complexity_by_hand() -> None:
    """z = 2 x1 + 3 x2 with one of two weights gone: z is 3 x2 or 2 x1."""
    config, weights = MLPConfig((), 1, d_in=2, unembed_bias=False), {"unembed.W_U": torch.tensor([[2.0], [3.0]])}
    model = HookedMLP.from_weights(config, weights, torch.float64)
    task, sigmoid = SparseParity(n=2, k=2, n_train=4, n_test=1), lambda z: 1 / (1 + math.exp(-z))
    expected, masks = 0.0, random_masks(2, 0.5, 4, 0).tolist()
    for (first, _), (x, y) in itertools.product(masks, task.inputs[task.train_indices].tolist()):
        p, q = sigmoid(2 * x + 3 * y), sigmoid(3 * y if first else 2 * x)
        expected += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    assert local_complexity(Subject("hand", model, task), share=0.5)["unembed.W_U"] == pytest.approx(expected / 4)


def test_complexity_is_the_same_every_time_and_in_any_precision() -> None:
    """No randomness but the seed's; float32 and bfloat16 weights are measured in the subject's precision."""
    one = subject("plain")
    assert local_complexity(one) == local_complexity(subject("plain"))
    assert local_complexity(one, seed=1) != local_complexity(one)
    for dtype, rel in ((torch.float32, 1e-3), (torch.bfloat16, 0.5)):
        stored = Subject("stored", make("plain").to(dtype), one.task)
        assert local_complexity(stored) == pytest.approx(local_complexity(one), rel=rel)
        assert local_complexity(replace(stored, precision=dtype)) == pytest.approx(local_complexity(one), rel=rel)


@pytest.mark.parametrize("name", ["plain", "deep", "hinge", "bce", "lstm"])
def test_loss_and_accuracy(name: str, tmp_path: Path) -> None:
    """Those of the performance analysis, part by part."""
    one = lstm(tmp_path) if name == "lstm" else subject(name) if name in ("plain", "deep") else parity(name)
    found, task = performance.measure(one), one.require_task()
    n = {"train_": len(task.train_indices), "test_": len(task.test_indices), "": len(task.labels)}
    assert loss(one) == pytest.approx({part.strip("_") or "all": found[f"{part}loss"] for part in n})
    assert accuracy(one) == {part.strip("_") or "all": found[f"{part}correct"] / n[part] for part in n}


def test_refusals_of_activations(tmp_path: Path) -> None:
    """What does not apply says so; a part that is empty, a layer that is none, numbers out of range."""
    one, everything = subject("plain"), Subject("all", make("plain"), ModularArithmetic(P, "add", 1.0))
    assert set(loss(everything)) == set(accuracy(everything)) == {"train", "all"}
    for measure in (sparsity, local_complexity):
        with pytest.raises(MissingCapability, match="no test examples"):
            measure(everything, part="test")
        with pytest.raises(InterpError, match="one of train, test, all"):
            measure(one, part="valid")
    for name, bad in (("share", 1.5), ("masks", 0), ("share", math.nan)):
        with pytest.raises(InterpError, match=name):
            local_complexity(one, **{name: bad})
    with pytest.raises(UnknownName, match="did you mean 'unembed.W_U'"):
        local_complexity(one, layers="unembed.W_O")
    with pytest.raises(MissingCapability, match="no probabilities"):
        local_complexity(Subject("vectors", HookedMLP(MLPConfig((6,), 30, d_vocab=5, d_embed=3)), ToyAddition(5)))
    for measure in (sparsity, active_units, activation_dimension, local_complexity, loss, accuracy):
        with pytest.raises(InterpError, match="no task"):
            measure(Subject("cppn", dense()))
    for measure in (sparsity, active_units, activation_dimension):
        with pytest.raises(MissingCapability, match="no hidden units"):
            measure(subject("no mlp"))
        assert list(measure(lstm(tmp_path)))[-1] == "hook_final"  # the state that is read


def test_a_share_of_0_is_exactly_0() -> None:
    """Not the rounding of another way through the network, which has a sign."""
    assert set(local_complexity(subject("plain"), share=0.0).values()) == {0.0}
