"""Fracture: networks written by hand whose answers are exact, and every number by running the network with units ablated."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import circuits
import interp
from circuits.factor_units.contributions import Contributions, ablated_outputs
from circuits.factor_units.coordinates import Coordinates, crosses
from circuits.factor_units.fracture_result import Fracture
from circuits.findings import COLUMNS
from interp import HookedMLP, MLPConfig, ModularArithmetic, SparseParity, Subject
from interp.errors import InterpError, MissingCapability
from interp.hooked import HookedModel
from interp.tasks.factors import FactorAxis, Factors
from tests.models import CONFIGS, make
from tests.models import subject as of_table

P = 11
LINEAR = [
    name
    for name in CONFIGS
    if name not in ("layer norm", "folded norm", "norm last", "norm last, no mlp", "gated", "no mlp")
]


def squares(*keys: int, copies: int = 1, strength: float = 1.0) -> Subject:
    """(a + b) mod p by squares: three phases a frequency, u = (cos(w a + f) + cos(w b + f))^2, read by cos(w c + 2 f)."""
    task = ModularArithmetic(P, equals_token=False)
    n_units = 3 * len(keys) * copies
    config = MLPConfig(
        (n_units,), P, d_vocab=P, d_embed=P, combine="sum", act_fn="square", bias=False, unembed_bias=False
    )
    model = HookedMLP(config).cast(torch.float64)
    t = 2 * math.pi * torch.arange(P, dtype=torch.float64) / P
    phases = [(k, math.pi * i / 3) for k in keys for _ in range(copies) for i in range(3)]
    with torch.no_grad():
        model.W_E.copy_(torch.eye(P))
        model.layer(0).W.copy_(torch.stack([torch.cos(k * t + f) for k, f in phases], 1))
        model.W_U.copy_(strength * torch.stack([torch.cos(k * t + 2 * f) for k, f in phases]))
    return Subject("squares", model, task)


def table() -> Subject:
    """(a + b) mod p by heart: a unit per pair, relu(1[a = i] + 1[b = j] - 1)."""
    task = ModularArithmetic(P, equals_token=False)
    config = MLPConfig((P * P,), P, d_vocab=P, d_embed=P, combine="concat", unembed_bias=False)
    model = HookedMLP(config).cast(torch.float64)
    with torch.no_grad():
        model.W_E.copy_(torch.eye(P))
        one_hot = nn.functional.one_hot(task.pairs, P).double()
        model.layer(0).W.copy_(one_hot.flatten(1).T)
        dict(model.named_parameters())["layers.0.b"].fill_(-1)
        model.W_U.copy_(nn.functional.one_hot(task.labels, P))
    return Subject("table", model, task)


def by_axes(outputs: Tensor, factors: tuple[int, ...], p: int) -> np.ndarray:
    """Power of outputs ``[a * b, c]`` at each frequency in all three arguments alike, by a Fourier transform."""
    found = np.abs(np.fft.fftn(outputs.reshape(p, p, p).numpy())) ** 2 / p**3
    return np.array(
        [sum(found[i, j, m] for i in {k, -k % p} for j in {k, -k % p} for m in {k, -k % p}) for k in factors]
    )


def test_squares_by_hand() -> None:
    """A unit holds w_k in eight parts of nine and 2 w_k in one; three units carry a third of each key frequency."""
    found = circuits.fracture(squares(2, 3))
    assert found.factors.names[2] == "2"
    assert sorted(found.keys) == [2, 3]
    shares = found.power / found.power.sum(1, keepdim=True)
    expected = torch.zeros(6, 6, dtype=torch.float64)
    expected[:3, 2], expected[:3, 4] = 8 / 9, 1 / 9
    expected[3:, 3], expected[3:, 5] = 8 / 9, 1 / 9  # 2 * 3 = 6 is -5 mod 11
    assert torch.allclose(shares, expected, atol=1e-12)
    assert found.units["factors"].to_numpy() == pytest.approx(np.full(6, (9 / 8) ** (8 / 9) * 9 ** (1 / 9)))
    assert found.units["main"].to_list() == ["2"] * 3 + ["3"] * 3
    assert found.effects.amplitude[:, 2].numpy() == pytest.approx([1 / 3] * 3 + [0] * 3, abs=1e-12)
    assert found.effects.drop[:, 2].numpy() == pytest.approx([2 / 3 - 4 / 9] * 3 + [0] * 3, abs=1e-12)
    assert found.by_factor["units"].to_numpy() == pytest.approx([3, 3])
    assert found.by_factor["purity"].to_numpy() == pytest.approx([2 / 3, 2 / 3])
    assert found.by_factor["written here"].to_numpy() == pytest.approx([1, 1])
    assert found.by_factor["groups"].to_list() == [1, 1]
    assert found.carriers == {2: (0, 1, 2), 3: (3, 4, 5)}
    assert found.units["key factors"].to_list() == ["2"] * 3 + ["3"] * 3


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_copies_by_hand(copies: int) -> None:
    """Each copy of a circuit is a group that writes its part."""
    found = circuits.fracture(squares(2, 3, copies=copies))
    assert found.by_factor["groups"].to_list() == [copies, copies]
    assert found.by_group["amplitude"].to_numpy() == pytest.approx(np.full(2 * copies, 1 / copies))
    assert found.by_factor["units"].to_numpy() == pytest.approx([3 * copies, 3 * copies])


def test_a_table_by_hand() -> None:
    """A unit of a table carries every frequency alike."""
    found = circuits.fracture(table())
    assert found.units["factors"].to_numpy() == pytest.approx(np.full(P * P, P // 2))
    score = found.factors_per_unit()
    assert score is not None
    assert (score.value, score.low, score.high) == pytest.approx((5, 5, 5))
    drop = found.effects.drop[:, 1:]
    assert drop.numpy() == pytest.approx(np.full((P * P, 5), float(drop[0, 0])))
    assert all(g == () for g in (found.groups or {}).values())


def test_parity_by_two_units() -> None:
    """x_1 x_2 = relu(x_1 + x_2) + relu(-x_1 - x_2) - 1: a unit holds three functions alike, both are needed in one group."""
    model = HookedMLP(MLPConfig((2,), 1, d_in=4, bias=False, unembed_bias=True)).cast(torch.float64)
    with torch.no_grad():
        model.layer(0).W.copy_(torch.tensor([[1.0, -1], [1, -1], [0, 0], [0, 0]]))
        model.W_U.fill_(1)
    found = circuits.fracture(Subject("two units", model, SparseParity(4, 2)))
    assert found.units["factors"].to_numpy() == pytest.approx([3, 3])
    assert found.by_factor["factor"].to_list() == ["x1.2"]
    assert found.by_factor["units"].to_numpy() == pytest.approx([2])
    assert found.effects.amplitude[:, 3].numpy() == pytest.approx([1 / 2, 1 / 2])
    assert found.effects.drop[:, 3].numpy() == pytest.approx([3 / 4, 3 / 4])
    assert found.groups is not None
    ((k, (group,)),) = found.groups.items()
    assert (k, group.units) == (3, (0, 1))
    assert (group.amplitude, group.purity) == pytest.approx((1, 1))


@pytest.mark.parametrize("name", LINEAR)
def test_algebra_gives_what_ablation_gives(name: str) -> None:
    """All effects of all units by running the network once per unit, and the factors' power by a Fourier transform."""
    subject = of_table(name)
    found = circuits.fracture(subject)
    task, p = subject.require_task(), 7
    outputs = subject.logits().detach()
    outputs = outputs - outputs.mean(1, keepdim=True)
    keys = (1, 2, 3)
    clean = by_axes(outputs, keys, p)
    assert found.effects.power[1:].numpy() == pytest.approx(clean, rel=1e-9)
    site = circuits.factor_units.contributions.unit_site(subject.model, None)
    units = Contributions.of(subject, task.inputs)
    for i, changed in enumerate(ablated_outputs(subject, task.inputs, units)):
        changed = changed - changed.mean(1, keepdim=True)
        assert found.effects.drop[i, 1:].numpy() == pytest.approx(1 - by_axes(changed, keys, p) / clean, abs=1e-8)
        assert float(found.effects.size[i]) == pytest.approx(float((changed - outputs).square().mean().sqrt()))
        if i < 3:
            assert torch.allclose(changed, by_hook(subject, site, i), atol=1e-10)


