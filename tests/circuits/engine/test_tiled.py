"""Ablations of wrapped modules: the numbers of the plain loop, and how much of the module runs for them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import circuits
import interp
from interp.hooked.foreign.suffix import suffix_from, treats_examples_alone

IMAGES = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(12) % 4


class Residual(nn.Module):
    """Blocks with skip connections, one of them in place, and functions between the modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(True)) for _ in range(3)
        )
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        for i, block in enumerate(self.blocks):
            if i == 1:
                x += block(x)
            else:
                x = x + block(x)
        return self.head(x.mean((2, 3)))


class Recurrent(nn.Module):
    """The same cell several times, an LSTM whose states lie along another axis, a tuple between modules."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.lstm, self.head = nn.Linear(8, 8), nn.LSTM(8, 6, 2, batch_first=True), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, 0]
        for _ in range(3):
            x = torch.tanh(self.cell(x))
        out, (h, _) = self.lstm(x)
        return self.head(torch.cat([out[:, -1], h[0]], -1))


class Leaves(nn.Linear):
    """Leaves something for others in a list that it shares with them."""

    def __init__(self, left: list[Tensor]) -> None:
        super().__init__(64, 8)
        self.left = left

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        self.left[:] = [out.mean(1, keepdim=True)]
        return out


class Remembers(nn.Module):
    """The head uses what the stem has left, beside its output."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[Tensor] = []
        self.stem, self.mid, self.head = Leaves(self.left), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mid(self.stem(x.flatten(1))).tanh()) * self.left[0]


class InPlace(nn.Module):
    """The activation before a ReLU in place is read after it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.second = nn.Linear(64, 8), nn.ReLU(True), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x.flatten(1))
        z = self.relu(y)
        return self.second(z).tanh() + y


class OverTheBatch(nn.Module):
    """Subtracts the mean of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x.flatten(1)).tanh()
        return self.second(y - y.mean(0))


def convnet() -> nn.Module:
    body = nn.Sequential(
        nn.Conv2d(1, 5, 3),
        nn.ReLU(True),
        nn.Dropout(0.5),
        nn.Sequential(nn.Conv2d(5, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
    )
    return nn.Sequential(body, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 10), nn.ReLU(), nn.Linear(10, 4))


NETS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "convnet": (convnet, ["0.0.hook_out", "0.3.0.hook_out", "0.3.2.hook_out", "3.hook_out", "4.hook_in", "hook_out"]),
    "residual": (
        Residual,
        ["stem.hook_out", "blocks.1.0.hook_out", "blocks.2.2.hook_out", "blocks.2.hook_in", "head.hook_in"],
    ),
    "recurrent": (Recurrent, ["cell.hook_out", "lstm.hook_out.0", "lstm.hook_in", "head.hook_in"]),
    "remembers": (Remembers, ["mid.hook_out", "head.hook_in"]),
    "in place": (InPlace, ["relu.hook_out", "second.hook_out"]),
    "over the batch": (OverTheBatch, ["first.hook_out", "second.hook_in"]),
}


def subject(build: Callable[[], nn.Module]) -> interp.Subject:
    torch.manual_seed(0)
    module = build().double()
    module(IMAGES)  # running statistics
    return interp.Subject("net", interp.wrap(module, IMAGES), interp.Examples(IMAGES, Y, n_answers=4))


def plain_loop(one: interp.Subject, site: str) -> list[float]:
    """One forward pass per unit, with nothing but torch's hooks of `applied`."""
    axis, losses = one.model.axes_of(site).index("unit"), []
    width = interp.capture(one.model, IMAGES, site)[site]
    width = width[0] if width.ndim > len(one.model.axes_of(site)) else width
    for unit in range(width.shape[axis]):
        with circuits.applied(one.model, circuits.Ablate(interp.Site(site, unit=unit), circuits.Mean()), strict=False):
            losses.append(float(nn.functional.cross_entropy(one.model(IMAGES)[:, :4], Y).detach()))
    return losses


@pytest.mark.parametrize(("name", "site"), [(n, s) for n, (_, sites) in NETS.items() for s in sites])
def test_the_numbers_of_the_plain_loop(name: str, site: str) -> None:
    """By channel and by unit, at every kind of place, to rounding; the module is as it was."""
    one = subject(NETS[name][0])
    module: Any = one.model.module
    found = circuits.ablate(one, site=site)
    assert not any("forward" in m.__dict__ or m._forward_hooks for m in module.modules())
    torch.testing.assert_close(
        torch.tensor(found.loss.tolist()), torch.tensor(plain_loop(one, site)), atol=1e-12, rtol=1e-10
    )


