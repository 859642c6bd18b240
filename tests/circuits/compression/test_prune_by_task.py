"""`prune` of MLPs and transformers: planted dead, constant and unneeded parts go, and the answers stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from circuits import Ablate, Mean, ablate, applied
from circuits.compression.derived import scores_of
from circuits.compression.prune import prune
from circuits.compression.prune_by_task import Compacted, compacted
from circuits.compression.prune_image import Pruned
from interp import HookedMLP, HookedTransformer, InterpError, MLPConfig, ModularArithmetic, Site, Subject
from interp.errors import MissingCapability
from interp.scores import score
from interp.subject import table_logits
from interp.tasks import Examples
from tests.circuits.cppns import sparse
from tests.models import P, make, subject


def logits(one: Subject) -> Tensor:
    """Of the whole model at all positions, read by the task: another route than the reader's."""
    task = one.require_task()
    with torch.no_grad():
        return task.read(one.model(task.inputs))


def edited(name: str, **parameters: Tensor) -> Subject:
    """A model of the table with parameters replaced; ``__`` stands for a dot."""
    one = subject(name)
    weights = dict(one.model.state_dict())
    for key, value in parameters.items():
        weights[key.replace("__", ".")] = value.double()
    model = type(one.model).from_weights(one.model.config, weights)
    return Subject(name, model, one.task)


def by_hand(**config: bool) -> Subject:
    """x = (a, b) of a mod 2 pair; of six units only two differ and count.

    Unit 0 is a + b, unit 1 relu(a + b - 1); 2 is dead (bias -9), 3 constant 5, 4 leads nowhere, 5 a copy of 0.
    """
    W = torch.tensor([[1.0, 1, 0, 0, 1, 1], [1, 1, 0, 0, 2, 1]])
    b = torch.tensor([0.0, -1, -9, 5, 0, 0])
    W_U = torch.tensor([[0.0, 1], [0, -4], [7, 7], [0.5, -0.25], [0, 0], [0, 1]])
    weights = {"embed.W_E": torch.tensor([[0.0], [1.0]]), "layers.0.W": W, "layers.0.b": b,
               "unembed.W_U": W_U, "unembed.b_U": torch.tensor([0.0, -1.0])}  # fmt: skip
    if not config.get("unembed_bias", True):
        del weights["unembed.b_U"]
    model = HookedMLP.from_weights(MLPConfig((6,), 2, d_vocab=2, d_embed=1, **config), weights)
    return Subject("by hand", model.double(), ModularArithmetic(2, "add", 0.5).fit(model))


def test_by_hand() -> None:
    """Dead, constant and unread units go; the constant 5 is in the bias; the copy stays."""
    one = by_hand()
    found = compacted(one)
    model = found.subject.model
    assert isinstance(model, HookedMLP)
    assert (found.units, found.units_before, model.config.hidden) == (3, 6, (3,))
    torch.testing.assert_close(model.layer(0).W, torch.tensor([[1.0, 1, 1], [1, 1, 1]]).double(), rtol=0, atol=0)
    torch.testing.assert_close(model.unembed.b_U, torch.tensor([2.5, -2.25]).double(), rtol=0, atol=0)
    assert (found.parameters, found.parameters_before) == (2 + 6 + 3 + 6 + 2, 2 + 12 + 6 + 12 + 2)
    assert found.difference == 0
    assert found.heads == found.heads_before == 0
    assert torch.equal(logits(found.subject), logits(one))


def test_what_has_no_bias_to_take_it_stays() -> None:
    """Without a bias in the unembedding the constant unit cannot go."""
    one = by_hand(unembed_bias=False)
    found = compacted(one)
    assert found.units == 4
    assert torch.equal(logits(found.subject), logits(one))
    with pytest.raises(InterpError, match="no bias follows"):
        compacted(one, keep_accuracy=0.0)


def test_what_leads_only_to_what_goes_goes_too() -> None:
    """Three layers in a row: a unit read only by a dead unit, and one read only by that."""
    one = subject("deep")
    weights = {n: w.clone() for n, w in one.model.state_dict().items()}
    weights["unembed.W_U"][2] = 0
    weights["layers.2.W"][[1, 5]] = 0
    weights["layers.2.W"][[1, 5], 2] = 3.0  # units 1 and 5 of layer 1 reach nothing but unit 2 of layer 2
    weights["layers.1.W"][4] = 0
    weights["layers.1.W"][4, 5] = 1.0  # and unit 4 of layer 0 nothing but unit 5 of layer 1
    weights["layers.1.W"][:, 7], weights["layers.1.b"][7] = 0, 0.3  # a constant in the middle
    one = Subject("chain", HookedMLP.from_weights(one.model.config, weights), one.task)
    found = compacted(one)
    assert found.subject.model.config.hidden == (8, 5, 5)  # type: ignore[attr-defined]
    torch.testing.assert_close(logits(found.subject), logits(one), rtol=0, atol=1e-12)
    assert found.difference < 1e-12
    again = compacted(found.subject)
    assert (again.units, again.parameters) == (found.units, found.parameters)