def by_hook(subject: Subject, site: str, unit: int) -> Tensor:
    """The centred outputs with a unit at its mean over the examples, by a hook."""
    task = subject.require_task()

    def ablate(activation: Tensor, hook: object) -> Tensor:
        changed = activation.clone()
        changed[..., unit] = activation[..., unit].mean(0, keepdim=True)
        return changed

    with torch.no_grad():
        outputs = task.read(subject.model.run_with_hooks(task.inputs, fwd_hooks=[(site, ablate)]))
    return outputs - outputs.mean(1, keepdim=True)


@pytest.mark.parametrize("site", ["layers.0.hook_post", "layers.1.hook_post"])
def test_the_network_runs_again_where_what_follows_is_not_linear(site: str) -> None:
    """An earlier layer: effects by hooks; groups are not sought."""
    subject = of_table("deep")
    found = circuits.fracture(subject, site)
    outputs = subject.logits().detach()
    clean = by_axes(outputs - outputs.mean(1, keepdim=True), (1, 2, 3), 7)
    for i in range(len(found.names)):
        changed = by_axes(by_hook(subject, site, i), (1, 2, 3), 7)
        assert found.effects.drop[i, 1:].numpy() == pytest.approx(1 - changed / clean, abs=1e-9)
    assert found.groups is None
    assert found.groups_per_key_factor is None
    assert found.by_factor["groups"].isna().all()
    with pytest.raises(MissingCapability, match="not linear"):
        circuits.fracture(subject, site, max_runs=10)


