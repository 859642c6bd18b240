"""Phase diagrams: the phases of several networks a cell, how sure the majority is, and the picture."""

from interp.phase_diagrams.axes import COMMON, REPEATS, choose_axes, ordered, values_of
from interp.phase_diagrams.diagram import PhaseDiagram, diagram_of

__all__ = ["COMMON", "REPEATS", "PhaseDiagram", "choose_axes", "diagram_of", "ordered", "values_of"]
