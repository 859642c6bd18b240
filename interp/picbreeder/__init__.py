"""Picbreeder: evolved networks, from their XML to a graph, and from the graph to layers."""

from interp.picbreeder.genome import Genome, Link, Node
from interp.picbreeder.layerize import layered
from interp.picbreeder.xml_files import read

__all__ = ["Genome", "Link", "Node", "layered", "read"]
