"""The values of a map and their nulls, put together by site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from interp._util.estimate import told
from interp.hooked.foreign.several import Inputs
from interp.subject import Subject
from probes.similarity import Excess, Measure
from probes.similarity_maps.chance import RandomDraws, excesses, similarities
from probes.similarity_maps.features import Features
from probes.similarity_maps.layers import Layers

Progress = Callable[[int, int], None]
Index = Mapping[tuple[int, str], int]  # numbers of features by network and site
UNKNOWN = (
    "Random networks have normal weights with variance 1 / fan-in, since it is not known how some networks were drawn."
)


def compared(
    measure: Measure, features: Features, index: Index, layers: Layers, names: Sequence[str],
    max_bytes: int, progress: Progress | bool | None,
) -> dict[str, pd.DataFrame]:  # fmt: skip
    """Similarity of every two places of each map.

    Args:
        measure: of similarity.
        features: of all networks.
        index: which of them belong to which network and site.
        layers: the maps.
        names: of the networks.
        max_bytes: of working memory.
        progress: called with (done, in all).

    Returns:
        ``[K, K]`` by map, named by network, and by site where a map has several of one network.
    """
    found = {}
    for label, places in layers.items():
        own = [index[p.key] for p in places]
        upper = [(a, b) for a in range(len(own)) for b in range(a, len(own))]
        tell = told(f"parts of the map at {label}", progress)
        values = similarities(measure, features, [(own[a], own[b]) for a, b in upper], max_bytes, tell)
        matrix = np.empty((len(own), len(own)))
        for (a, b), value in zip(upper, values, strict=True):
            matrix[a, b] = matrix[b, a] = value
        several = len({p.network for p in places}) < len(places)
        labels = [f"{names[p.network]}: {p.site}" if several else names[p.network] for p in places]
        found[label] = pd.DataFrame(matrix, index=labels, columns=pd.Index(labels))
    return found


def beside_chance(
    kind: str, measure: Measure, features: Features, index: Index, layers: Layers,
    subjects: Sequence[Subject], inputs: Sequence[Tensor | Inputs], values: Mapping[str, pd.DataFrame], draws: int, seed: int,
    max_bytes: int, notes: list[str],
) -> dict[str, dict[tuple[int, int], Excess]]:  # fmt: skip
    """Every value beside its null.

    Args:
        kind: ``inputs``, ``random`` or ``rotation``.
        measure: of similarity.
        features: of all networks.
        index: which of them belong to which network and site.
        layers: the maps.
        subjects: the networks.
        inputs: of each.
        values: from `compared`.
        draws: of the null.
        seed: of the draws.
        max_bytes: of working memory.
        notes: gets a sentence where random networks are drawn by a guess.

    Returns:
        By map and pair of row numbers.
    """
    pairs = {label: [(a, b) for a in range(len(ps)) for b in range(a + 1, len(ps))] for label, ps in layers.items()}
    own = {label: [float(values[label].iat[a, b]) for a, b in ab] for label, ab in pairs.items()}
    if kind != "random":
        numbers = {label: [index[p.key] for p in places] for label, places in layers.items()}
        return {
            label: dict(zip(ab, excesses(
                kind, measure, features, [(numbers[label][a], numbers[label][b]) for a, b in ab], own[label], draws, seed,
                max_bytes,
            ), strict=True))
            for label, ab in pairs.items()
        }  # fmt: skip
    random = RandomDraws(subjects, inputs, layers)
    drawn = random.draw(measure, draws, seed, max_bytes)
    if not random.known:
        notes.append(UNKNOWN)
    return {
        label: {
            (a, b): Excess.of(value, drawn[random.ends(layers[label][a], layers[label][b])])
            for (a, b), value in zip(ab, own[label], strict=True)
        }
        for label, ab in pairs.items()
    }
