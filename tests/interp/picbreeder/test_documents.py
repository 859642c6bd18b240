"""CPPN Explorer's dialect: several roots, marks of an editor, archives with a system's own files, many generations."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import interp
from interp.errors import InterpError, UnknownName, UnreadableFile
from interp.picbreeder import Genome, read
from tests.conftest import DATA
from tests.interp.picbreeder.genomes import FUNCTIONS, INPUTS, OUTPUTS, VALUE, Sketch, small, written, zipped

CASES = DATA.parent / "cases"
PROLOG = '<?xml version="1.0" encoding="UTF-8"?>'
SMALL = small().xml()
BODY = SMALL.removeprefix(PROLOG)
EXTRA = '<cppn-data version="1.2"/>'

DIALECTS: dict[str, str | bytes] = {
    "before": f"{PROLOG}\n{EXTRA}{BODY}",
    "after": f"{SMALL}\n{EXTRA}\n",
    "both": f"{PROLOG}{EXTRA}{BODY}{EXTRA}",
    "with attributes and children": f'{PROLOG}<cppn-data version="1.2" a="b"><view id="1">text</view></cppn-data>{BODY}',
    "comments between": f"{PROLOG}<!-- one --><!-- <genome> -->{EXTRA}<!-- two -->{BODY}<!-- three -->",
    "an instruction between": f"{PROLOG}{EXTRA}<?editor on?>{BODY}",
    "no declaration": f"{EXTRA}{BODY}",
    "byte order mark": b"\xef\xbb\xbf" + f"{PROLOG}{EXTRA}{BODY}".encode(),
    "blank lines first": f"\n\n  {PROLOG}{EXTRA}{BODY}",
    "windows lines": f"{PROLOG}\n{EXTRA}{BODY}".replace("\n", "\r\n"),
    "latin-1": f"{PROLOG}<!-- \xfc -->{EXTRA}{BODY}".replace("UTF-8", "ISO-8859-1").encode("latin-1"),
    "utf-16": f"{PROLOG}{EXTRA}{BODY}".replace("UTF-8", "UTF-16").encode("utf-16"),
    "genome as a root": f"{PROLOG}{EXTRA}{BODY[BODY.index('<genome') : BODY.index('</data>')]}",
    "capitals and blanks": BODY.replace("sin(x)", " Sin( x ) ").replace("gaussian(x)", "gaussian(d)"),
    "no argument": BODY.replace("sin(x)", "sin").replace("gaussian(x)", "gaussian()"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("carrier", ["bare", "zip"])
def test_dialects_are_the_plain_genome(tmp_path: Path, dialect: str, carrier: str) -> None:
    """Whatever stands around it: nodes, links and the picture are those of the plain file, and nothing needs a note."""
    text = DIALECTS[dialect]
    data = text if isinstance(text, bytes) else text.encode()
    path = written(tmp_path, data, "genome.xml") if carrier == "bare" else zipped(tmp_path, {"genome": data})
    genome, plain = read(path), small().genome()
    assert (genome.nodes, genome.links, genome.notes) == (plain.nodes, plain.links, ())
    assert torch.equal(genome.draw(8).pixels, plain.draw(8).pixels)


REFUSED = {
    "text after the root": (f"{SMALL}and more", "damaged XML .*junk after document element"),
    "text between the roots": (f"{PROLOG}{EXTRA}oops{BODY}", "damaged XML .*junk after document element"),
    "cut in the second root": (
        f"{PROLOG}{EXTRA}{BODY[:-60]}",
        "damaged XML .*mismatched tag|no element|not well-formed",
    ),
    "zeros after the root": (f"{SMALL}\0\0\0", "damaged XML"),
    "a document type in between": (f"{PROLOG}{EXTRA}<!DOCTYPE a [<!ENTITY b 'c'>]>{BODY}", "damaged XML"),
    "no genome in either": (f"{PROLOG}{EXTRA}<data/>", "<cppn-data>, <data> contains no <genome>"),
    "utf-16 cut": (SMALL.encode("utf-16")[:-3], "damaged XML"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_dialect_is_refused(tmp_path: Path, case: str) -> None:
    """Only elements, comments and instructions may follow the first root."""
    text, message = REFUSED[case]
    path = written(tmp_path, text, "genome.xml")
    with pytest.raises(UnreadableFile, match=message) as raised:
        read(path)
    assert str(path) in str(raised.value)


def test_an_unknown_root_is_noted(tmp_path: Path) -> None:
    genome = read(written(tmp_path, f"{PROLOG}<palette/>{BODY}"))
    assert genome.notes == ("beside the genome the file holds <palette>, which is not read",)


def storage() -> str:
    """Three generations in a file, as CPPN Explorer stores them; the last weight is the generation's number."""
    one = BODY[BODY.index("<genome") : BODY.index("</data>")]
    parts = [f'<generation nr="{i}">{one.replace("<weight>2.0<", f"<weight>{i}.5<")}</generation>' for i in range(3)]
    return f'{PROLOG}{EXTRA}<data version="1.0"><storage max="2" min="0">{"".join(parts)}</storage></data>'


