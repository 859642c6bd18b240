"""Reduction of image networks: exact at full size, naive loops for what is smaller, and the table of both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from circuits.analyses.reduction import reduction
from circuits.compression.image_curves import components_kept, curve, unit_effects, units_kept
from circuits.compression.spectra import Spectra
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.subject import Subject
from tests.circuits.cppns import ALL, CURVES, dense, hsv_to_rgb, naive_picture, sparse

SIZE = 12
SMALL = "3;cache:1,gaussian:2,sin:2"


def flat(picture: Tensor) -> Tensor:
    return picture.reshape(3, -1).T


def base(model: HookedCPPN) -> Tensor:
    return flat(naive_picture(model, model.matrices, SIZE))


def truncated(model: HookedCPPN, rank: int) -> HookedCPPN:
    spectra = Spectra.of(model)
    found = spectra.truncated(model, spectra.same(rank))
    assert isinstance(found, HookedCPPN)
    return found


def naive_run(model: HookedCPPN, change: object) -> tuple[list[np.ndarray], Tensor]:
    """All layers ``[slot, pixel]`` and the picture ``[pixel, 3]``, with ``change(layer, values)`` behind each layer."""
    line = np.linspace(-1, 1, SIZE)
    down, along = line.repeat(SIZE), np.tile(line, SIZE)
    x, seen = np.stack([along, down, 1.4 * np.hypot(down, along), np.ones_like(down)]), []
    *hidden, last = [W.detach().double().numpy() for W in model.matrices]
    for layer, W in enumerate(hidden):
        z = W.T @ x
        x = np.stack([CURVES[k](row) for k, row in zip(model.config.kinds, z, strict=True)])
        x = change(layer, x)  # type: ignore[operator]
        seen.append(x)
    h, s, v = last.T @ x
    return seen, torch.from_numpy(hsv_to_rgb((h + 1) % 1, s.clip(0, 1), np.abs(v).clip(0, 1)).T.copy())


def untouched(model: HookedCPPN) -> list[np.ndarray]:
    return naive_run(model, lambda layer, x: x)[0]


@pytest.mark.parametrize("make", [dense, sparse])
def test_unit_effects_equal_the_loop(make: type) -> None:
    """One unit at a time at its mean, from the first layer on."""
    model = make(ALL)
    layers, expected = untouched(model), []
    for layer in range(3):
        for slot in range(12):

            def held(at: int, x: np.ndarray, layer: int = layer, slot: int = slot) -> np.ndarray:
                x = x.copy()
                if at == layer:
                    x[slot] = layers[layer][slot].mean()
                return x

            expected.append(float((naive_run(model, held)[1] - base(model)).square().mean()))
    found = unit_effects(model, SIZE)
    np.testing.assert_allclose(found.numpy().ravel(), expected, rtol=1e-8, atol=1e-14)
    assert max(expected) > 1e-3


def test_units_kept() -> None:
    """All: exact; none: a picture of one colour; some: the others at their means in the untouched network."""
    model = dense(SMALL)
    everything = torch.ones(3, 5, dtype=torch.bool)
    torch.testing.assert_close(units_kept(model, everything, SIZE), base(model), rtol=0, atol=1e-12)
    constant = units_kept(model, ~everything, SIZE)
    torch.testing.assert_close(constant, constant[:1].expand_as(constant), rtol=0, atol=1e-12)
    kept, layers = torch.rand(3, 5, generator=torch.Generator().manual_seed(0)) < 0.6, untouched(model)

    def held(at: int, x: np.ndarray) -> np.ndarray:
        return np.where(kept[at].numpy()[:, None], x, layers[at].mean(1, keepdims=True))

    torch.testing.assert_close(units_kept(model, kept, SIZE), naive_run(model, held)[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [dense, sparse])
@pytest.mark.parametrize("arch", [ALL, "1;sin:30", SMALL])
def test_all_components_are_exact(arch: str, make: type) -> None:
    model = make(arch)
    width = model.config.width
    for n in (width, width + 5):
        torch.testing.assert_close(components_kept(model, n, SIZE), base(model), rtol=0, atol=1e-9)
    constant = components_kept(model, 0, SIZE)  # the mean of every layer is all that passes
    torch.testing.assert_close(constant, constant[:1].expand_as(constant), rtol=0, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_components_equal_the_loop(n: int) -> None:
    """Principal axes of the untouched network's maps by NumPy's SVD; errors of one layer reach the next."""
    model = dense(SMALL)
    layers = untouched(model)

    def projected(at: int, x: np.ndarray) -> np.ndarray:
        mean = layers[at].mean(1, keepdims=True)
        axes = np.linalg.svd(layers[at] - mean, full_matrices=False)[0][:, :n]
        return mean + axes @ (axes.T @ (x - mean))

    torch.testing.assert_close(components_kept(model, n, SIZE), naive_run(model, projected)[1], rtol=0, atol=1e-8)


def test_svd_truncation() -> None:
    """Full rank: exact; less: NumPy's best approximation, of that rank, in the same arch, and the network as it was."""
    model = dense(ALL)
    before = [W.detach().clone() for W in model.matrices]
    full = truncated(model, 12)
    for W, own in zip(full.matrices, model.matrices, strict=True):
        torch.testing.assert_close(W, own, rtol=0, atol=1e-12)
    for rank in (1, 2):
        smaller = truncated(model, rank)
        assert (smaller.config, smaller.dtype) == (model.config, model.dtype)
        for W, own in zip(smaller.matrices, before, strict=True):
            u, s, vh = np.linalg.svd(own.numpy(), full_matrices=False)
            expected = torch.from_numpy((u[:, :rank] * s[:rank]) @ vh[:rank])
            torch.testing.assert_close(W.detach(), expected, rtol=0, atol=1e-10)
            assert int(torch.linalg.matrix_rank(W)) == rank
    assert all(torch.equal(a, b) for a, b in zip(before, model.matrices, strict=True))
    with pytest.raises(InterpError):
        truncated(model, 0)


