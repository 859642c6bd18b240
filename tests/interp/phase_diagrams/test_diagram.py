"""Cells of a phase diagram: the majority, how sure it is, and what the figure shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy.stats import beta

import interp
from interp.phase_diagrams import diagram_of
from interp.phase_diagrams.confidence import majority_confidence, share_interval
from interp.report.figures import traces

NETWORKS = pd.DataFrame({
    "lr": [0.1] * 4 + [0.2] * 4 + [0.1] * 2,
    "width": [8] * 8 + [16] * 2,
    "phase": ["grokking"] * 3 + ["confusion"] + ["memorization"] * 2 + ["grokking"] * 2 + ["glass"] * 2,
})  # fmt: skip


def test_cells() -> None:
    """By hand: three of four grok; two against two are undecided; a phase of another name is kept."""
    found = diagram_of(NETWORKS, ["lr", "width"])
    rows = found.table.set_index(["lr", "width"])
    assert rows["phase"].to_dict() == {(0.1, 8): "grokking", (0.2, 8): "undecided", (0.1, 16): "glass"}
    assert rows.loc[(0.1, 8), ["grokking", "memorization", "confusion", "glass"]].tolist() == [3, 0, 1, 0]
    assert rows["share"].tolist() == [0.75, 0.5, 1.0]
    assert sum(rows["networks"].tolist()) == len(NETWORKS)
    assert "1 grokking, 1 glass, 1 undecided" in found.summary


@pytest.mark.parametrize(("count", "n"), [(1, 1), (2, 3), (3, 4), (5, 10), (30, 30)])
def test_confidence_is_that_of_jeffreys_prior(count: int, n: int) -> None:
    """Against the distribution of scipy."""
    posterior = beta(count + 0.5, n - count + 0.5)
    low, high = share_interval(count, n)
    assert low == pytest.approx(posterior.ppf(0.025))
    assert high == (1.0 if count == n else pytest.approx(posterior.ppf(0.975)))
    assert majority_confidence(count, n) == pytest.approx(posterior.sf(0.5))


def maps(figure: Any) -> dict[str, Any]:
    return {t.name: t for t in traces(figure) if t.type == "heatmap"}


def legend(figure: Any) -> list[str]:
    return [t.name for t in traces(figure) if t.type == "scatter" and t.showlegend is not False]


def test_the_figure() -> None:
    """A heat map per phase with the confidence of its cells, blank elsewhere; a legend in the usual order."""
    figure = diagram_of(NETWORKS, ["lr", "width"]).figure()
    drawn = maps(figure)
    assert legend(figure) == ["grokking", "glass", "undecided"]
    assert drawn["grokking"].z[0][0] == pytest.approx(majority_confidence(3, 4))
    assert drawn["grokking"].z[0][1] is None
    assert drawn["undecided"].z[0][1] == pytest.approx(0.5)
    assert drawn["glass"].text[1][1] == ""  # no network was trained there
    assert "share 0.75 [0.2" in drawn["grokking"].text[0][0]


@pytest.mark.parametrize(
    ("values", "edges", "kind", "ticks"),
    [
        ([1e-3, 1e-1, 10.0], [1e-4, 1e-2, 1.0, 100.0], "log", ("0.001", "0.1", "10")),
        ([0.0, 1.0, 4.0], [-0.5, 0.5, 2.5, 5.5], "linear", ("0", "1", "4")),
        (
            [0.0, 0.1, 1.0, 10.0],
            [-0.5, 0.5, 1.5, 2.5, 3.5],
            "linear",
            ("0", "0.1", "1", "10"),
        ),  # no logarithm of 0: in order
        (["tanh", "relu"], [-0.5, 0.5, 1.5], "linear", ("relu", "tanh")),
        ([8, 9], [7.5, 8.5, 9.5], "linear", ("8", "9")),
    ],
)
def test_axes_are_to_scale(values: list[Any], edges: list[float], kind: str, ticks: tuple[str, ...]) -> None:
    """By hand: edges halfway between cells, of the logarithms where the values are spaced so."""
    figure: Any = diagram_of(pd.DataFrame({"a": values, "phase": "grokking"}), ["a"]).figure()
    assert maps(figure)["grokking"].x == pytest.approx(edges)
    assert figure.layout.xaxis.type == kind
    assert figure.layout.xaxis.ticktext == ticks


def test_a_refined_cell_stands_for_its_neighbourhood() -> None:
    """Where no network was trained, the nearest cell is drawn, on a logarithmic axis by the logarithm, and hatched."""
    table = pd.DataFrame({"lr": [1.0, 10.0, 100.0, 4.0], "l1": [0, 0, 0, 1], "phase": ["a", "b", "b", "a"]})
    figure = diagram_of(table, ["lr", "l1"], logarithmic=["lr"], refined=True).figure()
    shown = {name: [[z is not None for z in row] for row in t.z] for name, t in maps(figure).items()}
    assert shown["a"] == [[True, False, False, False], [True] * 4]
    assert shown["b"] == [[False, True, True, True], [False] * 4]
    cells = maps(figure)["a"]
    assert cells.x == pytest.approx([0.5, 2, 40**0.5, 1000**0.5, 1000**1.5 / 100])
    (hatching,) = (t for t in traces(figure) if t.name == "hatching")
    corners = {(round(x, 6), y) for x, y in zip(hatching.x, hatching.y, strict=True) if x is not None}
    wanted = [
        (cells.x[1], -0.5, 2),
        (cells.x[0], 0.5, 1),
        (cells.x[2], 0.5, 4),
    ]  # left and lower edges; one below, three above
    assert {(round(x, 6), y) for x, y, _ in wanted} <= corners
    assert list(hatching.x).count(None) == len(wanted)
    assert "not trained, as the nearest" in legend(figure)
    assert cells.text[1][0].startswith("no network was trained here; the nearest:<br>lr = 4")
    assert "hatching" not in {t.name for t in traces(diagram_of(table, ["lr", "l1"]).figure())}


def test_of_a_run(tmp_path: Path) -> None:
    """A grid with seeds: the settings beside the seeds are the axes, and a cell has a network for each seed."""
    members = interp.grid({"lr": [1e-6, 0.1], "width": [4, 8], "seed": [0, 1, 2]})
    run = interp.train("addition:p=4", "mlp:hidden=8", members=members, steps=20, metrics="every:10", device="cpu")
    found = run.phase_diagram()
    assert found.axes == ("lr", "width")
    assert found.table["networks"].tolist() == [3] * 4
    assert run.phase_diagram("width").axes == ("width", "lr")
    assert {p.name for p in found.save(tmp_path / "d").iterdir()} == {"cells.csv", "networks.csv", "phase_diagram.html"}
    with pytest.raises(interp.UnknownName, match="'widht'"):
        run.phase_diagram("widht")
    with pytest.raises(interp.InterpError, match="networks differ"):
        interp.train("addition:p=4", steps=2, device="cpu").phase_diagram()
