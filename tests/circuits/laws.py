"""The laws of interventions, as checks on values. Each raises AssertionError for a broken intervention."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from circuits import applied
from circuits.interventions.apply import settled
from circuits.interventions.kinds import Intervention
from interp.activations.capture import capture
from interp.hooked.base import HookedModel

Law = Callable[[HookedModel, Tensor, Intervention], None]


@torch.no_grad()
def run(model: HookedModel, inputs: Tensor, *interventions: Intervention) -> Tensor:
    """Logits under interventions."""
    with applied(model, list(interventions), strict=False):
        return model(inputs)


def assert_same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@torch.no_grad()  # torch's fused LSTM rounds otherwise where gradients are wanted
def none_changes_nothing(model: HookedModel, inputs: Tensor, intervention: Intervention) -> None:
    """An empty list leaves every bit as it was, before and after an intervention was in place."""
    clean = model(inputs)
    run(model, inputs, intervention)
    assert torch.equal(run(model, inputs), clean)


def leaving_restores(model: HookedModel, inputs: Tensor, intervention: Intervention) -> None:
    """After the block, and after an exception inside it, the model computes what it did, bit for bit."""
    clean, weights = model(inputs), {n: p.clone() for n, p in model.named_parameters()}
    run(model, inputs, intervention)
    assert torch.equal(model(inputs), clean)
    try:
        with applied(model, intervention):
            model(inputs)
            raise RuntimeError("in the middle")
    except RuntimeError:
        pass
    assert torch.equal(model(inputs), clean)
    assert all(torch.equal(p, weights[n]) for n, p in model.named_parameters())
    assert model.watched_sites() == []  # in a wrapped module too


def twice_is_once(model: HookedModel, inputs: Tensor, intervention: Intervention) -> None:
    """An ablation applied twice is applied once."""
    assert_same(run(model, inputs, intervention, intervention), run(model, inputs, intervention))


def inputs_are_left_alone(model: HookedModel, inputs: Tensor, intervention: Intervention) -> None:
    """An intervention makes a new tensor: what it was given is not written to."""
    for change, site in settled(model, [intervention]):
        activation = capture(model, inputs, site.name)[site.name]
        before = activation.clone()
        change.transform(activation, model.axes_of(site.name), site)
        assert torch.equal(activation, before)


def has_an_effect(model: HookedModel, inputs: Tensor, intervention: Intervention) -> None:
    """The logits move, or the law below would hold for an intervention that does nothing."""
    assert (run(model, inputs, intervention) - model(inputs)).abs().max() > 1e-6


def assert_commute(model: HookedModel, inputs: Tensor, one: Intervention, other: Intervention) -> None:
    """At different sites, or disjoint parts of one, the order in the list does not matter."""
    assert_same(run(model, inputs, one, other), run(model, inputs, other, one))


# has_an_effect is not a law of every ablation: a dead unit may have none
ABLATION_LAWS: tuple[Law, ...] = (none_changes_nothing, leaving_restores, twice_is_once, inputs_are_left_alone)


def check(law: Law, model: HookedModel, inputs: Tensor, intervention: Intervention) -> None:
    """Hold an intervention to a law; the failure names both."""
    try:
        law(model, inputs, intervention)
    except AssertionError as error:
        raise AssertionError(f"{intervention} breaks the law {law.__name__}: {error}") from error
