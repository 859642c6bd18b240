"""Speed against the plain loop, as ratios within one run: ``make bench`` prints the table."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from circuits import Ablate, Mean, ablate, applied
from interp import HookedTransformer, ModularArithmetic, Site, Subject, TransformerConfig
from interp.tasks import Task

pytestmark = pytest.mark.bench
CONFIG = TransformerConfig(1, 128, 4, 32, 114, 113, 3, d_mlp=512)  # the size of the p = 113 checkpoints


def seconds(function: Callable[[], object], repeats: int) -> float:
    """The shortest of several runs: noise only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def race(one: Callable[[], object], other: Callable[[], object], repeats: int) -> float:
    """How much longer ``one`` takes, both timed in turns, so that a busy moment meets both."""
    pairs = [(seconds(one, 1), seconds(other, 1)) for _ in range(repeats)]
    return min(p[0] for p in pairs) / min(p[1] for p in pairs)


def network(dtype: torch.dtype) -> Subject:
    model = HookedTransformer(CONFIG).to(dtype).init_weights(0, scale=2.0)
    return Subject("p = 113", model, ModularArithmetic(113, "add", 0.3, 1))


@torch.no_grad()
def one_pass(subject: Subject, task: Task, unit: int) -> tuple[float, int]:
    """What the plain loop does for each neuron: a whole forward pass, loss in float64."""
    with applied(subject.model, Ablate(Site("blocks.0.mlp.hook_post", unit=unit), Mean()), strict=False):
        logits = task.read(subject.model(task.inputs))
    return task.losses(logits).mean().item(), int(task.correct(logits).sum())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_mean_ablation_of_512_neurons(dtype: torch.dtype) -> None:
    """All 512 neurons over 12,769 inputs against one pass per neuron (timed on 8 of them), at least 100 times faster."""
    subject = network(dtype)
    task = subject.require_task()
    frame = ablate(subject, "neurons", dtype=dtype)
    batched = seconds(lambda: ablate(subject, "neurons", dtype=dtype), 2)
    units = range(0, 512, 64)
    results: list[tuple[float, int]] = []
    loop = seconds(lambda: results.extend(one_pass(subject, task, u) for u in units), 1) / len(units) * 512
    np.testing.assert_allclose(frame["loss"][list(units)], [r[0] for r in results], rtol=1e-5)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"\n512 neurons, {dtype}: loop {loop:.0f} s, batched {batched:.2f} s, {loop / batched:.0f} times; peak {peak:.2f} GiB"
    )
    assert loop / batched > 100
    assert peak < 2


def plain_forward(model: HookedTransformer, tokens: Tensor) -> Tensor:
    """The same pass without a hook point, on the same parameters."""
    w = dict(model.named_parameters())
    resid = w["embed.W_E"][tokens] + w["pos_embed.W_pos"]
    for layer in range(model.config.n_layers):
        at = f"blocks.{layer}."
        q, k, v = (
            (resid @ w[f"{at}attn.W_{c}"].transpose(0, 1).reshape(model.config.d_model, -1)).unflatten(
                -1, (model.config.n_heads, model.config.d_head)
            )
            for c in "QKV"
        )
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(model.config.d_head)
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -math.inf)
        z = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(-2)
        resid = resid + z @ w[f"{at}attn.W_O"].flatten(0, 1)
        post = torch.relu(resid @ w[f"{at}mlp.W_in"] + w[f"{at}mlp.b_in"])
        resid = resid + post @ w[f"{at}mlp.W_out"] + w[f"{at}mlp.b_out"]
    return resid @ w["unembed.W_U"]


@pytest.mark.parametrize("batch", [256, 4096])
@torch.no_grad()
def test_unused_hooks_cost_next_to_nothing(batch: int) -> None:
    """Under 5% of a forward pass, measured as the passes of identity modules through the same number of hook points."""
    model = HookedTransformer(CONFIG).init_weights(0)
    tokens = torch.randint(0, 114, (batch, 3), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(tokens), plain_forward(model, tokens), rtol=1e-4, atol=1e-4)
    points, x = list(model.hook_dict.values()), torch.zeros(1)

    def through_all() -> None:
        for point in points:
            point(x)

    share = seconds(through_all, 200) / seconds(lambda: model(tokens), 15)
    against_plain = race(lambda: model(tokens), lambda: plain_forward(model, tokens), 25)
    print(f"\n{len(points)} hook points: {share:.2%} of a pass over {batch} inputs; hooked / plain {against_plain:.3f}")
    assert share < 0.05


@torch.no_grad()
def test_reading_one_position_is_faster() -> None:
    """The last block at the readout alone against the whole pass."""
    model = HookedTransformer(replace(CONFIG)).init_weights(0)
    tokens = torch.randint(0, 114, (4096, 3), generator=torch.Generator().manual_seed(0))
    reader = model.read_at(-1)
    faster = race(lambda: model(tokens), lambda: reader(tokens), 15)
    print(f"\nreadout at one position: {faster:.2f} times faster")
    assert faster > 1.5
