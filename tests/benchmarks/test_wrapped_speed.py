"""Ablation of wrapped modules against one whole forward pass per unit, as ratios within one run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import circuits
import interp
from circuits.engine import tiled
from tests.benchmarks.test_speed import race

pytestmark = pytest.mark.bench


def convnet() -> tuple[nn.Module, torch.Tensor, str]:
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(32 * 144, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    return net, torch.randn(128, 1, 28, 28), "7.hook_out"


def mlp() -> tuple[nn.Module, torch.Tensor, str]:
    net = nn.Sequential(nn.Linear(256, 1024), nn.ReLU(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10))
    return net, torch.randn(1000, 256), "3.hook_out"


@pytest.mark.parametrize(("build", "least"), [(convnet, 5.0), (mlp, 1.5)])
def test_units_of_a_hidden_layer(build: object, least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """All 64 units of the last hidden layer: what is before it runs once."""
    torch.manual_seed(0)
    net, x, site = build()  # type: ignore[operator]
    net.eval()
    y = torch.arange(len(x)) % 10
    subject = interp.Subject("net", interp.wrap(net, x), interp.Examples(x, y), precision=torch.float32)

    @torch.no_grad()
    def loop() -> list[float]:
        layer, found = net.get_submodule(site.split(".")[0]), []
        mean = interp.capture(subject.model, x, site)[site].mean(0)
        for unit in range(64):

            def put(_m: nn.Module, _i: object, out: torch.Tensor, unit: int = unit) -> torch.Tensor:
                out = out.clone()
                out[:, unit] = mean[unit]
                return out

            handle = layer.register_forward_hook(put)
            found.append(float(nn.functional.cross_entropy(net(x), y)))
            handle.remove()
        return found

    assert circuits.ablate(subject, site=site).loss.tolist() == pytest.approx(loop(), abs=1e-5)
    ratio = race(loop, lambda: circuits.ablate(subject, site=site), 3)

    def whole() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(tiled, "suffix_from", lambda *_: None)
            circuits.ablate(subject, site=site)

    spared = race(whole, lambda: circuits.ablate(subject, site=site), 3)
    print(
        f"{len(x)} inputs, 64 units: {ratio:.1f} times as fast as a forward pass each, {spared:.1f} as without a replay"
    )
    assert ratio > least
