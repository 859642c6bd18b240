"""Speed of circuit experiments against one forward pass per intervention, as ratios within one run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from circuits import ablate, patch
from interp import HookedTransformer, Site, Subject, TransformerConfig, capture
from tests.benchmarks.test_speed import race

pytestmark = pytest.mark.bench
CONFIG = TransformerConfig(4, 128, 8, 16, 64, 64, 32, d_mlp=512)  # the network of the issue; 16 sequences of 32


def network() -> tuple[Subject, Tensor, Tensor]:
    model = HookedTransformer(CONFIG).init_weights(0, 2.0)
    clean, corrupted = torch.randint(0, 64, (2, 16, 32), generator=torch.Generator().manual_seed(0))
    return Subject("4 layers", model, precision=torch.float32), clean, corrupted


def score(outputs: Tensor) -> Tensor:
    """Mean log-probability of answer 0, over all positions."""
    return outputs.log_softmax(-1)[..., 0].mean(-1)


Hook = tuple[str, Callable[..., Tensor]]


@torch.no_grad()
def loop(model: HookedTransformer, inputs: Tensor, hooks: list[Hook]) -> list[float]:
    """One forward pass per intervention, with nothing but its hook."""
    return [float(score(model.run_with_hooks(inputs, fwd_hooks=[hook])).mean()) for hook in hooks]


def mean_ablation(site: Site) -> Hook:
    """The unit's or head's mean over the batch, written in place."""

    def hook(activation: Tensor, hook: object) -> Tensor:
        index = (..., site.unit) if site.head is None else (slice(None), slice(None), site.head)
        activation[index] = activation[index].mean(0)
        return activation

    return site.name, hook


def patching(site: Site, source: Tensor) -> Hook:
    def hook(activation: Tensor, hook: object) -> Tensor:
        activation[:, site.pos] = source[:, site.pos]
        return activation

    return site.name, hook


def components(layers: range, kind: str) -> list[Site]:
    if kind == "heads":
        return [Site(f"blocks.{i}.attn.hook_z", head=h) for i in layers for h in range(CONFIG.n_heads)]
    return [Site(f"blocks.{i}.mlp.hook_post", unit=u) for i in layers for u in range(CONFIG.d_mlp or 0)]


@pytest.mark.parametrize(
    ("layers", "least"), [(range(4), 2.5), (range(3, 4), 15.0)], ids=["every layer", "the last layer"]
)
def test_ablating_heads_and_neurons(layers: range, least: float) -> None:
    """All heads and neurons, at all positions; the loop is timed on every 32nd of them, spread over the layers."""
    subject, inputs, _ = network()
    pattern = "*" if len(layers) > 1 else "blocks.3.*"
    sites = {kind: components(layers, kind) for kind in ("heads", "neurons")}
    every = [s for kind in sites.values() for s in kind]
    chosen = list(range(5, len(every), 32))

    def batched() -> list[float]:
        return [v for kind in sites for v in ablate(subject, kind, site=pattern, metric=score, inputs=inputs)["score"]]

    def plain() -> list[float]:
        return loop(subject.model, inputs, [mean_ablation(every[i]) for i in chosen])

    found = batched()
    np.testing.assert_allclose([found[i] for i in chosen], plain(), rtol=1e-3)
    ratio = race(plain, batched, 3) * len(every) / len(chosen)
    print(f"{len(every)} heads and neurons of layers {layers.start} to {layers.stop - 1}: {ratio:.1f} times faster")
    assert ratio >= least


def test_patching_every_layer_and_position() -> None:
    """4 layers by 32 positions, of a metric that reads every position; timed in float32, the same numbers in float64.

    In float32 the loop itself is off by up to 7e-4: sharp attention makes much of the last bit. No more is asked of `patch`.
    """
    subject, clean, corrupted = network()
    names = [f"blocks.{i}.hook_resid_pre" for i in range(4)]

    def batched(one: Subject = subject) -> list[float]:
        return patch(one, clean, corrupted, names, metric=score).effects["score"].to_list()

    def hooks(one: Subject) -> list[Hook]:
        source = capture(one.model, clean, names)
        return [patching(Site(n, pos=p), source[n]) for n in names for p in range(32)]

    every, precise = hooks(subject), subject.cast(torch.float64)

    def plain() -> list[float]:
        return loop(subject.model, corrupted, every)

    exact = loop(precise.model, corrupted, hooks(precise))
    np.testing.assert_allclose(batched(precise), exact, rtol=1e-10)
    np.testing.assert_allclose(batched(), exact, rtol=2 * np.abs(np.divide(plain(), exact) - 1).max())
    ratio = race(plain, batched, 3)
    print(f"patching 128 cells: {ratio:.1f} times faster")
    assert ratio >= 3
