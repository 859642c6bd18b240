"""A circuit as a figure: components by layer, from the inputs below to the outputs above."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.notebook.figure import Figure
from interp.report import figures

STAGES = {"in": -1.0, "embed": -1.0, "out": 1e6, "logits": 1e6}
PART = re.compile(r"L(\d+)(?:(H)(\d+)|(N)(\d+)| (\w+))")
LINES = 3000  # edges that are drawn; of more, those that matter most
WIDTH = 60  # nodes in one row; a layer of more neurons wraps
ROW = 0.5  # height of such a row
NAMED = 16  # nodes of a layer up to which each is named
INTO = {  # of a head: colour, dash, place
    "queries": (figures.SKY, "solid", -0.01), "keys": (figures.GREEN, "dash", 0.0), "values": (figures.ORANGE, "solid", 0.01)
}  # fmt: skip
REACH = 0.65  # of the horizontal axis to either side
UNIT = 700 / (2 * REACH)  # pixels of one unit across in a figure of usual width, for what must not overlap
STEP, DOT = 90, 18  # pixels between two layers, and across a node: wider than two places of INTO are apart
CLEAR = 0.1  # that an edge keeps from nodes of the layers that it skips: a node with its name


def draw(elements: pd.DataFrame, title: str) -> go.Figure:
    """The graph of a circuit.

    Args:
        elements: `circuits.Circuit.elements`.
        title: of the figure.

    Returns:
        nodes coloured by the faithfulness that is lost without them, or edges as lines.
    """
    edges = elements["component"].str.contains(" > ").any()
    return _edges(elements, title) if edges else _nodes(elements, title)


def _nodes(elements: pd.DataFrame, title: str) -> go.Figure:
    """A row of dots per site, the site's name above it; sites of few nodes first, with the nodes' names below."""
    figure, height = Figure(), 0.0
    for site, own in elements.groupby("site", sort=False):
        n = len(own)
        per_row, few, place = -(-n // -(-n // WIDTH)), n <= NAMED, np.arange(n)
        x = (place % per_row + 0.5) / per_row * WIDTH
        y = height + place // per_row * ROW
        rows = -(-n // per_row)
        figure.add_annotation(
            x=0, y=y[-1] + (0.75 if few else 0.6), text=f"{site}: {sum(own['kept'].to_list())} of {n} kept", showarrow=False,
            xanchor="left",
        )  # fmt: skip
        height += (rows - 1) * ROW + 1.6 + (0.4 if few else 0)
        kept, lost = own["kept"].to_numpy(bool), own["faithfulness_lost"].to_numpy(float)
        named = own["component"].to_numpy()
        figure.add_scatter(
            x=x[~kept], y=y[~kept], mode="markers+text" if few else "markers", text=named[~kept], showlegend=False,
            textposition="bottom center", marker={"size": 6, "color": figures.GREY, "opacity": 0.6},
            hovertemplate="%{text}: ablated<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=x[kept], y=y[kept], mode="markers+text" if few else "markers", text=named[kept], textposition="bottom center",
            customdata=lost[kept], showlegend=False,
            marker={"size": 18 if few else 11, "color": lost[kept], "coloraxis": "coloraxis", "line": {"width": 0}},
            hovertemplate="%{text}: ablating it loses %{customdata:.4f} of the faithfulness<extra></extra>",
        )  # fmt: skip
    figures.style(figure, f"{title}. Small and grey: ablated", "", "", height=max(240, round(150 + 42 * height)))
    figure.update_layout(
        coloraxis={"colorscale": figures.EFFECT, "cmin": 0, "colorbar": figures.color_bar("faithfulness lost without it")},
        meta={"wide": True}, margin={"l": 16, "b": 24},
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-1, WIDTH + 1])
    return figure.update_yaxes(visible=False, range=[-0.9, height])


def _edges(elements: pd.DataFrame, title: str) -> go.Figure:
    kept = elements.query("kept")
    if len(kept) > LINES:
        kept = kept.nlargest(LINES, "faithfulness_lost")
        title += f" (the {LINES} edges that matter most)"
    pairs = [name.split(" > ") for name in kept["component"]]
    every = dict.fromkeys(_component(end) for name in elements["component"] for end in name.split(" > "))
    used = {_component(end) for pair in pairs for end in pair}
    places = _places([e for e in every if e in used])
    largest = max([1e-12, *kept["faithfulness_lost"].dropna().to_list()])
    figure, seen, lines = Figure(), set(), []
    rows: dict[float, list[float]] = {}
    for x, y in places.values():
        rows.setdefault(y, []).append(x)
    for (sender, receiver), lost in zip(pairs, kept["faithfulness_lost"], strict=True):
        into = next((kind for kind in INTO if receiver.endswith(f" {kind}")), "")
        color, dash, shift = INTO.get(into, (figures.GREY, "solid", 0.0))
        x, y = _route(places[_component(sender)], places[_component(receiver)], shift, rows)
        share = 0.0 if np.isnan(lost) else max(float(lost), 0.0) / largest
        cost = "" if np.isnan(lost) else f": ablating it loses {lost:.4f} of the faithfulness"
        figure.add_scatter(
            x=x, y=y, mode="lines", name=f"into {into or 'mlp and logits'}", legendgroup=into, showlegend=into not in seen,
            text=[f"{sender} > {receiver}{cost}"] * len(x), hovertemplate="%{text}<extra></extra>", opacity=0.7 + 0.3 * share,
            line={"width": 1.5 + 4.5 * share, "color": color, "dash": dash},
        )  # fmt: skip
        seen.add(into)
        lines.append((x, y))
    names = list(places)
    figure.add_scatter(
        x=[places[n][0] for n in names], y=[places[n][1] for n in names], mode="markers", text=names, showlegend=False,
        marker={"size": DOT, "color": figures.BLUE, "line": {"width": 1, "color": "#fff"}}, hoverinfo="text",
    )  # fmt: skip
    figures.style(figure, title, "", "", height=max(340, 120 + STEP * len(rows)))
    for name, (across, up) in _label_shifts(places, lines).items():
        x, y = places[name]
        figure.add_annotation(
            x=x, y=y, text=name, showarrow=False, xshift=across, yshift=up, font={"size": 12}, xanchor="center"
        )
    figure.update_layout(margin={"l": 16, "b": 24}, legend={"y": -0.02})
    figure.update_xaxes(visible=False, range=[-REACH, REACH])
    return figure.update_yaxes(visible=False, range=[min(rows, default=0.0) - 0.4, max(rows, default=0.0) + 0.45])


def _route(
    start: tuple[float, float], end: tuple[float, float], shift: float, rows: Mapping[float, Sequence[float]]
) -> tuple[list[float], list[float]]:
    """The corners of an edge: straight, but around the nodes of the layers that it skips; its middle is one of them.

    Args:
        start: where its sender stands.
        end: where its receiver stands.
        shift: from there, to the place on a head that stands for queries, keys or values; the side to go around on.
        rows: by height, where nodes stand.

    Returns:
        x and y of the corners.
    """
    (x0, y0), (x1, y1) = start, (end[0] + shift, end[1])
    x, y = [x0], [y0]
    for row in sorted(row for row in rows if y0 < row < y1):
        straight, others = x0 + (x1 - x0) * (row - y0) / (y1 - y0), rows[row]
        nearest = min(others, key=lambda other: abs(other - straight))
        room = min([CLEAR, *(abs(other - nearest) / 2 for other in others if other != nearest)])
        away = straight - nearest
        side = np.sign(away if abs(away) > abs(shift) else shift) or 1.0
        x.append(straight if abs(away) >= room else nearest + side * room)
        y.append(row)
    if len(x) == 1:  # where the pointer finds the edge
        x.append((x0 + x1) / 2)
        y.append((y0 + y1) / 2)
    return [*x, x1], [*y, y1]


def _label_shifts(
    places: Mapping[str, tuple[float, float]], lines: Sequence[tuple[Sequence[float], Sequence[float]]]
) -> dict[str, tuple[float, float]]:
    """By node, the pixels across and up from it to the middle of its name: right, left, above or below, clear of edges."""
    t = np.linspace(0, 1, 24)
    points = [
        np.stack([UNIT * (x0 + t * (x1 - x0)), STEP * (y0 + t * (y1 - y0))])
        for x, y in lines for x0, x1, y0, y1 in zip(x, x[1:], y, y[1:], strict=False)
    ]  # fmt: skip
    nodes = np.array([(UNIT * x, STEP * y) for x, y in places.values()]).reshape(-1, 2).T
    taken = np.concatenate([np.zeros((2, 0)), *points], axis=1)
    found = {}
    for name, (x, y) in places.items():
        half, above = 3.8 * len(name), DOT / 2 + 9
        beside = half + DOT / 2 + 5
        choices = [
            (beside, 0), (-beside, 0), (0, above), (0, -above), (beside - 3, above - 6), (3 - beside, above - 6),
            (beside - 3, 6 - above), (3 - beside, 6 - above),
        ]  # fmt: skip
        reach = np.array([[2 * beside], [2 * above]])
        around = [w[:, (np.abs(w - [[UNIT * x], [STEP * y]]) < reach).all(0)] for w in (taken, nodes)]
        covered = []
        for across, up in choices:
            middle = np.array([[UNIT * x + across], [STEP * y + up]])
            covered.append(sum(
                int(((np.abs(what - middle) < np.array([[half + far], [8 + far]])).all(0)).sum())
                for what, far in zip(around, (3.0, DOT / 2), strict=True)
            ))  # fmt: skip
        found[name] = choices[int(np.argmin(covered))]
    return found


def _component(end: str) -> str:
    """The component that an end of an edge belongs to: a head, whichever of its inputs it is."""
    match = re.match(r"(L\d+H\d+) (?:queries|keys|values)$", end)
    return match.group(1) if match else end


def _places(names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Where each component stands: layers upwards, heads below their layer's MLP, side by side."""
    stages: dict[float, list[str]] = {}
    for name in names:
        stages.setdefault(_stage(name), []).append(name)
    places = {}
    for y, stage in enumerate(sorted(stages)):
        own = stages[stage]
        for i, name in enumerate(own):
            places[name] = (i - (len(own) - 1) / 2) / max(len(own), 4), float(y)
    return places


def _stage(name: str) -> float:
    match = PART.match(name)
    if match is None:
        return STAGES.get(name, STAGES.get(re.sub(r"\d+$", "", name), 0.0))
    return 2.0 * int(match.group(1)) + (0.0 if match.group(2) else 1.0)
