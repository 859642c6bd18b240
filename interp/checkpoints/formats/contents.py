"""What reading a file gives, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp.neat import NEATGenome
from interp.picbreeder import Genome


@dataclass(frozen=True)
class Contents:
    """What a file holds: a tree of containers, plain values and `TensorRef` leaves.

    Attributes:
        path: of the file.
        format: the name of the format, such as ``torch zip``.
        tree: usually a dict by name.
        metadata: the file's own header, if the format has one.
        stubs: classes that the file names and that are not read; their objects are inert `Stub`s in the tree.
        genome: the graph of an evolved network, if the tree is its layered form.
        notes: what the tensors were before they were read (sparse, quantised, floats of eight bits), and names that were told.
    """

    path: Path
    format: str
    tree: Any
    metadata: dict[str, str] = field(default_factory=dict)
    stubs: tuple[str, ...] = ()
    genome: Genome | NEATGenome | None = None
    notes: tuple[str, ...] = ()
