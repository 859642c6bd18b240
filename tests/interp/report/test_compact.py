"""Figures as a page holds them: fewer bytes, and nothing that a reader would miss."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

import interp
from interp.report import figures, plotly_js, write
from interp.report.compact import extremes, figure_data, figure_json, narrowed, unpacked
from tests.interp.report.test_report import outcome

VENDOR = Path(plotly_js.__file__).parent / "vendor"


def source(packed: str) -> str:
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_the_bundle_is_the_one_that_its_licence_names() -> None:
    """The version in its head stands in the note beside it, and it defines every type of trace that is promised."""
    text = source(str(plotly_js.plotly_js({"scatter"})))
    version = re.search(r"plotly\.js \(cartesian - minified\) v([\d.]+)", text)
    assert version
    assert f"plotly.js-cartesian-dist-min {version.group(1)}" in (VENDOR / "LICENSE").read_text()
    assert all(f'name:"{kind}"' in text for kind in plotly_js.CARTESIAN)
    assert 'name:"sankey"' not in text


def test_other_traces_bring_the_whole_plotly(small: interp.Subject, tmp_path: Path) -> None:
    """A stranger's flow chart is drawn, too; a page without figures has no plotly at all."""
    flow = go.Figure(go.Sankey(node={"label": ["a", "b"]}, link={"source": [0], "target": [1], "value": [1]}))
    page = write(small, outcome(figures={"flow": flow}), tmp_path / "flow").read_text()
    packed = re.search(r'id="plotly">(.*?)</script>', page)
    assert packed
    assert 'name:"sankey"' in source(packed.group(1))
    assert plotly_js.plotly_js(()) == ""
    assert 'id="plotly"></script>' in write(small, outcome(), tmp_path / "none").read_text()


def test_thinning_keeps_every_extreme() -> None:
    """A spike of one point among a hundred thousand stays, on both kinds of axis; so do the ends and a gap."""
    n = 100_000
    x, y = np.arange(n), np.sin(np.arange(n) / 5_000)
    y[41_234], y[77_777], y[50_000] = 9.0, -9.0, np.nan
    kept = extremes(x.astype(float), y)
    assert {0, n - 1, 41_234, 77_777, 50_000} <= set(kept.tolist())
    assert len(kept) < 10_000
    assert set(range(1, 100)) <= set(kept.tolist())  # a logarithmic axis shows each of the first
    data = figure_data(go.Figure(go.Scatter(x=x, y=y, text=[str(i) for i in x], mode="lines")))["data"][0]
    drawn = dict(zip(unpacked(data["x"]).tolist(), unpacked(data["y"]).tolist(), strict=True))
    assert (drawn[41_234], drawn[77_777]) == (9.0, -9.0)
    assert [int(t) for t in data["text"]] == unpacked(data["x"]).tolist()


@pytest.mark.parametrize("mode", ["markers", None])
def test_what_is_not_thinned(mode: str | None) -> None:
    """Points of a cloud, and a curve that goes back and forth."""
    x = np.random.default_rng(0).normal(size=5_000)
    data = figure_data(go.Figure(go.Scatter(x=x, y=x, mode=mode)))["data"][0]
    assert len(unpacked(data["x"])) == 5_000


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 255], "uint8"), ([-1, 127], "int8"), ([0, 70_000], "int32"), ([0, 2**40], "float64"), ([0.1, 0.2], "float32"),
        ([1e-300, 1.0], "float64"), ([1e300, 1.0], "float64"), ([1e7, 1e7 + 0.25], "float64"), ([np.nan, np.inf, 1.0], "float32"),
        ([], "float32"),
    ],
)  # fmt: skip
def test_no_number_changes_visibly(values: list[float], kind: str) -> None:
    """Whole numbers are kept exactly; floats lose precision only where neither their size nor their range shows it."""
    array = np.array(values)
    assert narrowed(array).dtype.name == kind
    np.testing.assert_allclose(narrowed(array).astype(float), array, rtol=1e-6)


def test_a_figure_comes_back() -> None:
    """Read by plotly again it is the figure: matrices, texts, frames and all; and the JSON is strict."""
    made = figures.heatmap(np.arange(40.0).reshape(4, 10) / 7, title="t", x_title="x", y_title="y", unit="nats")
    made.add_scatter(x=["a", "b"], y=[1.5, None], name="named")
    made.frames = [go.Frame(data=[go.Scatter(x=np.arange(20), y=np.arange(20) / 3)], name="f")]
    text = str(figure_json(made))
    again = go.Figure(json.loads(text, parse_constant=pytest.fail))
    np.testing.assert_allclose(unpacked(again.data[0].z), np.arange(40.0).reshape(4, 10) / 7, rtol=1e-6)
    assert list(again.data[1].y) == [1.5, None]
    assert again.frames[0].name == "f"
    assert again.layout.title.text == "t"
    assert "template" not in json.loads(text)["layout"]


def test_a_template_that_was_chosen_stays() -> None:
    """The default one is the page's own; another is the figure's."""
    chosen = figure_data(go.Figure(go.Scatter(y=[1, 2]), layout={"template": "plotly_dark"}))["layout"]
    assert chosen["template"]


def test_many_bare_curves_become_distinct() -> None:
    """A stranger's figure of thirty curves without colours: no two look alike; what has a colour keeps it."""
    figure = go.Figure([go.Scatter(y=[i, 2], name=str(i)) for i in range(30)])
    figure.add_scatter(y=[1, 2], line={"color": "#123456"})
    data: list[dict[str, Any]] = figure_data(figure)["data"]
    assert len({(t["line"]["color"], t["line"]["dash"]) for t in data[:30]}) == 30
    assert data[30]["line"] == {"color": "#123456"}
    assert len({figures.look(i)[:2] for i in range(200)}) == 200


def test_near_labels_are_joined() -> None:
    """Highlighted bars whose numbers would overlap share a label; far ones have their own, also on an axis with gaps."""

    def labels(x: list[int], chosen: list[int]) -> list[str]:
        drawn = figures.bars(x, [1.0] * len(x), highlight=chosen, title="", x_title="", y_title="")
        return [a.text for a in drawn.layout.annotations]

    assert labels(list(range(1, 57)), [23, 6, 37, 41, 39]) == ["6", "23", "37, 39, 41"]
    assert labels([6, 23, 37, 38, 50], [6, 23, 37, 38]) == ["6", "23", "37, 38"]


def test_names_among_numbers_are_places() -> None:
    """Columns called 5 and 23 * stand both on a heat map: text is never read as a number."""
    drawn = figures.heatmap([[1, 2]], x=["5", "23 *"], title="", x_title="", y_title="")
    assert drawn.layout.xaxis.type == "category"


def test_a_line_at_a_level() -> None:
    """Its name stands at the line, on a logarithmic axis at the logarithm."""
    drawn = figures.lines({"a": ([1, 2], [1e-6, 1])}, title="", x_title="", y_title="", log_y=True)
    figures.mark_level(drawn, 1e-4, "clean")
    assert (drawn.layout.shapes[0].y0, drawn.layout.annotations[0].y) == (1e-4, -4)
