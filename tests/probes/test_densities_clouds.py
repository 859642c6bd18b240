"""Densities against numpy's histogram, t-SNE on clusters that nobody can miss, and which steps and groups are drawn."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import interp
from interp import CheckpointSeries, InterpError, Subject
from interp.errors import MissingCapability
from interp.hooked import HookedModel
from interp.series import Entry
from probes.analyses.clouds import _names, clouds, tsne
from probes.analyses.densities import densities, density
from tests.models import subject


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclass(frozen=True)
class Made(CheckpointSeries):
    """Models of memory as a series: any step, without a file."""

    def at(self, step: int) -> HookedModel:
        return self._open(next(e for e in self.entries if e.step == step))


def history(one: Subject, models: dict[int, HookedModel]) -> Subject:
    series = Made(tuple(Entry(s, Path()) for s in models), lambda entry: models[entry.step])
    last = max(models)
    return replace(one, model=models[last], series=series, step=last)


def filled(one: Subject, value: float, where: slice = slice(None)) -> HookedModel:
    """The network with some entries of its first matrix set."""
    model = type(one.model).from_weights(one.model.config, {k: v.clone() for k, v in one.model.state_dict().items()})
    with torch.no_grad():
        first(model).view(-1)[where] = value
    return model


def first(model: HookedModel) -> Tensor:
    return next(p for p in model.parameters() if p.ndim > 1)


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0.1, 3))
def test_density_laws(seed: int, bins: int, edge: float) -> None:
    """Numpy's, times the share inside the edges; uneven bins, values on the edges."""
    values = torch.cat([draw(seed, 40), torch.tensor([-edge, edge]).double()])
    edges = np.concatenate([[-edge], np.sort(draw(seed + 1, bins - 1).tanh().numpy()) * 0.99 * edge, [edge]])
    found = density(values.view(2, 3, 7).float().double(), torch.as_tensor(edges).float())
    x, edges = values.float().double().numpy(), np.float32(edges).astype(float)
    inside = float(((x >= edges[0]) & (x <= edges[-1])).mean())
    assert float((found.numpy() * np.diff(edges)).sum()) == pytest.approx(inside)
    assert found.numpy() == pytest.approx(np.histogram(x, edges, density=True)[0] * inside)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_density_of_what_is_not_finite(bad: float) -> None:
    """It counts in the whole and falls in no bin, as what lies outside."""
    edges = torch.linspace(0, 1, 5)
    found = density(torch.tensor([0.1, 0.3, 0.3, 0.6, 1.0, bad, bad, 7.0]), edges)
    assert (found * edges.diff() * 8).tolist() == pytest.approx([1, 2, 1, 1])
    assert density(torch.full((3,), bad), edges).tolist() == [0, 0, 0, 0]
    assert density(torch.tensor(0.3), edges).tolist() == [0, 4, 0, 0]


def test_densities_of_a_history() -> None:
    """Every matrix by numpy, stacks of heads as one, at edges that all steps share; biases are no matrices."""
    one = subject("layer norm")
    other = replace(one, model=filled(one, 0.0, slice(0, 40)))
    run = history(one, {0: other.model, 70: filled(one, 5.0, slice(0, 9)), 1_000: one.model})
    found = densities(run, bins=30)
    table, weights = found.tables["densities"], dict(one.model.named_parameters())
    names = [n for n, w in weights.items() if w.ndim > 1 and ".b_" not in n]
    assert set(table["parameter"]) == set(names[:12])
    assert (found.metrics["matrices"], found.metrics["checkpoints"]) == (len(names), 3)
    assert any("blocks.0.attn.W_Q" in n for n in names)
    for (step, name), part in table.groupby(["step", "parameter"]):
        middle, width = part["weight"].to_numpy(), np.diff(part["weight"])[0]
        edges = np.append(middle - width / 2, middle[-1] + width / 2)
        values = dict(run.series.at(step).named_parameters())[name].detach().numpy().ravel()  # type: ignore[union-attr]
        counts = np.histogram(values, edges)[0]
        assert part["density"].to_numpy() == pytest.approx(counts / len(values) / width)
        assert counts.sum() / len(values) >= 0.99
    assert np.ptp(table.groupby(["parameter", "step"])["weight"].first().unstack().to_numpy(), axis=1).max() == 0
    for name in names[:12]:
        assert np.shape(found.figures[name].data[0].z) == (30, 3)
        assert [t.name for t in found.figures[f"{name} curves"].data] == ["step 0", "step 70", "step 1,000"]


