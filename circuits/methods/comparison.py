"""Methods of circuit discovery side by side: faithfulness over sparsity, and precision and recall where the circuit is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from circuits.methods.edge_scores import EdgeScores
from interp.subject import Subject

if TYPE_CHECKING:
    pass

THRESHOLDS = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)  # of ACDC, in shares of what ablating everything changes


@runtime_checkable
class Case(Protocol):
    """A network whose circuit is known, as `circuits.known` has them."""

    name: str
    subject: Subject
    clean: Tensor
    corrupted: Tensor
    edges: frozenset[str]


Method = Callable[..., EdgeScores]
