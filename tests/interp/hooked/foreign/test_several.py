"""Modules that take several inputs, with flags, and return more than one tensor: against the module called by hand."""

from __future__ import annotations

import runpy
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import circuits
import interp
import probes
from interp import Inputs, InterpError
from tests.conftest import ROOT

CASES = ROOT.parent / "shared" / "cases"
A, B = torch.arange(49) // 7, torch.arange(49) % 7


class Sum(nn.Module):
    """Modular addition of two operands, each an input of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mid, self.head = nn.Embedding(7, 8), nn.Linear(16, 12), nn.Linear(12, 7)

    def forward(self, a: Tensor, b: Tensor, scale: float = 1.0, *, negate: bool = False) -> Tensor:
        out = self.head(self.mid(torch.cat([self.embed(a), self.embed(b)], -1)).relu() * scale)
        return -out if negate else out


@dataclass
class Output:
    """As libraries return it."""

    loss: Tensor | None
    hidden: Tensor
    probabilities: Tensor


class Several(nn.Module):
    """Returns a container of the kind asked for."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layer, self.kind = nn.Linear(4, 3), kind

    def forward(self, x: Tensor) -> Any:
        hidden = self.layer(x)
        out = {"hidden": hidden, "probabilities": hidden.softmax(-1)}
        if self.kind == "tuple":
            return tuple(out.values())
        if self.kind == "dataclass":
            return Output(None, **out)
        return OrderedDict(out)


def net() -> Sum:
    torch.manual_seed(0)
    return Sum().double().eval()


def by_hand(module: Sum, *inputs: Any, **kwargs: Any) -> list[float]:
    """The cross-entropy with each of the middle units at its mean, by the plain loop."""
    losses = []
    with torch.no_grad():
        mean = module.mid(torch.cat([module.embed(A), module.embed(B)], -1)).mean(0)
        for unit in range(12):
            handle = module.mid.register_forward_hook(
                lambda _m, _i, out, u=unit: out.index_fill(1, torch.tensor([u]), mean[u])
            )
            try:
                losses.append(float(nn.functional.cross_entropy(module(*inputs, **kwargs), (A + B) % 7)))
            finally:
                handle.remove()
    return losses


FORMS: dict[str, tuple[Any, dict[str, Any], Any]] = {  # example, kwargs, how the module is called by hand
    "positional": ((A, B), {}, {}),
    "list": ([A, B], {}, {}),
    "keywords": ({"a": A, "b": B}, {}, {}),
    "out of order": ({"b": B, "a": A}, {}, {}),
    "both": (Inputs(A, b=B), {}, {}),
    "flags": ((A, B, 0.5), {"kwargs": {"negate": True}}, {"scale": 0.5, "negate": True}),
    "kwargs": (A, {"kwargs": {"b": B, "negate": True}}, {"negate": True}),
}


@pytest.mark.parametrize("form", FORMS)
def test_ablated_as_by_hand(form: str) -> None:
    """In whatever way the inputs are given; flags stay flags."""
    example, options, called = FORMS[form]
    module = net()
    model = interp.wrap(module, example, **options)
    assert model.axes_of("mid.hook_out") == ("batch", "unit")
    given = Inputs(A, b=B) if form == "kwargs" else example
    subject = interp.Subject("sum", model, interp.Examples(given, (A + B) % 7))
    found = circuits.ablate(subject, site="mid.hook_out")
    torch.testing.assert_close(torch.tensor(found.loss.tolist()), torch.tensor(by_hand(module, A, B, **called)))
    assert torch.equal(model(given), module(A, B, **called))
    acts = interp.capture(model, given, "mid.hook_out", batch_size=10)["mid.hook_out"]
    assert torch.equal(acts, module.mid(torch.cat([module.embed(A), module.embed(B)], -1)))