@pytest.mark.parametrize("value", [0.0, 2.5, math.nan, math.inf])
@pytest.mark.parametrize("step", [0, 10, 20])
def test_densities_of_constants_and_of_what_is_not_finite(value: float, step: int) -> None:
    """At any step: every number of the result is finite, and the entries inside the edges are counted."""
    one = subject("shared concat")
    models = {s: filled(one, value) if s == step else one.model for s in (0, 10, 20)}
    table = densities(history(one, models)).tables["densities"]
    assert np.isfinite(table[["weight", "density"]].to_numpy()).all()
    own = table[table["parameter"] == next(n for n, p in one.model.named_parameters() if p.ndim > 1)]
    share = {s: part["density"].sum() * np.diff(part["weight"])[0] for s, part in own.groupby("step")}
    assert share[step] == pytest.approx(1.0 if math.isfinite(value) else 0.0)
    assert all(0.9 < share[s] <= 1 + 1e-9 for s in share if s != step)


def test_constant_matrices_of_one_entry() -> None:
    """Everything the same at all steps: a bin with all, none is divided by a width of 0."""
    model = interp.HookedMLP(interp.MLPConfig((1,), 1, d_in=1)).double().init_weights(0)
    found = densities(history(Subject("one", model), {0: model, 5: model}), bins=4)
    for _, part in found.tables["densities"].groupby(["step", "parameter"]):
        assert part["density"].max() * np.diff(part["weight"])[0] == pytest.approx(1)
        assert (part["density"] > 0).sum() == 1


def test_refusals_of_densities(demo: Subject) -> None:
    """A single bin, a single step, a network without a history."""
    for options in ({"bins": 1}, {"steps": 1}, {"every": 0}):
        with pytest.raises(InterpError, match="must be at least"):
            densities(demo, **options)
    assert interp.analyze(subject("plain"), ["densities"])["densities"].status == "skipped"


def test_two_far_clusters_stay_apart() -> None:
    """Whatever the map, a gap between them wider than either; the same for the same seed."""
    points = torch.cat([draw(0, 25, 6), 40 + draw(1, 25, 6)])
    placed = tsne(points, perplexity=10.0)
    center = [part.mean(0) for part in placed.split(25)]
    spread = max((part - c).norm(dim=1).median() for part, c in zip(placed.split(25), center, strict=True))
    assert (center[0] - center[1]).norm() > 2 * spread
    nearest = torch.cdist(placed, placed).fill_diagonal_(math.inf).argmin(1)
    assert ((nearest < 25) == (torch.arange(50) < 25)).all()
    assert torch.equal(tsne(points, perplexity=10.0), placed)
    assert torch.equal(tsne(points.float(), perplexity=10.0).isfinite(), torch.ones(50, 2, dtype=torch.bool))


def test_points_that_are_all_the_same() -> None:
    """One place; a copy or two among others is no matter."""
    assert torch.equal(tsne(torch.full((6, 3), 0.1), perplexity=2.0), torch.zeros(6, 2).double())
    assert tsne(torch.cat([draw(0, 6, 3)] * 2), perplexity=3.0).isfinite().all()
    assert tsne(torch.cat([torch.zeros(5, 3), torch.ones(1, 3)]), perplexity=3.0).isfinite().all()


@pytest.mark.parametrize(("n", "perplexity"), [(4, 2.0), (6, 6.0), (6, 30.0), (6, 0.5), (6, math.nan), (0, 1.0)])
def test_refusals_of_tsne(n: int, perplexity: float) -> None:
    """In a sentence of ours, not in scikit-learn's."""
    with pytest.raises(InterpError, match=r"t-SNE needs at least 5|perplexity must be at least 1"):
        tsne(draw(0, n, 3), perplexity)


