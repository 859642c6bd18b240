"""Laws and loop twins on six kinds of network: the batched experiment is one forward pass per intervention."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import interp
from circuits import (
    Ablate,
    Add,
    Fixed,
    Freeze,
    Keep,
    Mean,
    Patch,
    Remove,
    Resample,
    Scale,
    Zero,
    ablate,
    applied,
    attribute,
    patch,
)
from circuits.interventions.kinds import Intervention
from circuits.interventions.values import Value
from interp import InterpError, Site, Subject, capture
from probes.basis import Basis
from tests.circuits import laws
from tests.circuits.networks import KINDS, pair, score, subject

SPACE = ("pos", "row", "column")


def shape_of(one: Subject, place: str) -> dict[str, int]:
    """Sizes of a hook point's axes, by name."""
    activation = capture(one.model, one.require_task().inputs[:2], place)[place]
    return dict(zip(one.model.axes_of(place), activation.shape, strict=True))


@st.composite
def values(draw: st.DrawFn, one: Subject, axes: tuple[str, ...]) -> Value:
    """What takes a part's place: a reference set may have another size than the batch."""
    over = draw(st.sampled_from([("batch",), ("batch", *(a for a in axes if a in SPACE))]))
    reference = draw(st.sampled_from([None, one.require_task().inputs[:3]]))
    return draw(st.sampled_from([Zero(), Mean(over), Mean(over, reference=reference), Fixed(torch.tensor(1.5))]))


