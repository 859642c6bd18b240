"""The renderer of changed networks against a loop that draws each from its first layer on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import interp
from circuits.weight_sweeps import render as rendering
from circuits.weight_sweeps.directions import Direction, random_directions, single_entries
from circuits.weight_sweeps.render import Renderer
from interp.errors import InterpError
from interp.hooked import CPPNConfig, HookedCPPN
from tests.circuits.cppns import ALL, ARCHS, dense, naive, naive_picture, of_weights, rendered, sparse

STEPS = torch.tensor([-1.0, 0.0, 2.5], dtype=torch.float64)


def mixed(model: HookedCPPN, n: int = 6, seed: int = 0) -> list[Direction]:
    """Some of each kind, in an order that is not that of the layers."""
    spans = [random_directions(model, n, seed, span) for span in ("column", "layer", "network")]
    found = [*single_entries(model, "all", n=3 * n, seed=seed), *(d for own in spans for d in own)]
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))
    return [found[i] for i in order.tolist()]


def assert_equals_naive(model: HookedCPPN, directions: list[Direction], steps: Tensor, size: int, atol: float) -> None:
    renderer = Renderer(model, size)
    base = naive_picture(model, model.matrices, size)
    torch.testing.assert_close(renderer.base.double(), base, rtol=0, atol=atol)
    expected = naive(model, directions, steps, size)
    torch.testing.assert_close(rendered(renderer, directions, steps).double(), expected, rtol=0, atol=atol)
    assert (expected - base).abs().max() > 0.1  # something does move, so that the base alone would not pass


@pytest.mark.parametrize("make", [dense, sparse])
@pytest.mark.parametrize("arch", ARCHS)
def test_every_kind_of_direction(arch: str, make: type) -> None:
    for seed in range(2):
        model = make(arch, seed)
        assert_equals_naive(model, mixed(model, seed=seed), STEPS, 9, 1e-10)


@pytest.mark.parametrize("arch", [ALL, "6;cache:4,gaussian:1,sin:1"])
def test_every_single_entry(arch: str) -> None:
    """Entries that are 0 too: a new link reaches what nothing reached before."""
    model = sparse(arch)
    step = torch.tensor([0.7], dtype=torch.float64)
    assert_equals_naive(model, single_entries(model, "all"), step, 5, 1e-10)


@pytest.mark.parametrize("arch", ARCHS)
def test_float32(arch: str) -> None:
    """Against float64 of the same weights: rounding only."""
    model = dense(arch, 1, 1.0).float()
    directions = mixed(model, 6)
    assert {d.vector.dtype for d in directions} == {torch.float32}
    assert_equals_naive(model, directions, STEPS.float(), 9, 1e-4)


def test_steps_of_each_direction_its_own() -> None:
    model = dense()
    directions = mixed(model)
    steps = torch.randn(len(directions), 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert_equals_naive(model, directions, steps, 7, 1e-10)


@pytest.mark.parametrize("size", [1, 2, 3, 13])
def test_odd_sizes(size: int) -> None:
    model = dense()
    assert_equals_naive(model, mixed(model, 4), STEPS, size, 1e-10)


@pytest.mark.parametrize(("piece", "block"), [(1, 4000), (150, 1), (1 << 30, 1 << 40)])
def test_how_work_is_cut_does_not_matter(piece: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pixel at a time, a direction at a time, or all at once; a block never holds more than it may."""
    model = dense()
    directions = mixed(model, 3)
    expected = rendered(Renderer(model, 7), directions, STEPS)
    monkeypatch.setattr(rendering, "PIECE", piece)
    monkeypatch.setattr(rendering, "BLOCK_BYTES", block)
    renderer = Renderer(model, 7)
    torch.testing.assert_close(rendered(renderer, directions, STEPS), expected, rtol=0, atol=1e-12)
    one = renderer.base.numel() * 8 * len(STEPS)
    drawn = [b.pictures for b in renderer.pictures(directions, STEPS) if b.pictures is not None]
    assert all(p.numel() * 8 <= max(block, one) for p in drawn)


@pytest.mark.parametrize("seed", range(3))
def test_settled_directions_change_nothing(seed: int) -> None:
    """In a sparse network many are settled; the loop shows that each leaves the picture as it was."""
    model = sparse(seed=seed, density=0.15)
    directions = single_entries(model, "all")
    renderer = Renderer(model, 6)
    settled = [i for b in renderer.pictures(directions, STEPS) if b.pictures is None for i in b.directions]
    assert renderer.settled == len(settled) > len(directions) // 10
    base = naive_picture(model, model.matrices, 6)
    pictures = naive(model, [directions[i] for i in settled], STEPS[2:], 6)
    torch.testing.assert_close(pictures, base.expand_as(pictures), rtol=0, atol=1e-12)
    list(renderer.pictures(directions[:1], STEPS))
    assert renderer.settled <= 1  # of the last call alone


