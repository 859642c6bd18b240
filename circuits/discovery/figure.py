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
NAMED = 16  # nodes of a layer up to which each is named
INTO = {"queries": (figures.BLUE, -0.02), "keys": (figures.GREEN, 0.0), "values": (figures.ORANGE, 0.02)}  # of a head


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
    figure, ticks = Figure(), {}
    height = 0.0
    for site, own in elements.groupby("site", sort=False):
        n = len(own)
        rows = -(-n // WIDTH)
        per_row = -(-n // rows)
        place, few = np.arange(n), n <= NAMED
        x = (place % per_row - (per_row - 1) / 2) * (WIDTH / (per_row + 1) if few else 1.0)
        y = height + (place // per_row) * 0.45
        ticks[height + (rows - 1) * 0.225] = f"{site}: {sum(own['kept'].to_list())} of {n}"
        height += rows * 0.45 + 0.9
        kept = own["kept"].to_numpy(bool)
        lost = own["faithfulness_lost"].to_numpy(float)
        named = own["component"].to_numpy()
        figure.add_scatter(
            x=x[~kept], y=y[~kept], mode="markers", text=named[~kept], showlegend=False,
            marker={"size": 6, "color": figures.GREY, "opacity": 0.35},
            hovertemplate="%{text}: ablated<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=x[kept], y=y[kept], mode="markers+text" if few else "markers", text=named[kept], textposition="top center",
            customdata=lost[kept], showlegend=False,
            marker={"size": 20 if few else 11, "color": lost[kept], "coloraxis": "coloraxis"},
            hovertemplate="%{text}: ablating it loses %{customdata:.4f} of the faithfulness<extra></extra>",
        )  # fmt: skip
    figures.style(figure, f"{title}. Grey: ablated", "", "", height=max(340, round(70 * height)))
    figure.update_layout(
        coloraxis={"colorscale": [[0, "#cfe0f3"], [1, figures.BLUE]], "cmin": 0,
                   "colorbar": {"title": "faithfulness<br>lost without it", "thickness": 12}}
    )  # fmt: skip
    figure.update_xaxes(visible=False)
    return figure.update_yaxes(tickvals=list(ticks), ticktext=list(ticks.values()), showgrid=False, zeroline=False)


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
        color, shift = INTO.get(into, (figures.GREY, 0.0))
        (x0, y0), (x1, y1) = places[_component(sender)], places[_component(receiver)]
        share = 0.0 if np.isnan(lost) else max(float(lost), 0.0) / largest
        cost = "" if np.isnan(lost) else f": ablating it loses {lost:.4f} of the faithfulness"
        middle = ((x0 + x1 + shift) / 2, (y0 + y1) / 2)  # where the pointer finds the edge
        figure.add_scatter(
            x=[x0, middle[0], x1 + shift], y=[y0, middle[1], y1], mode="lines", name=f"into {into or 'mlp and logits'}",
            legendgroup=into, showlegend=into not in seen, text=[f"{sender} > {receiver}{cost}"] * 3,
            hovertemplate="%{text}<extra></extra>", line={"width": 1 + 4 * share, "color": color}, opacity=0.35 + 0.65 * share,
        )  # fmt: skip
        seen.add(into)
    names = list(places)
    figure.add_scatter(
        x=[places[n][0] for n in names], y=[places[n][1] for n in names], mode="markers+text", text=names, showlegend=False,
        textposition="middle right", marker={"size": 12, "color": figures.PURPLE}, hoverinfo="text",
    )  # fmt: skip
    figures.style(figure, title, "", "", height=480)
    figure.update_xaxes(visible=False, range=[-0.6, 0.7])  # room for the names on the right
    return figure.update_yaxes(visible=False)


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