def test_patched_and_attributed() -> None:
    """Clean and corrupted are two batches of pairs; their answers are found in the task."""
    module = net()
    model = interp.wrap(module, (A, B))
    subject = interp.Subject("sum", model, interp.Examples((A, B), (A + B) % 7))
    clean, corrupted = (A[:20], B[:20]), (A[:20], (B[:20] + 1) % 7)
    found = circuits.patch(subject, clean, corrupted, "mid.hook_out", metric="logit_diff", by="unit")
    middle = [module.mid(torch.cat([module.embed(a), module.embed(b)], -1)) for a, b in (clean, corrupted)]
    right, wrong = (A + B)[:20] % 7, (A + B)[:20].add(1) % 7
    for unit in range(12):
        mixed = middle[1].clone()
        mixed[:, unit] = middle[0][:, unit]
        out = module.head(mixed.relu())
        expected = (out.gather(1, right[:, None]) - out.gather(1, wrong[:, None])).mean()
        torch.testing.assert_close(torch.tensor(found.effects["logit_diff"][unit]), expected.detach())
    slopes = circuits.attribute(subject, clean, corrupted, "mid.hook_out", by="unit", integrated=200).effects["effect"]
    whole = circuits.patch(subject, clean, corrupted, "mid.hook_out", by=()).effects
    assert float(slopes.sum()) == pytest.approx(float(whole["logit_diff"][0]) - whole.attrs["corrupted"], abs=1e-3)
    with pytest.raises(InterpError, match="do not align"):
        circuits.patch(subject, clean, (A[:20],), "mid.hook_out")
    with pytest.raises(InterpError, match="are the same"):
        circuits.patch(subject, clean, clean, "mid.hook_out")


def test_inputs_in_nested_containers() -> None:
    """A dict as the one argument, tensors within; what has no axes is left alone."""

    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, batch: dict[str, Any], power: Tensor) -> Tensor:
            return self.layer(batch["x"] + batch["parts"][0]) ** power

    x, y, module = torch.arange(24.0).reshape(6, 4), torch.ones(6, 4), Nested()
    given = ({"x": x, "parts": [y, None]}, torch.tensor(2))
    model = interp.wrap(module, given)
    assert torch.equal(model(given), module(*given))
    assert torch.equal(interp.capture(model, given, "hook_out", batch_size=4)["hook_out"], module(*given))


@pytest.mark.parametrize("kind", ["tuple", "dict", "dataclass"])
def test_which_output_counts(kind: str) -> None:
    """The first tensor, said; or the one asked for by index, key or field."""
    module, x = Several(kind).eval(), torch.arange(20.0).reshape(5, 4) / 20
    hidden = module.layer(x)
    model = interp.wrap(module, x)
    assert torch.equal(model(x), hidden)
    first, second = ("0", "1") if kind == "tuple" else ("hidden", "probabilities")
    assert (
        f"its output is {first}, of several (wrap(..., output=...) chooses another); the others: {second}"
        in model.notes
    )
    other = interp.wrap(module, x, output=1 if kind == "tuple" else second)
    assert torch.equal(other(x), hidden.softmax(-1))
    assert f"its output is {second}, of several (as asked); the others: {first}" in other.notes
    torch.testing.assert_close(other.cast(torch.float64)(x.double()).float(), hidden.softmax(-1))
    with pytest.raises(InterpError, match=f"returns no tensor 'logits'; it returns {first}, {second}"):
        interp.wrap(module, x, output="logits")


def test_what_does_not_fit_is_refused() -> None:
    """Lengths that differ, no tensor, a module that does not take these names; inputs of one of our models."""
    module = net()
    with pytest.raises(InterpError, match=r"different numbers of examples along their first axis \(0: 49, 1: 48\)"):
        interp.wrap(module, (A, B[1:]))
    with pytest.raises(InterpError, match="the Sum cannot run on inputs .*unexpected keyword argument 'c'"):
        interp.wrap(module, {"a": A, "c": B})
    with pytest.raises(InterpError, match="must be a tensor .*, got tuple"):
        interp.wrap(module, (1, 2))
    with pytest.raises(InterpError, match="kwargs must be a dict"):
        interp.wrap(module, A, kwargs=[B])  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="at least one tensor"):
        Inputs(3)
    with pytest.raises(InterpError, match="at least 2 inputs"):
        interp.wrap(module, (A[:1], B[:1]))
    ours = interp.HookedMLP(interp.MLPConfig((4,), 3, d_in=2)).init_weights(seed=0)
    with pytest.raises(InterpError, match="a HookedMLP takes one tensor"):
        interp.capture(ours, (torch.ones(2, 2), torch.ones(2, 2)), "*")


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}")
def test_the_case_of_two_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    """Two positional tensors: the hook points are found."""
    runpy.run_path(str(CASES / "two_inputs" / "run.py"))
    assert "head.hook_out" in capsys.readouterr().out


