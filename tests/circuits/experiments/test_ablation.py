"""`ablate`: effects that a person worked out, and the plain loop as twin of the batched experiment."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from circuits import Ablate, Fixed, Mean, Remove, Resample, Zero, ablate, applied
from circuits.interventions.values import Value
from interp import (
    HookedMLP,
    HookedTransformer,
    InterpError,
    MLPConfig,
    ModularArithmetic,
    Site,
    Subject,
    TransformerConfig,
)
from interp.errors import MissingCapability, UnknownName
from probes.basis import Basis
from tests.models import make, subject

VALUES = [Zero(), Mean(), Resample(3), Fixed(torch.tensor(0.7))]


def loop(one: Subject, interventions: list[Ablate | Remove]) -> pd.DataFrame:
    """One forward pass per component: what `ablate` must equal."""
    task, rows = one.require_task(), []
    for intervention in interventions:
        with torch.no_grad(), applied(one.model, intervention, strict=False):
            logits = task.read(one.model(task.inputs))
        losses, right = task.losses(logits), task.correct(logits)
        rows.append(
            {"loss": losses.mean().item(), "train_loss": losses[task.train_indices].mean().item(),
             "test_loss": losses[task.test_indices].mean().item(), "correct": int(right.sum())}
        )  # fmt: skip
    return pd.DataFrame(rows)


def assert_equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert len(found) == len(expected)
    for column in ("loss", "train_loss", "test_loss"):
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-8)
    assert found["correct"].tolist() == expected["correct"].tolist()


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "two layers",
        "layer norm",
        "norm last",
        "gated",
        "gated with biases",
        "folded norm",
        "square",
        "deep",
        "per operand",
    ],
)
def test_neurons_equal_the_loop(name: str, value: Value) -> None:
    """Exact algebra behind the last layer, the resumed rest elsewhere: the same numbers as the loop."""
    one = subject(name)
    sites = [n for n in one.model.hook_dict if n.endswith("hook_post")]
    _, cache = one.model.run_with_cache(one.require_task().inputs[:1])
    widths = [cache[s].shape[-1] for s in sites]
    twins = [Ablate(Site(s, unit=u), value) for s, w in zip(sites, widths, strict=True) for u in range(w)]
    assert_equal(ablate(one, "neurons", value=value), loop(one, twins))


@pytest.mark.parametrize("value", [*VALUES, Mean(("batch", "pos"))], ids=str)
@pytest.mark.parametrize(
    "name", ["plain", "two layers", "layer norm", "norm last", "gated", "gated with biases", "no mlp", "bidirectional"]
)
def test_heads_and_layers_equal_the_loop(name: str, value: Value) -> None:
    """Heads, attention and MLP outputs, over all positions."""
    one = subject(name)
    layers = range(one.model.config.n_layers)  # type: ignore[attr-defined]
    heads = [Ablate(Site(f"blocks.{i}.attn.hook_z", head=h), value) for i in layers for h in range(3)]
    assert_equal(ablate(one, "heads", value=value), loop(one, heads))
    attention = [Ablate(f"blocks.{i}.hook_attn_out", value) for i in layers]
    assert_equal(ablate(one, "attention", value=value), loop(one, attention))
    if name != "no mlp":
        assert_equal(
            ablate(one, "mlp", value=value), loop(one, [Ablate(f"blocks.{i}.hook_mlp_out", value) for i in layers])
        )


@pytest.mark.parametrize(
    ("name", "site", "dim"),
    [("plain", "blocks.0.mlp.hook_post", 10), ("two layers", "blocks.0.hook_resid_pre", 12), ("plain", "hook_embed", 12),
     ("deep", "layers.1.hook_post", 8), ("deep", "hook_input", 10), ("deep", "layers.0.hook_pre", 9)],
)  # fmt: skip
@pytest.mark.parametrize("value", [Zero(), Mean(), Resample(1)], ids=str)
def test_directions_equal_the_loop(name: str, site: str, dim: int, value: Value) -> None:
    """Directions of a basis one by one, and in groups."""
    one, basis = subject(name), Basis.random(4, dim, seed=2)
    singles = [Remove(site, basis.select([n]), value) for n in basis.names]
    assert_equal(ablate(one, basis=basis, site=site, value=value), loop(one, singles))
    pairs = [Remove(site, basis.select(basis.names[i : i + 2]), value) for i in (0, 2)]
    found = ablate(one, basis=basis, site=site, groups=[[0, 1], [2, 3]], value=value)
    assert_equal(found, loop(one, pairs))
    assert found["component"].tolist() == ["random 0 + random 1", "random 2 + random 3"]


def test_memory_limits_change_nothing() -> None:
    """Working in the smallest pieces gives the same table."""
    one = subject("two layers")
    pd.testing.assert_frame_equal(ablate(one, "neurons", max_bytes=1), ablate(one, "neurons"))


def test_huge_logits_do_not_overflow() -> None:
    """Where exp would overflow, the stable sum takes over, and the loop agrees."""
    one = subject("per operand")
    with torch.no_grad():
        one.model.W_U.mul_(3000)
    twins = [Ablate(Site("layers.0.hook_post", unit=u), Mean()) for u in range(9)]
    found = ablate(one, "neurons")
    assert found["loss"].between(100, math.inf, inclusive="neither").all()
    assert_equal(found, loop(one, twins))


def by_hand() -> Subject:
    """(a + b) mod 2 by two units and whole weights.

    Tokens embed as 0 and 1; both operands are concatenated. Unit 0 is a + b, unit 1 is relu(a + b - 1), which is 1 for
    (1, 1) only. Logit of 1: 4 (unit 0) - 8 (unit 1) - 2; logit of 0: 0. So: (0,0) -2, (0,1) 2, (1,0) 2, (1,1) -2.
    """
    weights = {
        "embed.W_E": torch.tensor([[0.0], [1.0]]), "layers.0.W": torch.ones(2, 2), "layers.0.b": torch.tensor([0.0, -1.0]),
        "unembed.W_U": torch.tensor([[0.0, 4.0], [0.0, -8.0]]), "unembed.b_U": torch.tensor([0.0, -2.0]),
    }  # fmt: skip
    config = MLPConfig((2,), 2, d_vocab=2, d_embed=1)
    model = HookedMLP.from_weights(config, {k: v.double() for k, v in weights.items()})
    return Subject("by hand", model, ModularArithmetic(2, "add", 0.5).fit(model))


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_every_effect_by_hand() -> None:
    """Signs and sizes, worked out on paper."""
    frame = ablate(by_hand(), "neurons", value=Zero())
    clean = softplus(-2)  # right by a margin of 2 on all four
    assert frame.attrs["clean"]["loss"] == pytest.approx(clean)
    # without unit 0 the logits of 1 are -2, -2, -2, -10: the two mixed pairs are wrong by 2
    without_0 = (softplus(-2) + 2 * softplus(2) + softplus(-10)) / 4
    # without unit 1 they are -2, 2, 2, 6: (1, 1) is wrong by 6
    without_1 = (3 * softplus(-2) + softplus(6)) / 4
    assert frame["loss"].tolist() == pytest.approx([without_0, without_1])
    assert frame["loss_change"].tolist() == pytest.approx([without_0 - clean, without_1 - clean])
    assert frame["correct"].tolist() == [2, 3]
    assert frame["accuracy_change"].tolist() == pytest.approx([-0.5, -0.25])
    assert frame["component"].tolist() == ["L0N0", "L0N1"]


def test_mean_ablation_by_hand() -> None:
    """The means of the units over the four inputs are 1 and 1/4."""
    frame = ablate(by_hand(), "neurons", value=Mean())
    # unit 0 held at 1: logits of 1 are 2, 2, 2, -6; unit 1 held at 1/4: -4, 0, 0, 4
    assert frame["loss"].tolist() == pytest.approx(
        [(softplus(2) + 2 * softplus(-2) + softplus(-6)) / 4, (softplus(-4) + 2 * softplus(0) + softplus(4)) / 4]
    )
    assert frame["correct"].tolist()[0] == 3


def test_ties_are_counted_as_argmax_counts_them() -> None:
    """Without unit 1's quarter the mixed pairs tie at 0: the loop's argmax decides."""
    one = by_hand()
    twins = [Ablate(Site("layers.0.hook_post", unit=u), v) for v in (Mean(), Zero()) for u in (0, 1)]
    found = pd.concat([ablate(one, "neurons", value=v) for v in (Mean(), Zero())])
    assert found["correct"].tolist() == loop(one, twins)["correct"].tolist()


def test_random_baselines_are_of_the_same_size() -> None:
    """Random directions for neurons, random subspaces of a head's size for heads: by the loop over the same bases."""
    one = subject("plain")
    frame = ablate(one, "neurons", n_random=4, seed=7)
    random = frame.query("baseline")
    basis = Basis.random(4, 10, seed=7)
    assert_equal(random, loop(one, [Remove("blocks.0.mlp.hook_post", basis.select([n]), Mean()) for n in basis.names]))
    heads = ablate(one, "heads", n_random=9).query("baseline")
    assert len(heads) == 3  # 12 dimensions hold 3 subspaces of 4
    whole = ablate(one, "mlp", n_random=2)
    assert not whole["baseline"].any()
    assert whole.attrs["notes"] == [
        "blocks.0.hook_mlp_out: no random baseline, since 12 random directions would be the whole space"
    ]


