"""Functions of tensors on a pretended GPU: the CPU's numbers, and no tensor of the wrong device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import probes
from probes.basis import Basis
from probes.effective_theory import effective_flow, hessian
from probes.parallelograms import Found
from probes.similarity.mutual_knn import knn_under_permutation
from tests.pretend_gpu import PretendedGpu, upload
from tests.probes.test_bad_input import CUBE, FUNCTIONS, SAMPLES, TABLE, TRAINED

POINTS = torch.as_tensor(TABLE)


def plain(found: Any) -> list[Any]:
    if isinstance(found, Found):
        return [found.rqi, found.accuracy]
    if isinstance(found, Tensor):
        return found.detach().cpu().double().flatten().tolist()
    return [x for part in found for x in plain(part)] if isinstance(found, (tuple, list)) else [found]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_a_tensor(name: str) -> None:
    """What else it takes, such as labels or a train mask, lies on the host."""
    function, values = FUNCTIONS[name]
    expected = plain(function(torch.as_tensor(values)))
    with PretendedGpu():
        found = plain(function(upload(torch.as_tensor(values))))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    "name", ["mutual_knn", "rsa", "cka", "svcca", "pwcca", "mean_cca", "procrustes_angle", "soft_matching"]
)
def test_representations_on_two_devices(name: str) -> None:
    """One network runs on the GPU, the other's activations were kept on the host."""
    measure, (x, y) = getattr(probes, name), torch.as_tensor(CUBE).flatten()[:336].reshape(2, 42, 4)
    options = {"k": 3} if name == "mutual_knn" else {}
    expected = measure(x, y, **options)
    with PretendedGpu():
        assert float(measure(upload(x), y, **options)) == pytest.approx(float(expected))
        assert float(measure(x, upload(y), **options)) == pytest.approx(float(expected))


def test_what_takes_several_tensors() -> None:
    basis, order, times = Basis.random(2, 7, seed=0), torch.arange(6, -1, -1), torch.tensor([0.0, 2.0])

    def all_of(points: Tensor, trained: Tensor, there: Any) -> list[Any]:
        return plain([
            basis.keep(points), basis.remove(points), hessian(SAMPLES, trained),
            effective_flow(points, SAMPLES, trained, there(times)), knn_under_permutation(points, points, k=3)(order),
        ])  # fmt: skip

    expected = all_of(POINTS, TRAINED, lambda t: t)
    with PretendedGpu():
        assert all_of(upload(POINTS), upload(TRAINED), upload) == pytest.approx(expected, rel=1e-6, abs=1e-9)
