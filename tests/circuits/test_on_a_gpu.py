"""Capture, ablation, sweeps and methods on a pretended GPU: the CPU's numbers, one device, and few waits for the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest
from torch import Tensor

import circuits
from interp import Subject
from interp.activations.capture import capture
from interp.hooked.transformer.attention import Attention
from tests.circuits.cppns import dense
from tests.models import subject
from tests.pretend_gpu import PretendedGpu

Numbers = Callable[[Subject], Sequence[Any]]


def numbers_of(frame: pd.DataFrame) -> list[float]:
    """All its numbers."""
    return frame.select_dtypes("number").to_numpy().ravel().tolist()


def pairs(one: Subject) -> tuple[Subject, Tensor, Tensor]:
    """Clean and corrupted inputs, as a user has them: on the host."""
    inputs = one.require_task().inputs
    return one, inputs[:8].cpu(), inputs[8:16].cpu()


def captured(one: Subject) -> list[float]:
    acts = capture(one.model, one.require_task().inputs, "*", batch_size=10)
    return [float(a.double().sum()) for a in acts.values()]


def swept(one: Subject) -> list[float]:
    return (
        circuits.sweep(one, circuits.random_directions(one, 3), [-0.1, 0.1])
        .rows.select_dtypes("number")
        .to_numpy()
        .ravel()
        .tolist()
    )


def picture(one: Subject) -> list[float]:
    model = dense().to(one.model.device)
    return (
        circuits.sweep(model, circuits.random_directions(model, 3), (-1.0, 1.0), 8)
        .rows.select_dtypes("number")
        .to_numpy()
        .ravel()
        .tolist()
    )


def loss_swept(one: Subject) -> list[float]:
    return circuits.loss_sweep(one, circuits.random_directions(one, 3), (0.0, 1.0))["loss"].tolist()


# name: (numbers to compare, how often the host may wait): pieces of work, not components or steps, are waited for
CASES: dict[str, tuple[Numbers, int]] = {
    "capture": (captured, 40),
    "ablate neurons": (lambda s: circuits.ablate(s, "neurons")["loss"].tolist(), 36),
    "ablate heads": (lambda s: circuits.ablate(s, "heads", n_random=4)["loss"].tolist(), 70),
    "ablate pairs": (lambda s: circuits.ablate_pairs(s, top=4).rows["interaction"].tolist(), 105),
    "patch": (lambda s: numbers_of(circuits.patch(*pairs(s), "*hook_resid_mid").effects), 26),
    "sweep": (swept, 185),
    "picture sweep": (picture, 78),
    "loss sweep": (loss_swept, 30),
    "eap": (lambda s: circuits.eap(*pairs(s)).edges["score"].tolist(), 15),
    "atp_star": (lambda s: circuits.atp_star(*pairs(s)).nodes["score"].tolist(), 31),
    "integrated gradients": (lambda s: circuits.integrated_gradients(*pairs(s)).nodes["effect"].tolist(), 48),
    "edge pruning": (lambda s: circuits.edge_pruning(*pairs(s), steps=3).edges["score"].tolist(), 40),
    "optimal ablation": (lambda s: circuits.optimal_ablation(s, inputs=pairs(s)[1], steps=3).nodes["effect"].tolist(), 56),
}  # fmt: skip


def on_gpu(numbers: Numbers) -> tuple[Sequence[Any], list[str]]:
    """The numbers, and what the host waited for."""
    with PretendedGpu() as gpu:
        there = Subject("two layers", subject("two layers").model.cuda(), subject("two layers").task)
        before = len(gpu.waits)
        return numbers(there), gpu.waits[before:]


@pytest.mark.parametrize("name", CASES)
def test_an_experiment(name: str) -> None:
    """The numbers of the CPU, no tensor of the wrong device, and no more waits than pieces of work."""
    numbers, most = CASES[name]
    found, waits = on_gpu(numbers)
    assert list(found) == pytest.approx(list(numbers(subject("two layers"))), rel=1e-6, abs=1e-9, nan_ok=True)
    assert len(waits) <= most, waits


def test_a_planted_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that asks for a number of the GPU at every call is too much."""
    forward = Attention.forward

    def asks(self: Attention, *given: Any, **named: Any) -> Any:
        found = forward(self, *given, **named)
        found.detach().sum().item()
        return found

    monkeypatch.setattr(Attention, "forward", asks)
    numbers, most = CASES["ablate neurons"]
    assert len(on_gpu(numbers)[1]) > most
