"""The genome as a graph: what is drawn, counts, and labels that are not markup."""

from __future__ import annotations

import base64
import io
import re
from html import escape
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from PIL import Image

from interp import Subject
from interp.errors import InterpError
from interp.neat import NEATGenome
from interp.picbreeder import Genome, read
from interp.picbreeder.xml_files import parse
from interp.pictures import from_signed
from interp.plugins.analysis import analyze
from interp.report import write
from probes.analyses.genome import draw, genome
from probes.genome_graph import positions
from tests.interp.neat.pickles import random_rows
from tests.interp.neat.pickles import small as neat_small
from tests.interp.neat.test_genome import graph as neat_graph
from tests.interp.picbreeder.genomes import INPUTS, OUTPUTS, VALUE, Sketch, random_sketch, small
from tests.interp.report.pages import Page
from tests.interp.report.pages import read as read_page
from tests.probes.test_genome_graph import check_positions

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'


def evolved(graph: Genome) -> Subject:
    return Subject(graph.name, graph.layered(), genome=graph)


def lines_and_images(graph: Genome | NEATGenome) -> tuple[list, list]:
    figure = draw(graph, 8)
    return [t for t in figure.data if t.mode == "lines"], list(figure.layout.images)


@pytest.mark.parametrize("seed", range(12))
def test_one_image_a_node_and_one_line_a_link(seed: int) -> None:
    """Ends of lines and centres of images are the places; colour is the sign, width grows with |weight|."""
    graph = random_sketch(seed).genome()
    places = positions(graph)
    lines, images = lines_and_images(graph)
    assert [(i.x, i.y) for i in images] == [places[n.id] for n in graph.nodes]
    ends = [((t.x[0], t.y[0]), (t.x[-1], t.y[-1])) for t in lines]
    assert ends == [(places[k.source], places[k.target]) for k in graph.links]
    by_weight = sorted(zip(graph.links, lines, strict=True), key=lambda pair: abs(pair[0].weight))
    widths = [t.line.width for _, t in by_weight]
    assert widths == sorted(widths)
    positive = {t.line.color for k, t in by_weight if k.weight > 0}
    negative = {t.line.color for k, t in by_weight if k.weight < 0}
    assert len(positive) <= 1 >= len(negative)
    assert not positive & negative


def test_a_node_shows_what_it_draws() -> None:
    """The PNG at a node is the colours of its own map, and no other node's."""
    graph = small().genome()
    maps = graph.maps(8)
    for node, image in zip(graph.nodes, draw(graph, 8).layout.images, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.source.split(",", 1)[1]))))
        np.testing.assert_array_equal(shown, (from_signed(maps[node.id]).numpy() * 255).round().astype(np.uint8))


def test_links_of_no_weight_and_no_links() -> None:
    """All weights 0 divide by nothing, and an empty graph is drawn."""
    idle = Sketch([*INPUTS, *OUTPUTS], [("0_2", VALUE, 0.0)]).genome()
    lines, _ = lines_and_images(idle)
    assert np.isfinite(lines[0].line.width)
    found = genome(evolved(idle), size=8).metrics
    assert (found["links"], found["links_that_carry"]) == (1, 0)
    bare = Sketch([*INPUTS, *OUTPUTS], []).genome()
    lines, images = lines_and_images(bare)
    assert (len(lines), len(images)) == (0, 7)


def test_metrics_and_tables() -> None:
    """Counts, and a row for each node and link in the order of the file."""
    sketch = small()
    result = genome(evolved(sketch.genome()), size=8)
    assert result.metrics == {"nodes": 9, "links": 6, "links_that_carry": 6, "layers": 2}
    links = result.tables["links"]
    assert list(zip(links["from"], links["to"], links["weight"], strict=True)) == sketch.links
    assert result.tables["nodes"]["node"].tolist() == [row[1] for row in sketch.nodes]
    assert result.tables["nodes"]["layer"].tolist() == [sketch.depth(row[1]) for row in sketch.nodes]


def test_refusals() -> None:
    """Sizes out of range, and a network without a genome."""
    subject = evolved(small().genome())
    for size in (7, 257):
        with pytest.raises(InterpError, match="size"):
            genome(subject, size=size)
    with pytest.raises(InterpError):
        genome(Subject("layers", small().genome().layered()))