@pytest.fixture(scope="module")
def parity(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Parity of two of eight bits, memorised, then learned."""
    run = interp.train(
        "parity:n=8,k=2,n_train=100,n_test=40", "mlp:hidden=40", steps=800, checkpoints="every:50", metrics="every:10",
        weight_decay=0.01, out=tmp_path_factory.mktemp("parity") / "run", device="cpu",
    )  # fmt: skip
    return run.subject()


def test_groups_of_parity_are_their_bits(parity: Subject) -> None:
    """By the first two bits of every example, with the signs that they have."""
    index = torch.tensor([3, 50, 120, 7])
    inputs = parity.require_task().inputs[index]
    assert _names(parity, index) == [("+" if a > 0 else "-") + ("+" if b > 0 else "-") for a, b, *_ in inputs.tolist()]
    assert _names(subject("plain"), torch.tensor([0, 8])) == ["0", "2"]


def reached(one: Subject, part: str) -> int:
    curve = one.curves[f"{part}_accuracy"]
    at = next(s for i, (s, _) in enumerate(curve) if min(v for _, v in curve[i:]) >= 0.9)
    return next(s for s in one.series.steps if s >= at)  # type: ignore[union-attr]


@pytest.mark.parametrize("learned", ["train test", "train", ""])
def test_the_usual_steps(parity: Subject, learned: str) -> None:
    """The first, those at which train and test accuracy are there for good, and the last; fewer if they never are."""
    curves = {n: [(s, v if n.split("_")[0] in learned else 0.5) for s, v in c] for n, c in parity.curves.items()}
    one = replace(parity, curves=curves)
    expected = {0, *(reached(parity, part) for part in learned.split()), 800}
    found = clouds(one, points=20)
    assert found.metrics["steps"] == sorted(expected)
    assert list(found.figures) == [f"step {s}" for s in sorted(expected)]
    table = found.tables["points"]
    assert table.groupby("step").size().tolist() == [20] * len(expected)
    assert set(table["group"]) == {"++", "+-", "-+", "--"}
    assert set(table["example"]) <= set(range(140))
    assert {t.name for t in found.figures["step 0"].data} == set(table["group"])


def test_steps_and_sites_that_are_asked_for(demo: Subject) -> None:
    """Only those; activations are those of the step and the site, by t-SNE of what a plain pass gives."""
    steps = demo.series.steps  # type: ignore[union-attr]
    site = "blocks.0.mlp.hook_post"
    found = clouds(demo, steps=(steps[-1], steps[1]), points=30, site=site, perplexity=5.0, seed=3)
    assert found.metrics["steps"] == [steps[1], steps[-1]]
    index = torch.linspace(0, 53**2 - 1, 30).round().long()
    _, cache = demo.model.run_with_cache(demo.require_task().inputs[index])
    last = found.tables["points"].query(f"step == {steps[-1]}")
    assert last["example"].tolist() == index.tolist()
    assert last["group"].tolist() == [str(int(v)) for v in demo.require_task().labels[index]]
    placed = tsne(cache[site][:, -1], 5.0, 3)
    distances = [torch.cdist(p, p) for p in (placed, torch.tensor(last[["x", "y"]].to_numpy()))]
    assert torch.allclose(*distances, atol=1e-3 * float(distances[0].max()))


def test_refusals_of_clouds(demo: Subject, parity: Subject) -> None:
    """A step without a checkpoint, a site that is no hidden layer, too few points, no hidden layer."""
    for options, match in (
        ({"steps": (0, 7)}, "no checkpoint at 7"), ({"site": "hook_embed"}, "one of"), ({"points": 4}, "points"),
        ({"points": 20, "perplexity": 0.5}, "perplexity"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=match):
            clouds(demo, **options)
    model = interp.HookedMLP(interp.MLPConfig((), 1, d_in=8)).double().init_weights(0)
    with pytest.raises(MissingCapability, match="no hidden units"):
        clouds(history(replace(parity, model=model), {0: model, 5: model}))


@pytest.mark.parametrize("loss", ["vectors", "mse"])
def test_labels_of_a_regression(tmp_path: Path, loss: str) -> None:
    """The toy model's targets are vectors, its groups the sums; the result is a report's as any other."""
    model = "mlp:hidden=8,d_embed=2"
    settings = {"steps": 20, "checkpoints": "every:10", "device": "cpu", "out": tmp_path / "run"}
    run = interp.train(f"addition:p=5,loss={loss}", model, **settings)  # type: ignore[arg-type]
    found = clouds(run.subject(), steps=(0, 20))
    assert found.tables["points"]["group"].tolist() == [str(i + j) for i in range(5) for j in range(i, 5)] * 2
    json.loads(found.figures["step 0"].to_json())


@pytest.mark.parametrize("name", ["embeddings", "densities", "clouds"])
@pytest.mark.parametrize("step", [0, 10, 20])
def test_weights_that_are_not_finite(name: str, step: int) -> None:
    """A network that diverged at a step: the others are drawn, whichever it was."""
    one = subject("shared concat")
    models = {s: filled(one, math.nan) if s == step else one.model for s in (0, 10, 20)}
    outcome = interp.analyze(history(one, models), [name])[name]
    assert outcome.status in ("ok", "skipped"), outcome.error
