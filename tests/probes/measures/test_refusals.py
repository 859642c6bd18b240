"""What the measures of activations refuse."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability, UnknownName
from interp.tasks import ToyAddition
from probes.measures.complexity import local_complexity
from probes.measures.dimension import activation_dimension
from probes.measures.performance import accuracy, loss
from probes.measures.sparsity import active_units, sparsity
from tests.circuits.cppns import dense
from tests.models import P, make, subject
from tests.probes.measures.models import lstm


def test_refusals_of_activations(tmp_path: Path) -> None:
    """What does not apply says so; a part that is empty, a layer that is none, numbers out of range."""
    one, everything = subject("plain"), Subject("all", make("plain"), ModularArithmetic(P, "add", 1.0))
    assert set(loss(everything)) == set(accuracy(everything)) == {"train", "all"}
    for measure in (sparsity, local_complexity):
        with pytest.raises(MissingCapability, match="no test examples"):
            measure(everything, part="test")
        with pytest.raises(InterpError, match="one of train, test, all"):
            measure(one, part="valid")
    for name, bad in (("share", 1.5), ("masks", 0), ("share", math.nan)):
        with pytest.raises(InterpError, match=name):
            local_complexity(one, **{name: bad})
    with pytest.raises(UnknownName, match="did you mean 'unembed.W_U'"):
        local_complexity(one, layers="unembed.W_O")
    with pytest.raises(MissingCapability, match="gives no probabilities"):
        local_complexity(Subject("vectors", HookedMLP(MLPConfig((6,), 30, d_vocab=5, d_embed=3)), ToyAddition(5)))
    for measure in (sparsity, active_units, activation_dimension, local_complexity, loss, accuracy):
        with pytest.raises(InterpError, match="needs a task"):
            measure(Subject("cppn", dense()))
    for measure in (sparsity, active_units, activation_dimension):
        with pytest.raises(MissingCapability, match="no hidden units"):
            measure(subject("no mlp"))
        assert list(measure(lstm(tmp_path)))[-1] == "hook_final"  # the state that is read