def labelled(label: str) -> Genome:
    """The small genome, from a file whose hidden nodes have this label."""
    data = small().xml().replace('<node type="hidden">', f"<node label={quoteattr(label)} type='hidden'>")
    graph = parse(data.encode(), label)
    assert [n.label for n in graph.nodes if n.kind == "hidden"] == [label, label]
    return graph


def test_html_in_labels_reaches_no_page(tmp_path: Path) -> None:
    """No element, no handler and no end of a script comes from a label, and the text is still there."""
    subject = evolved(labelled(HOSTILE))
    write(subject, analyze(subject, ["genome"], {"genome": {"size": 8}}), tmp_path / "report")
    source = (tmp_path / "report" / "index.html").read_text()
    page, _ = read_page(tmp_path / "report")
    assert not [tag for tag, attributes in page.elements if "onerror" in attributes or attributes.get("src") == "x"]
    assert not [body for _, body in page.scripts if body.strip() == "alert(1)"]
    assert HOSTILE not in source
    assert escape(HOSTILE, quote=False) in source or HOSTILE in page.text


def test_a_label_becomes_no_link_in_a_figure() -> None:
    """Plotly reads a little HTML in texts, links among it: a label that is one must be shown as the text that it is."""
    graph = labelled('<a href="http://example.org/">hidden</a>')
    texts = [str(s) for t in draw(graph, 8).data for s in (t.text or ())]
    assert any("hidden" in s for s in texts)
    assert not [s for s in texts if "<a " in s]


def test_notebooks_escape_labels() -> None:
    """The tables of a Result shown in a notebook hold the label as text."""
    html = genome(evolved(labelled(HOSTILE)), size=8)._repr_html_()
    page = Page(html.split("<div>")[0])
    assert "onerror" not in str(page.elements)


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "nodes", "links"), [("skull", 25, 59), ("butterfly", None, None)])
def test_real_genomes(data: Path, name: str, nodes: int | None, links: int | None) -> None:
    """The published counts, and a figure of all of it."""
    graph = read(data / "picbreeder" / f"{name}.zip")
    check_positions(graph)
    lines, images = lines_and_images(graph)
    assert len(images) == len(graph.nodes) == (nodes or len(graph.nodes))
    assert len(lines) == len(graph.links) == (links or len(graph.links))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("recurrent", [False, True])
def test_a_genome_of_neat_python(seed: int, recurrent: bool) -> None:
    """A line a connection; pictures where it has two inputs and no cycle, dots elsewhere; functions in the tables."""
    graph = neat_graph(random_rows(seed, recurrent))
    places, (lines, images) = positions(graph), lines_and_images(graph)
    assert len(images) == (len(graph.nodes) if len(graph.inputs) == 2 and not graph.cycle else 0)
    ends = [((t.x[0], t.y[0]), (t.x[-1], t.y[-1])) for t in lines]
    assert ends == [(places[k.source], places[k.target]) for k in graph.links]
    result = genome(Subject(graph.name, graph.layered(), genome=graph))
    assert re.search(rf"from {len(graph.inputs)} inputs? to {len(graph.outputs)} outputs?", result.headline)
    assert ("recurrent" in result.headline) == bool(graph.cycle)
    assert " -> ".join(graph.cycle) in result.headline
    own = [n for n in graph.nodes if n.kind != "in"]
    table = result.tables["nodes"].set_index("node").loc[[n.id for n in own]]
    assert list(table["bias"]) == [n.bias for n in own]
    assert list(table["aggregation"]) == [n.aggregation for n in own]
    assert set(graph.notes) <= set(result.notes)


def test_a_node_of_neat_python_shows_what_it_draws() -> None:
    """Over its two inputs, as `NEATGenome.maps` gives it."""
    graph = neat_graph(neat_small())
    figure = draw(graph, 8)
    maps, places = graph.maps(8), positions(graph)
    for node, image in zip(graph.nodes, figure.layout.images, strict=True):
        assert (image.x, image.y) == places[node.id]
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.source.split(",")[1]))))
        wanted = (from_signed(maps[node.id]).numpy() * 255).round()
        assert np.abs(shown - wanted).max() <= 1
