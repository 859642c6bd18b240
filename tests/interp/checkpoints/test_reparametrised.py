"""Weights kept in parts: what the module computes is what loads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import interp
from tests.conftest import ROOT

CASE = ROOT.parent / "shared" / "cases" / "pruned_state_dict"


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).double()


def pruned(net: nn.Sequential) -> None:
    for layer in (net[0], net[2]):
        prune.l1_unstructured(layer, "weight", amount=0.5)


def pruned_biases(net: nn.Sequential) -> None:
    prune.random_unstructured(net[0], "bias", amount=3)
    prune.ln_structured(net[2], "weight", amount=0.25, n=2, dim=1)


def powered(net: nn.Sequential, wrap: Callable[..., Any], **options: Any) -> None:
    for layer in (net[0], net[2]):
        wrap(layer, **options)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1.3)  # away from where the reparametrisation starts, which is the identity
        for _ in range(3):
            net(torch.randn(5, 8, dtype=torch.float64))  # power iterations


FORMS: dict[str, Callable[[nn.Sequential], None]] = {
    "pruned": pruned,
    "pruned biases and columns": pruned_biases,
    "weight norm": lambda net: powered(net, parametrizations.weight_norm),
    "weight norm by columns": lambda net: powered(net, parametrizations.weight_norm, dim=1),
    "weight norm as a whole": lambda net: powered(net, parametrizations.weight_norm, dim=None),
    "old weight norm": lambda net: powered(net, weight_norm),
    "spectral norm": lambda net: powered(net, parametrizations.spectral_norm),
    "old spectral norm": lambda net: powered(net, spectral_norm),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize("form", FORMS)
def test_what_the_module_computes_is_what_loads(form: str, saved: Callable) -> None:
    """To rounding, in evaluation; the parts are gone, and a note says what was done."""
    net = network()
    FORMS[form](net)
    net.eval()
    subject = interp.load(saved(net.state_dict()), device="cpu")
    x = torch.randn(6, 8, dtype=torch.float64)
    torch.testing.assert_close(subject.model(x), net(x), rtol=1e-10, atol=1e-10)
    assert any(form.removeprefix("old ").split()[0] in note for note in subject.provenance.notes)


def test_how_much_is_masked(saved: Callable) -> None:
    """As a share of the entries that have a mask."""
    net = network()
    pruned(net)
    notes = interp.load(saved(net.state_dict()), device="cpu").provenance.notes
    assert "pruned with torch: 0.weight, 2.weight times the mask; 50% of 192 entries are masked" in notes


def test_the_case_that_failed() -> None:
    """Half of each matrix pruned, with inputs and outputs beside the file."""
    if not CASE.is_dir():
        pytest.skip("the folder of failing cases is absent")
    check = np.load(CASE / "check.npz")
    x, y = (torch.from_numpy(check[n]) for n in sorted(check.files, key=lambda n: check[n].shape != (5, 8)))
    model = interp.load(CASE / "pruned.pt", device="cpu").model
    torch.testing.assert_close(model(x.to(model.dtype)), y.to(model.dtype))


class LoRA(nn.Module):
    """A linear layer with a low-rank update, as peft names it."""

    def __init__(self, d_in: int, d_out: int, scale: float):
        super().__init__()
        self.base_layer = nn.Linear(d_in, d_out)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(d_in, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, d_out, bias=False)})
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.scale * self.lora_B["default"](self.lora_A["default"](x))


def test_low_rank_updates_are_merged_where_their_scale_is_known(saved: Callable) -> None:
    """lora_alpha / r, from the config; without it they are left, and it is said."""
    torch.manual_seed(0)
    net = nn.Sequential(LoRA(8, 16, 4.0), nn.ReLU(), LoRA(16, 4, 4.0)).double()
    x = torch.randn(6, 8, dtype=torch.float64)
    path = saved({"model": net.state_dict(), "config": {"lora_alpha": 8, "r": 2}})
    subject = interp.load(path, device="cpu")
    torch.testing.assert_close(subject.model(x), net(x), rtol=1e-10, atol=1e-10)
    assert any("merged with scale 4" in note for note in subject.provenance.notes)
    with pytest.raises(interp.InterpError, match="(?s)does not state lora_alpha and r"):
        interp.load(saved(net.state_dict()), device="cpu")
