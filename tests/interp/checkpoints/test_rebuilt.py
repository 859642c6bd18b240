"""A module rebuilt from its class and a file, against the module that wrote it; channels against the plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import circuits
import interp
from interp import InterpError

X = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A convolution and an MLP."""

    def __init__(self, width: int = 5):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Linear(width * 36, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).relu().flatten(1))


class Fussy(nn.Module):
    """Refuses to be built."""

    def __init__(self) -> None:
        raise AssertionError


class Inside(nn.Module):
    """A module all of whose names begin as a wrapper's would, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential()
        self.model.add_module("net", nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "net.module."])
def test_names_that_begin_as_a_wrapper_would(tmp_path: Path, prefix: str) -> None:
    """They are the module's own, whatever wrapped it; float64 stays float64."""
    torch.manual_seed(0)
    net, path = Inside().double(), tmp_path / "net.pt"
    torch.save({prefix + name: t for name, t in net.state_dict().items()}, path)
    model = interp.wrap_file(path, Inside, X)
    assert torch.equal(model(X.double()), net(X.double()))


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_rebuilt_and_ablated_by_channel(tmp_path: Path, prefix: str) -> None:
    """The same outputs; each channel at its mean, as the plain loop has it."""
    torch.manual_seed(0)
    net = Net(6)
    net(X)
    path = tmp_path / "net.pt"
    torch.save({prefix + name: t for name, t in net.state_dict().items()}, path)
    model = interp.wrap_file(path, f"{__name__}:Net", X, kwargs={"width": 6})
    net.eval()
    assert torch.equal(model(X), net(X))
    assert model.axes_of("conv.hook_out") == ("batch", "unit", "row", "column")
    subject = interp.Subject("net", model, interp.Examples(X, torch.arange(10) % 4), precision=torch.float32)
    found, expected = circuits.ablate(subject, site="conv.hook_out"), []
    with torch.no_grad():
        for channel in range(6):
            acts = net.conv(X)
            acts[:, channel] = acts[:, channel].mean(0)
            out = net.head(net.norm(acts).relu().flatten(1))
            expected.append(float(nn.functional.cross_entropy(out, torch.arange(10) % 4)))
    assert found.loss.tolist() == pytest.approx(expected, abs=1e-6)


def test_what_does_not_fit(tmp_path: Path) -> None:
    """Every name in one message; what cannot be imported or built."""
    path, other = tmp_path / "net.pt", Net(6).state_dict()
    del other["head.bias"]
    torch.save({**other, "extra": torch.ones(2)}, path)
    with pytest.raises(
        InterpError, match=r"missing head.bias \[4\]; left over extra \[2\]; conv.weight is \[6, 1, 3, 3\]"
    ):
        interp.wrap_file(path, Net, X)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ("Net", {}, "write where the class is imported from"), ("no.such:Net", {}, "cannot be imported"),
        (f"{__name__}:Other", {}, "cannot be imported"), (Net, {"depth": 3}, "cannot be built with"),
        (dict, {}, "not an nn.Module"), (Net(), {}, "build must be a class"),
        ("nets/mine.py:Net", {}, "not its file, such as 'nets.mine:Net'"), ("nets.py:Net", {}, "such as 'nets:Net'"),
        (f"{__name__}:Nett", {}, "did you mean 'Net'"), (Fussy, {}, r"Fussy cannot be built with \{\}: AssertionError"),
    ]  # fmt: skip
    for build, kwargs, message in cases:
        with pytest.raises(InterpError, match=message):
            interp.wrap_file(path, build, X, kwargs=kwargs)
