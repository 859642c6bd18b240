"""Reading a genome: Picbreeder's XML, bare or in a zip archive. Nothing in it is resolved, fetched or run."""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from interp._util import wrong_files
from interp.errors import InterpError, UnreadableFile, in_file, kind_of
from interp.picbreeder.documents import genome_element
from interp.picbreeder.genome import Genome
from interp.picbreeder.graph import Link, Node

MAX_BYTES = 2 << 20  # of the unpacked XML
MAX_ID = 40  # characters of a branch or a number
MAX_NODES, MAX_LINKS = 10_000, 100_000

ARGUMENT = re.compile(r"\s*\(\s*\w{0,8}\s*\)$")  # of an activation, as in cos(x)
INPUT_LABELS = {"x": "x", "y": "y", "d": "d", "bias": "b"}
OUTPUT_LABELS = {"ink": "value", "brightness": "value", "hue": "hue", "saturation": "saturation"}


def read(path: str | Path, key: str | None = None) -> Genome:
    """Read a genome from a file of Picbreeder or CPPN Explorer.

    Args:
        path: the XML file, or a zip archive that holds only it.
        key: which genome, from ``"0"``, where the file holds several generations.

    Returns:
        The genome, named after the file.

    Raises:
        UnreadableFile: missing, damaged, too large once unpacked, with entities, or not a genome.
        InterpError: a genome that draws no picture; see `Graph`. Several genomes and no ``key``. ``path`` is not a path.
    """
    if not isinstance(path, (str, Path)):
        raise InterpError(f"picbreeder.read takes the path of a Picbreeder file, got {kind_of(path)}")
    path = Path(path)
    try:
        with in_file(path):
            wrong_files.refuse(path)
            return parse(unpack(path), path.stem, key)
    except InterpError:
        raise
    except (OSError, ValueError) as error:  # no file, no permission, a path with a null byte
        raise UnreadableFile(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}; check the path"
        ) from None


def unpack(path: Path) -> bytes:
    """The XML in a file: the file itself, or the only member of a zip archive.

    Args:
        path: of either.

    Returns:
        The unpacked bytes.

    Raises:
        UnreadableFile: damaged, several members, or more than `MAX_BYTES`.
    """
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
        if not zipped:
            file.seek(0)
            data = file.read(MAX_BYTES + 1)
            return _checked(data)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename in genome_members(archive.namelist())]
            if len(members) != 1:
                raise UnreadableFile(
                    f"the archive holds {len(members)} files, but a genome is a single file; unpack it and name the XML file"
                )
            if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UnreadableFile("uses a compression whose output size cannot be limited; zip it with deflate")
            with archive.open(members[0]) as member:
                return _checked(member.read(MAX_BYTES + 1))  # what is read counts, not what the header claims
    except UnreadableFile:
        raise
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        raise UnreadableFile(f"truncated or corrupted zip archive ({error}); copy it again") from None


def genome_members(names: list[str]) -> list[str]:
    """Which members of a zip archive may be a genome.

    Args:
        names: of all members.

    Returns:
        All files but those that the systems of a user add; of several those alone that end in ``.xml``, if there are any.
    """
    files = [n for n in names if not n.endswith("/") and not n.startswith("__MACOSX/")]
    files = [n for n in files if not n.rpartition("/")[2].startswith(("._", ".DS_Store", "Thumbs.db", "desktop.ini"))]
    xml = [n for n in files if n.lower().endswith(".xml")]
    return xml if files[1:] and xml else files


