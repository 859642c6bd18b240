"""Relabellings leave the function as it is; what is not one of them does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import interp
from circuits.weight_line.relabelling import Relabelling
from circuits.weight_line.symmetries import Symmetries, UnitGroup, parity_of
from circuits.weight_line.tables import symmetries_of
from interp import InterpError
from interp.hooked.activation_functions import ACTIVATIONS
from interp.hooked.cppn.activation_functions import CPPN_ACTIVATIONS
from tests.circuits.weight_line.networks import NAMES, inputs, network, relabelled, weights


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_function_stays(name: str) -> None:
    """With every parameter moved that has units along it."""
    model = network(name)
    copy, _ = relabelled(model)
    x = inputs(model)
    torch.testing.assert_close(copy(x), model(x), rtol=1e-11, atol=1e-11)
    symmetries = symmetries_of(model)
    assert set(symmetries.axes) == set(weights(model))
    for parameter, axes in symmetries.axes.items():
        moves = any(axis.group and not symmetries.groups[axis.group].fixed for axis in axes)
        kept = name == "states" and "layers.1" in parameter and not parameter.endswith("W_ih")  # they are the answer
        assert kept or torch.equal(weights(model)[parameter], weights(copy)[parameter]) != moves, parameter


# a group with a unit whose function is neither odd nor even
SIGNLESS = {
    "plain": ("blocks.0.neurons", 0),
    "shared concat": ("layers.0", 0),
    "layer norm": ("residual", 0),
    "cppn": ("layers.3", 9),
}


@pytest.mark.parametrize("name", SIGNLESS)
@torch.no_grad()
def test_another_sign_is_noticed(name: str) -> None:
    """A sign that a ReLU or a LayerNorm does not allow is never drawn, and would change the function."""
    model, (group, unit) = network(name), SIGNLESS[name]
    same = Relabelling.identity(symmetries_of(model))
    signs = same.signs[group].clone()
    signs[unit] = -1
    assert all(
        Relabelling.random(same.symmetries, torch.Generator().manual_seed(s)).signs[group][unit] == 1 for s in range(8)
    )
    broken = same.replaced(group, same.permutations[group], signs)
    copy = type(model).from_weights(model.config, broken.weights(weights(model)))
    assert (copy(inputs(model)) - model(inputs(model))).abs().max() > 1e-3


@torch.no_grad()
def test_units_of_other_functions_do_not_change_places() -> None:
    """A cosine and a gaussian of a CPPN: no such relabelling is drawn, and it would change the picture."""
    model = network("cppn")
    symmetries = symmetries_of(model)
    kinds = symmetries.groups["layers.0"].kinds
    assert kinds.count("identity") == 5  # cache and identity
    for seed in range(5):
        order = Relabelling.random(symmetries, torch.Generator().manual_seed(seed)).permutations["layers.0"]
        assert [kinds[i] for i in order] == list(kinds)
    same = Relabelling.identity(symmetries)
    order = torch.arange(len(kinds))
    order[[3, 4]] = order[[4, 3]]  # a cosine and a gaussian
    broken = same.replaced("layers.0", order, same.signs["layers.0"])
    copy = type(model).from_weights(model.config, broken.weights(weights(model)))
    assert (copy(inputs(model)) - model(inputs(model))).abs().max() > 1e-3


def test_parities_are_those_of_the_functions() -> None:
    z = torch.linspace(0.01, 4, 400, dtype=torch.float64)
    functions = dict(ACTIVATIONS) | {
        {"cache": "identity", "sigmoid": "cppn sigmoid"}.get(n, n): a.function for n, a in CPPN_ACTIVATIONS.items()
    }
    for name, function in functions.items():
        odd, even = (torch.allclose(function(-z), s * function(z), atol=1e-14) for s in (-1, 1))
        assert parity_of(name) == ("odd" if odd else "even" if even else "none"), name


def test_what_cannot_be_matched_is_refused() -> None:
    both = interp.HookedRNN(interp.RNNConfig(4, 3, d_in=2, bidirectional=True))
    with pytest.raises(InterpError, match="bidirectional"):
        symmetries_of(both)
    wrapped = interp.wrap(nn.Linear(3, 2), torch.ones(2, 3))
    with pytest.raises(InterpError, match="match=False"):
        symmetries_of(wrapped)


def test_words_of_a_table() -> None:
    made = Symmetries.read([UnitGroup("g", 4)], {"W": "-2 in:g", "b": "in:g"})
    assert made.shape("W") == (2, 4)
    with pytest.raises(InterpError, match="GROUP"):
        Symmetries.read([UnitGroup("g", 4)], {"W": "into:g"})