def test_heads_are_units_of_attention() -> None:
    """``hook_z``: every head's features, effects by ablation."""
    subject = of_table("no mlp")
    task = subject.require_task()
    found = circuits.fracture(subject, "blocks.1.attn.hook_z")
    assert (found.names[0], found.names[-1]) == ("head 0 unit 0", "head 2 unit 3")
    outputs = subject.logits().detach()
    clean = by_axes(outputs - outputs.mean(1, keepdim=True), (1, 2, 3), 7)
    units = Contributions.of(subject, task.inputs, "blocks.1.attn.hook_z")
    for i, changed in enumerate(ablated_outputs(subject, task.inputs, units)):
        power = by_axes(changed - changed.mean(1, keepdim=True), (1, 2, 3), 7)
        assert found.effects.drop[i, 1:].numpy() == pytest.approx(1 - power / clean, abs=1e-8)


@pytest.mark.parametrize("name", ["layer norm", "folded norm"])
def test_the_last_norm_keeps_its_scale(name: str) -> None:
    """What all units, their means and the rest of the stream write adds up to the outputs, at the clean scale."""
    subject = of_table(name)
    task, model = subject.require_task(), subject.model
    units = Contributions.of(subject, task.inputs)
    assert units.writes is not None
    assert units.notes
    last = f"blocks.{model.config.n_layers - 1}"
    _, cache = model.run_with_cache(task.inputs)
    stream = cache[f"{last}.hook_resid_post"][:, -1]
    gone = (cache[f"{last}.mlp.hook_post"][:, -1] - units.activations.mean(0)) @ model.block(
        0 if name == "folded norm" else 1
    ).mlp.W_out
    changed = stream - gone
    scale = (stream.var(1, correction=0, keepdim=True) + model.ln_final.eps).sqrt()
    normed = (changed - changed.mean(1, keepdim=True)) / scale
    if name == "layer norm":
        normed = normed * model.ln_final.w + model.ln_final.b
    expected = task.read(normed @ model.W_U + (model.unembed.b_U if name == "layer norm" else 0))
    assert torch.allclose(units.outputs - units.moves @ units.writes, expected, atol=1e-10)


def test_purity_is_that_of_the_network_with_the_group_alone() -> None:
    """All other units at their means: the group's share of the factor, and the factor's of all that it writes."""
    subject = squares(2, 3, copies=2)
    found = circuits.fracture(subject)
    task = subject.require_task()
    assert found.groups is not None
    outputs = subject.logits().detach()
    everything = (outputs - outputs.mean(1, keepdim=True)).reshape(P, P, P).numpy()
    for k, groups in found.groups.items():
        for group in groups:
            others = [u for u in range(len(found.names)) if u not in group.units]
            with circuits.applied(subject.model, circuits.Ablate(interp.Site(found.site, unit=others))):
                alone = subject.model(task.inputs).detach()
            alone = alone - alone.mean(0)  # what the means write belongs to no group
            alone = alone - alone.mean(1, keepdim=True)
            power = by_axes(alone, (k,), P)[0]
            assert group.purity == pytest.approx(power / float(alone.square().sum()), abs=1e-10)
            assert group.amplitude == pytest.approx(math.sqrt(power / by_axes(torch.tensor(everything), (k,), P)[0]))