@pytest.mark.parametrize(("kind", "config"), [
    ("heads", {"n_heads": 1, "d_head": 4}), ("neurons", {"d_mlp": 1}), ("neurons", {"d_model": 1}),
])  # fmt: skip
def test_components_that_are_the_whole_space(kind: str, config: dict[str, int]) -> None:
    """The only head, the single neuron and d_model = 1 are ablated as others are, without a random baseline and with a note."""
    sizes = {
        "n_layers": 1,
        "d_model": 6,
        "n_heads": 2,
        "d_head": 3,
        "d_mlp": 5,
        "d_vocab": 6,
        "d_vocab_out": 5,
        "n_ctx": 3,
    }
    model = HookedTransformer(TransformerConfig(**{**sizes, **config})).init_weights(seed=3).double()
    one = Subject("small", model, ModularArithmetic(5).fit(model))
    frame = ablate(one, kind, n_random=3)  # type: ignore[arg-type]
    own = frame.query("not baseline")
    assert_equal(own, loop(one, [Ablate(_site(kind, i), Mean()) for i in range(len(own))]))
    assert bool(frame.attrs.get("notes")) == (not frame["baseline"].any()) == (config != {"d_model": 1})


def test_a_direction_of_a_line_has_no_random_one() -> None:
    """At d_model = 1 a direction of the residual stream is all of it."""
    sizes = {
        "n_layers": 1,
        "d_model": 1,
        "n_heads": 1,
        "d_head": 3,
        "d_mlp": 5,
        "d_vocab": 6,
        "d_vocab_out": 5,
        "n_ctx": 3,
    }
    model = HookedTransformer(TransformerConfig(**sizes)).init_weights(seed=3).double()
    one = Subject("line", model, ModularArithmetic(5).fit(model))
    frame = ablate(one, basis=Basis.neurons(1), site="blocks.0.hook_resid_mid", n_random=3)
    assert len(frame) == 1
    assert "no random baseline, since 1 random direction would be the whole space" in frame.attrs["notes"][0]