class Two(nn.Module):
    """Two vectors in, two tensors out; the first counts."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 6), nn.Linear(5, 6), nn.Linear(12, 4)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.cat([self.a(x).relu(), self.b(y).relu()], -1)
        return self.c(z), z


def pair_of_networks() -> tuple[Two, Any, Any, Any]:
    """A module, a subject of it, and clean and corrupted inputs as plain tuples."""
    torch.manual_seed(0)
    module = Two().double().eval()
    inputs = (torch.randn(40, 3, dtype=torch.float64), torch.randn(40, 5, dtype=torch.float64))
    task = interp.Examples(inputs, torch.randint(4, (40,)), train=range(20))  # type: ignore[arg-type]
    subject = interp.Subject("two", interp.wrap(module, inputs), task)
    return module, subject, tuple(t[:20] for t in inputs), tuple(t[20:] for t in inputs)


def test_values_are_made_of_several_inputs() -> None:
    module, subject, clean, corrupted = pair_of_networks()
    hidden = {name: module(*given)[1].detach() for name, given in (("clean", clean), ("corrupted", corrupted))}
    site, labels = interp.Site("c.hook_in", unit=2), subject.task.labels[:20]
    for value, kept in (
        (circuits.Mean(reference=corrupted), hidden["corrupted"][:, 2].mean()),
        (circuits.Mean(reference="test"), hidden["corrupted"][:, 2].mean()),
        (circuits.Counterfactual(corrupted), hidden["corrupted"][:, 2]),
    ):
        changed = hidden["clean"].clone()
        changed[:, 2] = kept
        loss = nn.functional.cross_entropy(module.c(changed), labels).item()
        for found in (
            circuits.intervene(subject, circuits.Ablate(site, value), inputs=clean, metric="loss")["changed"][0],
            circuits.ablate(subject, site="c.hook_in", value=value, inputs=clean)["loss"][2],
        ):
            assert found == pytest.approx(loss, abs=1e-12)
    assert circuits.Counterfactual(corrupted) == circuits.Counterfactual(Inputs(*corrupted))
    assert repr(circuits.Mean(reference=clean)).endswith("reference=Inputs([20, 3] of float64, [20, 5] of float64))")


def test_every_experiment_on_a_site_takes_several_inputs() -> None:
    _, subject, clean, corrupted = pair_of_networks()
    site, answers = "c.hook_in", subject.task.labels[20:]
    by_path = circuits.integrated_gradients(subject, clean, corrupted, site=site, steps=4)
    ends = circuits.path_patch(subject, clean, corrupted, sender=site, receivers="c.hook_out")
    assert by_path.nodes["effect"].sum() == pytest.approx(ends.corrupted - ends.clean, abs=1e-9)  # the site is a cut
    assert len(circuits.ablate_pairs(subject, site=site).rows) == 12 * 11 // 2
    assert len(circuits.component_curve(subject, site, amounts=[2, 12])) == 2
    assert 0 <= circuits.das(subject, site, clean, corrupted, answers, steps=2, n_random=1).accuracy <= 1


def test_an_experiment_of_several_inputs_is_stored_and_run_again(tmp_path: Path) -> None:
    _, subject, clean, corrupted = pair_of_networks()
    for experiment in (
        circuits.Experiment("ablate", site="c.hook_in", inputs=clean, metric="kl"),
        circuits.Experiment("ablate", site="c.hook_in", value=circuits.Mean(reference=corrupted)),
        circuits.Experiment("patch", clean=clean, corrupted=Inputs(*corrupted), sites="c.hook_in"),
    ):
        outcome = experiment.run(subject)
        again = circuits.Outcome.load(outcome.save(tmp_path / "kept.safetensors"))
        assert again.difference(again.experiment.run(subject)) == 0
        assert "Inputs(" in repr(again.experiment)
        assert "0." not in repr(again.experiment)  # shapes, not the numbers themselves


def test_networks_of_several_inputs_are_compared() -> None:
    _, one, clean, _ = pair_of_networks()
    torch.manual_seed(1)
    other = interp.Subject("other", interp.wrap(Two().double(), clean), one.task)
    found = probes.similarity_map({"one": one, "other": other}, draws=1)
    assert found.table["value"].notna().all()
    given = circuits.stitch(one, other, "c.hook_in", inputs=clean, n_random=1)
    assert len(given.rows) == 2
    fewer = interp.Examples(clean, one.task.labels[:20])  # type: ignore[arg-type]
    with pytest.raises(
        interp.MissingCapability, match=r"do not agree \(two: Inputs\(\[40, 3\].*other: Inputs\(\[20, 3\]"
    ):
        circuits.stitch(one, interp.Subject("other", other.model, fewer))
