"""Files of genomes: bare and zipped, damaged and hostile. Nothing but a genome or an `InterpError` comes out."""

from __future__ import annotations

import io
import random
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import interp
from interp.errors import InterpError, UnknownName, UnreadableFile
from interp.picbreeder import Genome, read
from interp.picbreeder.graph import NODE_ACTIVATIONS
from tests.interp.picbreeder.genomes import (
    INPUTS,
    OUTPUTS,
    Sketch,
    link_xml,
    mutated,
    node_xml,
    random_sketch,
    small,
    written,
    zipped,
)

DEFLATED, BZIP2, LZMA = zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
SMALL = small().xml()
DTD = '<?xml version="1.0" encoding="UTF-8"?>'


def with_declared(body: str) -> str:
    """The small genome behind a document type, with a weight that it fills in."""
    return SMALL.replace(DTD, DTD + body).replace("<weight>2.0<", "<weight>&a;<")


def laughs() -> str:
    """Nine entities of ten of the one before: a gigabyte once unfolded."""
    lines = ['<!ENTITY a0 "1">', *(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))]
    return with_declared(f"<!DOCTYPE data [{''.join(lines)}<!ENTITY a '&a9;'>]>")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, DEFLATED])
def test_zipped_and_bare_are_the_same(tmp_path: Path, compression: int) -> None:
    """Whatever the member is called, and with a folder beside it."""
    sketch = random_sketch(5)
    bare = read(written(tmp_path, sketch.xml()))
    packed = read(zipped(tmp_path, {"folder/": b"", "folder/a": sketch.xml().encode()}, compression))
    assert packed == bare == Genome("genome", sketch.genome().nodes, sketch.genome().links)


def test_what_a_file_says_is_kept(tmp_path: Path) -> None:
    """Nodes and links in their order, names and weights to the last bit; a path may be a text."""
    weights = [0.1, -1e-300, 1e300, 3.0000000000000004]
    sketch = Sketch(small().nodes, [("0_2", "1_1", w) for w in weights])
    genome = read(str(written(tmp_path, sketch.xml())))
    assert [link.weight for link in genome.links] == weights
    assert [(n.kind, n.id, n.activation, n.label) for n in genome.nodes] == sketch.nodes
    assert [n.role for n in genome.nodes if n.kind != "hidden"] == ["b", "d", "x", "y", "hue", "saturation", "value"]


def test_branch_and_id_both_identify(tmp_path: Path) -> None:
    """Two nodes of one number in different branches are two nodes."""
    nodes = [*INPUTS, ("hidden", "1_7", "sin", ""), ("hidden", "2_7", "cos", ""), *OUTPUTS]
    genome = read(written(tmp_path, Sketch(nodes, [("1_7", "2_7", 1.0)]).xml()))
    assert genome.by_id["1_7"].activation == "sin"
    assert genome.by_id["2_7"].activation == "cos"


def test_a_bias_that_is_left_out_is_noted(tmp_path: Path) -> None:
    data = SMALL.replace('<node type="hidden">', '<node bias="0.25" type="hidden">', 1)
    assert [n for n in read(written(tmp_path, data)).notes if "bias of 0.25" in n and "1_1" in n]
    assert not read(written(tmp_path, data.replace("0.25", "0.0"))).notes


