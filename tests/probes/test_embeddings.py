"""Embeddings on their components: circles built by hand, projections by numpy, and runs in which they move."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import interp
from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability
from interp.snapshot import Snapshot
from probes.analyses.embeddings import embeddings
from probes.analyses.performance import measure
from probes.embedding_views import aligned, embedding_table, projected
from probes.spectra import pca
from tests.models import P, make, subject

ONE_TABLE = ["plain", "two layers", "layer norm", "shared concat", "shared sum", "product", "deep"]


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def table_of(model: interp.hooked.HookedModel) -> Tensor:
    """The embeddings in the model, to be written to."""
    return next(p for name, p in model.named_parameters() if name.endswith("W_E")).data


def on_circle(frequency: int, p: int = 13, radius: float = 3.0) -> Subject:
    """An MLP whose embeddings are one circle, turned into six dimensions, about a point that is not 0."""
    model = HookedMLP(MLPConfig((9,), p, d_vocab=p, d_embed=6)).double().init_weights(0)
    angle = 2 * math.pi * frequency * torch.arange(p).double() / p
    plane = torch.linalg.qr(draw(1, 6, 6))[0][:2]
    table_of(model).copy_(radius * torch.stack([angle.cos(), angle.sin()], 1) @ plane + draw(2, 6))
    return Subject("circle", model, ModularArithmetic(p, "add", 0.5).fit(model))


def shown(figure: object, trace: int = 0) -> np.ndarray:
    data = figure.data[trace]  # type: ignore[attr-defined]
    return np.stack([data.x, data.y], 1)


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_alignment_laws(seed: int, d: int) -> None:
    """Only signs of whole axes change; the result is the nearest of all; a second time changes nothing."""
    points, to = draw(seed, 5, d), draw(seed + 1, 5, d)
    found = aligned(points, to)
    assert torch.equal(found.abs(), points.abs())
    every = [points * torch.tensor(signs) for signs in np.array(np.meshgrid(*[[-1.0, 1.0]] * d)).reshape(d, -1).T]
    assert (found - to).norm() == pytest.approx(min(float((e - to).norm()) for e in every))
    assert torch.equal(aligned(found, to), found)
    assert torch.equal(aligned(-points, to), found)


@pytest.mark.parametrize("name", ONE_TABLE)
def test_all_components_are_the_clean_network(name: str) -> None:
    """Loss and accuracy to rounding."""
    one, clean = subject(name), measure(subject(name))
    snapshot = Snapshot(one)
    reduction = pca(embedding_table(snapshot).rows)
    before = {k: v.clone() for k, v in one.model.state_dict().items()}
    (found,) = projected(snapshot, reduction, [len(reduction.singular_values)])
    assert found.loss == pytest.approx(clean["loss"], abs=1e-9)
    assert found.accuracy == clean["correct"] / clean["total"]
    assert all(torch.equal(v, before[k]) for k, v in one.model.state_dict().items())


@pytest.mark.parametrize("name", ["plain", "shared concat", "product"])
def test_some_components_by_hand(name: str) -> None:
    """Projected by numpy's SVD, written into a copy; on axes of other embeddings, too; ``=`` keeps its own."""
    one, other = subject(name), make(name, 5)
    losses = []
    for axes_of in (one.model, other):
        basis = table_of(axes_of)[:P].numpy()
        directions = np.linalg.svd(basis - basis.mean(0))[2]
        rows = table_of(one.model)[:P].numpy()
        for found in projected(Snapshot(one), pca(torch.as_tensor(basis)), [0, 1, 3]):
            kept = directions[: found.components]
            changed = make(name)
            table_of(changed)[:P] = torch.as_tensor(rows.mean(0) + (rows - rows.mean(0)) @ kept.T @ kept)
            expected = measure(replace(one, model=changed))
            assert found.loss == pytest.approx(expected["loss"], abs=1e-9)
            assert found.accuracy == expected["correct"] / expected["total"]
            losses.append(round(found.loss, 6))
    assert len(set(losses)) == 5  # without components, axes say nothing; else each count and basis differ


