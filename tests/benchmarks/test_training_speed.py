"""Training many networks at once against plain PyTorch, one network after the other: ``make bench`` prints the table."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interp import HookedTransformer, make_task
from interp.training.ensemble import Ensemble
from interp.training.recipes import make_plan

pytestmark = pytest.mark.bench
CPU = torch.device("cpu")
Step = Callable[[], None]


def interleaved(
    one: Callable[[int], object], other: Callable[[int], object], rounds: int, a: int, b: int
) -> tuple[float, float]:
    """Seconds per step of both, the best of several rounds in turns: noise only ever adds, and meets both."""
    best = [float("inf"), float("inf")]
    one(2), other(2)
    for _ in range(rounds):
        for k, (run, steps) in enumerate(((one, a), (other, b))):
            start = time.perf_counter()
            run(steps)
            best[k] = min(best[k], (time.perf_counter() - start) / steps)
    return best[0], best[1]


def repeat(step: Step) -> Callable[[int], None]:
    def run(steps: int) -> None:
        for _ in range(steps):
            step()

    return run


def report(title: str, plain: float, ours: float) -> float:
    """Print both times and how often ours goes into the plain one."""
    ratio = plain / ours
    print(
        f"\n{title}: plain {plain * 1e3:.3f} ms, batched {ours * 1e3:.3f} ms per member-step: {ratio:.1f} times faster"
    )
    return ratio


def advance(ensemble: Ensemble) -> Callable[[int], None]:
    return lambda steps: ensemble.advance(ensemble.step + steps)


class PlainTransformer(nn.Module):
    """The one-layer transformer of Nanda et al., written without hooks."""

    def __init__(self, p: int):
        super().__init__()
        self.n_heads, d, d_mlp = 4, 128, 512
        self.W_E, self.W_pos = nn.Parameter(torch.randn(p + 1, d) / d**0.5), nn.Parameter(torch.randn(3, d) / d**0.5)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(d, d_mlp), nn.Linear(d_mlp, d)
        self.unembed = nn.Linear(d, p, bias=False)
        self.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.W_E[tokens] + self.W_pos
        q, k, v = (f(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        pattern = (q @ k.mT / q.shape[-1] ** 0.5 + self.mask).softmax(-1)
        x = x + self.o((pattern @ v).transpose(1, 2).flatten(-2))
        x = x + self.down(torch.relu(self.up(x)))
        return self.unembed(x)[:, -1]


@pytest.mark.parametrize(("readout", "least"), [(False, 0.9), (True, 1.7)], ids=["all positions", "readout"])
def test_transformer(readout: bool, least: float) -> None:
    """p = 113, full batch of 3,830, against plain PyTorch without hooks and with the fused optimizer; same losses.

    The bounds leave room for noise: medians are 1.0 and 2.2.
    """
    plan = make_plan(make_task("modular:p=113"), readout=readout, warmup=0)
    ensemble = Ensemble(plan, CPU)
    model = HookedTransformer(plan.model).init_weights(0)  # pyright: ignore
    task = plan.member_task(0).fit(model)
    network = PlainTransformer(113)
    copy_weights(model, network)
    inputs, labels = task.inputs[task.train_indices], task.labels[task.train_indices]
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1.0, betas=(0.9, 0.98), fused=True)
    losses = []

    def step() -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(inputs).double(), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())

    for _ in range(5):
        step()
    start = ensemble.measure()[0]["train_loss"]
    ensemble.advance(4)
    assert start == pytest.approx(float(losses[0]), rel=1e-5)
    assert ensemble.measure()[0]["train_loss"] == pytest.approx(float(losses[4]), rel=1e-5)
    plain, ours = interleaved(repeat(step), advance(ensemble), 5, 3, 3)
    assert report(f"transformer, p = 113, {'readout' if readout else 'all positions'}", plain, ours) >= least


def copy_weights(model: HookedTransformer, network: PlainTransformer) -> None:
    """Give the plain network the same weights: the losses must agree."""
    block = model.block(0)
    with torch.no_grad():
        network.W_E.copy_(model.W_E)
        network.W_pos.copy_(model.W_pos)
        for mine, theirs in ((block.attn.W_Q, network.q), (block.attn.W_K, network.k), (block.attn.W_V, network.v)):
            theirs.weight.copy_(mine.permute(0, 2, 1).flatten(0, 1))
        network.o.weight.copy_(block.attn.W_O.flatten(0, 1).T)
        network.up.weight.copy_(block.mlp.W_in.T), network.up.bias.copy_(block.mlp.b_in)
        network.down.weight.copy_(block.mlp.W_out.T), network.down.bias.copy_(block.mlp.b_out)
        network.unembed.weight.copy_(model.W_U.T)