REPLACED: dict[str, tuple[str, str, str]] = {  # what is replaced, by what, and what the message says
    "fewer nodes than announced": (
        '<nodes count="9">',
        '<nodes count="10">',
        "truncated .*declares 10 nodes, but holds 9",
    ),
    "more links than announced": (
        '<links count="6">',
        '<links count="5">',
        "truncated .*declares 5 links, but holds 6",
    ),
    "a count that is not a number": ('<nodes count="9">', '<nodes count="nine">', "declares nine nodes"),
    "link from nowhere": (
        link_xml("0_2", "1_1", 2.0),
        link_xml("7_7", "1_1", 2.0),
        "source 7_7 .*not a node of the genome",
    ),
    "link to nowhere": (
        link_xml("0_2", "1_1", 2.0),
        link_xml("0_2", "7_7", 2.0),
        "target 7_7 .*not a node of the genome",
    ),
    "link into an input": (link_xml("0_2", "1_1", 2.0), link_xml("1_1", "0_2", 2.0), "0_2, which is an input"),
    "cycle": (link_xml("0_2", "1_1", 2.0), link_xml("0_5", "1_2", 2.0), "cycle.*0_5 -> 1_2 -> 0_5|1_2 -> 0_5 -> 1_2"),
    "two outputs of one name": ('label="hue"', 'label="saturation"', "two outputs are saturation.*0_4 and 0_5"),
    "ink and brightness": ('label="hue"', 'label="ink"', "two outputs are .*0_4 and 0_6"),
    "missing output": (node_xml(OUTPUTS[0]), node_xml(("hidden", "0_4", "sin", "")), "no output for hue"),
    "unknown output": ('label="hue"', 'label="hues"', "0_4: unknown output 'hues'; did you mean 'hue'"),
    "unknown input": ('label="bias"', 'label="bia"', "0_0: unknown input 'bia'.*known: b, d, x, y"),
    "output without a name": ('label="hue"', "", "0_4: unknown output ''"),
    "two nodes of one id": ('branch="1" id="2"/><act', 'branch="1" id="1"/><act', "two nodes have the id 1_1"),
    "type of no kind": (
        'type="hidden"',
        'type="secret"',
        "1_1 has the type 'secret'; known types are in, hidden and out",
    ),
    "NaN": ("<weight>2.0<", "<weight>NaN<", "weight of the link from 0_2 to 1_1 is 'NaN'.*not a finite number"),
    "infinite weight": ("<weight>2.0<", "<weight>1e999<", "'1e999', which is not a finite number"),
    "weight that is a word": ("<weight>2.0<", "<weight>two<", "from 0_2 to 1_1 is 'two'"),
    "empty weight": ("<weight>2.0</weight>", "<weight/>", "from 0_2 to 1_1"),
    "no weight": ("<weight>2.0</weight>", "", "truncated .*from 0_2 to 1_1 has no weight"),
    "no marking": ('<marking branch="1" id="1"/>', "", "node has no marking with branch and id"),
    "no branch": ('<source branch="0" id="2"/>', '<source id="2"/>', "link has no source with branch and id"),
    "no activation": ("<activation>sin(x)</activation>", "", "node 1_1 has no activation"),
    "infinite bias": ('<node type="hidden">', '<node bias="inf" type="hidden">', "bias of node 1_1 is 'inf'"),
    "no genome": ("genome", "genomes", "not a Picbreeder genome: .*<data> contains no <genome>"),
    "end is missing": ("</genome></data>", "", "truncated or damaged XML"),
    "unknown encoding": ("UTF-8", "EBCDIC-4711", "damaged XML .*unknown encoding"),
}


@pytest.mark.parametrize("case", REPLACED)
@pytest.mark.parametrize("carrier", ["bare", "zip"])
def test_bad_genomes_name_the_cause(tmp_path: Path, case: str, carrier: str) -> None:
    """One thing wrong in a file that is well otherwise: the message says which file, and what."""
    old, new, message = REPLACED[case]
    assert old in SMALL
    data = SMALL.replace(old, new) if case == "no genome" else SMALL.replace(old, new, 1)
    path = written(tmp_path, data) if carrier == "bare" else zipped(tmp_path, {"a": data.encode()})
    for reader in (read, lambda p: interp.load(p, device="cpu")):
        with pytest.raises(InterpError, match=message) as raised:
            reader(path)
        assert str(path) in str(raised.value)


def test_unknown_activation_lists_the_known_and_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.replace("<activation>sin(x)", "<activation>sine(x)"))
    with pytest.raises(UnknownName, match="node 1_1.*did you mean 'sin'") as raised:
        read(path)
    assert all(name in str(raised.value) for name in NODE_ACTIVATIONS)