def _checked(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise UnreadableFile(
            f"unpacks to more than {MAX_BYTES >> 20} MiB, but a genome takes a few KiB; it is not read"
        )
    return data


def parse(data: bytes, name: str, key: str | None = None) -> Genome:
    """Parse the bytes of a genome's XML file.

    Args:
        data: the file's contents.
        name: what to call the genome.
        key: as in `read`.

    Returns:
        The genome.

    Raises:
        UnreadableFile: damaged, with entities, too large, or not a genome.
    """
    notes: list[str] = []
    genome = genome_element(data, key, notes)
    nodes, links = genome.findall("nodes/node"), genome.findall("links/link")
    if len(nodes) > MAX_NODES or len(links) > MAX_LINKS:
        raise UnreadableFile(
            f"{len(nodes):,} nodes and {len(links):,} links; at most {MAX_NODES:,} and {MAX_LINKS:,} are read"
        )
    for what, listed in (("nodes", nodes), ("links", links)):
        part = genome.find(what)
        stated = part.get("count") if part is not None else None
        if part is None or (stated is not None and stated != str(len(listed))):
            raise UnreadableFile(
                f"truncated genome: it declares {(stated or 'no')[:40]} {what}, but holds {len(listed)}"
            )
    made = [_node(n, notes) for n in nodes]
    wired = [_link(item) for item in links]
    _imply_colour(made, wired, notes)
    return Genome(name, tuple(made), tuple(wired), tuple(notes))


def _imply_colour(nodes: list[Node], links: list[Link], notes: list[str]) -> None:
    """Brightness alone is grey: hue and saturation are added as nodes that read it with weight 0."""
    outputs = {n.role: n for n in nodes if n.kind == "out"}
    missing = [role for role in ("hue", "saturation") if role not in outputs]
    if "value" not in outputs or not missing:
        return
    label = outputs["value"].label
    if label.strip().lower() != "ink" and len(missing) == 1:
        return  # a genome of colours that lacks one
    for role in missing:
        nodes.append(Node(f"{role}_implied", "out", "identity", role, role))
        links.append(Link(outputs["value"].id, nodes[-1].id, 0.0))
    notes.append(f"its output is {label[:40]}, only brightness: {' and '.join(missing)} are 0")


def _node(element: Element, notes: list[str]) -> Node:
    kind, node = element.get("type", ""), _id(element, "marking", "node")
    if kind not in ("in", "hidden", "out"):
        raise UnreadableFile(f"node {node} has the type {kind[:40]!r}; known types are in, hidden and out")
    text = (element.findtext("activation") or "").strip()
    activation = ARGUMENT.sub("", text).lower()
    if not text:
        raise UnreadableFile(f"truncated genome: node {node} has no activation")
    label = element.get("label", "")
    roles: dict[str, str] = {"in": INPUT_LABELS, "out": OUTPUT_LABELS, "hidden": {}}[kind]
    role = "" if kind == "hidden" else roles.get(label.strip().lower(), label)
    if _number(element.get("bias", "0"), f"the bias of node {node}"):
        notes.append(
            f"node {node} states a bias of {element.get('bias')}, which is ignored, as in the published networks"
        )
    if kind == "in" and activation != "identity":
        notes.append(f"input {node} states the activation {text[:40]}; an input passes on its coordinate unchanged")
    return Node(node, kind, activation, role, label)


def _link(element: Element) -> Link:
    source, target = _id(element, "source", "link"), _id(element, "target", "link")
    text = element.findtext("weight")
    if text is None:
        raise UnreadableFile(f"truncated genome: the link from {source} to {target} has no weight")
    return Link(source, target, _number(text, f"the weight of the link from {source} to {target}"))


def _id(element: Element, tag: str, owner: str) -> str:
    found = element.find(tag)
    branch, number = (found.get("branch"), found.get("id")) if found is not None else (None, None)
    if max(len(branch or ""), len(number or "")) > MAX_ID:
        raise UnreadableFile(f"damaged genome: the {tag} of a {owner} has an id of more than {MAX_ID} characters")
    if not branch or not number:
        raise UnreadableFile(f"truncated genome: a {owner} has no {tag} with branch and id")
    return f"{branch}_{number}"


def _number(text: Any, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UnreadableFile(f"{what} is {str(text)[:40]!r}, which is not a finite number")
    return value
