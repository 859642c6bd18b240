"""Training many networks at once against plain PyTorch, one network after the other: ``make bench`` prints the table."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interp import HookedTransformer, make_task
from interp.hooked import build
from interp.tasks import Task
from interp.training import grid, seeds
from interp.training.ensemble import Ensemble
from interp.training.members import spaced
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


class ToyNetwork(nn.Module):
    """The toy model as one would write it."""

    def __init__(self, p: int):
        super().__init__()
        self.embed = nn.Embedding(p, 1)
        self.decoder = nn.Sequential(nn.Linear(1, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 30))

    def forward(self, pairs: Tensor) -> Tensor:
        return self.decoder(self.embed(pairs).sum(1))


def plain_toy(task: Task, decoder_lr: float = 1e-3, decay: float = 0.0, fused: bool = False) -> Step:
    """One step of one toy network; two optimizers, as in the authors' code."""
    network = ToyNetwork(10)
    inputs, labels = task.inputs[task.train_indices], task.labels[task.train_indices]
    targets = task.criterion.vectors(torch.zeros(1))[labels]  # pyright: ignore
    embedding = torch.optim.Adam(network.embed.parameters(), 1e-3, fused=fused)
    decoder = torch.optim.AdamW(network.decoder.parameters(), decoder_lr, weight_decay=decay, fused=fused)

    def step() -> None:
        embedding.zero_grad()
        decoder.zero_grad()
        F.mse_loss(network(inputs), targets).backward()
        embedding.step()
        decoder.step()

    return step


def test_hundred_toy_additions() -> None:
    """100 members, p = 10, decoder 1-200-200-30, full batch.

    The middle layer's three products of 45 x 200 x 200 per network, which the plain loop pays too, are timed alone: on two
    cores they, and not overhead, bound what any batching can gain.
    """
    plan = make_plan(make_task("addition:p=10"), steps=10**6, members=seeds(100))
    ensemble = Ensemble(plan, CPU)
    task = plan.member_task(0).fit(build(plan.model))
    for fused in (False, True):
        plain, ours = interleaved(repeat(plain_toy(task, fused=fused)), advance(ensemble), 7, 300, 10)
        ratio = report(f"toy addition, plain {'fused' if fused else 'default'} Adam", plain, ours / 100)
        assert ratio >= (1.5 if fused else 3.0)
    plain, products = interleaved(repeat(plain_toy(task)), repeat(middle_products(100)), 7, 300, 10)
    bound = plain / (products / 100)
    print(
        f"\nthe middle layer's products alone: {products * 10:.3f} ms per member-step: no more than {bound:.1f} times faster"
    )


def middle_products(n: int) -> Step:
    """Forward, backward to the inputs and to the weights, of the toy decoder's middle layer alone, for ``n`` networks."""
    hidden, gradient, weight = torch.randn(n, 45, 200), torch.randn(n, 45, 200), torch.randn(n, 200, 200)

    def step() -> None:
        torch.bmm(hidden, weight)
        torch.bmm(gradient, weight.mT)
        torch.bmm(hidden.mT, gradient)

    return step


def advance(ensemble: Ensemble) -> Callable[[int], None]:
    return lambda steps: ensemble.advance(ensemble.step + steps)


def test_hundred_parities() -> None:
    """100 members, n = 50, 500 units, batches of 32."""
    plan = make_plan(make_task("parity"), members=seeds(100))
    ensemble, task = Ensemble(plan, CPU), plan.member_task(0)
    network = nn.Sequential(nn.Linear(50, 500), nn.ReLU(), nn.Linear(500, 1, bias=False))
    optimizer = torch.optim.SGD(network.parameters(), 0.1, weight_decay=0.01)
    inputs, labels = task.inputs[task.train_indices], task.labels[task.train_indices]

    def epoch() -> None:
        order = torch.randperm(300)
        for index in order.split(32):
            optimizer.zero_grad()
            F.relu(1 - labels[index] * network(inputs[index])[:, 0]).mean().backward()
            optimizer.step()

    plain, ours = interleaved(repeat(epoch), advance(ensemble), 7, 40, 30)
    assert report("parity", plain / 10, ours / 100) >= 4.0


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


def test_phase_diagram() -> None:
    """The 10 x 11 phase diagram with retirement against plain loops that train every network to the last step."""
    axes = {"decoder_lr": spaced(1e-5, 1e-2, 10, log=True), "decoder_weight_decay": spaced(0.0, 10.0, 11, log=False)}
    plan = make_plan(
        make_task("addition:p=10,seed=3"), steps=10_000, members=grid(axes), retire=0.9, metrics="every:50"
    )
    ensemble, n = Ensemble(plan, CPU), len(plan.members)
    step = plain_toy(plan.member_task(0).fit(build(plan.model)))
    alive, plain = [], []
    began = time.perf_counter()
    while ensemble.step < plan.steps and ensemble.blocks:
        ensemble.measure()
        ensemble.retire()
        alive.append(len(ensemble.alive))
        ensemble.advance(min(ensemble.step + 50, plan.steps))
        if ensemble.step % 1000 == 0:  # the plain loop in turns, so that a busy moment meets both
            start = time.perf_counter()
            repeat(step)(500)
            plain.append(time.perf_counter() - start)
    ours = time.perf_counter() - began - sum(plain)
    theirs = sum(plain) / len(plain) / 500 * n * plan.steps
    print(
        f"\nphase diagram, {plan.steps:,} steps: plain {theirs:.0f} s (from {500 * len(plain):,} steps), batched {ours:.0f} s: "
        f"{theirs / ours:.1f} times faster; {sum(alive) / len(alive):.0f} of {n} train on average, {alive[-1]} at the end"
    )
    assert theirs / ours >= 2.5
