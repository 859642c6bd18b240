"""Interventions obey their laws on transformers and MLPs; broken ones are caught by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from circuits import Ablate, Fixed, Keep, Mean, Patch, Remove, Resample, Scale, Zero, applied
from circuits.interventions.kinds import Intervention
from circuits.interventions.values import Value
from interp import Site
from interp.hooked.base import HookedModel
from probes.basis import Basis
from tests.circuits import laws
from tests.models import P, make

PAIRS = torch.cartesian_prod(torch.arange(P), torch.arange(P))
WITH_EQUALS = torch.cat([PAIRS, torch.full((P * P, 1), P)], 1)

# model, hook points of different kinds in it
PLACES = {
    "two layers": (
        "blocks.0.mlp.hook_post",
        "blocks.1.attn.hook_z",
        "blocks.0.hook_resid_mid",
        "blocks.1.hook_mlp_out",
    ),
    "layer norm": ("blocks.0.attn.hook_z", "blocks.1.hook_resid_pre", "blocks.1.mlp.hook_pre"),
    "deep": ("hook_embed", "layers.0.hook_post", "layers.1.hook_pre", "layers.2.hook_post"),
    "per operand": ("hook_input", "layers.0.hook_post"),
}


def inputs_of(model: str) -> Tensor:
    return WITH_EQUALS if "layer" in model else PAIRS


@st.composite
def ablations(draw: st.DrawFn) -> tuple[str, Intervention]:
    """A model and an ablation of some part of it by some value."""
    name = draw(st.sampled_from(sorted(PLACES)))
    model, place = make(name), draw(st.sampled_from(PLACES[name]))
    axes = model.axes_of(place)
    _, cache = model.run_with_cache(inputs_of(name)[:1], names_filter=place)
    shape = cache[place].shape
    width = shape[-1]
    over = draw(st.sampled_from([("batch",), ("batch", "pos")] if "pos" in axes else [("batch",)]))
    value: Value = draw(st.sampled_from([Zero(), Mean(over), Fixed(torch.tensor(1.5))]))
    part = {}
    if draw(st.booleans()) and "pos" in axes:
        part["pos"] = -1  # the position whose logits are compared
    if draw(st.booleans()) and "head" in axes:
        part["head"] = draw(st.integers(0, shape[-2] - 1))
    kind = draw(st.sampled_from(["whole", "units", "basis", "remove", "keep"]))
    if kind == "units":
        part["unit"] = list(range(draw(st.integers(1, width))))
    if kind in ("whole", "units"):
        return name, Ablate(Site(place, **part), value)
    basis = Basis.random(draw(st.integers(1, max(1, width // 2))), width, draw(st.integers(0, 9)))
    if kind == "basis":
        return name, Ablate(Site(place, basis=basis, **part), value)
    if kind == "remove":
        return name, Remove(Site(place, **part), basis, value)
    return name, Keep(Site(place, **part), basis, Zero() if "pos" in over else value)


@given(ablations())
def test_ablations_obey_the_laws(case: tuple[str, Intervention]) -> None:
    """Every kind of ablation, at every kind of place, by every value."""
    name, intervention = case
    for law in laws.ABLATION_LAWS:
        laws.check(law, make(name), inputs_of(name), intervention)


@given(ablations(), ablations())
def test_different_places_commute(one: tuple[str, Intervention], other: tuple[str, Intervention]) -> None:
    """Two ablations at different hook points of one model: their order in the list is not the order of execution."""
    if one[0] == other[0] and one[1].site.name != other[1].site.name:  # type: ignore[union-attr]
        laws.assert_commute(make(one[0]), inputs_of(one[0]), one[1], other[1])


@pytest.mark.parametrize("value", [Zero(), Mean(), Resample(1), Fixed(torch.tensor(2.0))], ids=str)
def test_disjoint_parts_of_one_place_commute(value: Value) -> None:
    """Units 0-3 and units 4-9; head 0 and head 2."""
    place = "blocks.0.mlp.hook_post"
    parts = Ablate(Site(place, unit=slice(0, 4)), value), Ablate(Site(place, unit=slice(4, 10)), value)
    laws.assert_commute(make("plain"), WITH_EQUALS, *parts)
    heads = [Ablate(Site("blocks.0.attn.hook_z", head=h), value) for h in (0, 2)]
    laws.assert_commute(make("plain"), WITH_EQUALS, *heads)


@pytest.mark.parametrize("name", sorted(PLACES))
def test_patching_a_run_with_itself_changes_nothing(name: str) -> None:
    """At every hook point, bit for bit; along a basis, to rounding."""
    model, inputs = make(name), inputs_of(name)
    clean, cache = model.run_with_cache(inputs)
    for place, activation in cache.items():
        assert torch.equal(laws.run(model, inputs, Patch(place, activation)), clean)
        if model.axes_of(place)[-1] == "unit":
            basis = Basis.random(min(2, activation.shape[-1]), activation.shape[-1], seed=0)
            laws.assert_same(laws.run(model, inputs, Patch(Site(place, basis=basis), activation)), clean)


@pytest.mark.parametrize("name", sorted(PLACES))
def test_patching_everything_gives_the_other_run(name: str) -> None:
    """A patch of the last hook point is the other run's output."""
    model, inputs = make(name), inputs_of(name)
    other, cache = model.run_with_cache(inputs.flip(0))
    assert torch.equal(laws.run(model, inputs, Patch("hook_logits", cache["hook_logits"])), other)


