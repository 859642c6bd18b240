"""The analysis `embeddings`: circles built by hand, and runs in which embeddings move."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import interp
from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability
from probes.analyses.embeddings import embeddings
from tests.models import subject
from tests.probes.test_embedding_views import draw, table_of


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
    with pytest.raises(MissingCapability, match="one embedding table for both"):
        embeddings(subject(name))
    assert interp.analyze(subject(name), ["embeddings"])["embeddings"].status == "skipped"


def test_refusals_of_frames(demo: Subject) -> None:
    """A slider of one frame, and every 0th checkpoint."""
    for name in ("frames", "every"):
        with pytest.raises(InterpError, match="must be at least"):
            embeddings(demo, **{name: 0})


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


def test_other_components_are_drawn_and_the_best_two_named() -> None:
    """A hexagon on the first and third of three components, as S_3 has it; the second splits even from odd."""
    p = 6
    model = HookedMLP(MLPConfig((9,), p, d_vocab=p, d_embed=3)).double().init_weights(0)
    turn = 2 * math.pi * torch.arange(p).double() / p
    even = torch.tensor([1.0, -1] * 3).double()
    table_of(model).copy_(torch.stack([3 * turn.cos(), 1.5 * even, turn.sin()], 1))
    hexagon = Subject("hexagon", model, ModularArithmetic(p, "add", 0.5).fit(model))
    found = embeddings(hexagon, components=(0, 2), project=False)
    assert np.abs(shown(found.figures["through time"])).max(0) == pytest.approx([3, np.sin(np.pi / 3)])
    assert found.figures["through time"].layout.yaxis.title.text == "PC 2"
    assert (found.metrics["most_regular_components"], found.metrics["regularity"]) == ("0, 2", pytest.approx(1))
    for wrong in ((0, 0), (0, 3), (1,)):
        with pytest.raises(InterpError, match="components"):
            embeddings(hexagon, components=wrong, project=False)
