"""Known circuits: networks compiled or written by hand, with their true edges computed from the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp._util.door import lazy_exports

if TYPE_CHECKING:
    from circuits.known.attention_by_hand import and_or as and_or
    from circuits.known.attention_by_hand import induction as induction
    from circuits.known.compiling import compiled as compiled
    from circuits.known.compressing import compressed as compressed
    from circuits.known.interpbench import from_interpbench as from_interpbench
    from circuits.known.known_circuit import EdgeComparison as EdgeComparison
    from circuits.known.known_circuit import KnownCircuit as KnownCircuit
    from circuits.known.mlp_weights import mlp_edges as mlp_edges
    from circuits.known.mlps_by_hand import modular_addition as modular_addition
    from circuits.known.mlps_by_hand import parity as parity
    from circuits.known.mlps_by_hand import superposition as superposition
    from circuits.known.program import Program as Program
    from circuits.known.program import Variable as Variable
    from circuits.known.programs import fraction_previous as fraction_previous
    from circuits.known.programs import histogram as histogram
    from circuits.known.programs import reverse as reverse
    from circuits.known.programs import shuffle_dyck as shuffle_dyck
    from circuits.known.programs import solved as solved
    from circuits.known.programs import sort as sort
    from circuits.known.registry import all_circuits as all_circuits
    from circuits.known.registry import by_name as by_name
    from circuits.known.registry import names as names
    from circuits.known.transformer_weights import transformer_edges as transformer_edges
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