@pytest.mark.parametrize("name", ["shared sum", "deep", "per operand", "plain", "two layers", "layer norm", "bidirectional",
                                  "norm last", "gated",
                                  "no mlp", "product", "folded norm"])  # fmt: skip
def test_a_random_network_keeps_what_it_does(name: str) -> None:
    """Nothing of a random smooth network is idle; of a relu network what goes changes nothing."""
    one = subject(name)
    found = compacted(one)
    torch.testing.assert_close(logits(found.subject), logits(one), rtol=1e-11, atol=1e-11)
    assert found.scores.accuracy == found.scores_before.accuracy == scores_of(one).accuracy
    assert found.heads == found.heads_before


@pytest.mark.parametrize("name", ["two layers", "layer norm", "norm last", "folded norm"])
def test_unneeded_heads_and_neurons_of_a_transformer(name: str) -> None:
    """A head that writes nothing, another that always writes the same, dead and constant neurons; layers are padded."""
    one = subject(name)
    weights = {n: w.clone() for n, w in one.model.state_dict().items()}
    biased = "blocks.0.attn.b_O" in weights
    weights["blocks.0.attn.W_O"][1] = 0
    weights["blocks.0.attn.W_V"][2] = 0  # writes its b_V alone, or 0
    weights["blocks.0.mlp.W_in"][:, [0, 3]] = 0
    weights["blocks.0.mlp.b_in"][[0, 3]] = torch.tensor([-50.0, 2.0]).double()
    weights["blocks.0.mlp.W_out"][5] = 0
    last = one.model.config.n_layers - 1  # type: ignore[attr-defined]
    one = Subject(name, HookedTransformer.from_weights(one.model.config, weights), one.task)
    found = compacted(one)
    model = found.subject.model
    assert isinstance(model, HookedTransformer)
    assert found.heads == found.heads_before - 2
    assert found.units <= found.units_before - 3
    assert model.config.n_heads == (1 if last == 0 else 3)
    assert biased == one.model.config.attn_bias  # type: ignore[attr-defined]
    torch.testing.assert_close(logits(found.subject), logits(one), rtol=1e-11, atol=1e-11)
    if last:  # the first layer keeps one head, the second all three: the first is padded with zeros
        assert not model.block(0).attn.W_O[1:].any()
        assert not model.block(0).attn.W_V[1:].any()
    wrong = {n: w.clone() for n, w in model.state_dict().items()}
    wrong["blocks.0.mlp.b_out"][0] += 0.1
    broken = Subject("broken", HookedTransformer.from_weights(model.config, wrong), one.task)
    assert (logits(broken) - logits(one)).abs().max() > 1e-4  # the comparison sees a bias that is not folded


def test_a_layer_of_which_everything_goes() -> None:
    """One idle slot is kept, and the bias alone answers."""
    one = subject("shared concat")
    weights = {n: w.clone() for n, w in one.model.state_dict().items()}
    weights["layers.0.b"].fill_(-1e3)
    one = Subject("dead", HookedMLP.from_weights(one.model.config, weights), one.task)
    found = compacted(one)
    assert (found.units, found.subject.model.config.hidden) == (0, (1,))  # type: ignore[attr-defined]
    torch.testing.assert_close(logits(found.subject), weights["unembed.b_U"].expand(P * P, P), rtol=0, atol=1e-12)
    one = edited("plain", blocks__0__attn__W_O=torch.zeros(3, 4, 12), blocks__0__mlp__W_out=torch.zeros(10, 12))
    found = compacted(one)
    assert (found.units, found.heads) == (0, 0)
    assert (found.subject.model.config.n_heads, found.subject.model.config.d_mlp) == (1, 1)  # type: ignore[attr-defined]
    torch.testing.assert_close(logits(found.subject), logits(one), rtol=0, atol=1e-12)


def test_no_hidden_layer() -> None:
    """Nothing to remove, by either route."""
    model = HookedMLP(MLPConfig((), P, d_vocab=P, d_embed=5)).double().init_weights(0)
    one = Subject("linear", model, ModularArithmetic(P).fit(model))
    for found in (compacted(one), compacted(one, 0.0)):
        assert (found.units, found.difference) == (0, 0)


def trained_like() -> Subject:
    """Answers (a + b) mod 5 by 25 lookup units, one a pair, beside 10 that write noise; every pair is right."""
    p, noise = 5, torch.Generator().manual_seed(3)
    W_E, pairs = torch.eye(p), [(a, b) for a in range(p) for b in range(p)]
    W, b = 0.5 * torch.rand(2 * p, p * p + 10, generator=noise), torch.zeros(p * p + 10)
    W_U = 0.1 * torch.randn(p * p + 10, p, generator=noise)
    for i, (x, y) in enumerate(pairs):
        W[:, i], b[i], W_U[i] = 0, -1.0, 0
        W[x, i] = W[p + y, i] = 1.0
        W_U[i, (x + y) % p] = 4.0
    weights = {"embed.W_E": W_E, "layers.0.W": W, "layers.0.b": b, "unembed.W_U": W_U, "unembed.b_U": torch.zeros(p)}
    config = MLPConfig((p * p + 10,), p, d_vocab=p, d_embed=p)
    model = HookedMLP.from_weights(config, {k: v.double() for k, v in weights.items()})
    return Subject("lookup", model, ModularArithmetic(p).fit(model))


