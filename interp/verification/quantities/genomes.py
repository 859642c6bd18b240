"""Quantities of a genome: an evolved network as a graph."""

from __future__ import annotations

from interp.errors import InterpError
from interp.neat import NEATGenome
from interp.picbreeder import Genome
from interp.picbreeder.documents import root_elements
from interp.picbreeder.xml_files import unpack
from interp.verification.material import Material
from interp.verification.quantity import quantity


def _genome(material: Material) -> Genome | NEATGenome:
    genome = material.contents.genome
    if genome is None:
        raise InterpError(f"{material.file} holds no genome")
    return genome


@quantity("genome.nodes", summary="number of nodes", order=70, reads="contents")
def nodes(material: Material, *, implied: bool = True) -> int:
    """All nodes; with ``implied = false`` without the outputs that the file does not have, and that a colour implies."""
    found = _genome(material).nodes
    return len(found) if implied else sum(not node.id.endswith("_implied") for node in found)


@quantity("genome.links", summary="number of links", order=71, reads="contents")
def links(material: Material, *, implied: bool = True) -> int:
    """All links; with ``implied = false`` without those to implied outputs."""
    found = _genome(material).links
    return len(found) if implied else sum(not link.target.endswith("_implied") for link in found)


@quantity("genome.cyclic", summary="whether the graph has a cycle", order=72, reads="contents")
def cyclic(material: Material) -> bool:
    """True where a node reads what it has a part in; a Picbreeder genome with a cycle is refused when it is read."""
    return bool(getattr(_genome(material), "cycle", ()))


@quantity("genome.outputs", summary="labels of the outputs in the file", order=73, reads="contents")
def outputs(material: Material) -> list[str]:
    """What the file calls its outputs, without implied ones."""
    found = [node for node in _genome(material).nodes if node.kind == "out" and not node.id.endswith("_implied")]
    return [node.label or node.role for node in found]


@quantity("genome.branch", summary="the branch that its output belongs to", order=74, reads="contents")
def branch(material: Material) -> str:
    """The identifier of the genome itself, from the XML's ``<identifier branch=... />``."""
    for root in root_elements(unpack(material.one_file)):
        for genome in root.iter("genome"):
            own = genome.find("identifier")
            return own.get("branch", "") if own is not None else ""
    raise InterpError(f"{material.file} holds no genome")


@quantity("genome.roots", summary="names of the XML's root elements", order=75, reads="contents")
def roots(material: Material) -> list[str]:
    """Root elements in the file's order; XML allows one, CPPN Explorer writes two."""
    return [root.tag for root in root_elements(unpack(material.one_file))]