def test_several_genomes_are_asked_for(tmp_path: Path) -> None:
    """None is chosen in silence; the key chooses, in Python and where a checkpoint is loaded."""
    path = written(tmp_path, storage(), "genome.xml")
    for reader in (read, interp.load, interp.inspect):
        with pytest.raises(InterpError, match="holds 3 genomes; choose one with --key 0 to --key 2"):
            reader(path)
        for key in ("3", "x", "-1", "\N{SUPERSCRIPT TWO}"):
            with pytest.raises(InterpError, match="key"):
                reader(path, key=key)
    assert [read(path, str(i)).links[0].weight for i in range(3)] == [0.5, 1.5, 2.5]
    genome = interp.load(path, key="2", device="cpu").genome
    assert genome is not None
    assert genome.links[0].weight == 2.5


@pytest.mark.parametrize(
    "others",
    [
        {"__MACOSX/._genome.xml": b"\0"},
        {".DS_Store": b"\0", "__MACOSX/": b""},
        {"LICENSE": b"MIT", "readme.txt": b""},
        {"Thumbs.db": b"\0"},
    ],
)
def test_files_of_the_system_in_an_archive_do_not_count(tmp_path: Path, others: dict[str, bytes]) -> None:
    path = zipped(tmp_path, {"genome.xml": SMALL.encode(), **others})
    subject = interp.load(path, device="cpu")
    assert subject.genome is not None
    assert subject.genome.links == read(path).links == small().genome().links


def test_brightness_alone_is_grey() -> None:
    """A genome without hue and saturation is drawn grey, whatever its output is called; and that is said."""
    for label in ("ink", "brightness", "Ink"):
        genome = Sketch([*INPUTS, ("out", VALUE, "sin", label)], [("0_2", VALUE, 2.0)]).genome()
        pixels = genome.draw(5).pixels
        assert torch.equal(pixels, genome.maps(5)[VALUE].abs().unsqueeze(-1).expand(5, 5, 3))
        assert genome.notes == (f"its output is {label}, only brightness: hue and saturation are 0",)


def test_one_colour_missing_is_not_guessed(tmp_path: Path) -> None:
    nodes = [*INPUTS, *(row for row in OUTPUTS if row[3] != "hue")]
    with pytest.raises(InterpError, match="no output for hue"):
        Sketch(nodes, []).genome()


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_activation(name: str) -> None:
    """Graph and layers, against the functions of Python's own `math`."""
    sketch = Sketch([*INPUTS, ("hidden", "1_1", name, ""), *OUTPUTS], [("0_2", "1_1", 3.0), ("1_1", VALUE, 1.0)])
    wanted = [abs(min(abs(FUNCTIONS[name](3.0 * x)), 1.0)) for x in np.linspace(-1, 1, 8)]
    for form in (sketch.genome(), sketch.genome().layered()):
        np.testing.assert_allclose(form.draw((1, 8)).pixels[0, :, 0].detach().numpy(), wanted, rtol=0, atol=1e-10)


def test_an_unknown_activation_names_its_node(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.replace("<activation>sin(x)", "<activation>triangle(x)"), "genome.xml")
    with pytest.raises(UnknownName, match="node 1_1: unknown activation 'triangle'.*gaussian"):
        read(path)


