"""A circuit as a figure: components by layer, from the inputs below to the outputs above."""

from __future__ import annotations

import re
from collections.abc import Sequence

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
    "queries": (figures.SKY, "solid", -0.03), "keys": (figures.GREEN, "dash", 0.0), "values": (figures.ORANGE, "solid", 0.03)
}  # fmt: skip


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
    figure, seen = Figure(), set()
    for (sender, receiver), lost in zip(pairs, kept["faithfulness_lost"], strict=True):
        into = next((kind for kind in INTO if receiver.endswith(f" {kind}")), "")
        color, dash, shift = INTO.get(into, (figures.GREY, "solid", 0.0))
        (x0, y0), (x1, y1) = places[_component(sender)], places[_component(receiver)]
        share = 0.0 if np.isnan(lost) else max(float(lost), 0.0) / largest
        cost = "" if np.isnan(lost) else f": ablating it loses {lost:.4f} of the faithfulness"
        middle = ((x0 + x1 + shift) / 2, (y0 + y1) / 2)  # where the pointer finds the edge
        figure.add_scatter(
            x=[x0, middle[0], x1 + shift], y=[y0, middle[1], y1], mode="lines", name=f"into {into or 'mlp and logits'}",
            legendgroup=into, showlegend=into not in seen, text=[f"{sender} > {receiver}{cost}"] * 3,
            hovertemplate="%{text}<extra></extra>", line={"width": 1.5 + 4.5 * share, "color": color, "dash": dash},
            opacity=0.7 + 0.3 * share,
        )  # fmt: skip
        seen.add(into)
    names = list(places)
    figure.add_scatter(
        x=[places[n][0] for n in names], y=[places[n][1] for n in names], mode="markers", text=names, showlegend=False,
        marker={"size": 14, "color": figures.BLUE, "line": {"width": 1, "color": "#fff"}}, hoverinfo="text",
    )  # fmt: skip
    figures.style(figure, title, "", "", height=max(340, 120 + 90 * len({y for _, y in places.values()})))
    for name, (x, y) in places.items():  # beside a dot that stands alone, above one of several: clear of the edges
        alone = sum(other == y for _, other in places.values()) == 1
        where = {"xanchor": "left", "xshift": 12} if alone else {"yshift": 17}
        figure.add_annotation(x=x, y=y, text=name, showarrow=False, font={"size": 12}, **where)
    figure.update_layout(margin={"l": 16, "b": 24}, legend={"y": -0.02})
    figure.update_xaxes(visible=False, range=[-0.65, 0.65])
    rows = [y for _, y in places.values()] or [0.0]
    return figure.update_yaxes(visible=False, range=[min(rows) - 0.2, max(rows) + 0.45])


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
