"""Sparsity, active units and dimension of every model's hidden layers, by numpy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from interp import Subject
from probes.measures.dimension import activation_dimension
from probes.measures.sparsity import active_units, sparsity
from tests.models import MLPS, TRANSFORMERS, P, subject


def hidden(one: Subject) -> dict[str, np.ndarray]:
    """The activations behind every nonlinearity where the answer is read, by TransformerLens's cache."""
    _, cache = one.model.run_with_cache(one.require_task().inputs.to(torch.long))
    sites = [n for n in one.model.hook_dict if n.endswith("hook_post")]
    return {n: (cache[n][:, -1] if cache[n].ndim == 3 else cache[n]).numpy() for n in sites}


@pytest.mark.parametrize("name", [*(n for n in TRANSFORMERS if "no mlp" not in n), *MLPS])
def test_hidden_layers_of_every_model(name: str) -> None:
    """Sparsity in both forms and over every part, active units, effective dimension: numpy and sklearn."""
    one = subject(name)
    task, units = one.require_task(), 0
    for site, values in hidden(one).items():
        for part, index in (("train", task.train_indices), ("test", task.test_indices), ("all", torch.arange(P * P))):
            of = values[index.numpy()]
            signed, plain = (np.abs(of) < 0.4).mean(), (of < 0.4).mean()
            assert sparsity(one, tau=0.4, part=part, form="absolute")[site] == pytest.approx(signed)
            assert sparsity(one, tau=0.4, part=part, form="published")[site] == pytest.approx(plain)
            assert sparsity(one, tau=0.4, part=part)[site] == pytest.approx(signed if (of < 0).any() else plain)
        spread = values.std(0)
        units += (expected := int((spread > 1e-6 * spread.max()).sum()))
        assert active_units(one)[site] == expected
        assert active_units(one, tolerance=0.7)[site] == int((spread > 0.7 * spread.max()).sum())
        q = PCA().fit(values).explained_variance_ratio_
        assert activation_dimension(one)[site] == pytest.approx(math.exp(-sum(x * math.log(x) for x in q if x > 1e-15)))
    assert active_units(one)["all"] == units