def evaluated(path: Path, size: int) -> np.ndarray:
    """The picture by an evaluator of its own: the file's nodes by recursion in numpy, colours by colorsys."""
    text = path.read_text()
    root = ElementTree.fromstring(f"<r>{text[text.index('?>') + 2 :]}</r>")
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    coordinates = {"x": x, "y": y, "d": 1.4 * np.sqrt(x**2 + y**2), "bias": np.ones_like(x)}
    functions: dict[str, Any] = {
        "identity(x)": lambda z: z,
        "sin(x)": np.sin,
        "cos(x)": np.cos,
        "gaussian(x)": lambda z: 2 * np.exp(-z * z) - 1,
        "sigmoid(x)": lambda z: 2 / (1 + np.exp(-z)) - 1,
    }

    def key(element: ElementTree.Element | None) -> tuple[str | None, str | None]:
        assert element is not None
        return element.get("branch"), element.get("id")

    nodes = {key(n.find("marking")): n for n in root.iter("node")}
    sources: dict[Any, list[tuple[Any, float]]] = {}
    for link in root.iter("link"):
        weight = float(link.findtext("weight") or "nan")
        sources.setdefault(key(link.find("target")), []).append((key(link.find("source")), weight))
    values: dict[Any, np.ndarray] = {}

    def value(node: Any) -> np.ndarray:
        if node not in values:
            if nodes[node].get("type") == "in":
                values[node] = coordinates[nodes[node].get("label") or ""]
            else:
                z = sum((weight * value(s) for s, weight in sources.get(node, [])), np.zeros_like(x))
                values[node] = functions[nodes[node].findtext("activation") or ""](z)
        return values[node]

    outputs = {n.get("label"): value(k) for k, n in nodes.items() if n.get("type") == "out"}
    v = np.clip(np.abs(outputs["ink" if "ink" in outputs else "brightness"]), 0, 1)
    if "ink" in outputs:
        return np.stack([v, v, v], -1)
    hsv = np.stack([(outputs["hue"] + 1) % 1, np.clip(outputs["saturation"], 0, 1), v], -1)
    return np.array([[colorsys.hsv_to_rgb(*pixel) for pixel in row] for row in hsv])


COUNTS = {"1009": (25, 74), "2914": (33, 82), "4041": (37, 121), "4376": (34, 108), "4547": (35, 98), "576": (23, 57),
          "613": (27, 61), "745": (19, 39)}  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("number", COUNTS)
def test_real_genomes_draw_what_they_mean(number: str) -> None:
    """Nodes and links as stored, and the picture to 1e-10: by the graph, by the layers, and by numpy."""
    (path,) = (DATA / "picbreeder_cppnx").glob(f"cppnx_{number}_*.xml")
    subject = interp.load(path, dtype="float64", device="cpu")
    genome = subject.genome
    assert isinstance(genome, Genome)
    own = [n for n in genome.nodes if not n.id.endswith("_implied")]
    implied = len(genome.nodes) - len(own)
    assert (len(own), len(genome.links) - implied) == COUNTS[number]
    wanted = evaluated(path, 40)
    assert wanted.std() > 0.05
    colours = (wanted.max(-1) - wanted.min(-1)).max() > 0.05
    assert colours == (implied == 0)
    for form in (genome, genome.layered(), subject.model):
        np.testing.assert_allclose(form.draw(40).pixels.detach().numpy(), wanted, rtol=0, atol=1e-10)


@pytest.mark.real_data
def test_both_dialects_hold_the_same_skull() -> None:
    """Picbreeder's own file and CPPN Explorer's, and the picture that the authors published of it."""
    skull = read(DATA / "picbreeder_cppnx" / "cppnx_576_Skull.xml").draw(256)
    np.testing.assert_allclose(
        skull.pixels, read(DATA / "picbreeder" / "skull.zip").draw(256).pixels, rtol=0, atol=1e-10
    )
    published = np.load(DATA / "picbreeder" / "picbreeder_skull_rgb.npz")["rgb"].astype(np.float64)
    assert np.abs(skull.pixels.numpy() - published).mean() < 2e-3


@pytest.mark.real_data
@pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}")
def test_the_case() -> None:
    """A genome with a second root draws the picture of the same genome without it."""
    dialect, plain = (interp.load(CASES / "cppn_explorer_xml" / f"{n}.xml", device="cpu") for n in ("genome", "plain"))
    assert isinstance(dialect.genome, Genome)
    assert isinstance(plain.genome, Genome)
    assert torch.equal(dialect.genome.draw(64).pixels, plain.genome.draw(64).pixels)
    assert torch.equal(dialect.model.draw(64).pixels, plain.model.draw(64).pixels)
