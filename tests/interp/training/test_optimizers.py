"""The batched optimizers against torch.optim, member by member and step by step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from interp.training.updates.optimizers import BatchedOptimizer, Optimizer
from interp.training.updates.penalties import clip

STEPS = 50
SHAPES = {"matrix": (3, 5), "vector": (5,), "table": (2, 3, 2)}
# neighbours with equal rates and neighbours with others, in one stack
RATES = [(0.01, 0.1), (0.01, 0.1), (0.05, 0.0), (0.002, 0.7), (0.01, 0.1)]
Maker = Callable[[list[Tensor], float, float], torch.optim.Optimizer]

KINDS: dict[str, tuple[Optimizer, Maker]] = {
    "sgd": (Optimizer("sgd"), lambda p, lr, wd: torch.optim.SGD(p, lr, weight_decay=wd)),
    "momentum": (
        Optimizer("sgd", momentum=0.9), lambda p, lr, wd: torch.optim.SGD(p, lr, 0.9, weight_decay=wd),
    ),
    "nesterov": (
        Optimizer("sgd", momentum=0.8, nesterov=True),
        lambda p, lr, wd: torch.optim.SGD(p, lr, 0.8, weight_decay=wd, nesterov=True),
    ),
    "adam": (
        Optimizer("adam", betas=(0.8, 0.95), eps=1e-6),
        lambda p, lr, wd: torch.optim.Adam(p, lr, (0.8, 0.95), 1e-6, wd),
    ),
    "adamw": (
        Optimizer("adamw", betas=(0.9, 0.98)), lambda p, lr, wd: torch.optim.AdamW(p, lr, (0.9, 0.98), 1e-8, wd),
    ),
}  # fmt: skip


class Pair:
    """A stack of members under the batched optimizer, and each of them under one of torch's."""

    def __init__(self, kind: str, fused: bool, dtype: torch.dtype):
        optimizer, self.maker = KINDS[kind]
        generator = torch.Generator().manual_seed(3)
        n, self.generator, self.fused = len(RATES), generator, fused
        self.stacks = {name: torch.randn(n, *s, generator=generator, dtype=dtype) for name, s in SHAPES.items()}
        self.alone = [{k: s[i].clone().requires_grad_() for k, s in self.stacks.items()} for i in range(n)]
        self.theirs = [self.maker(list(own.values()), *RATES[i]) for i, own in enumerate(self.alone)]
        self.ours = BatchedOptimizer(optimizer, self.stacks, dict.fromkeys(SHAPES, RATES))
        self.ours.fused = fused

    def step(self, count: int, scale: float = 1.0) -> None:
        """One update of both, on gradients that depend on the weights, so that an error grows."""
        fixed = {k: torch.randn(s.shape, generator=self.generator, dtype=s.dtype) for k, s in self.stacks.items()}
        self.ours.step({k: fixed[k] + 0.3 * s for k, s in self.stacks.items()}, count, scale)
        for i, (own, optimizer) in enumerate(zip(self.alone, self.theirs, strict=True)):
            for k, p in own.items():
                p.grad = fixed[k][i] + 0.3 * p.detach()
            optimizer.step()

    def error(self) -> float:
        """The largest difference, in units of the weights' last place."""
        worst = 0.0
        for i, own in enumerate(self.alone):
            for k, p in own.items():
                unit = torch.finfo(p.dtype).eps * p.detach().abs().clamp(min=1.0)
                worst = max(worst, ((self.stacks[k][i] - p.detach()).abs() / unit).max().item())
        return worst


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_torchs(kind: str, fused: bool, dtype: torch.dtype) -> None:
    """Each member moves as torch.optim moves it alone, at its own rates, to a few units in the last place."""
    pair = Pair(kind, fused, dtype)
    for count in range(1, STEPS + 1):
        pair.step(count)
        assert pair.error() <= 40, count


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_rates_that_change(kind: str, fused: bool) -> None:
    """New rates hold from the next step on; the moments stay, as when torch's param_groups are changed."""
    pair = Pair(kind, fused, torch.float64)
    for count in range(1, 16):
        pair.step(count)
    changed = [(lr * (i + 1) / 2, wd / 2 if i % 2 else 0.3) for i, (lr, wd) in enumerate(RATES)]
    pair.ours.set_rates(dict.fromkeys(SHAPES, changed))
    pair.ours.fused = fused
    for optimizer, (lr, wd) in zip(pair.theirs, changed, strict=True):
        optimizer.param_groups[0].update(lr=lr, weight_decay=wd)
    for count in range(16, 31):
        pair.step(count)
    assert pair.error() <= 40


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", ["momentum", "adam", "adamw"])
def test_warm_up(kind: str, fused: bool) -> None:
    """A scale of min(step / W, 1) is torch's LambdaLR with that function; the first update has a rate of 0."""
    pair, warmup = Pair(kind, fused, torch.float64), 7
    schedulers = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / warmup, 1)) for optimizer in pair.theirs
    ]
    for step in range(20):
        pair.step(step + 1, min(step / warmup, 1.0))
        for scheduler in schedulers:
            scheduler.step()
        assert pair.error() <= 40, step


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_on(kind: str) -> None:
    """An optimizer made from another's state takes the next steps bit for bit as that one would have."""
    pair = Pair(kind, True, torch.float64)
    for count in range(1, 11):
        pair.step(count)
    stacks = {k: s.clone() for k, s in pair.stacks.items()}
    state = {k: t.clone() for k, t in pair.ours.state().items()}
    heir = BatchedOptimizer(KINDS[kind][0], stacks, dict.fromkeys(SHAPES, RATES), state)
    for count in range(11, 21):
        gradients = {k: torch.randn(s.shape, generator=pair.generator, dtype=s.dtype) for k, s in stacks.items()}
        heir.step({k: g.clone() for k, g in gradients.items()}, count)
        pair.ours.step({k: g.clone() for k, g in gradients.items()}, count)
    assert all(torch.equal(stacks[k], pair.stacks[k]) for k in stacks)


def test_clipping_is_torchs() -> None:
    """Each member is clipped by its own norm, as clip_grad_norm_ clips it alone; short gradients stay."""
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([0.01, 1.0, 30.0], dtype=torch.float64)
    stacks = {
        k: torch.randn(3, *s, generator=generator, dtype=torch.float64) * size.view(-1, *[1] * len(s))
        for k, s in SHAPES.items()
    }
    expected = []
    for i in range(3):
        parameters = [torch.zeros(s, dtype=torch.float64, requires_grad=True) for s in SHAPES.values()]
        for p, stack in zip(parameters, stacks.values(), strict=True):
            p.grad = stack[i].clone()
        torch.nn.utils.clip_grad_norm_(parameters, 2.0)
        expected.append([p.grad for p in parameters])
    before = stacks["matrix"][0].clone()
    clip(stacks, 2.0)
    assert torch.equal(stacks["matrix"][0], before)
    for i, own in enumerate(expected):
        for found, wanted in zip(stacks.values(), own, strict=True):
            torch.testing.assert_close(found[i], wanted, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ((), (1.0, 10.0)),
        (("embedding",), (2.0, 10.0)),
        (("decoder",), (1.0, 30.0)),
        (("decoder", "last"), (4.0, 30.0)),
    ],
)
def test_the_most_specific_rate_holds(groups: tuple[str, ...], expected: tuple[float, float]) -> None:
    """A group's own rate takes the place of the general one; rates that are not given fall through."""
    optimizer = Optimizer(lr=1.0, weight_decay=10.0, embedding_lr=2.0, decoder_weight_decay=30.0, last_lr=4.0)
    assert optimizer.rates(groups) == expected