def test_without_known_factors_the_principal_components_serve() -> None:
    """A polynomial that no group helps: the factors are those of the outputs, and every unit has some."""
    task = interp.ModularArithmetic(7, "x^3+xy")
    model = HookedMLP(MLPConfig((10,), 7, d_vocab=7, d_embed=4)).init_weights(seed=0)
    found = circuits.fracture(Subject("polynomial", model, task.fit(model)))
    assert found.factors.kind == "principal component"
    assert (found.units["factors"] >= 1).all()
    assert float(found.effects.power.sum()) > 0


def test_axes_that_do_not_cross() -> None:
    """Two readings of one operand do not occur in all combinations; the first alone counts."""
    pairs = ModularArithmetic(5).factors()
    assert isinstance(pairs, Factors)
    first, second = pairs.inputs
    assert crosses(first, second, 25)
    assert not crosses(first, first, 25)
    twice = Factors(
        "frequency", pairs.names, (first, FactorAxis("again", first.index, first.basis, first.factor)), pairs.outputs
    )
    assert Coordinates.of(twice, 25, 5).crossed == (first,)


def test_coordinates_keep_inner_products() -> None:
    """They are orthonormal, and the power by factor is that of each axis."""
    factors = ModularArithmetic(7).factors()
    assert isinstance(factors, Factors)
    coordinates = Coordinates.of(factors, 49, 7)
    values = torch.randn(49, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = coordinates.of_examples(values)
    assert torch.allclose(found.T @ found, values.T @ values)
    power = coordinates.power(found)
    for unit in range(3):
        each = [axis.power(values[axis.index, unit], 4) for axis in factors.inputs]
        assert torch.allclose(power[unit, 1:], torch.stack(each).mean(0)[1:])
    assert (power[:, 0] == 0).all()
    assert coordinates.power_by_block(found).sum(1) == pytest.approx(values.square().sum(0))


def test_constant_units_carry_nothing() -> None:
    """A unit that is always on or always off has no factors."""
    subject = squares(2)
    with torch.no_grad():
        subject.model.layer(0).W[:, 1] = 0
    found = circuits.fracture(subject)
    assert not found.units["carries"].iloc[1]
    assert math.isnan(found.units["factors"].iloc[1])
    silent = squares(2, strength=0.0)
    assert not circuits.fracture(silent).units["carries"].any()
    assert circuits.fracture(silent).factors_per_unit() is None


def test_results_show_themselves(tmp_path: Path) -> None:
    """The protocol of findings: tidy table, summary, figure, files."""
    found = circuits.fracture(squares(2, 3))
    assert isinstance(found, Fracture)
    assert tuple(found.table.columns[: len(COLUMNS)]) == COLUMNS
    assert len(found.table) == 12
    assert found.table.groupby("metric")["share"].sum().to_numpy() == pytest.approx([1, 1])
    assert np.allclose(found.table["changed"] - found.table["clean"], found.table["change"])
    assert found.summary["groups_per_key_factor"] == 1
    assert "factors_per_unit: 1.42 [1.42, 1.42]" in repr(found)
    assert len(found.figure().data[0].y if found.figure().data[0].y is not None else found.figure().data[0].z) == 6
    assert json.loads(found.save(tmp_path / "found.json").read_text())
    for ending in (".csv", ".html"):
        assert found.save(tmp_path / f"found{ending}").stat().st_size > 0


def test_bad_input_is_refused() -> None:
    """No task, no hidden layer, several sites, a part of one, a site without units."""
    subject = of_table("two layers")
    with pytest.raises(MissingCapability):
        circuits.fracture(make("plain"))
    with pytest.raises(InterpError, match="one site"):
        circuits.fracture(subject, "blocks.*.mlp.hook_post")
    with pytest.raises(InterpError, match="its name alone"):
        circuits.fracture(subject, interp.Site("blocks.1.mlp.hook_post", unit=3))
    with pytest.raises(InterpError, match="axes"):
        circuits.fracture(subject, "blocks.1.attn.hook_pattern")
    with pytest.raises(MissingCapability, match="name a site"):
        circuits.fracture(of_table("no mlp"))
    wrapped: HookedModel = interp.wrap(
        nn.Sequential(nn.Embedding(7, 5), nn.Flatten(), nn.Linear(10, 7)), torch.zeros(2, 2, dtype=torch.long)
    )
    with pytest.raises(MissingCapability, match="name a site"):
        circuits.fracture(Subject("wrapped", wrapped, ModularArithmetic(7, equals_token=False)))
