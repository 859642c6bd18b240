"""CPPNs: against a naive twin, by gradients taken apart, stacked, resumed, drawn, and through their files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest, truncnorm
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

import interp
from interp.errors import InterpError, UnknownName, UnknownSite
from interp.hooked import config_from_dict
from interp.hooked.cppn.activation_functions import CPPN_ACTIVATIONS, activate
from interp.hooked.cppn.colour import rgb
from interp.hooked.cppn.config import CPPNConfig
from interp.hooked.cppn.model import PIXELS, HookedCPPN
from tests.interp.picbreeder.genomes import FUNCTIONS, colour

ALL = "3;cache:1,cos:2,gaussian:2,identity:1,relu:2,sigmoid:2,sin:1,tanh:1"
ARCHS = [ALL, "1;gaussian:3", "2;sin:2,cache:2", "2;sin:1,ublin:2,ugaussian:1,usigmoid:2"]


def make(arch: str = ALL, seed: int = 0, scale: float = 1.5) -> HookedCPPN:
    return HookedCPPN(CPPNConfig(arch)).double().init_weights(seed, scale)


def points(n: int = 20, *members: int, seed: int = 0) -> Tensor:
    return torch.randn(*members, n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stack(arch: str = ALL) -> tuple[HookedCPPN, dict[str, Tensor]]:
    models = [make(arch, seed) for seed in range(3)]
    return models[0], {n: torch.stack([m.state_dict()[n] for m in models]) for n in models[0].state_dict()}


def naive_hsv(model: HookedCPPN, inputs: Tensor) -> list[list[float]]:
    """The outputs, point by point and unit by unit, from the architecture's text."""
    layers, _, units = model.config.arch.partition(";")
    slots = [part.split(":")[0] for part in units.split(",") for _ in range(int(part.split(":")[1]))]
    results = []
    for values in inputs.tolist():
        for layer in range(int(layers)):
            columns = model.get_parameter(f"layers.{layer}.W").T.tolist()
            sums = [sum(v * w for v, w in zip(values, column, strict=True)) for column in columns]
            values = [z if kind == "cache" else FUNCTIONS[kind](z) for kind, z in zip(slots, sums, strict=True)]
        results.append([sum(v * w for v, w in zip(values, c, strict=True)) for c in model.W_U.T.tolist()])
    return results


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("arch", ARCHS)
def test_forward_equals_a_naive_twin(arch: str, seed: int) -> None:
    model, inputs = make(arch, seed), points(seed=seed)
    out, cache = model.run_with_cache(inputs)
    expected = naive_hsv(model, inputs)
    np.testing.assert_allclose(cache["hook_logits"].numpy(), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(out.detach().numpy(), [colour(*hsv) for hsv in expected], rtol=0, atol=1e-9)


def test_colours_equal_colorsys() -> None:
    """Far beyond 0 to 1 on both sides, and at the six corners of the hue."""
    hsv = 3 * points(4000)[:, :3]
    hsv[:13, 0] = torch.arange(-6, 7) / 6
    np.testing.assert_allclose(rgb(hsv).numpy(), [colour(*row) for row in hsv.tolist()], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", sorted(CPPN_ACTIVATIONS))
def test_derivatives(name: str) -> None:
    """The backward pass of the stacked path, once and twice, by finite differences; far out it stays finite."""
    z = points(seed=3).reshape(2, 5, 8)
    z = torch.where(z.abs() < 0.01, 0.5, z).requires_grad_()  # off the kink of a ReLU
    for check in (gradcheck, gradgradcheck):
        assert check(lambda t: activate(t, ((name, 4), ("sin", 1))), z)
    far = torch.tensor([-800.0, 0.0, 800.0]).expand(1, 4, 3).clone().requires_grad_()
    (slope,) = torch.autograd.grad(activate(far, ((name, 4),)).sum(), far)
    assert slope.isfinite().all()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("arch", ARCHS)
def test_stacked_equals_one_by_one(arch: str, shared: bool) -> None:
    """Outputs and gradients, in weights and in inputs, whether all members see the same or each its own."""
    model, stacked = stack(arch)
    inputs = (points(9) if shared else points(9, 3)).requires_grad_()
    parameters = {n: p.requires_grad_() for n, p in stacked.items()}
    out = functional_call(model, parameters, (inputs,))
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    *gradients, at_inputs = torch.autograd.grad((out * weights).sum(), [*parameters.values(), inputs])
    total = torch.zeros_like(inputs)
    for i in range(3):
        own = {n: p[i].detach().requires_grad_() for n, p in parameters.items()}
        seen = (inputs if shared else inputs[i]).detach().requires_grad_()
        alone = functional_call(model, own, (seen,))
        torch.testing.assert_close(out[i], alone, rtol=1e-10, atol=1e-12)
        *expected, at_seen = torch.autograd.grad((alone * weights[i]).sum(), [*own.values(), seen])
        for found, wanted in zip(gradients, expected, strict=True):
            torch.testing.assert_close(found[i], wanted, rtol=1e-8, atol=1e-10)
        (total if shared else total[i]).add_(at_seen)
    torch.testing.assert_close(at_inputs, total, rtol=1e-8, atol=1e-10)


def test_vmap_and_grad_go_through() -> None:
    """torch.func over the members gives what the stacked path gives, and its gradient too."""
    (model, stacked), inputs = stack(), points()

    def total(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(model, parameters, (inputs,)).square().sum()

    mapped = torch.vmap(lambda p: functional_call(model, p, (inputs,)))(stacked)
    torch.testing.assert_close(mapped, functional_call(model, stacked, (inputs,)), rtol=1e-10, atol=1e-12)
    leaves = {n: p.clone().requires_grad_() for n, p in stacked.items()}
    expected = torch.autograd.grad(total(leaves), list(leaves.values()))
    for found, wanted in zip(torch.vmap(torch.func.grad(total))(stacked).values(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-10)


def test_hook_points() -> None:
    """All of them, in order, with batch and unit as axes; stacked, with a member axis before."""
    model, stacked = stack()
    _, cache = model.run_with_cache(points(5))
    layers = [f"layers.{i}.hook_{where}" for i in range(3) for where in ("pre", "post")]
    assert list(cache) == ["hook_input", *layers, "hook_logits", "hook_color"]
    widths = [4, *[12] * 6, 3, 3]
    assert [tuple(a.shape) for a in cache.values()] == [(5, width) for width in widths]
    assert {model.axes_of(site) for site in cache} == {("batch", "unit")}
    seen: dict[str, tuple[int, ...]] = {}
    with model.hooks([("*", lambda x, hook: seen.update({hook.name: tuple(x.shape)}))]):
        functional_call(model, stacked, (points(5, 3),))
    assert list(seen.values()) == [(3, 5, width) for width in widths]


@torch.no_grad()
def test_resume_and_writes() -> None:
    """The rest of the model from every place, and where a change at any of them arrives."""
    model, inputs = make(), points()
    out, before = model.run_with_cache(inputs)
    for site in before:
        torch.testing.assert_close(model.resume(site, before[site]), out, rtol=0, atol=1e-12)
        stream, matrix = model.writes(site)
        change = 0.1 * points(seed=5).repeat(1, 3)[:, : before[site].shape[1]]
        with model.hooks([(site, lambda x, hook, d=change: x + d)]):
            moved, after = model.run_with_cache(inputs)
        expected = before[stream] + (change if matrix is None else change @ matrix)
        torch.testing.assert_close(after[stream], expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(model.resume(stream, expected), moved, rtol=1e-8, atol=1e-8)
        assert not torch.allclose(moved, out)
    torch.testing.assert_close(model(inputs), out, rtol=0, atol=0)


@pytest.mark.parametrize("site", ["layers.3.hook_pre", "layers.-1.hook_pre", "layers.0", "layers.².hook_pre", ""])
def test_places_that_are_none(site: str) -> None:
    """No index beyond the layers, negative, or of digits that are not a number."""
    with pytest.raises(UnknownSite, match=r"layers\.0\.\.2\.hook_pre"):
        make().resume(site, torch.zeros(2, 12))
    with pytest.raises(UnknownSite, match="no hook point"):
        make().writes(site)


def plane(rows: int, columns: int, x: tuple[float, float] = (-1, 1), y: tuple[float, float] = (-1, 1)) -> Tensor:
    """y, x, d, b of every pixel, row by row."""
    down, along = np.linspace(*x, rows), np.linspace(*y, columns)
    return torch.tensor([[b, a, 1.4 * np.hypot(a, b), 1.0] for a in down for b in along], dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (7, 5), (150, 113)])
def test_draw(size: tuple[int, int]) -> None:
    """Every pixel is the output at its coordinates, also where more are drawn than at a time; a rectangle is a crop."""
    model = make()
    assert PIXELS < 150 * 113
    for rectangle in ({}, {"x": (-0.5, 0.25), "y": (2.0, -1.0)}):
        picture = model.draw(size, **rectangle)
        assert picture.size == size
        expected = model(plane(*size, **rectangle)).reshape(*size, 3)
        torch.testing.assert_close(picture.pixels, expected, rtol=0, atol=1e-9)
    whole, part = model.draw(17).pixels, model.draw((5, 8), x=(-0.5, 0.0), y=(-1.0, -0.125)).pixels
    torch.testing.assert_close(part, whole[4:9, :8], rtol=0, atol=1e-9)


def test_rows_go_with_x() -> None:
    """Worked by hand: brightness is the second input, x, so it changes down the picture alone."""
    weights = {"layers.0.W": torch.eye(4)[:, 1:2], "unembed.W_U": torch.tensor([[0.0, 0.0, 1.0]])}
    grey = HookedCPPN.from_weights(CPPNConfig("1;identity:1"), weights).draw((5, 2)).pixels
    assert grey.tolist() == [[[v] * 3] * 2 for v in (1.0, 0.5, 0.0, 0.5, 1.0)]


def test_pictures_that_are_none() -> None:
    for size in (0, -1, (3, 0), 8193, (2, 2.0), "big", 3.5, (1, 2, 3)):
        with pytest.raises(InterpError, match="1 to 8192 pixels"):
            make().draw(size)  # type: ignore[arg-type]
    for edge in ((1.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))):
        for arguments in ({"x": edge}, {"y": edge}):
            with pytest.raises(InterpError, match="no extent"):
                make().draw(4, **arguments)


NO_ARCHS: dict[str, str] = {
    "": "cannot read the architecture ''", "12": "cannot read the architecture '12'.*write LAYERS;ACTIVATION:UNITS",
    "x;sin:1": "the architecture 'x;sin:1'", "-1;sin:1": "architecture '-1;sin:1'", "２;sin:1": "cannot read the arch",
    "2;": "cannot read ''", "2;sin": "cannot read 'sin'", "2;sin:1,": "cannot read ''", "2;sin:1.5": "read 'sin:1.5'",
    "2;cos:1,sin:-1": "cannot read 'sin:-1'", "2;sin:²": "cannot read 'sin:²'", "2;sin:" + "9" * 12: "read 'sin:9+'",
    "2;sinn:1": "unknown activation 'sinn'; did you mean 'sin'", "2;sin:1,cos:2,sin:3": "names an activation twice",
    "0;sin:1": "has 0 layers", "1001;sin:1": "has 1001 layers", "2;sin:0": "2 layers of 0",
    "2;sin:99999,cos:2": "2 layers of 100001", "1;sin:1" + " " * 20_000: "^(?!.*got str)",
}  # fmt: skip


@pytest.mark.parametrize(("arch", "message"), [*NO_ARCHS.items(), (None, "got NoneType"), (12, "got int")])
def test_architectures_that_are_none(arch: object, message: str) -> None:
    """The message says which part."""
    with pytest.raises(InterpError, match=message) as raised:
        CPPNConfig(arch)  # type: ignore[arg-type]
    assert len(str(raised.value)) < 500
    assert isinstance(raised.value, UnknownName) == ("unknown" in message)


@pytest.mark.parametrize("arch", ARCHS)
def test_config_and_file_round_trips(arch: str, tmp_path: Path) -> None:
    """A header's plain values, spaces and empty groups, and a file: the same model to the last bit."""
    config = CPPNConfig(arch)
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert CPPNConfig(" " + arch.replace(":", " : ").replace(",", " , ").replace(";", " ; ")) == config
    model = make(arch, 3)
    loaded = interp.load(interp.save(model, tmp_path / "cppn.safetensors", step=7), device="cpu")
    assert (loaded.step, loaded.model.config) == (7, config)
    assert all(torch.equal(a, b) for a, b in zip(loaded.model.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_truncated_draws(scale: float) -> None:
    """Variance ``1 / fan_in``, a normal cut at two of its standard deviations: by scipy's, on 90,000 entries."""
    before = torch.random.get_rng_state()
    model = HookedCPPN(CPPNConfig("2;sin:300")).double().init_weights(0, scale, scheme="truncated")
    assert torch.equal(torch.random.get_rng_state(), before)
    cut = truncnorm(-2, 2)
    for matrix in model.matrices:
        unit = matrix.detach().flatten().numpy() * len(matrix) ** 0.5 / scale  # should be of variance 1
        assert abs(unit).max() <= 2 / cut.std() + 1e-12
        assert kstest(unit * cut.std(), cut.cdf).pvalue > 1e-3
        assert unit.var() == pytest.approx(1, abs=5 * (1.2 / unit.size) ** 0.5)
    drawn = model.layer(1).W.detach()
    assert drawn.abs().max() * 300**0.5 / scale > 1.98 / cut.std()
    for seed in (0, 1):
        again = HookedCPPN(model.config).double().init_weights(seed, scale, scheme="truncated")
        assert torch.equal(again.layer(1).W, drawn) == (seed == 0)
