"""Sweeps of a transformer against one forward pass and one transform per direction: ``make bench`` prints the table."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import circuits
import interp
from circuits.weight_sweeps.network_sweep import STEP, Swept, network_sweep

pytestmark = [pytest.mark.bench, pytest.mark.real_data]
DIRECTIONS = 24
PLAIN = 6  # directions of the plain loop that are timed


def plain_measures(change: Tensor, p: int) -> dict[str, float]:
    """Factors touched and equivariant share of a change ``[a, b, c]``, by Fourier transforms of the whole table."""
    D = change - change.mean(-1, keepdim=True)
    found = {}
    for name, axes in (("input_factors", (0, 1)), ("output_factors", (2,))):
        touched = []
        for axis in axes:
            power = torch.fft.fft(D, dim=axis).abs().square().sum([k for k in range(3) if k != axis])
            q = power[1 : (p + 1) // 2] + power[(p + 1) // 2 :].flip(0)
            touched.append(float(torch.special.entr(q / q.sum()).sum().exp()))
        found[name] = sum(touched) / len(touched)
    index = torch.arange(p)
    argument = (index[:, None, None] + index[:, None] - index) % p
    sums = torch.zeros(p, dtype=D.dtype).index_add_(0, argument.flatten(), D.flatten())
    return found | {"equivariant_share": float(sums.square().sum() / p**2 / D.square().sum())}


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_sweep_of_a_transformer(data: Path, dtype: torch.dtype) -> None:
    """p = 113: the same numbers, and at least ten times as fast along random columns of all matrices."""
    torch.set_num_threads(1)
    subject = interp.load(data / "grokking" / "wd_10-1_mod_addition_loss_curve.pth", device="cpu")
    task, model, p = subject.require_task(), subject.model.cast(dtype), 113
    drawn = circuits.random_directions(model, DIRECTIONS)
    weights = {name: w.detach() for name, w in model.named_parameters()}
    base = task.read(model(task.inputs)).view(p, p, p)
    start, cpu = time.perf_counter(), time.process_time()
    plain = []
    for direction in drawn[:PLAIN]:
        moved = {name: weights[name] + STEP * c for name, c in direction.changes(weights).items()}
        outputs = task.read(functional_call(model, {**weights, **moved}, (task.inputs,)))
        plain.append(plain_measures(outputs.view(p, p, p) - base, p))
    slow, slow_cpu = (time.perf_counter() - start) / PLAIN, (time.process_time() - cpu) / PLAIN
    swept = Swept(subject, dtype)
    network_sweep(swept, drawn[:1])  # orbits of the symmetry, found once
    start, cpu = time.perf_counter(), time.process_time()
    found = network_sweep(swept, drawn)
    fast, fast_cpu = (time.perf_counter() - start) / DIRECTIONS, (time.process_time() - cpu) / DIRECTIONS
    for i, expected in enumerate(plain):
        for name, value in expected.items():
            assert found.measured[name][i] == pytest.approx(value, rel=1e-6 if dtype == torch.float64 else 1e-2), name
    print(
        f"\n{dtype}: {1e3 * fast:.0f} ms a direction, plain {1e3 * slow:.0f} ms: {slow / fast:.1f} times faster "
        f"(CPU {1e3 * fast_cpu:.0f} and {1e3 * slow_cpu:.0f} ms: {slow_cpu / fast_cpu:.1f})"
    )
    assert slow_cpu / fast_cpu > 5
