"""Pruning image networks: the picture stays, the arch is as small as it can be, and links go within the error allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import interp
from circuits.compression.prune import prune
from circuits.compression.prune_image import compact, drop_links
from circuits.weight_sweeps.directions import single_entries
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from tests.circuits.cppns import ALL, dense, moved, naive_picture, of_weights, sparse


def picture(model: HookedCPPN, size: int = 24) -> Tensor:
    return naive_picture(model, model.matrices, size)


def links(model: HookedCPPN) -> int:
    return sum(int((W != 0).sum()) for W in model.matrices)


@pytest.mark.parametrize("arch", [ALL, "5;cache:3,gaussian:2,sin:2", "1;relu:2,sin:3", "4;relu:3,tanh:2"])
@pytest.mark.parametrize("density", [0.15, 0.3])
def test_the_picture_stays(arch: str, density: float) -> None:
    """By the naive loop; counts are those of the networks; a second time removes nothing."""
    removed = 0
    for seed in range(4):
        model = sparse(arch, seed, density)
        before = [W.detach().clone() for W in model.matrices]
        found = prune(model, 24)
        assert all(torch.equal(a, b) for a, b in zip(before, model.matrices, strict=True))
        torch.testing.assert_close(picture(found.cppn), picture(model), rtol=0, atol=1e-12)
        assert found.difference < 1e-12
        assert found.mean_square < 1e-24
        assert (found.links, found.links_before) == (links(found.cppn), links(model))
        assert found.links <= found.links_before
        assert found.units <= found.units_before
        removed += found.links_before - found.links
        again = prune(found.cppn, 24)
        assert (again.links, again.cppn.config) == (found.links, found.cppn.config)
        for W, following in zip(found.cppn.matrices, found.cppn.matrices[1:], strict=False):
            assert not (W[:, ~(following != 0).any(1)] != 0).any()  # nothing feeds a slot that nothing reads
    assert removed > 0


def test_a_dense_network_keeps_everything() -> None:
    model = dense()
    found = prune(model, 16)
    assert found.cppn.config == model.config
    assert (found.links, found.units) == (found.links_before, found.units_before) == (links(model), 3 * 12)
    assert all(torch.equal(a, b) for a, b in zip(found.cppn.matrices, model.matrices, strict=True))


def by_hand() -> HookedCPPN:
    """Brightness is sin(x), carried on; a cosine that nothing reads, a sine of nothing, and a constant that counts."""
    first = torch.zeros(4, 5, dtype=torch.float64)  # cache, cos, cos, sin, sin
    first[1, 4] = 2.0
    first[0, 1] = 3.0  # a cosine of y, which nothing reads
    second = torch.zeros(5, 5, dtype=torch.float64)
    second[4, 0] = 1.0
    second[3, 3] = 4.0  # sine of a sine of nothing
    last = torch.zeros(5, 3, dtype=torch.float64)
    last[0, 2], last[2, 2], last[3, 2] = 0.6, 0.3, 1.0  # cos(0) = 1 reads nothing, and is needed
    return of_weights("2;cache:1,cos:2,sin:2", [first, second, last])


def test_by_hand() -> None:
    model = by_hand()
    found = prune(model, 16)
    assert found.cppn.config.arch == "2;cache:1,cos:1,sin:1"
    assert (found.links_before, found.links) == (7, 4)
    torch.testing.assert_close(picture(found.cppn), picture(model), rtol=0, atol=1e-15)
    line = torch.linspace(-1, 1, 24, dtype=torch.float64)
    expected = (0.6 * torch.sin(2 * line) + 0.3).abs().unsqueeze(1).expand(3, 24, 24)
    torch.testing.assert_close(picture(found.cppn), expected, rtol=0, atol=1e-12)


def narrow(width: float) -> HookedCPPN:
    """A bright line down the middle row, of this width: relu(width - |x|)."""
    first, second = torch.zeros(4, 3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    first[1, 0], first[1, 1], first[3, 2] = 1.0, -1.0, 1.0
    second[:, 0] = torch.tensor([-1.0, -1.0, width])
    last = torch.zeros(3, 3, dtype=torch.float64)
    last[0, 2] = 1 / width
    return of_weights("2;relu:3", [first, second, last])


def test_what_shows_between_the_pixels_of_a_coarse_grid_stays() -> None:
    """A line that no pixel of 64 x 64 meets is seen at the 256 x 256 that were asked for."""
    model = narrow(0.01)
    assert model.draw(64).pixels.max() == 0
    assert model.draw(256).pixels.max() > 0.5
    found = prune(model, 256)
    assert found.difference < 1e-12
    assert prune(model, 257).difference < 1e-12


@pytest.mark.parametrize("max_error", [0.0, 1e-4, 1e-2])
def test_drop_links_stays_within_the_max_error(max_error: float) -> None:
    for seed in range(2):
        model = sparse("2;cache:1,gaussian:2,sin:2", seed, 0.5)
        found = drop_links(model, max_error, 32)
        error = float((picture(found.cppn, 32) - picture(model, 32)).square().mean())
        assert error <= max_error + 1e-20
        assert found.mean_square == pytest.approx(error, abs=1e-15)
        assert found.links == links(found.cppn) <= prune(model, 32).links <= found.links_before


def test_drop_links_removes_the_weakest() -> None:
    """Worked by hand: three sines of sizes 1, 0.1 and 0.01; which of them go, by the max_error."""
    first = torch.zeros(4, 3, dtype=torch.float64)
    first[1] = torch.tensor([1.0, 3.0, 5.0])
    last = torch.zeros(3, 3, dtype=torch.float64)
    last[:, 2] = torch.tensor([0.8, 0.1, 0.01])
    model = of_weights("1;sin:3", [first, last])
    kept = [drop_links(model, t, 32).links for t in (0.0, 1e-4, 1e-2, 1.0)]
    assert kept == [6, 4, 2, 0]
    with pytest.raises(InterpError, match="no link"):
        drop_links(of_weights("1;sin:3", [torch.zeros(4, 3), torch.zeros(3, 3)]))
    with pytest.raises(InterpError):
        drop_links(model, -0.1)


def test_drop_links_keeps_what_a_coarse_grid_does_not_see() -> None:
    """The max_error holds at the size that was asked for, for what is removed as unused too."""
    model = narrow(0.06)
    assert model.draw(16).pixels.max() == 0
    found = drop_links(model, 1e-6, 64)
    assert found.mean_square <= 1e-6


def test_compact_gives_each_layer_its_fullest_need() -> None:
    """Slots are counted by activation over all layers; a network of nothing keeps one and draws black."""
    model = by_hand()
    smaller = compact(model.config, [W.detach() for W in model.matrices])
    assert smaller.config.arch == "2;cache:1,cos:1,sin:2"
    torch.testing.assert_close(picture(smaller), picture(model), rtol=0, atol=1e-15)
    nothing = compact(model.config, [torch.zeros_like(W) for W in model.matrices])
    assert nothing.config.arch == "2;cache:1"
    assert not picture(nothing).any()


@pytest.mark.real_data
@pytest.mark.parametrize(("image", "nonzero"), [("skull", 147), ("butterfly", 281)])
def test_real_networks(image: str, nonzero: int, data: Path) -> None:
    """The picture of an evolved network stays when what it does not depend on goes; one kept link less would show."""
    model = interp.load(data / "picbreeder" / f"picbreeder_{image}.npz", device="cpu").model.double()
    assert isinstance(model, HookedCPPN)
    found = prune(model, 40)
    assert found.links_before == nonzero
    assert 0 < found.links <= nonzero
    torch.testing.assert_close(picture(found.cppn, 40), picture(model, 40), rtol=0, atol=1e-12)
    weights = {n: W.detach() for n, W in found.cppn.named_parameters()}
    changes = []
    for entry in single_entries(found.cppn, n=25):
        step = -float(weights[entry.parameter or ""][entry.row, entry.column])
        without = naive_picture(found.cppn, moved(found.cppn, entry, step), 40)
        changes.append(float((without - picture(model, 40)).abs().max()))
    assert sum(c > 1e-6 for c in changes) > 20
