"""Networks of a run, and what experiments found in them, go to other processes and into caches such as joblib's."""

from __future__ import annotations

import pickle

import torch

import circuits
import interp
from tests.conftest import DEMO


def test_a_network_of_a_run_and_its_results() -> None:
    one = interp.load(DEMO)
    again = pickle.loads(pickle.dumps(one))
    inputs = one.require_task().inputs
    assert torch.equal(again.model(inputs), one.model(inputs))
    assert again.series is not None
    assert one.series is not None
    assert torch.equal(again.series.at(600)(inputs), one.series.at(600)(inputs))
    scores = circuits.eap(one, inputs[:8], inputs[8:16])
    kept = pickle.loads(pickle.dumps(scores))
    assert kept.edges.equals(scores.edges)
    assert sorted(kept.circuit(n=5, n_random=0).components) == sorted(scores.circuit(n=5, n_random=0).components)
    swept = circuits.sweep(one, circuits.random_directions(one.model, 2), [0.5])
    assert pickle.loads(pickle.dumps(swept)).table.equals(swept.table)