def _site(kind: str, i: int) -> Site:
    return Site("blocks.0.attn.hook_z", head=i) if kind == "heads" else Site("blocks.0.mlp.hook_post", unit=i)


def test_former_names_of_the_random_baseline() -> None:
    """They warn, and mean the same."""
    one = subject("plain")
    with pytest.warns(DeprecationWarning, match="n_random"):
        former = ablate(one, "heads", baseline="random", n_baseline=2)  # type: ignore[call-arg]
    assert_equal(former, ablate(one, "heads", n_random=2))
    with pytest.warns(DeprecationWarning, match="n_random"), pytest.raises(UnknownName, match="random"):
        ablate(one, "heads", baseline="randon")  # type: ignore[call-arg]


def test_refusals() -> None:
    """No task, no such kind, no such components, a basis without its site."""
    with pytest.raises(MissingCapability, match="--task"):
        ablate(Subject("bare", make("plain")))
    with pytest.raises(UnknownName, match="did you mean 'heads'"):
        ablate(subject("plain"), "head")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="no heads to ablate"):
        ablate(subject("deep"), "heads")
    with pytest.raises(InterpError, match="a basis and the site"):
        ablate(subject("plain"), basis=Basis.random(1, 10, 0))
    with pytest.raises(UnknownName, match="it is a hook point: pass it as site='hook_embed'"):
        ablate(subject("plain"), "hook_embed")  # type: ignore[arg-type]


