"""Stacked parameters: one forward pass for many MLPs equals one for each, and `vmap` over them."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call

from interp import HookedMLP
from tests.models import MLPS, make


def stack(name: str) -> tuple[HookedMLP, dict[str, torch.Tensor]]:
    models = [make(name, seed) for seed in range(3)]
    model = models[0]
    assert isinstance(model, HookedMLP)
    names = [n for n, _ in model.named_parameters()]
    return model, {n: torch.stack([m.get_parameter(n).detach() for m in models]) for n in names}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", MLPS)
def test_outputs_and_gradients(name: str, shared: bool) -> None:
    """Member by member, whether all see the same inputs or each its own."""
    model, stacked = stack(name)
    generator = torch.Generator().manual_seed(0)
    shape = (5, 2) if shared else (3, 5, 2)
    tokens = torch.randint(0, model.config.d_vocab or 0, shape, generator=generator)
    parameters = {n: p.requires_grad_() for n, p in stacked.items()}
    outputs = functional_call(model, parameters, (tokens,))
    weights = torch.randn(outputs.shape, generator=generator, dtype=outputs.dtype)
    gradients = torch.autograd.grad((outputs * weights).sum(), list(parameters.values()))
    for i in range(3):
        own = {n: p[i].detach().requires_grad_() for n, p in parameters.items()}
        alone = functional_call(model, own, (tokens if shared else tokens[i],))
        torch.testing.assert_close(outputs[i], alone)
        expected = torch.autograd.grad((alone * weights[i]).sum(), list(own.values()))
        for found, wanted in zip(gradients, expected, strict=True):
            torch.testing.assert_close(found[i], wanted)


@pytest.mark.parametrize("widths", [(1, 4, 3), (3, 4, 1), (1, 2, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_narrow_maps(widths: tuple[int, int, int], bias: bool) -> None:
    """Inputs and outputs of width 1 take a path of their own; the numbers are those of `vmap`."""
    config = MLPS["deep"].__class__(
        (widths[1],), widths[2], d_in=widths[0], act_fn="tanh", bias=bias, unembed_bias=bias
    )
    model = HookedMLP(config).double()
    generator = torch.Generator().manual_seed(1)
    parameters = {
        n: torch.randn(3, *p.shape, generator=generator, dtype=torch.float64).requires_grad_()
        for n, p in model.named_parameters()
    }
    inputs = torch.randn(3, 6, widths[0], generator=generator, dtype=torch.float64)
    found = functional_call(model, parameters, (inputs,))
    wanted = torch.vmap(lambda p, x: functional_call(model, p, (x,)))(parameters, inputs)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(
        torch.autograd.grad(found.sin().sum(), list(parameters.values())),
        torch.autograd.grad(wanted.sin().sum(), list(parameters.values())),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