@st.composite
def ablations(draw: st.DrawFn, kind: str) -> Intervention:
    """Some part of some hook point by some value; a basis lies along ``unit``, wherever that axis is."""
    one, place = subject(kind), draw(st.sampled_from(KINDS[kind].places))
    sizes = shape_of(one, place)
    value = draw(values(one, tuple(sizes)))
    part = {}
    for axis in ("pos", "head"):
        if axis in sizes and draw(st.booleans()):
            part[axis] = draw(st.integers(0, sizes[axis] - 1))
    how = draw(st.sampled_from(["whole", "units", "basis", "remove", "keep"]))
    if how == "units":
        part["unit"] = draw(st.sets(st.integers(0, sizes["unit"] - 1), min_size=1).map(sorted))
    if how in ("whole", "units"):
        return Ablate(Site(place, **part), value)
    basis = Basis.random(draw(st.integers(1, max(1, sizes["unit"] // 2))), sizes["unit"], draw(st.integers(0, 9)))
    if how == "basis":
        return Ablate(Site(place, basis=basis, **part), value)
    return (Remove if how == "remove" else Keep)(Site(place, **part), basis, value)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_ablations_obey_the_laws(kind: str, data: st.DataObject) -> None:
    one, change = subject(kind), data.draw(ablations(kind))
    for law in laws.ABLATION_LAWS:
        laws.check(law, one.model, one.require_task().inputs[:6], change)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(data=st.data())
def test_laws_of_different_places(kind: str, data: st.DataObject) -> None:
    one, (first, other) = subject(kind), (data.draw(ablations(kind)) for _ in range(2))
    if first.site.name != other.site.name:  # type: ignore[union-attr]
        laws.assert_commute(one.model, one.require_task().inputs[:6], first, other)


def assert_equal(a: torch.Tensor, b: torch.Tensor) -> None:
    assert torch.equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_run_patched_with_itself_or_with_another(kind: str) -> None:
    """With itself nothing changes, bit for bit; the output of another run is that run's.

    A watched LSTM runs step by step, an unwatched one in torch's fused kernel, which rounds otherwise.
    """
    one = subject(kind)
    same = laws.assert_same if kind == "lstm" else assert_equal
    clean, corrupted = pair(one)
    last = list(one.model.hook_dict)[-1]
    runs = [capture(one.model, x, "*") for x in (clean, corrupted)]
    for place in KINDS[kind].places:
        same(laws.run(one.model, clean, Patch(place, runs[0][place])), one.model(clean))
        frozen = laws.run(one.model, corrupted, Ablate(place, Zero()), Freeze(place, runs[1][place]))
        same(frozen, one.model(corrupted))
    laws.assert_same(laws.run(one.model, corrupted, Patch(last, runs[0][last])), one.model(clean))


@pytest.mark.parametrize(("kind", "place"), [(k, p) for k in KINDS for p in KINDS[k].places])
@torch.no_grad()
def test_scaling_and_steering(kind: str, place: str) -> None:
    """Twice the activation is the activation added once more; a vector added is a value fixed where all was taken."""
    one = subject(kind)
    model, inputs, sizes = one.model, one.require_task().inputs[:1], shape_of(one, place)
    own = capture(model, inputs, place)[place]
    laws.assert_same(laws.run(model, inputs, Add(place, own)), laws.run(model, inputs, Scale(place, 2.0)))
    laws.assert_same(laws.run(model, inputs, Add(place, own, -1.0)), laws.run(model, inputs, Ablate(place, Zero())))
    laws.has_an_effect(model, one.require_task().inputs, Scale(place, 0.5))
    basis = Basis.random(2, sizes["unit"], seed=1)
    along = Site(place, basis=basis)
    steered = laws.run(model, inputs, Scale(along, 0.0), Add(along, torch.tensor([1.0, -2.0])))
    laws.assert_same(steered, laws.run(model, inputs, Ablate(along, Fixed(torch.tensor([1.0, -2.0])))))
    both = laws.run(model, inputs, Add(along, torch.tensor([3.0, 3.0])))
    for one_number in (torch.tensor(3.0), torch.tensor([3.0])):  # for each of the directions
        laws.assert_same(laws.run(model, inputs, Add(along, one_number)), both)


def loop(one: Subject, changes: list[Ablate | Remove]) -> np.ndarray:
    """Loss, right answers and KL, by one forward pass for each intervention."""
    task, rows = one.require_task(), []
    with torch.no_grad():
        clean = task.read(one.model(task.inputs)).log_softmax(-1)
        for change in changes:
            with applied(one, change, strict=False):
                logits = task.read(one.model(task.inputs))
            kl = (clean.exp() * (clean - logits.log_softmax(-1))).sum(-1).mean()
            rows.append([task.losses(logits).mean(), task.correct(logits).sum(), kl])
    return np.array(rows, dtype=float)


@pytest.mark.parametrize(
    "value", [Zero(), Mean(), Mean(reference="train"), Resample(2), Fixed(torch.tensor(0.7))], ids=str
)
@pytest.mark.parametrize(("kind", "place"), [(k, p) for k in KINDS for p in KINDS[k].places])
def test_ablate_equals_the_loop(kind: str, place: str, value: Value) -> None:
    """Every unit (channel, in a convolution), and directions of a basis."""
    one = subject(kind)
    sizes = shape_of(one, place)
    parts = [{"unit": u} for u in range(sizes["unit"])]
    if "head" in sizes:
        parts = [{"head": h, **u} for h, u in itertools.product(range(sizes["head"]), parts)]
    found = ablate(one, site=place, value=value, metric="kl")
    expected = loop(one, [Ablate(Site(place, **p), value) for p in parts])
    np.testing.assert_allclose(found[["loss", "correct", "kl"]].to_numpy(float), expected, rtol=1e-8, atol=1e-12)
    if "head" not in sizes:
        basis = Basis.random(2, sizes["unit"], seed=3)
        found = ablate(one, basis=basis, site=place, value=value, metric="kl")
        expected = loop(one, [Remove(place, basis.select([n]), value) for n in basis.names])
        np.testing.assert_allclose(found[["loss", "correct", "kl"]].to_numpy(float), expected, rtol=1e-8, atol=1e-12)


@torch.no_grad()
def patched(one: Subject, site: Site, share: float = 1.0) -> float:
    """The score of the corrupted run with so much of the clean run's difference at a site, by one forward pass."""
    clean, corrupted = pair(one)
    base, source = (capture(one.model, x, site.name)[site.name] for x in (corrupted, clean))
    with applied(one.model, Patch(site, base + share * (source - base)), strict=False):
        return float(score(one.model(corrupted)).mean())


@pytest.mark.parametrize(("kind", "place"), [(k, p) for k in KINDS for p in KINDS[k].places])
def test_patch_and_attribute_equal_the_loop(kind: str, place: str) -> None:
    """Every cell really patched; the estimate is the slope of really patching a little."""
    one = subject(kind)
    found = attribute(one, *pair(one), place, metric=score, verify=True).effects
    names = [c for c in ("pos", "head", "unit") if c in found]
    cells = [Site(place, **{c: int(row[c]) for c in names}) for _, row in found[names].iterrows()]
    whole = patch(one, *pair(one), place, metric=score).effects
    expected = np.array([patched(one, cell) for cell in cells])
    np.testing.assert_allclose(whole["score"], expected, rtol=1e-9)
    np.testing.assert_allclose(found["patched"], expected - found.attrs["corrupted"], rtol=1e-8, atol=1e-8)
    slope = [(patched(one, cell, 1e-5) - patched(one, cell, -1e-5)) / 2e-5 for cell in cells]
    np.testing.assert_allclose(found["effect"], slope, rtol=1e-4, atol=1e-5 * np.abs(slope).max() + 1e-9)


@pytest.mark.parametrize("kind", ["lstm", "conv"])
def test_a_network_without_named_components_says_what_to_do(kind: str) -> None:
    """Which of a foreign module's layers hold neurons is not ours to guess."""
    one, place = subject(kind), KINDS[kind].places[-1]
    with pytest.raises(InterpError, match=r"no neurons to ablate.*site="):
        ablate(one, "neurons")
    assert ablate(one, site=place)["component"].nunique() == shape_of(one, place)["unit"]


@pytest.mark.parametrize("kind", ["conv", pytest.param("bridge", marks=pytest.mark.slow)])
def test_a_report_on_a_wrapped_network(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever applies runs, and nothing fails: singular values, components, measures, ablation."""
    subject(kind)
    capsys.readouterr()
    outcomes = interp.analyze(subject(kind))
    assert {n: o.error for n, o in outcomes.items() if o.status == "failed"} == {}
    done = {n for n, o in outcomes.items() if o.status == "ok"}
    assert done >= {"performance", "progress", "ablation", "circuit", "components", "svd", "pca", "weights"}
    assert capsys.readouterr().out == ""