@pytest.mark.parametrize("frequency", [1, 2, 5])
def test_a_circle_has_two_dimensions(frequency: int) -> None:
    """Two components hold all, the first alone half; the points lie on a circle at the frequency that was written."""
    found = embeddings(on_circle(frequency))
    assert found.metrics["effective_dimension"] == pytest.approx(2)
    assert found.metrics["share_of_two_components"] == pytest.approx(1)
    assert found.tables["dimensions"]["share of PC 0"].tolist() == pytest.approx([0.5])
    points = shown(found.figures["through time"])
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.full(13, 3.0))
    power = np.abs(np.fft.fft(points @ [1, 1j])) ** 2
    assert set(np.flatnonzero(power > 1e-9 * power.max())) <= {frequency, 13 - frequency}
    scores = found.tables["projected"].set_index("components")["loss"]
    assert scores.loc[[2, 3, 4, 6]].tolist() == pytest.approx([scores.loc[6]] * 4)
    assert scores.loc[1] != pytest.approx(scores.loc[6])


@pytest.mark.parametrize("name", ["per operand", "product of tables"])
def test_refusals_of_tables_per_operand(name: str) -> None:
    """One table is drawn; the host skips what has two, and what has none."""
    with pytest.raises(MissingCapability, match="embeddings of their own"):
        embeddings(subject(name))
    assert interp.analyze(subject(name), ["embeddings"])["embeddings"].status == "skipped"


def test_refusals_of_frames(demo: Subject) -> None:
    """A slider of one frame, and every 0th checkpoint."""
    for name in ("frames", "every"):
        with pytest.raises(InterpError, match="must be at least"):
            embeddings(demo, **{name: 0})


@pytest.fixture(scope="module")
def toy() -> interp.Run:
    """Embeddings of one number each."""
    members = [{"seed": 0}, {"seed": 1}]
    model = "mlp:hidden=16,d_embed=1"
    return interp.train("addition:p=5", model, steps=60, checkpoints="every:10", members=members, lr=0.01, device="cpu")


def test_a_frame_per_step(demo: Subject) -> None:
    """In their order, every point in sight of every frame, neighbouring frames without a flip; the last is shown."""
    found = embeddings(demo, project=False)
    figure = found.figures["through time"]
    assert demo.series is not None
    assert [f.name for f in figure.frames] == [str(s) for s in demo.series.steps]
    (slider,) = figure.layout.sliders
    assert [s.args[0][0] for s in slider.steps] == [f.name for f in figure.frames]
    assert slider.active == len(figure.frames) - 1
    assert (shown(figure) == shown(figure.frames[-1])).all()
    clouds = [shown(f) for f in figure.frames]
    for frame, points in zip(figure.frames, clouds, strict=True):
        for axis in (frame.layout.xaxis, frame.layout.yaxis):
            assert axis.range[0] <= points.min() < points.max() <= axis.range[1]
            assert axis.range[1] <= 1.5 * np.abs(points).max()
    assert all(((a * b).sum(0) >= 0).all() for a, b in itertools.pairwise(clouds))
    assert "projected" not in found.tables
    few = embeddings(demo, frames=3, project=False).tables["dimensions"]["step"].tolist()
    assert len(few) == 3
    assert (few[0], few[-1]) == (demo.series.steps[0], demo.series.steps[-1])


def test_the_start_on_the_final_axes(demo: Subject) -> None:
    """By numpy's SVD of the last table, up to signs; scores on the final axes are there for every step but the last."""
    found = embeddings(demo)
    assert demo.series is not None
    start, end = (table_of(demo.series.at(s)).numpy().astype(float)[:53] for s in (demo.series.steps[0], 8_000))
    axes = np.linalg.svd(end - end.mean(0))[2][:2]
    expected = (start - start.mean(0)) @ axes.T
    assert np.abs(shown(found.figures["start on final axes"])) == pytest.approx(np.abs(expected), abs=1e-6)
    scores = found.tables["projected"]
    whole = scores[scores["components"] == scores["components"].max()]
    recorded = dict(demo.curves["test_accuracy"])
    last = whole[whole["step"] == 8_000]
    assert last["axes of"].tolist() == ["this step"]
    assert last["accuracy"].item() >= min(recorded[8_000], 0.9)
    for _, part in whole[whole["step"] < 8_000].groupby("step"):
        assert sorted(part["axes of"]) == ["the end", "this step"]
        assert np.ptp(part["loss"]) < 1e-9