def test_scaling() -> None:
    """By 1 nothing; by 2 and then by 1/2 nothing; by 0 is zero ablation; along a basis only there."""
    model, place = make("plain"), "blocks.0.mlp.hook_post"
    clean = model(WITH_EQUALS)
    laws.assert_same(laws.run(model, WITH_EQUALS, Scale(place, 1.0)), clean)
    laws.assert_same(laws.run(model, WITH_EQUALS, Scale(place, 2.0), Scale(place, 0.5)), clean)
    laws.assert_same(
        laws.run(model, WITH_EQUALS, Scale(place, 0.0)), laws.run(model, WITH_EQUALS, Ablate(place, Zero()))
    )
    basis = Basis.random(3, 10, seed=1)
    scaled = laws.run(model, WITH_EQUALS, Scale(Site(place, basis=basis), 0.0))
    laws.assert_same(scaled, laws.run(model, WITH_EQUALS, Remove(place, basis, Zero())))


def test_keep_and_remove_are_complements() -> None:
    """Keeping a basis is removing the rest: the two parts of an activation add up to it."""
    place, basis = "hook_logits", Basis.random(3, P, seed=2)
    model = make("plain")
    kept, removed = (laws.run(model, WITH_EQUALS, k(place, basis, Zero())) for k in (Keep, Remove))
    laws.assert_same(kept + removed, model(WITH_EQUALS))
    everything = Basis.random(P, P, seed=3)
    laws.assert_same(laws.run(model, WITH_EQUALS, Keep(place, everything, Zero())), model(WITH_EQUALS))


def test_neurons_as_a_basis_are_units() -> None:
    """Removing the directions of units 1 and 4 is ablating them."""
    place, model = "blocks.0.mlp.hook_post", make("plain")
    for value in (Zero(), Mean()):
        as_units = laws.run(model, WITH_EQUALS, Ablate(Site(place, unit=[1, 4]), value))
        as_basis = laws.run(model, WITH_EQUALS, Remove(place, Basis.neurons(10, [1, 4]), value))
        laws.assert_same(as_units, as_basis)


def test_resample_keeps_the_distribution() -> None:
    """The ablated activations are the clean ones in another order, and the seed decides which."""
    model, place = make("plain"), "blocks.0.mlp.hook_post"
    _, clean = model.run_with_cache(WITH_EQUALS, names_filter=place)
    found = []
    for seed in (0, 0, 1):
        with applied(model, Ablate(place, Resample(seed))):
            found.append(model.run_with_cache(WITH_EQUALS, names_filter=place)[1][place])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    torch.testing.assert_close(found[0].sort(0).values, clean[place].sort(0).values)


@dataclass(frozen=True, eq=False)
class Broken(Intervention):
    """An intervention with a fault, to see that a law catches it."""

    site: str
    fault: Callable[[Tensor], Tensor]

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        return self.fault(activation)


def drift(activation: Tensor) -> Tensor:
    return activation + 1


def in_place(activation: Tensor) -> Tensor:
    return activation.mul_(0)


def idle(activation: Tensor) -> Tensor:
    return activation.clone()


class Leaky:
    """Changes a weight of the model while it runs."""

    def __init__(self, model: HookedModel):
        self.model = model

    def __call__(self, activation: Tensor) -> Tensor:
        with torch.no_grad():
            self.model.W_U.mul_(1.01)
        return activation * 0


def test_broken_interventions_fail_the_laws() -> None:
    """One that drifts is not idempotent, one in place writes to its input, an idle one has no effect, a leaky one stays."""
    place, model = "blocks.0.mlp.hook_post", make("plain")
    for law, fault in (
        (laws.twice_is_once, drift), (laws.inputs_are_left_alone, in_place), (laws.has_an_effect, idle),
        (laws.leaving_restores, Leaky(model)), (laws.none_changes_nothing, Leaky(model)),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            law(model, WITH_EQUALS, Broken(place, fault))
    with pytest.raises(AssertionError):
        laws.assert_commute(model, WITH_EQUALS, Broken(place, drift), Ablate(place, Zero()))
