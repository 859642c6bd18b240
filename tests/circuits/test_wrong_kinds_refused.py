"""Wrong kinds of argument: each is refused with what is needed and how to get it, or accepted where its meaning is clear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from circuits import (
    Ablate,
    Add,
    Basis,
    Experiment,
    Fixed,
    Freeze,
    Keep,
    Mean,
    Outcome,
    Patch,
    Remove,
    Resample,
    Scale,
    Zero,
    ablate,
    applied,
    attribute,
    freeze,
    intervene,
    patch,
    path_patch,
)  # fmt: skip
from interp import InterpError, Site, capture, wrap
from interp.errors import UnknownName
from probes.spectra import pca
from tests.circuits.networks import pair, score, subject, weights_of

ONE = subject("transformer")
MODEL, INPUTS = ONE.model, ONE.require_task().inputs
POST, Z = "blocks.0.mlp.hook_post", "blocks.0.attn.hook_z"
CLEAN, CORRUPTED = pair(ONE)


def under(network: Any, *changes: Any) -> torch.Tensor:
    with torch.no_grad(), applied(network, *changes):
        return MODEL(INPUTS)


def paths(one: Any, clean: Any = CLEAN, corrupted: Any = CORRUPTED, **options: Any) -> Any:
    options = {"sender": POST, "receivers": "hook_logits", "metric": score, **options}
    return path_patch(one, clean, corrupted, **options)


ON_A_NETWORK: dict[str, Callable[[Any], Any]] = {
    "ablate": lambda one: ablate(one, inputs=INPUTS, metric=score),
    "patch": lambda one: patch(one, CLEAN, CORRUPTED, Z, metric=score),
    "attribute": lambda one: attribute(one, CLEAN, CORRUPTED, Z, metric=score),
    "path_patch": paths,
    "intervene": lambda one: intervene(one, Ablate(POST), inputs=INPUTS, metric=score),
    "applied": lambda one: under(one, Ablate(POST)),
    "freeze": lambda one: freeze(one, INPUTS, POST),
    "Experiment.run": lambda one: Experiment("ablate", inputs=INPUTS, metric="kl").run(one),
}
NO_NETWORKS = {
    "class": (type(MODEL), "got the class HookedTransformer"), "path": ("run.pt", r"interp.load\('run.pt'\)"),
    "module": (nn.Linear(1, 1), r"interp.wrap\(module, example\)"), "weights": ({}, "load weights into their module"),
    "nothing": (None, "NoneType"), "list": ([ONE], "a list"),
}  # fmt: skip


@pytest.mark.parametrize("experiment", ON_A_NETWORK)
def test_a_subject_and_a_model_are_both_taken(experiment: str) -> None:
    """With the same result, where the task is not asked."""
    of_subject, of_model = ON_A_NETWORK[experiment](ONE), ON_A_NETWORK[experiment](MODEL)
    if experiment == "freeze":
        assert of_subject == of_model
    elif experiment == "applied":
        assert torch.equal(of_subject, of_model)
    else:
        tables = [getattr(found, "table", found) for found in (of_subject, of_model)]
        numbers = [table.select_dtypes("number").to_numpy(float) for table in tables]
        np.testing.assert_allclose(*numbers, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", NO_NETWORKS)
@pytest.mark.parametrize("experiment", ON_A_NETWORK)
def test_what_is_not_a_network_is_refused(experiment: str, kind: str) -> None:
    given, message = NO_NETWORKS[kind]
    with pytest.raises(InterpError, match=f"is needed, got .*{message}|is needed.*{message}"):
        ON_A_NETWORK[experiment](given)


ON_INPUTS: dict[str, Callable[[Any], Any]] = {
    "ablate": lambda x: ablate(ONE, inputs=x, metric=score),
    "intervene": lambda x: intervene(ONE, Ablate(POST), inputs=x, metric=score),
    "patch clean": lambda x: patch(ONE, x, CORRUPTED, Z, metric=score),
    "patch corrupted": lambda x: patch(ONE, CLEAN, x, Z, metric=score),
    "attribute": lambda x: attribute(ONE, x, CORRUPTED, Z, metric=score),
    "path_patch": lambda x: paths(ONE, x),
    "freeze": lambda x: freeze(ONE, x, POST),
}


@pytest.mark.parametrize("given", [CLEAN.tolist(), CLEAN.numpy(), "0 1", Zero], ids=["list", "array", "text", "class"])
@pytest.mark.parametrize("experiment", ON_INPUTS)
def test_inputs_that_are_no_tensor_are_refused(experiment: str, given: Any) -> None:
    with pytest.raises(InterpError, match=r"inputs must be a (Long)?[tT]ensor \[batch, .*\], got "):
        ON_INPUTS[experiment](given)


@pytest.mark.parametrize("experiment", ON_INPUTS)
def test_inputs_of_another_shape_or_beyond_the_vocabulary_are_refused(experiment: str) -> None:
    """One input without a batch, a single number, fractions, a token too many: never torch's own error."""
    one = experiment not in ("ablate", "intervene", "freeze")  # these align two batches
    for given, message in (
        (CLEAN[0], r"batch axis: inputs\[None\]|do not align"), (CLEAN[0, 0], r"single number|LongTensor"),
        (CLEAN.double(), r"whole numbers|do not align"), (CLEAN + 100, "token 10. is outside the model's vocabulary"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            ON_INPUTS[experiment](given)
    if one and experiment != "patch corrupted":
        with pytest.raises(InterpError, match=r"batch axis: inputs\[None\]"):
            patch(ONE, CLEAN[0], CORRUPTED[0], Z, metric=score)


@pytest.mark.parametrize("given", [Ablate, Zero(), Zero, "ablate", None, Site(POST), [Ablate(POST), Zero()]], ids=str)
@pytest.mark.parametrize("how", [under, lambda one, change: intervene(one, change)], ids=["applied", "intervene"])
def test_what_is_not_an_intervention_is_refused(how: Callable[..., Any], given: Any) -> None:
    with pytest.raises(
        InterpError, match=r"Ablate is a class: give an instance|an intervention is needed, such as circuits\.Ab"
    ):
        how(ONE, given)
    assert MODEL.watched_sites() == []


@pytest.mark.parametrize("make_it", [
    lambda v: Ablate(POST, v), lambda v: ablate(ONE, value=v),
    lambda v: Remove(POST, Basis.neurons(10, [1]), v), lambda v: Keep(POST, Basis.neurons(10, [1]), v),
], ids=["Ablate", "ablate", "Remove", "Keep"])  # fmt: skip
def test_values_that_are_refused(make_it: Callable[[Any], Any]) -> None:
    """A misspelt name is answered with the nearest, a class with an instance."""
    with pytest.raises(UnknownName, match="did you mean 'zero'"):
        make_it("zeros")
    with pytest.raises(InterpError, match=r"Zero is a class: give a value, Zero\(\)"):
        make_it(Zero)
    for wrong in (None, [1.0], Site(POST)):
        with pytest.raises(InterpError, match=r"a value is needed, circuits\.Mean\(\)"):
            make_it(wrong)


def test_names_and_numbers_are_values() -> None:
    """Where the meaning is clear."""
    assert Ablate(POST, "zero") == Ablate(POST, Zero())
    assert Ablate(POST, 0.5) == Ablate(POST, Fixed(torch.as_tensor(0.5)))


@pytest.mark.parametrize(("make_it", "message"), [
    (lambda: Patch(POST, [1.0]), r"from_ must be a tensor, got a list: .*capture\(model, inputs, 'blocks.0.mlp.hook_post'\)"),
    (lambda: Patch(Site(POST), capture(MODEL, INPUTS, POST)), "from_ must be a tensor, got an Activations"),
    (lambda: Freeze(POST, np.ones(3)), "from_ must be a tensor, got an? ndarray"),
    (lambda: Scale(POST, "2"), "the factor of Scale must be a number, got '2'"), (lambda: Scale(POST, None), "factor of Scale"),
    (lambda: Add(POST, [1.0]), "the vector of Add must be a tensor, got a list"),
    (lambda: Add(POST, torch.ones(10), "1"), "the scale of Add must be a number"),
    (lambda: Remove(POST, "pca"), "a Basis is needed, got a str"), (lambda: Keep(POST, Basis), "got the class Basis"),
    (lambda: Fixed(1.0), r"Fixed needs a tensor, such as torch\.as_tensor"),
    (lambda: Mean(3), "Mean averages over named axes"), (lambda: Mean(reference=[1]), r"a tensor of inputs \[n, \.\.\.\]"),
    (lambda: Resample("a"), "seed of Resample must be a whole number"),
])  # fmt: skip
def test_parts_of_interventions_are_refused_where_they_are_made(make_it: Callable[[], Any], message: str) -> None:
    with pytest.raises(InterpError, match=message):
        make_it()


@torch.no_grad()
def test_a_pca_and_rows_are_bases_everywhere() -> None:
    """On a site too: it is never taken for the whole site."""
    found = pca(capture(MODEL, INPUTS, POST)[POST].flatten(0, 1))
    basis = found.basis
    expected = under(ONE, Remove(POST, basis, Zero()))
    assert not torch.equal(expected, under(ONE, Ablate(POST, Zero())))
    for given in (found, basis.directions):
        assert torch.equal(under(ONE, Remove(POST, given, Zero())), expected)  # type: ignore[arg-type]
        assert torch.equal(under(ONE, Ablate(Site(POST, basis=given), Zero())), expected)  # type: ignore[arg-type]


@torch.no_grad()
def test_a_part_of_a_site_is_frozen() -> None:
    """The last position is held, the others are not."""
    held = freeze(ONE, INPUTS, Site("blocks.1.mlp.hook_post", pos=-1))
    with applied(ONE, [Ablate("blocks.0.hook_mlp_out", Zero()), *held]):
        found = capture(MODEL, INPUTS, "blocks.1.mlp.hook_post")["blocks.1.mlp.hook_post"]
    clean = capture(MODEL, INPUTS, "blocks.1.mlp.hook_post")["blocks.1.mlp.hook_post"]
    assert torch.equal(found[:, -1], clean[:, -1])
    assert not torch.allclose(found[:, 0], clean[:, 0])


def test_a_layer_that_runs_twice_has_no_one_activation_to_freeze() -> None:
    layer, vectors = nn.Linear(3, 3), torch.randn(4, 3)
    module = wrap(nn.Sequential(layer, nn.Tanh(), layer), vectors)
    with pytest.raises(InterpError, match=r"0\.hook_out fires several times"):
        freeze(module, vectors, "0.hook_out")


@pytest.mark.parametrize("experiment", [patch, attribute])
def test_axes_are_named(experiment: Callable[..., Any]) -> None:
    """The nearest is suggested, one needs no brackets, and the batch cannot be split."""
    for wrong in ("position", ["position"], ("head", "position")):
        with pytest.raises(
            UnknownName, match=rf"axis of {Z} 'position'; did you mean 'pos'\? \(known: head, pos, unit\)"
        ):
            experiment(ONE, CLEAN, CORRUPTED, Z, metric=score, by=wrong)
    for wrong in (3, [0], Site):
        with pytest.raises(InterpError, match="by takes names of axes"):
            experiment(ONE, CLEAN, CORRUPTED, Z, metric=score, by=wrong)
    with pytest.raises(InterpError, match="by cannot contain 'batch'"):
        experiment(ONE, CLEAN, CORRUPTED, Z, metric=score, by="batch")
    with pytest.raises(InterpError, match="by distinguishes each axis once"):
        experiment(ONE, CLEAN, CORRUPTED, Z, metric=score, by=("pos", "pos"))
    with pytest.raises(InterpError, match=r"pos 7 is outside an axis of \d"):
        experiment(ONE, CLEAN, CORRUPTED, Site(Z, pos=7), metric=score, by="pos")
    for nothing in (Site(Z, pos=[]), Site(Z, pos=slice(7, 9)), Site(Z, head=[])):
        with pytest.raises(InterpError, match="selects nothing of an activation"):
            experiment(ONE, CLEAN, CORRUPTED, nothing, metric=score, by="pos")
    one, several = (experiment(ONE, CLEAN, CORRUPTED, Z, metric=score, by=by).rows for by in ("pos", ["pos"]))
    assert one.equals(several)


@pytest.mark.parametrize(("options", "message"), [
    ({"kind": "neuron"}, "did you mean 'neurons'"), ({"kind": ["heads"]}, "did you mean 'heads'"),
    ({"groups": [1, 2]}, r"groups must be lists of indices, such as \[\[0, 1\]"), ({"groups": "ab"}, "groups must be lists"),
    ({"groups": 3}, "groups must be lists"), ({"groups": [[0.5]]}, "groups must be lists"),
    ({"groups": [[0, 1], [2, 2]]}, r"the group \[2, 2\] holds an index twice"),
    ({"n_random": "3"}, "n_random must be a whole number, got '3'"), ({"n_random": 2.5}, "n_random must be a whole"),
    ({"n_random": -1}, "n_random must be at least 0"), ({"n_random": 1, "seed": "a"}, "seed must be a whole number"),
    ({"max_bytes": "1"}, "max_bytes must be a whole"), ({"max_bytes": 0}, "max_bytes must be at least 1"),
    ({"progress": 3}, "progress must be a function"), ({"dtype": "float32"}, "dtype must be one of torch.float64"),
    ({"basis": Basis, "site": POST}, "got the class Basis"), ({"basis": Basis.neurons(10)}, "a basis and the site where"),
    ({"site": 3}, "a site is the name of a hook point"), ({"metric": ["kl"]}, "a metric is a name"),
    ({"metric": lambda out: "a"}, "the metric 'metric' returned 'a'"), ({"metric": lambda out: None}, "returned None"),
])  # fmt: skip
def test_options_of_ablate_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InterpError, match=message):
        ablate(ONE, **options)


def test_options_of_the_others_are_refused() -> None:
    for call, message in (
        (lambda: attribute(ONE, CLEAN, CORRUPTED, Z, integrated="3"), "integrated must be a whole number"),
        (lambda: attribute(ONE, CLEAN, CORRUPTED, Z, integrated=2.5), "integrated must be a whole number"),
        (lambda: patch(ONE, CLEAN, CORRUPTED, None), "a site is the name of a hook point"),
        (lambda: patch(ONE, CLEAN, CORRUPTED, Z, max_bytes=0), "max_bytes must be at least 1"),
        (lambda: patch(ONE, CLEAN, CORRUPTED, Z, progress=3), "progress must be a function"),
        (lambda: paths(ONE, receivers=None), "a site is the name of a hook point"),
        (lambda: paths(ONE, receivers=[]), "no sites were given"),
        (lambda: paths(ONE, sender=None), "a site is the name of a hook point"),
        (lambda: paths(ONE, through=None), "a site is the name of a hook point"),
        (lambda: intervene(ONE, Ablate(POST), metric=[]), "no metric was given"),
        (lambda: Experiment(3), "unknown experiment '3'"), (lambda: Outcome.load(3), "the path of a file is needed, got 3"),
        (lambda: ablate(ONE).save(3), "the path of a file is needed, got 3"),
        (lambda: Experiment("ablate", kind="heads").run(ONE).difference(3), "compared with an Outcome, got an int"),
    ):  # fmt: skip
        weights = weights_of(ONE)
        with pytest.raises(InterpError, match=message):
            call()  # type: ignore[no-untyped-call]
        assert all(torch.equal(p, weights[n]) for n, p in MODEL.named_parameters())