def test_curve() -> None:
    """Columns, rows and counts; exact at the end of each method; a rank's picture is that of the truncated network."""
    model = sparse(SMALL, 1, 0.7)
    table = curve(model, SIZE, (0.2, 0.6, 1.0))
    assert list(table.columns) == ["method", "left", "parameters", "mean_square", "largest"]
    assert {m: sorted(g["left"]) for m, g in table.groupby("method")} == {
        "units": [3, 9, 15], "components": [1, 3, 5], "rank": [1, 3, 5]
    }  # fmt: skip
    ends = table.query("left == 15 or (method != 'units' and left == 5)")
    assert len(ends) == 3
    assert (ends["mean_square"] < 1e-16).all()
    rank = table.query("method == 'rank'").set_index("left")
    for n in (1, 3):
        change = base(truncated(model, n)) - base(model)
        assert rank.loc[n, "mean_square"] == pytest.approx(float(change.square().mean()), rel=1e-8)
        assert rank.loc[n, "largest"] == pytest.approx(float(change.abs().max()), rel=1e-8)
    assert rank["parameters"].tolist() == [9 + 10 + 10 + 8, 20 + 25 + 25 + 15, 20 + 25 + 25 + 15]
    components = table.query("method == 'components'").set_index("left")["parameters"]
    assert components.to_dict() == {1: 4 + 1 + 1 + 3, 3: 12 + 9 + 9 + 9, 5: 20 + 25 + 25 + 15}
    units = table.query("method == 'units'").set_index("left")
    assert units.loc[15, "parameters"] == sum(int((W != 0).sum()) for W in model.matrices)
    kept = torch.zeros(15, dtype=torch.bool)
    kept[unit_effects(model, SIZE).flatten().argsort(descending=True)[:9]] = True
    change = units_kept(model, kept.reshape(3, 5), SIZE) - base(model)
    assert units.loc[9, "mean_square"] == pytest.approx(float(change.square().mean()), rel=1e-8)


def test_analysis() -> None:
    """What it counts is what the functions give, and the smallest of each method is the first within the error."""
    model = sparse(SMALL, 1, 0.5)
    result = reduction(Subject("sparse", model), max_error=1e-3, size=SIZE)
    m = result.metrics
    assert m["links_before"] == sum(int((W != 0).sum()) for W in model.matrices)
    assert m["fewest_links"] <= m["links_after_pruning"] <= m["links_before"]
    assert m["largest_difference_after_pruning"] < 1e-12
    assert m["fewest_links_mean_square"] <= 1e-3
    table = result.tables["curve"]
    for method in ("units", "components", "rank"):
        within = table[(table["method"] == method) & (table["mean_square"] <= 1e-3)]["left"]
        assert m[f"smallest_{method}"] == within.min()
    assert f"{m['fewest_links']} links" in result.headline
    for wrong in ({"max_error": -1.0}, {"size": 4}):
        with pytest.raises(InterpError):
            reduction(Subject("sparse", model), **wrong)
