"""The analysis ``genome``: an evolved network as the graph that it is, every node with its own picture."""

from __future__ import annotations

from html import escape

import pandas as pd
import plotly.graph_objects as go

from interp.errors import InterpError, require_range
from interp.picbreeder import Genome
from interp.pictures import Picture, from_signed
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject

GAP = 1.5  # between nodes of a layer; a picture is 0.8 wide

Places = dict[str, tuple[float, float]]


@analysis(
    "genome", needs=("genome",), summary="The evolved network as a graph, every node with its own picture", order=4
)
def genome(subject: Subject, *, size: int = 48) -> Result:
    """Nodes with their activations and what they draw; links by weight.

    Args:
        size: pixels along each edge of a node's picture.
    """
    require_range("size", size, 8, 256)
    if subject.genome is None:
        raise InterpError(f"{subject.name}: was not read from a genome")
    graph = subject.genome
    links = [link for link in graph.links if link.weight]
    result = Result(lead="graph")
    result.metrics = {
        "nodes": len(graph.nodes), "links": len(graph.links), "links_that_carry": len(links),
        "layers": max(graph.depths.values()),
    }  # fmt: skip
    result.tables = {
        "nodes": pd.DataFrame(
            [{"node": n.id, "kind": n.kind, "role": n.label or n.role, "activation": n.activation,
              "layer": graph.depths[n.id], "links in": len(graph.incoming[n.id])} for n in graph.nodes]
        ),
        "links": pd.DataFrame([{"from": k.source, "to": k.target, "weight": k.weight} for k in graph.links]),
    }  # fmt: skip
    result.figures["graph"] = draw(graph, size)
    result.headline = (
        f"{len(graph.nodes)} nodes and {len(graph.links)} links in {result.metrics['layers']} layers draw the picture"
    )
    result.notes += graph.notes
    return result


def draw(graph: Genome, size: int = 48) -> go.Figure:
    """The graph, inputs at the bottom: links red where positive, blue where negative, as wide as their weight."""
    places = positions(graph)
    maps = graph.maps(size)
    figure = go.Figure()
    strongest = max((abs(link.weight) for link in graph.links), default=1) or 1
    for link in graph.links:
        (x0, y0), (x1, y1) = places[link.source], places[link.target]
        colour = figures.GREY if not link.weight else figures.RED if link.weight > 0 else figures.BLUE
        width = 0.5 + 4 * abs(link.weight) / strongest
        text = escape(f"{link.source} to {link.target}: {link.weight:.4g}")
        figure.add_scatter(
            x=[x0, (x0 + x1) / 2, x1], y=[y0, (y0 + y1) / 2, y1], mode="lines", line={"color": colour, "width": width},
            opacity=0.6, hoverinfo="text", text=[text] * 3, showlegend=False,
        )  # fmt: skip
    for node in graph.nodes:
        x, y = places[node.id]
        figure.add_layout_image(
            source=Picture(from_signed(maps[node.id])).data_uri(), xref="x", yref="y", x=x, y=y, sizex=0.8, sizey=0.8,
            xanchor="center", yanchor="middle", layer="above",
        )  # fmt: skip
    x, y = zip(*(places[n.id] for n in graph.nodes), strict=True)
    figure.add_scatter(
        x=x, y=[v - 0.5 for v in y], mode="text", hoverinfo="skip", showlegend=False, textfont={"size": 10},
        text=[escape(n.label or n.role or n.activation) for n in graph.nodes],
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=y, mode="markers", marker={"size": 30, "opacity": 0}, hoverinfo="text", showlegend=False,
        text=[escape(f"{n.id} {n.label}: {n.activation}, layer {graph.depths[n.id]}") for n in graph.nodes],
    )  # fmt: skip
    layers = max(graph.depths.values())
    figures.style(
        figure, "The genome: links red (positive) and blue (negative), by weight", "", "layer", 140 + 62 * layers
    )
    figure.update_xaxes(visible=False)
    return figure.update_yaxes(dtick=1, zeroline=False, showgrid=False, range=[-0.9, layers + 0.7], scaleanchor="x")


def positions(graph: Genome) -> Places:
    """Where nodes stand: their layer upwards; along it each near the mean of its sources, at least `GAP` apart."""
    layers: dict[int, list[str]] = {}
    for node in graph.nodes:
        layers.setdefault(graph.depths[node.id], []).append(node.id)
    widest = max(map(len, layers.values()))
    places: Places = {}
    for depth in sorted(layers):
        own = layers[depth]
        if depth == 0:
            wanted = {node: (i - (len(own) - 1) / 2) * GAP * max(1.0, widest / len(own)) for i, node in enumerate(own)}
        else:
            means = {n: [places[s][0] for s in graph.incoming[n]] for n in own}
            wanted = {n: sum(found) / len(found) if found else 0.0 for n, found in means.items()}
        ordered = sorted(own, key=lambda n: wanted[n])
        xs: list[float] = []
        for node in ordered:
            xs.append(max(wanted[node], xs[-1] + GAP if xs else -1e9))
        shift = sum(wanted[n] - x for n, x in zip(ordered, xs, strict=True)) / len(xs)
        places |= {n: (x + shift, float(depth)) for n, x in zip(ordered, xs, strict=True)}
    return places
