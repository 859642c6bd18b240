"""The analysis `genome`: an evolved network as a graph, every node with the picture that it draws, if it draws one."""

from __future__ import annotations

from html import escape

import pandas as pd
import plotly.graph_objects as go

from interp._util.counted import counted
from interp.errors import InterpError, require_range
from interp.neat import NEATGenome
from interp.picbreeder import Genome, Node
from interp.pictures import Picture, from_signed
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes.genome_graph import positions


@analysis(
    "genome",
    needs=("genome",),
    summary="The evolved network as a graph, every node with its own picture",
    order=4,
    question="represents",
)
def genome(subject: Subject, *, size: int = 48) -> Result:
    """Nodes with their activation functions and the pictures that they draw; links by weight.

    A genome of neat-python draws pictures if it has two inputs and no cycle; else its graph has none.

    Args:
        subject: a network that was evolved as a graph.
        size: pixels along each edge of a node's picture.

    Returns:
        The graph as a figure; nodes and links as tables.

    Raises:
        InterpError: a network that was not read from a genome.
    """
    require_range("size", size, 8, 256)
    if subject.genome is None:
        raise InterpError(
            f"{subject.name} was not read from a genome; load a Picbreeder file (.zip or .xml) or a pickled genome of neat-python"
        )
    graph = subject.genome
    links = [link for link in graph.links if link.weight]
    result = Result(lead="graph")
    result.metrics = {
        "nodes": len(graph.nodes), "links": len(graph.links), "links_that_carry": len(links),
        "layers": max(graph.depths.values()),
    }  # fmt: skip
    neat = isinstance(graph, NEATGenome)
    result.tables = {
        "nodes": pd.DataFrame(
            [{"node": n.id, "kind": n.kind, "role": n.label or n.role, "activation": n.activation,
              "layer": graph.depths[n.id], "links in": len(graph.incoming[n.id])}
             | ({"aggregation": n.aggregation, "bias": n.bias, "response": n.response} if neat else {})
             for n in graph.nodes]
        ),
        "links": pd.DataFrame([{"from": k.source, "to": k.target, "weight": k.weight} for k in graph.links]),
    }  # fmt: skip
    result.figures["graph"] = draw(graph, size)
    purpose = (
        f"lead from {counted(len(graph.inputs), 'input')} to {counted(len(graph.outputs), 'output')}"
        if neat
        else "draw the picture"
    )
    result.headline = (
        f"{len(graph.nodes)} nodes and {len(graph.links)} links in {result.metrics['layers']} layers {purpose}"
    )
    if neat and graph.cycle:
        result.headline += f"; recurrent, with the cycle {' -> '.join(graph.cycle)}"
    result.notes += graph.notes
    return result


def draw(graph: Genome | NEATGenome, size: int = 48) -> go.Figure:
    """The graph with the inputs at the bottom; links red (positive) or blue (negative), their width by weight.

    Args:
        graph: the genome.
        size: pixels along each edge of a node's picture.

    Returns:
        A figure with one image per node (a dot where it draws none) and one line per link.
    """
    places = positions(graph)
    figure = go.Figure()
    _draw_links(figure, graph, places)
    maps = graph.maps(size) if graph.draws else {}
    for node in graph.nodes if maps else ():
        x, y = places[node.id]
        figure.add_layout_image(
            source=Picture(from_signed(maps[node.id])).data_uri(), xref="x", yref="y", x=x, y=y, sizex=0.8, sizey=0.8,
            xanchor="center", yanchor="middle", layer="above",
        )  # fmt: skip
    x, y = zip(*(places[n.id] for n in graph.nodes), strict=True)
    figure.add_scatter(
        x=x, y=[v - 0.5 for v in y], mode="text", hoverinfo="skip", showlegend=False, textfont={"size": 10},
        text=[escape(_caption(n)) for n in graph.nodes],
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=y, mode="markers", hoverinfo="text", showlegend=False,
        marker={"size": 30, "opacity": 0} if maps else {"size": 16, "color": figures.GREY},
        text=[escape(f"{n.id} {n.label}: {n.activation}, layer {graph.depths[n.id]}") for n in graph.nodes],
    )  # fmt: skip
    layers = max(graph.depths.values())
    figures.style(
        figure, "The genome: links red (positive) and blue (negative), width by weight", "", "layer", 140 + 62 * layers
    )
    figure.update_xaxes(visible=False)
    return figure.update_yaxes(dtick=1, zeroline=False, showgrid=False, range=[-0.9, layers + 0.7], scaleanchor="x")


def _caption(node: Node) -> str:
    """The node's name in the file, and what it computes where that is not a plain sum."""
    if node.kind == "in" or node.label:
        return node.label or node.role
    text = node.activation if node.aggregation == "sum" else f"{node.activation} of {node.aggregation}"
    return f"{node.role}: {text}" if node.role.isdecimal() else node.role or text


def _draw_links(figure: go.Figure, graph: Genome | NEATGenome, places: dict[str, tuple[float, float]]) -> None:
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
