"""Local complexity against whole forward passes in loops, and a network worked out by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import entr, log_softmax
from torch import Tensor

from interp import HookedMLP, MLPConfig, Subject
from interp.hooked import HookedModel
from interp.tasks import SparseParity
from probes.complexity import random_masks
from probes.measures.complexity import local_complexity
from tests.models import MLPS, TRANSFORMERS, P, make, subject
from tests.probes.measures.models import lstm, parity


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


@pytest.mark.parametrize(
    "name", ["plain", "layer norm", "norm last", "gated", "no mlp", "per operand", "product", "shared sum"]
)
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


@pytest.mark.parametrize("name", ["plain", "per operand", "hinge"])
def test_complexity_of_the_network(name: str) -> None:
    """A share of all matrices' weights at once, against copies of the model in a loop; of one layer it is that layer's own."""
    one = parity(name) if name == "hinge" else subject(name)
    task, matrices = one.require_task(), [n for n, _ in one.model.named_parameters() if ".W" in n]
    sizes, found = [one.model.get_parameter(n).numel() for n in matrices], []
    inputs = task.inputs[task.train_indices].to(torch.float64 if name == "hinge" else torch.long)
    for gone in random_masks(sum(sizes), 0.1, 3, seed=0):
        copy = type(one.model).from_weights(one.model.config, one.model.state_dict())
        with torch.no_grad():
            for n, part in zip(matrices, gone.split(sizes), strict=True):
                copy.get_parameter(n).view(-1)[part] = 0
            p, q = (task.read(m(inputs)) for m in (one.model, copy))
        p, q = (log_softmax(torch.cat([0 * z, z], 1) if name == "hinge" else z, -1) for z in (p, q))
        found.append((np.exp(p) * (p - q)).sum())
    got = local_complexity(one, masks=3, scope="network")
    assert got["network"] == pytest.approx(np.mean(found), rel=1e-8)
    assert got["std of network"] == pytest.approx(np.std(found), rel=1e-8)
    assert set(got) == {"network", "std of network", "mean of network"}
    layer = local_complexity(one, masks=3, layers="unembed.W_U")["unembed.W_U"]
    assert local_complexity(one, masks=3, scope="network", layers="unembed.W_U")["network"] == layer


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


def test_a_share_of_0_is_exactly_0() -> None:
    """Not the rounding of another way through the network, which has a sign."""
    assert set(local_complexity(subject("plain"), share=0.0).values()) == {0.0}