def test_the_frame_says_its_sign_and_its_value() -> None:
    """What a number means stands in the table itself."""
    frame = ablate(subject("plain"), "neurons", value=Resample(5))
    assert "positive means that the changed part was needed" in frame.attrs["sign"]
    assert frame.attrs["value"] == "Resample(seed=5)"
    seen: list[tuple[int, int]] = []
    ablate(subject("plain"), "neurons", progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (10, 10)


@pytest.mark.parametrize("shift", [2000.0, -2000.0])
@pytest.mark.parametrize("value", [Zero(), Mean()], ids=str)
def test_what_all_outputs_share_changes_nothing(shift: float, value: Value) -> None:
    """A constant added to every output's weights is invisible to the softmax, and overflows a careless sum."""
    one = subject("per operand")
    with torch.no_grad():
        one.model.W_U.add_(shift)
    twins = [Ablate(Site("layers.0.hook_post", unit=u), value) for u in range(9)]
    assert_equal(ablate(one, "neurons", value=value), loop(one, twins))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_a_component_that_does_nothing_changes_nothing_in_any_dtype(dtype: torch.dtype) -> None:
    """Clean and ablated values are computed in one dtype."""
    one = subject("plain")
    with torch.no_grad():
        one.model.blocks[0].mlp.W_out.zero_()  # type: ignore[union-attr]
    frame = ablate(one, "neurons", dtype=dtype)
    assert frame["loss_change"].abs().max() < 1e-12


def test_a_model_that_reads_elsewhere_is_read_where_the_task_says() -> None:
    """A config's own readout does not move the clean value away from the ablated ones."""
    one = subject("plain")
    elsewhere = Subject("first", one.model.read_at(0), one.task)  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(ablate(elsewhere, "neurons"), ablate(one, "neurons"))


def test_means_over_what_tells_components_apart_are_refused() -> None:
    """A mean over units or heads would mix the component with the others."""
    for kind, axis in (("neurons", "unit"), ("heads", "head")):
        with pytest.raises(InterpError, match=f"averages over {axis}"):
            ablate(subject("plain"), kind, value=Mean(("batch", axis)))  # type: ignore[arg-type]


def test_layers_keep_their_numbers_when_one_is_asked_for() -> None:
    """The labels name the network's layers; a site without such components is an error."""
    frame = ablate(subject("two layers"), "neurons", site="blocks.1.mlp.hook_post")
    assert frame["component"].tolist()[:2] == ["L1N0", "L1N1"]
    with pytest.raises(InterpError, match="there are no neurons at"):
        ablate(subject("two layers"), "neurons", site="hook_embed")
