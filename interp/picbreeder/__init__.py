"""Picbreeder: evolved networks, from their XML to a graph, and from the graph to layers."""

from interp.picbreeder.genome import Genome
from interp.picbreeder.graph import Graph, Link, Node
from interp.picbreeder.layerize import layered
from interp.picbreeder.xml_files import read

__all__ = ["Genome", "Graph", "Link", "Node", "layered", "read"]