def test_numbers_on_a_line(toy: interp.Run) -> None:
    """One-dimensional embeddings: a slider on a line, no plane at the end, and a dimension of 1."""
    found = embeddings(toy.subject(1))
    assert set(found.figures) == {"through time", "on the first components"}
    assert (shown(found.figures["through time"])[:, 1] == 0).all()
    values = table_of(toy.subject(1).model).double().numpy()[:, 0]
    assert np.abs(shown(found.figures["through time"])[:, 0]) == pytest.approx(np.abs(values - values.mean()), abs=1e-6)
    assert found.metrics["effective_dimension"] == pytest.approx(1)
    assert set(found.tables["projected"]["components"]) == {1}


def quick(folder: Path, task: object, model: object, **settings: object) -> interp.Run:
    settings |= {"out": folder / "run", "device": "cpu"}
    return interp.train(task, model, steps=20, checkpoints="every:10", metrics="every:5", **settings)  # type: ignore


def image(folder: Path, **settings: object) -> interp.Run:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "target.png")
    task = f"image:target={folder / 'target.png'},size=8"
    return quick(folder, task, interp.CPPNConfig("2;gaussian:2,sin:1"), **settings)


def reviews(folder: Path) -> interp.Run:
    text = "\n".join(f"{('good film', 'bad plot')[i % 2]} number {'x' * (i % 5 + 1)},{1 - i % 2}" for i in range(40))
    (folder / "reviews.csv").write_text("review,label\n" + text)
    return quick(
        folder, f"reviews:path={folder / 'reviews.csv'},n=0,max_length=6", "lstm:d_embed=4,d_hidden=5,n_layers=1"
    )


RUNS: dict[str, Callable[[Path], interp.Run]] = {
    "parity": lambda out: quick(out, "parity:n=8,k=2,n_train=40,n_test=20", "mlp:hidden=12"),
    "S_3": lambda out: quick(out, "group:table=S_3,train_fraction=0.6", "mlp:hidden=12,d_embed=9,combine=product"),
    "reviews": reviews,
    "no hidden layer": lambda out: quick(out, "modular:p=7,train_fraction=0.5", "mlp:hidden=,d_embed=4"),
    "image": image,
    "images": lambda folder: image(folder, members=[{"seed": 0}, {"seed": 1}]),
    "everything trained on": lambda out: quick(out, "addition:p=4,train_fraction=1.0", None, members=interp.seeds(2)),
}  # fmt: skip


def assert_well(outcomes: interp.plugins.analysis.Outcomes) -> None:
    """Nothing failed, and what was skipped says why."""
    assert not {name: o.error for name, o in outcomes.items() if o.status == "failed"}
    assert all(len(o.reason.split()) > 3 for o in outcomes.values() if o.status == "skipped")


HISTORY = ("progress", "embeddings", "densities", "clouds", "theory", "phases")


@pytest.mark.parametrize("name", RUNS)
def test_every_analysis_on_every_kind_of_run(name: str, tmp_path: Path) -> None:
    """Done, or skipped with a sentence; of images, the history alone."""
    assert_well(interp.analyze(RUNS[name](tmp_path).subject(), HISTORY if name.startswith("image") else None))


def test_every_analysis_on_two_more(demo: Subject, toy: interp.Run) -> None:
    """A member of toy addition; the history of the shipped run."""
    assert_well(interp.analyze(toy.subject(1)))
    options = {
        "progress": {"every": 4, "measures": "mode_power"},
        "clouds": {"points": 40},
        "embeddings": {"frames": 2},
    }
    assert_well(interp.analyze(demo, HISTORY, options))