def test_outputs_that_depend_on_nothing() -> None:
    """Black whatever moves before the last layer, so that all of it is settled; the last layer's entries are not."""
    model = dense()
    with torch.no_grad():
        model.W_U.zero_()
    directions = single_entries(model, "all")
    renderer = Renderer(model, 5)
    assert_equals_naive(model, directions, STEPS, 5, 1e-10)
    settled = {i for b in renderer.pictures(directions, STEPS) if b.pictures is None for i in b.directions}
    assert settled == {i for i, d in enumerate(directions) if d.parameter != "unembed.W_U"}


def test_units_that_are_dead_at_every_pixel() -> None:
    """What reads a ReLU that never fires is settled; what feeds it is not, since it may fire after the step."""
    first, second = torch.zeros(4, 2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    first[3] = torch.tensor([-0.5, 1.0])  # the bias: one slot never fires, one always
    second[:, 0] = 0.4
    last = torch.zeros(2, 3, dtype=torch.float64)
    last[0, 2] = 1
    model = of_weights("2;relu:2", [first, second, last])
    directions = single_entries(model, "all")
    assert_equals_naive(model, directions, STEPS, 5, 1e-10)
    blocks = Renderer(model, 5).pictures(directions, STEPS)
    settled = {str(directions[i]) for b in blocks if b.pictures is None for i in b.directions}
    assert "layers.1.W[0, 0]" in settled
    assert not settled & {"layers.0.W[3, 0]", "layers.1.W[1, 0]", "unembed.W_U[0, 0]"}


def test_paths_that_cancel() -> None:
    """Two linear ways that add up to 0 change nothing; a curved way between the same ends still does."""
    first = torch.zeros(4, 5, dtype=torch.float64)
    first[0, 2] = 1.0  # a sine of y
    second = torch.zeros(5, 5, dtype=torch.float64)
    second[2, :3] = torch.tensor([1.0, 1.0, 2.0])
    last = torch.zeros(5, 3, dtype=torch.float64)
    last[:, 2] = torch.tensor([0.5, -0.5, 0, 0, 0])
    for curved, expected in ((0.0, 1), (0.7, 0)):
        last[2, 2] = curved
        model = of_weights("2;identity:2,sin:3", [first, second, last])
        (direction,) = [d for d in single_entries(model) if str(d) == "layers.0.W[0, 2]"]
        renderer = Renderer(model, 5)
        found = rendered(renderer, [direction], STEPS)
        torch.testing.assert_close(found, naive(model, [direction], STEPS, 5), rtol=0, atol=1e-12)
        assert renderer.settled == expected


def test_the_network_is_left_as_it_is() -> None:
    model = dense()
    before = [W.detach().clone() for W in model.matrices]
    renderer = Renderer(model, 5)
    base = renderer.base.clone()
    first = rendered(renderer, mixed(model), STEPS)
    assert all(torch.equal(a, b) for a, b in zip(before, model.matrices, strict=True))
    assert torch.equal(renderer.base, base)
    assert torch.equal(rendered(renderer, mixed(model), STEPS), first)  # nothing is left over from the first call


def test_what_is_refused() -> None:
    """Directions of other networks, whatever their kind, and steps of another number."""
    model, other = dense(ALL), dense("5;cos:2,sin:30")
    renderer = Renderer(model, 4)
    singles = [d for d in single_entries(other, "all") if d.row == 31 or (d.column or 0) > 20]
    columns = random_directions(other, 5, span="column", parameters="layers.4.W")
    layers = random_directions(other, 5, span="layer", parameters="layers.1.W")
    for direction in (*singles[:3], singles[-1], *columns, *layers, *random_directions(other, 1, span="network")):
        with pytest.raises(InterpError, match=r"does not belong to this network|does not fit"):
            list(renderer.pictures([direction], STEPS))
    with pytest.raises(InterpError, match=r"\[3, 3\] for 2"):
        list(renderer.pictures(single_entries(model)[:2], torch.ones(3, 3)))
    with pytest.raises(InterpError, match="take a smaller size"):
        Renderer(model, 8192)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["picbreeder_skull", "sgd_skull"])
def test_real_networks(name: str, data: Path) -> None:
    """A sample of every kind, and the weight that the source names for the mouth."""
    model = interp.load(data / "picbreeder" / f"{name}.npz", device="cpu").model.double()
    assert isinstance(model, HookedCPPN)
    entries = [d for d in single_entries(model, "all") if str(d) == "layers.7.W[15, 15]"]
    assert len(entries) == 1
    entries += [*single_entries(model, "nonzero", n=12), *single_entries(model, "all", n=12)]
    entries += [*random_directions(model, 8), *random_directions(model, 2, span="layer")]
    entries += random_directions(model, 1, span="network")
    assert_equals_naive(model, entries, torch.tensor([-1.0, 0.5], dtype=torch.float64), 16, 1e-10)


def test_the_callers_gradients_are_left_alone() -> None:
    """Between the blocks the caller's code runs, with gradients as it left them; the pictures carry none."""
    model = HookedCPPN(CPPNConfig("2;cache:1,sin:2")).double().init_weights(0)
    for block in Renderer(model, 5).pictures(single_entries(model), torch.tensor([1.0])):
        assert torch.is_grad_enabled()
        assert block.pictures is None or not block.pictures.requires_grad
    assert torch.is_grad_enabled()