@pytest.mark.parametrize("keep", [1.0, 0.8])
def test_keep_accuracy(keep: float) -> None:
    """Its accuracy is at least that asked for, one more in the order of effects is too many, and the mean takes their place."""
    one = trained_like()
    assert scores_of(one).accuracy == 1.0
    found = compacted(one, keep_accuracy=keep)
    assert (found.scores.accuracy or 0) >= keep
    assert found.units <= (25 if keep == 1.0 else 22)
    order = ablate(one, "neurons").sort_values("loss_change", kind="stable")["index"].tolist()
    gone = found.units_before - found.units

    def held(n: int) -> Tensor:
        unit = Site("layers.0.hook_post", unit=order[:n])
        task = one.require_task()
        with torch.no_grad(), applied(one.model, Ablate(unit, Mean(("batch",), "all").bound(task)), strict=False):
            return table_logits(one.model, task)

    torch.testing.assert_close(logits(found.subject), held(gone), rtol=0, atol=1e-12)
    assert (score(one.require_task(), held(gone + 1)).accuracy or 0) < keep


@pytest.mark.parametrize("name", ["layer norm", "norm last", "gated", "two layers", "bidirectional", "no mlp"])
def test_keep_accuracy_of_transformers(name: str) -> None:
    """Any accuracy may go: only what has no bias behind it stays."""
    one = subject(name)
    config = one.model.config
    foldable = config.attn_bias, bool(config.mlp_bias and config.d_mlp)  # type: ignore[attr-defined]
    if not any(foldable):
        with pytest.raises(InterpError, match="no bias follows"):
            compacted(one, keep_accuracy=0.0)
        return
    found = compacted(one, keep_accuracy=0.0)
    assert found.heads == (0 if foldable[0] else found.heads_before)
    assert found.units == 0
    assert bool(torch.isfinite(logits(found.subject)).all())


def test_one_function_for_all() -> None:
    """A Subject of an image network, the network alone, and a Subject with a task."""
    cppn = sparse("2;cache:1,gaussian:2,sin:2", 0, 0.3)
    alone, whole = prune(cppn, 24), prune(Subject("picture", cppn), 24)
    assert isinstance(alone, Pruned)
    assert isinstance(whole, Pruned)
    assert (alone.links, alone.cppn.config) == (whole.links, whole.cppn.config)
    found = prune(by_hand())
    assert isinstance(found, Compacted)
    assert found.units == 3
    assert isinstance(prune(trained_like(), keep_accuracy=0.9), Compacted)


def test_refusals() -> None:
    one, cppn = subject("plain"), sparse("1;sin:3", 0, 0.5)
    with pytest.raises(InterpError, match="size applies to image networks only"):
        prune(one, 64)
    with pytest.raises(InterpError, match="drop_links"):
        prune(Subject("picture", cppn), keep_accuracy=0.5)
    with pytest.raises(InterpError, match="takes a Subject"):
        prune(one.model)  # type: ignore[call-overload]
    with pytest.raises(MissingCapability, match="needs a task"):
        prune(Subject("alone", one.model))
    with pytest.raises(InterpError, match="HookedLSTM"):
        compacted(Subject("lstm", make("lstm")))
    with pytest.raises(InterpError, match="keep_accuracy must be"):
        compacted(one, keep_accuracy=1.5)
    with pytest.raises(InterpError, match="whole network reaches"):
        compacted(one, keep_accuracy=1.0)
    with pytest.raises(InterpError, match="NaN"):
        compacted(edited("plain", blocks__0__mlp__b_out=torch.full((12,), float("nan"))))
    with pytest.raises(InterpError, match="keep_accuracy needs answers"):
        compacted(regression(), keep_accuracy=0.5)


def regression() -> Subject:
    inputs = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(6, 2)
    model = HookedMLP(MLPConfig((6,), 2, d_in=2)).double().init_weights(0)
    return Subject("fit", model, Examples(inputs, inputs * 2, loss="regression"))


def test_the_subject_is_left_as_it_was() -> None:
    one = by_hand()
    before = {n: w.clone() for n, w in one.model.state_dict().items()}
    found = compacted(replace(one, step=7))
    assert all(torch.equal(w, before[n]) for n, w in one.model.state_dict().items())
    assert found.subject.step == 7
    assert found.subject.series is None
    assert "pruned" in found.subject.name
    assert make("plain") is not found.subject.model