HOSTILE: dict[str, tuple[Callable[[], str | bytes], str]] = {
    "laughs": (laughs, "declares something that a genome does not need"),
    "entity": (lambda: with_declared('<!DOCTYPE data [<!ENTITY a "2.0">]>'), "does not need"),
    "external entity": (lambda: with_declared('<!DOCTYPE d [<!ENTITY a SYSTEM "{secret}">]>'), "does not need"),
    "parameter entity": (lambda: with_declared('<!DOCTYPE d [<!ENTITY % p SYSTEM "{secret}"> %p;]>'), "does not need"),
    "DTD": (lambda: SMALL.replace(DTD, DTD + "<!DOCTYPE data>"), r"does not need \(DTD\)"),
    "external DTD": (lambda: SMALL.replace(DTD, DTD + '<!DOCTYPE data SYSTEM "{secret}">'), r"does not need \(DTD\)"),
    "undeclared entity": (lambda: SMALL.replace("<weight>2.0<", "<weight>&a;<"), "damaged XML .*undefined entity"),
    "bytes that are no UTF-8": (lambda: SMALL.encode().replace(b"genome", b"gen\xff\xfeome"), "damaged XML"),
    "empty": (lambda: b"", "damaged XML .*no element found|empty"),
    "zeros": (lambda: bytes(100), "damaged XML|all zeros"),
    "100,000 elements in one another": (lambda: "<a>" * 100_000 + "</a>" * 100_000, "not a Picbreeder genome"),
    "other XML": (lambda: "<svg/>", "not a Picbreeder genome: the XML's <svg>"),
    "nothing but a zip's beginning": (lambda: b"PK\x03\x04", "truncated or corrupted"),
    "nothing but a zip's end": (lambda: b"PK\x05\x06" + bytes(18), "damaged XML|unknown format"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_and_damaged_files(tmp_path: Path, case: str) -> None:
    """Refused at once, by name, and without a look at any other file."""
    make, message = HOSTILE[case]
    secret, data = written(tmp_path, "0.5", "secret.txt"), make()
    path = written(tmp_path, data.replace("{secret}", secret.as_uri()) if isinstance(data, str) else data)
    started = time.perf_counter()
    for reader in (read, lambda p: interp.load(p, device="cpu")):
        with pytest.raises(UnreadableFile, match=message) as raised:
            reader(path)
        assert str(path) in str(raised.value)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("compression", [DEFLATED, BZIP2, LZMA])
@pytest.mark.parametrize("opening", [b"", SMALL.encode() + b"<!--"])
def test_zip_bombs_are_not_unpacked(tmp_path: Path, compression: int, opening: bytes) -> None:
    """A few KiB that unpack to 96 MiB, whatever the method: refused with less held than they unpack to."""
    path = zipped(tmp_path, {"a": opening + bytes(96 << 20)}, compression)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(UnreadableFile, match="unpacks to more than 2 MiB|compress"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
        assert time.perf_counter() - started < 5
    finally:
        tracemalloc.stop()


def test_archives_that_are_no_genome(tmp_path: Path) -> None:
    """None or two files, a member that is locked or damaged, an archive cut short."""
    for members, n in (({"a": b"1", "b": b"2"}, 2), ({"a/": b""}, 0)):
        with pytest.raises(UnreadableFile, match=f"the archive holds {n} files"):
            read(zipped(tmp_path, members))
    whole = zipped(tmp_path, {"a": SMALL.encode()}).read_bytes()
    locked = bytearray(whole)
    locked[6] |= 1
    locked[whole.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UnreadableFile, match="encrypted"):
        read(written(tmp_path, bytes(locked), "locked.zip"))
    for kept in (30, 60, len(whole) // 2, len(whole) - 1):
        with pytest.raises(UnreadableFile, match="truncated or corrupted zip archive"):
            read(written(tmp_path, whole[:kept], "cut.zip"))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, DEFLATED, BZIP2, LZMA])
def test_damaged_members(tmp_path: Path, compression: int) -> None:
    """The archive is whole, its one member is not, whatever the method."""
    data = bytearray(zipped(tmp_path, {"a": SMALL.encode()}, compression).read_bytes())
    data[100:120] = b"\x55" * 20
    with pytest.raises(UnreadableFile, match="truncated|corrupted|damaged|compress"):
        read(written(tmp_path, bytes(data), "damaged.zip"))


@pytest.mark.parametrize("name", ["missing.xml", "folder", "x" * 300, "nul\0.xml"])
def test_paths_that_hold_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnreadableFile, match="check the path"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id="1"/><activation>sin', f'id="{"9" * 1_000_000}"/><activation>sinn'),
        ('<target branch="1" id="1"/>', f'<target branch="1" id="{"9" * 1_000_000}"/>'),
        ('<nodes count="9">', f'<nodes count="{"9" * 1_000_000}">'),
        ('label="hue"', f'label="{"h" * 1_000_000}"'),
    ],
)
def test_messages_are_short_whatever_the_file_says(tmp_path: Path, old: str, new: str) -> None:
    """A megabyte where a number belongs makes no megabyte of message."""
    with pytest.raises(InterpError) as raised:
        read(written(tmp_path, SMALL.replace(old, new, 1)))
    assert len(str(raised.value)) < 2000


@pytest.mark.real_data
@pytest.mark.parametrize("carrier", ["bare", "zip"])
def test_a_damaged_skull_is_a_genome_or_an_error(data: Path, tmp_path: Path, carrier: str) -> None:
    """300 mutations: each is refused by an InterpError that names the file, or draws a picture in both forms."""
    original = (data / "picbreeder" / "skull.zip").read_bytes()
    if carrier == "bare":
        with zipfile.ZipFile(io.BytesIO(original)) as opened:
            original = opened.read(opened.namelist()[0])
    dice, messages, pictures = random.Random(7), [], []
    for _ in range(300):
        path = written(tmp_path, mutated(original, dice), "mutant")
        try:
            genome = read(path)
        except InterpError as error:
            messages.append(str(error))
        else:
            pictures += [genome.draw(2), genome.layered().draw(2)]
    assert all(str(path) in message and len(message) < 2000 for message in messages)
    assert all(picture.size == (2, 2) for picture in pictures)
    assert 150 < len(messages) < (300 if carrier == "bare" else 301)  # an archive's checksum finds most that is wrong
