"""Weight matching: planted relabellings are found; small networks against all relabellings there are."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch

import circuits
import interp
from circuits.weight_line.assignment import Products
from circuits.weight_line.symmetries import UnitGroup
from interp import InterpError
from interp.errors import UnknownName
from interp.hooked import HookedModel
from tests.circuits.weight_line.networks import NAMES, inputs, network, relabelled, weights


@torch.no_grad()
def distance(one: HookedModel, other: HookedModel) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return math.sqrt(sum(float((p - q).square().sum()) for p, q in pairs))


@pytest.mark.parametrize("name", NAMES)
def test_a_relabelled_copy_is_matched_unit_for_unit(name: str) -> None:
    model = network(name)
    copy, drawn = relabelled(model)
    found = circuits.match_weights(model, copy, starts=2)
    assert found.distance == 0 < found.distance_before
    assert found.units["cosine"].min() > 1 - 1e-12
    for group, order in found.permutations.items():
        if not drawn.symmetries.groups[group].within:  # taking the places back
            assert torch.equal(drawn.permutations[group][order], torch.arange(len(order)))
    assert all(torch.equal(w, weights(model)[n]) for n, w in weights(found.apply(copy)).items())


@pytest.mark.parametrize("act_fn", ["relu", "tanh", "square"])
@torch.no_grad()
def test_one_hidden_layer_against_all_relabellings(act_fn: str) -> None:
    """24 permutations, each with the signs that are allowed, applied by hand."""
    config = interp.MLPConfig((4,), 3, d_in=2, act_fn=act_fn)
    a, b = (interp.HookedMLP(config).double().init_weights(s, scheme="torch") for s in (0, 1))
    W, bias, U = b.layers[0].W, b.layers[0].b, b.unembed.W_U
    best = math.inf
    flips = [(1.0,) * 4] if act_fn == "relu" else list(itertools.product((1.0, -1.0), repeat=4))
    for order in itertools.permutations(range(4)):
        for signs in map(torch.tensor, flips):
            turned = U[list(order)] * (signs[:, None] if act_fn == "tanh" else 1)
            parts = (a.layers[0].W - W[:, list(order)] * signs, a.layers[0].b - bias[list(order)] * signs)
            rest = (a.unembed.W_U - turned, a.unembed.b_U - b.unembed.b_U)
            best = min(best, math.sqrt(sum(float(p.square().sum()) for p in (*parts, *rest))))
    found = circuits.match_weights(a, b)
    assert math.isclose(found.distance, best, rel_tol=1e-12)
    assert math.isclose(found.distance, distance(a, found.apply(b)), rel_tol=1e-12)
    assert math.isclose(found.distance_before, distance(a, b), rel_tol=1e-12)


@torch.no_grad()
def test_two_hidden_layers_against_all_permutations() -> None:
    config = interp.MLPConfig((4, 4), 2, d_in=2, bias=False, unembed_bias=False)
    a, b = (interp.HookedMLP(config).double().init_weights(s) for s in (2, 3))
    V, W, U = b.layers[0].W, b.layers[1].W, b.unembed.W_U
    orders = [list(order) for order in itertools.permutations(range(4))]
    distances = [
        (a.layers[0].W - V[:, p]).square().sum() + (a.layers[1].W - W[p][:, q]).square().sum()
        + (a.unembed.W_U - U[q]).square().sum() for p in orders for q in orders
    ]  # fmt: skip
    found = circuits.match_weights(a, b, starts=16)
    assert math.isclose(found.distance**2, float(min(distances)), rel_tol=1e-12)


@pytest.mark.parametrize("name", ["deep", "two layers", "cppn", "gru"])
@torch.no_grad()
def test_another_network_keeps_its_function(name: str) -> None:
    a, b = network(name), network(name, seed=5)
    found = circuits.match_weights(a, b, starts=3)
    assert found.distance < found.distance_before
    torch.testing.assert_close(found.apply(b)(inputs(b)), b(inputs(b)), rtol=1e-11, atol=1e-11)
    again = circuits.match_weights(a, b, starts=3)
    assert all(torch.equal(p, again.permutations[n]) for n, p in found.permutations.items())
    more = circuits.match_weights(a, b, starts=6)
    assert more.distance <= found.distance


@pytest.mark.parametrize("name", ["deep", "two layers", "cppn", "toy"])
def test_by_activations(name: str) -> None:
    """A copy is found by its activations, too; of another network the order is that of the correlations."""
    model = network(name)
    copy, _ = relabelled(model)
    x = inputs(model)
    found = circuits.match_weights(model, copy, by="activations", inputs=x, starts=3)
    assert found.numbers["by"] == "activations"
    neurons = found.units[found.units["group"].str.contains("layers|neurons|hidden")]
    if name != "cppn":  # where activations of several units may be the same
        assert neurons["cosine"].min() > 1 - 1e-12
    assert len(neurons)


def test_correlations_decide() -> None:
    """Two units with the weights of the wrong ones, but the activations of the right ones."""
    config = interp.MLPConfig((2,), 1, d_in=2, bias=False, unembed_bias=False)
    a, b = (interp.HookedMLP(config).double() for _ in range(2))
    with torch.no_grad():
        for model, first in ((a, [[1.0, 0.0], [0.0, 1.0]]), (b, [[0.1, 0.0], [0.0, 0.1]])):
            model.layers[0].W.copy_(torch.tensor(first))
        a.unembed.W_U.copy_(torch.tensor([[1.0], [-1.0]]))
        b.unembed.W_U.copy_(torch.tensor([[-1.0], [1.0]]))
    x = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert circuits.match_weights(a, b).permutations["layers.0"].tolist() == [1, 0]
    assert circuits.match_weights(a, b, by="activations", inputs=x).permutations["layers.0"].tolist() == [0, 1]
    with pytest.raises(interp.errors.MissingCapability, match="inputs="):
        circuits.match_weights(a, b, by="activations")


def test_assignment_by_hand() -> None:
    """An even unit turns the sign of what it reads; what it hands on counts as it is."""
    read, passed = torch.tensor([[-3.0, 1.0], [1.0, 0.0]]).numpy(), torch.tensor([[1.0, 0.0], [0.0, 1.0]]).numpy()
    products = Products(read, passed, 0 * read)

    def best(parity: str) -> tuple[list[int], list[float], float]:
        group = UnitGroup("g", 2, parities=(parity, parity))
        order, signs, value = products.best(group)
        return order.tolist(), signs.tolist(), value

    assert best("even") == ([0, 1], [-1, 1], 5.0)
    assert best("odd") == ([0, 1], [-1, 1], 3.0)
    assert best("none") == ([1, 0], [1, 1], 2.0)


def test_the_result(tmp_path: Path) -> None:
    a, b = network("plain"), network("plain", 1)
    found = circuits.match_weights(a, b, starts=1)
    assert list(found.table.columns[:7]) == ["component", "site", "index", "metric", "clean", "changed", "change"]
    assert len(found.rows) == len(found.table) == 12 + 3 + 2 * 3 * 4 + 10
    head = found.units.query("group == 'blocks.0.qk'").iloc[0]
    assert head["unit"] == "0.0"
    assert head["matched"].startswith(f"{int(found.permutations['blocks.0.heads'][0])}.")
    assert "distance before" in found._repr_html_()
    assert found.summary["units"] == len(found.rows)
    assert found.save(tmp_path / "matching.json").exists()
    assert found.save(tmp_path / "matching.html").exists()


def test_wrong_arguments() -> None:
    a, b = network("deep"), network("deep", 1)
    with pytest.raises(InterpError, match="similarity"):
        circuits.match_weights(a, network("shared sum"))
    with pytest.raises(InterpError, match="similarity"):
        circuits.match_weights(a, network("plain"))
    with pytest.raises(UnknownName, match="activations"):
        circuits.match_weights(a, b, by="activation")
    with pytest.raises(InterpError, match="starts"):
        circuits.match_weights(a, b, starts=0)
    with pytest.raises(InterpError, match="another architecture"):
        circuits.match_weights(a, b, starts=1).apply(network("shared sum"))


@pytest.mark.real_data
def test_the_skull_and_its_twin(data: Path) -> None:
    """The evolved skull relabelled is found again among copies and idle slots; its SGD twin comes somewhat nearer."""
    skull, twin = (interp.load(data / "picbreeder" / f"{n}_skull.npz") for n in ("picbreeder", "sgd"))
    copy, _ = relabelled(skull.model)
    assert circuits.match_weights(skull, copy, starts=2).distance == 0
    found = circuits.match_weights(skull, twin, starts=2)
    assert math.isclose(found.distance_before, 24.816, abs_tol=1e-3)
    assert 20 < found.distance < 21.6
