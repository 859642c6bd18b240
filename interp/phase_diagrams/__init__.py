"""Phase diagrams: the phases of several networks a cell, how sure the majority is, and the picture."""

from interp.phase_diagrams.axes import COMMON, REPEATS, choose_axes, ordered, values_of
from interp.phase_diagrams.diagram import PhaseDiagram, diagram_of
from interp.phase_diagrams.lattice import Lattice
from interp.phase_diagrams.order import PHASES, UNDECIDED, phase_order

__all__ = [
    "COMMON",
    "PHASES",
    "REPEATS",
    "UNDECIDED",
    "Lattice",
    "PhaseDiagram",
    "choose_axes",
    "diagram_of",
    "ordered",
    "phase_order",
    "values_of",
]
