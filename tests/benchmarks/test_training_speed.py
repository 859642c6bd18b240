"""Steps of a transformer and of CPPNs against plain PyTorch, all on one thread: ``make bench`` prints the table.

Times are those of the thread itself, in turns, so that neighbours on the machine disturb all sides alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from interp import HookedTransformer, make_task
from interp._util.threads import threads
from interp.hooked.cppn.colour import rgb
from interp.tasks import Task
from interp.training import seeds
from interp.training.ensemble import Ensemble
from interp.training.planning import make_plan
from tests.benchmarks.timing import ROWS, Row, Step

pytestmark = [pytest.mark.bench, pytest.mark.usefixtures("one_thread")]
CPU = torch.device("cpu")
NINE_TENTHS = 0.9
TOGETHER = 8  # members of an ensemble, which should cost no more each than one alone


@pytest.fixture
def one_thread() -> Iterator[None]:
    with threads(1):
        yield


def in_turns(work: str, plain: Step, one: Step, several: Step, bound: Step, rounds: int) -> tuple[Row, Row]:
    """The rows of one network and of `TOGETHER`: the least time that each side took in so many turns."""
    best = [float("inf")] * 4
    for _ in range(rounds):
        for k, step in enumerate((plain, one, several, bound)):
            start = time.thread_time()
            step()
            best[k] = min(best[k], 1e3 * (time.thread_time() - start))
    rows = Row(work, best[0], best[1], best[3]), Row(f"{TOGETHER} {work}", best[0], best[2] / TOGETHER, best[3])
    ROWS.extend(rows)
    return rows


def ensemble(task: Task, members: int, **settings: Any) -> tuple[Ensemble, Step]:
    found = Ensemble(make_plan(task, members=seeds(members), **settings), CPU)
    return found, lambda: found.advance(found.step + 1)


def products(shapes: Sequence[tuple[int, int]], n: int, rows: int) -> Step:
    """The products of layers ``[in, out]`` for n examples, ``rows`` at a time: forward, to weights, to inputs but the first."""
    work: list[Step] = []
    for place, (d_in, d_out) in enumerate(shapes):
        x, y, W = torch.randn(d_in, rows), torch.randn(d_out, rows), torch.randn(d_in, d_out)
        out, back, d_W = torch.empty(d_out, rows), torch.empty(d_in, rows), torch.zeros(d_in, d_out)
        work += [
            lambda W=W, x=x, out=out: torch.mm(W.T, x, out=out),
            lambda d_W=d_W, x=x, y=y: d_W.addmm_(x, y.T),
        ]
        if place:
            work.append(lambda W=W, y=y, back=back: torch.mm(W, y, out=back))

    def step() -> None:
        for _ in range(n // rows):
            for product in work:
                product()

    return step


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


def check_losses(found: Ensemble, ours: Step, plain: Step, losses: list[float], steps: int) -> None:
    """Make the same steps on both sides; the losses before each agree to 1e-5."""
    for step in range(steps):
        plain()
        assert found.measure()[0]["train_loss"] == pytest.approx(losses[step], rel=1e-5)
        ours()


def test_transformer() -> None:
    """p = 113, full batch of 3,830, against plain PyTorch without hooks and with the fused optimizer; same losses.

    The bound: attention's output, MLP and unembedding at the readout alone.
    """
    task = make_task("modular:p=113")
    one, ours = ensemble(task, 1, warmup=0)
    _, several = ensemble(task, TOGETHER, warmup=0)
    network = PlainTransformer(113)
    copy_weights(HookedTransformer(one.plan.model).init_weights(0), network)  # pyright: ignore
    inputs, labels = one.train.inputs, one.train.labels
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1.0, betas=(0.9, 0.98), fused=True)
    losses: list[float] = []

    def plain() -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(inputs).double(), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    check_losses(one, ours, plain, losses, 10)
    bound = products([(128, 128), (128, 512), (512, 128), (128, 113)], 3840, 256)
    alone, together = in_turns("transformer, p = 113", plain, ours, several, bound, 9)
    assert alone.ratio >= NINE_TENTHS * 3
    assert together.ratio >= NINE_TENTHS * alone.ratio


def plain_cppn(weights: list[Tensor], inputs: Tensor, labels: Tensor, losses: list[float]) -> Step:
    """A step of the skull's CPPN, pixels along the last axis, the gradient divided by its norm."""
    optimizer = torch.optim.AdamW(weights, 3e-3, weight_decay=0.0, fused=True)

    def step() -> None:
        x = inputs.T
        for W in weights[:-1]:
            z = W.T @ x
            x = torch.cat([z[:15], 2 * torch.exp(-z[15:19].square()) - 1, z[19:21], torch.sin(z[21:])])
        loss = F.mse_loss(rgb((weights[-1].T @ x).T), labels)
        gradients = torch.autograd.grad(loss, weights)
        norm = torch.stack([g.norm() for g in gradients]).norm()
        for W, gradient in zip(weights, gradients, strict=True):
            W.grad = gradient / norm
        optimizer.step()
        losses.append(loss.item())

    return step


@pytest.mark.parametrize(("size", "least"), [(64, 9.5 / 5), (256, 112 / 60)])
def test_cppn(size: int, least: float, tmp_path: Path) -> None:
    """The skull's architecture on a picture of 64 or 256 pixels along each edge."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    colours = np.stack([np.sin(5 * x) * np.cos(3 * y), np.tanh(4 * x * y), np.exp(-4 * (x * x + y * y))], -1)
    Image.fromarray((colours * 120 + 128).clip(0, 255).astype(np.uint8)).save(tmp_path / "picture.png")
    task = make_task(f"image:target={tmp_path / 'picture.png'},size={size}")
    one, ours = ensemble(task, 1)
    _, several = ensemble(task, TOGETHER)
    weights = [w[0].clone().requires_grad_() for w in one.weights().values()]
    losses: list[float] = []
    plain = plain_cppn(weights, one.train.inputs, one.train.labels, losses)
    check_losses(one, ours, plain, losses, 3)
    bound = products([(4, 22), *[(22, 22)] * 11, (22, 3)], size * size, 4096)
    rounds = 40 if size < 100 else 9
    alone, together = in_turns(f"CPPN, {size} x {size} pixels", plain, ours, several, bound, rounds)
    assert alone.ratio >= NINE_TENTHS * least
    assert together.ratio >= NINE_TENTHS * alone.ratio


def test_a_sure_network() -> None:
    """A network whose logits lie far apart takes as long as a fresh one, though most of its gradients are below 1e-38."""
    task = make_task("modular:p=113")
    (_, fresh), (found, sure) = (ensemble(task, 1) for _ in "ab")
    found.blocks[0].parameters["unembed.W_U"].data.mul_(300)
    best = [float("inf")] * 2
    for _ in range(5):
        for k, step in enumerate((fresh, sure)):
            start = time.thread_time()
            step()
            best[k] = min(best[k], time.thread_time() - start)
    print(f"a sure p = 113 transformer: {best[1] / best[0]:.2f} times the time of a fresh one")
    assert best[1] < 2 * best[0]
