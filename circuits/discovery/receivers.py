"""Senders and receivers of a transformer: who writes into the residual stream, who reads it, and the edges between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp.errors import InterpError
from interp.hooked import HookedTransformer

PARTS = {"queries": "Q", "keys": "K", "values": "V"}  # of a head, and the letter of its weights


@dataclass(frozen=True)
class Receiver:
    """What reads the residual stream.

    Attributes:
        layer: its block; for the logits the number of blocks.
        part: ``queries``, ``keys`` or ``values`` of a head, ``mlp`` or ``logits``.
        head: of the layer; 0 for others.
        hears: how many senders come before it: it may read the first so many.
        start: its first edge among all edges.
        positions: where it reads, of one input: a first position and how many there are.
        split: whether its edges are told apart by position.
    """

    layer: int
    part: str
    head: int
    hears: int
    start: int
    positions: tuple[int, int]
    split: bool

    @property
    def name(self) -> str:
        """Such as ``L0H1 queries``, ``L0 mlp`` or ``logits``."""
        if self.part == "logits":
            return self.part
        return f"L{self.layer}H{self.head} {self.part}" if self.part in PARTS else f"L{self.layer} {self.part}"

    @property
    def place(self) -> str:
        """Its kind and layer, such as ``L0 queries``; random circuits have as many edges at each place."""
        return self.part if self.part == "logits" else f"L{self.layer} {self.part}"

    @property
    def width(self) -> int:
        """How many edges each of its senders has to it: one, or one per position."""
        return self.positions[1] if self.split else 1

    @property
    def edges(self) -> slice:
        """Its edges among all edges, sender by sender."""
        return slice(self.start, self.start + self.hears * self.width)

    def labels(self, senders: Sequence[str]) -> list[str]:
        """The names of its edges: ``sender > receiver``, with ``@ position`` where positions are told apart."""
        ends = [f" @ {self.positions[0] + p}" for p in range(self.width)] if self.split else [""]
        return [f"{sender} > {self.name}{end}" for sender in senders[: self.hears] for end in ends]


def layout(model: HookedTransformer, n_pos: int, by_position: bool) -> tuple[list[str], list[Receiver]]:
    """The senders and receivers of a transformer, in the order in which they write and read.

    Args:
        model: whose last block may be computed at one position only.
        n_pos: positions of an input.
        by_position: tell edges apart by the position at which they are read.

    Returns:
        names of the senders, and the receivers.

    Raises:
        InterpError: no layers, or norms after every sum.
    """
    config = model.config
    if not config.n_layers:
        raise InterpError("a transformer without layers has no edges to search")
    if config.post_norm:
        raise InterpError(
            "edges are terms of a sum, and a transformer with post_norm normalises the sum after every layer; "
            "search its nodes (of='nodes')"
        )
    senders, receivers, start = ["embed"], [], 0
    everywhere = (0, n_pos)

    def add(layer: int, part: str, heads: int, positions: tuple[int, int]) -> None:
        nonlocal start
        for head in range(heads):
            receivers.append(Receiver(layer, part, head, len(senders), start, positions, by_position))
            start = receivers[-1].edges.stop

    positions = everywhere
    for i in range(config.n_layers):
        last = config.readout is not None and i == config.n_layers - 1
        positions = (config.readout % n_pos, 1) if last and config.readout is not None else everywhere
        for part in PARTS:
            add(i, part, config.n_heads, positions if part == "queries" else everywhere)
        senders += [f"L{i}H{h}" for h in range(config.n_heads)]
        if config.d_mlp is not None:
            add(i, "mlp", 1, positions)
            senders.append(f"L{i} mlp")
    add(config.n_layers, "logits", 1, positions)
    return senders, receivers