def counted(module: nn.Module) -> dict[str, int]:
    """How many examples pass each submodule's own computation, counted below `forward`."""
    seen: dict[str, int] = {}
    for name, m in module.named_modules():
        if isinstance(m, nn.Linear | nn.Conv2d):
            kind = type(m)

            class Counting(kind):  # type: ignore[misc, valid-type]
                def forward(self, x: Tensor, name: str = name, kind: type[nn.Module] = kind) -> Tensor:
                    seen[name] = seen.get(name, 0) + len(x)
                    return kind.forward(self, x)

            m.__class__ = Counting
    return seen


def test_how_often_what_runs() -> None:
    """Before the site 3 passes in all (clean, and the recording with its trials); from it on at most 1.1 per unit."""
    torch.manual_seed(0)
    x, n = torch.randn(200, 6, dtype=torch.float64), 200
    module = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)).double().eval()
    one = interp.Subject("mlp", interp.wrap(module, x), interp.Examples(x, x[:, :3].argmax(1)))
    seen = counted(module)
    circuits.ablate(one, site="3.hook_out")
    assert seen["0"] <= 3 * n
    assert seen["2"] <= 3 * n
    assert 64 * n < seen["4"] <= 1.1 * 64 * n


def test_how_often_where_nothing_can_be_spared() -> None:
    """A module without submodules before the site: at most 1.1 passes per unit, the clean one included."""
    torch.manual_seed(0)
    x, n = torch.randn(200, 6, dtype=torch.float64), 200
    module = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3)).double().eval()
    one = interp.Subject("mlp", interp.wrap(module, x), interp.Examples(x, x[:, :3].argmax(1)))
    seen = counted(module)
    circuits.ablate(one, site="0.hook_in", groups=[[i % 6] for i in range(64)])
    assert seen["0"] <= 1.1 * 64 * n


def test_what_is_tried() -> None:
    """Batch statistics and noise are noticed; a module that remembers, or works in place, is not resumed wrongly."""
    for name, alone in (("convnet", True), ("residual", True), ("over the batch", False)):
        assert treats_examples_alone(subject(NETS[name][0]).model, IMAGES) is alone
    as_is = interp.wrap(copy.deepcopy(subject(convnet).model.module).train(), IMAGES, mode="as_is")  # type: ignore[operator]
    assert not treats_examples_alone(as_is, IMAGES)
    assert suffix_from(subject(Remembers).model, "mid.hook_out", IMAGES) is None
    assert suffix_from(subject(convnet).model, "0.0.hook_in", IMAGES) is None
    rest = suffix_from(subject(convnet).model, "3.hook_out", IMAGES)
    assert rest is not None
    assert [c.name for c in rest.recording.calls] == ["0", "1", "2", "3"]
    assert rest.recording.unread == {("0", 0), ("1", 0), ("2", 0)}


def test_an_interrupt_leaves_the_module_clean() -> None:
    """Ctrl-C in the middle of an ablation: no hook, no replaced forward, every mode as before."""
    one = subject(convnet)
    module: Any = one.model.module
    module.train()
    modes = {n: m.training for n, m in module.named_modules()}

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        circuits.ablate(one, site="3.hook_out", progress=stop)
    assert {n: m.training for n, m in module.named_modules()} == modes
    assert not any("forward" in m.__dict__ or m._forward_hooks or m._forward_pre_hooks for m in module.modules())


@pytest.mark.parametrize("make", [convnet, Residual], ids=["chain", "residual"])
def test_an_interrupt_within_a_replayed_pass_leaves_the_module_clean(make: Callable[[], nn.Module]) -> None:
    """Ctrl-C while a layer after the site runs, what came before it being replayed: all as before, and the same numbers."""
    one, expected = subject(make), None
    module: Any = one.model.module
    site, last = ("3.hook_out", module[-1]) if make is convnet else ("blocks.1.hook_out", module.head)
    expected = circuits.ablate(one, site=site)
    seen: list[int] = []

    class Interrupted(type(last)):
        """The layer with a user who loses patience in the third pass that is replayed."""

        def forward(self, x: Tensor) -> Tensor:
            if replayed := sum("forward" in m.__dict__ for m in module.modules()):
                seen.append(replayed)
            if len(seen) == 3:
                raise KeyboardInterrupt
            return super().forward(x)

    last.__class__ = Interrupted
    module.train()
    modes = {n: m.training for n, m in module.named_modules()}
    with pytest.raises(KeyboardInterrupt):
        circuits.ablate(one, site=site, max_bytes=1)
    last.__class__ = Interrupted.__base__
    assert len(seen) == 3
    assert {n: m.training for n, m in module.named_modules()} == modes
    assert not any("forward" in m.__dict__ or m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    assert not one.model.watched_sites()
    module.eval()
    assert circuits.ablate(one, site=site).equals(expected)
