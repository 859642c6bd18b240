"""The parts of a comparison of two networks, each computed from the same pairs of layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from circuits.findings import Findings
from circuits.two_networks.disagreement import similarity
from circuits.two_networks.feature_lists import Kind
from circuits.two_networks.interchanged import Interchange, interchanged
from circuits.two_networks.shared import features_of
from circuits.two_networks.sides import Side
from circuits.two_networks.stitching import stitched_both_ways
from circuits.two_networks.stitching_result import Stitching
from circuits.weight_line.connectivity import LinearConnectivity, linear_connectivity
from interp.hooked.foreign.several import InputsLike
from interp.sites import hidden_sites


@dataclass(frozen=True)
class Asked:
    """What a comparison is made of.

    Attributes:
        two: the networks.
        pairs: of sites that are compared, one of each.
        kind: of features.
        ridge: of all maps.
        n_random: random networks, and random sets.
        draws: permutations.
        seed: of everything random.
        inputs: that were given for both.
        n_inputs: at most so many.
        notes: what the parts add for a reader.
    """

    two: tuple[Side, Side]
    pairs: list[tuple[str, str]]
    kind: Kind
    ridge: float
    n_random: int
    draws: int
    seed: int
    inputs: InputsLike | None = None
    n_inputs: int | None = None
    notes: list[str] = field(default_factory=list)


def _similarity(asked: Asked) -> pd.DataFrame:
    found, chance = similarity(*asked.two, asked.pairs, asked.inputs, asked.n_inputs, asked.draws, asked.seed)
    asked.notes.append(f"chance for CKA: {chance}")
    return found


def _stitching(asked: Asked) -> Stitching:
    found = stitched_both_ways(asked.two, asked.pairs, ridge=asked.ridge, n_random=asked.n_random, seed=asked.seed)
    asked.notes.extend(found.notes)
    return found


def _interchange(asked: Asked) -> Interchange:
    rows, spaces = [], {}
    options = {"ridge": asked.ridge, "n_random": max(1, asked.n_random), "draws": asked.draws, "seed": asked.seed}
    for pair in asked.pairs:
        for one, other, (source, target) in ((*asked.two, pair), (*asked.two[::-1], pair[::-1])):
            space, made = interchanged(one, other, source, target, **options)  # pyright: ignore[reportArgumentType]
            spaces[one.name, other.name, target] = space
            rows += made
    return Interchange(rows, spaces, asked.two[0].answers and asked.two[1].answers, (asked.two[1].split,))


def _shared_features(asked: Asked) -> Findings:
    hidden = set(hidden_sites(asked.two[0].subject.model))  # units of a residual stream have no axes of their own
    pair = next((p for p in reversed(asked.pairs) if p[0] in hidden), asked.pairs[-1])
    return features_of(
        asked.two, pair, kind=asked.kind, draws=asked.draws, n_random=asked.n_random, ridge=asked.ridge,
        seed=asked.seed,
    )  # fmt: skip


def _connectivity(asked: Asked) -> LinearConnectivity:
    """The line between weights; networks that no line joins are refused with the reason."""
    first, second = (side.subject for side in asked.two)
    return linear_connectivity(first, second, points=11, starts=4, seed=asked.seed)


PARTS: dict[str, Callable[[Asked], Any]] = {
    "similarity": _similarity, "stitching": _stitching, "interchange": _interchange, "shared_features": _shared_features,
    "connectivity": _connectivity,
}  # fmt: skip
