"""Sweeps of weights against drawing one changed network after the other: ``make bench`` prints the table."""

from __future__ import annotations

import resource
import statistics
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

import interp
from circuits.weight_sweeps.directions import Direction, single_entries
from circuits.weight_sweeps.render import Renderer
from interp.hooked import HookedCPPN
from interp.hooked.cppn.plane import coordinates

pytestmark = [pytest.mark.bench, pytest.mark.real_data]
SIZE = 256
STEPS = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])  # at 0 nothing moves, which costs the plain loop a picture
COLUMNS = 4  # of every matrix of the trained network, all of their entries
PLAIN = 30  # pictures of the plain loop that are timed


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def sampled(model: HookedCPPN) -> list[Direction]:
    """All entries of four columns, evenly spaced, of every matrix."""
    found = []
    for name, W in model.named_parameters():
        n = min(COLUMNS, W.shape[1])
        chosen = {round(k * (W.shape[1] - 1) / (n - 1)) for k in range(n)}
        found += [d for d in single_entries(model, "all", name) if d.column in chosen]
    return found


@torch.no_grad()
def plain_pictures(model: HookedCPPN, directions: list[Direction], step: float) -> tuple[list[float], list[Tensor]]:
    """Seconds and picture ``[3, row, col]`` of each: weights moved in place, a whole forward pass, weights restored."""
    points, weights = coordinates(SIZE, SIZE), dict(model.named_parameters())
    times, pictures = [], []
    for direction in directions:
        start = time.perf_counter()
        W = weights[direction.parameter or ""]
        before = W[:, direction.column].clone()
        W[:, direction.column] += step * direction.vector
        drawn = model(points)
        W[:, direction.column] = before
        times.append(time.perf_counter() - start)
        pictures.append(drawn.T.reshape(3, SIZE, SIZE))
    return times, pictures


@pytest.mark.parametrize(("name", "least"), [("sgd_skull", 6), ("picbreeder_skull", 20)])
def test_sweep_of_single_entries(name: str, least: float, data: Path) -> None:
    """256 x 256 in float32: every entry of the evolved network, four columns of every matrix of its trained twin.

    The plain loop is timed on 30 pictures, spread over all layers, half of them before and half after.
    """
    model = interp.load(data / "picbreeder" / f"{name}.npz", device="cpu").model.float()
    assert isinstance(model, HookedCPPN)
    directions = single_entries(model, "all") if name.startswith("picbreeder") else sampled(model)
    chosen = [round((k + 0.5) * len(directions) / PLAIN) for k in range(PLAIN)]
    plain_pictures(model, directions[:1], 0.5)
    times, pictures = plain_pictures(model, [directions[i] for i in chosen[::2]], 0.5)
    before, start = peak_gib(), time.perf_counter()
    renderer, found, drawn = Renderer(model, SIZE), {}, 0
    for block in renderer.pictures(directions, STEPS):
        drawn += len(block.directions) * len(STEPS)
        for place, i in enumerate(block.directions):
            if i in chosen[::2]:
                found[i] = renderer.base if block.pictures is None else block.pictures[place, 3].clone()
    swept, grown = time.perf_counter() - start, peak_gib() - before
    times += plain_pictures(model, [directions[i] for i in chosen[1::2]], 0.5)[0]
    assert drawn == len(directions) * len(STEPS)
    for i, expected in zip(chosen[::2], pictures, strict=True):
        assert float((found[i] - expected).abs().max()) < 1e-4
    plain = statistics.median(times) * drawn
    print(
        f"\n{name}: {drawn:,} pictures, {renderer.settled:,} of {len(directions):,} directions settled: plain loop "
        f"{plain:.0f} s, sweep {swept:.1f} s, {plain / swept:.1f} times; peak memory grew by {grown:.2f} GiB"
    )
    assert plain / swept >= least
    assert grown < 2
