"""The similarity map of one run's checkpoints, with the steps at which the representation changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp._util.bar import with_bar
from interp.errors import InterpError, MissingCapability, require_range
from interp.history.steps import kept_steps, walk
from interp.hooked.foreign.several import Inputs
from interp.subject import Subject
from probes.common_inputs import common_inputs
from probes.similarity import Measure
from probes.similarity import measure as measure_of
from probes.similarity_maps.chance import SAID, chosen_null
from probes.similarity_maps.comparison import beside_chance, compared
from probes.similarity_maps.features import DEFAULT_BYTES, Features
from probes.similarity_maps.layers import Sites, layers_of
from probes.similarity_maps.networks import Network, networks_of, read_network
from probes.similarity_maps.result import SimilarityMap
from probes.similarity_maps.segments import RepresentationChange, representation_changes

Progress = Callable[[int, int], None]


@with_bar
def similarity_over_training(
    subject: Network,
    *,
    every: int = 1,
    steps: Sequence[int] | None = None,
    most: int | None = None,
    sites: Sites | None = None,
    measure: str | Measure = "cka",
    inputs: Tensor | Inputs | None = None,
    n_inputs: int | None = 2048,
    null: str | None = "auto",
    draws: int = 39,
    most_changes: int = 4,
    seed: int = 0,
    max_bytes: int = DEFAULT_BYTES,
    progress: Progress | bool | None = None,
) -> SimilarityMap:
    """How alike every two checkpoints of one run are, and where along training the representation changes.

    Checkpoints are read and run one by one. Everything else is as in `similarity_map`; the changes are those of
    `representation_changes`, a segmentation of the map with a permutation test. The network before training, step 0, is in the
    map and belongs to no phase.

    Args:
        subject: one with a series of checkpoints, its path, or a run of one network.
        every: take every n-th checkpoint, counting back from the last.
        steps: which checkpoints instead.
        most: an upper limit on the number of checkpoints; more than that are thinned out evenly.
        sites: hook points; the hidden layers by default.
        measure: a name in `probes.similarity.MEASURES`, or a `Measure`.
        inputs: ``[n, ...]``; by default examples of the task.
        n_inputs: at most so many of them, drawn at random. None: all.
        null: as in `similarity_map`: between two random networks, not between two checkpoints of one.
        draws: of the null.
        most_changes: changes at most, at each site.
        seed: of the draws of inputs and nulls, and of the test's permutations.
        max_bytes: of activations held in memory, and of working memory.
        progress: called with (tiles or pairs done, in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        The map, its rows named by step, with `changes` by site.

    Raises:
        InterpError: several networks, or a step without a checkpoint.
        MissingCapability: fewer than two checkpoints.
        UnknownName: a measure or null that does not exist.
    """
    chosen = measure_of(measure)
    require_range("draws", draws, 1)
    name, own = _one(subject)
    kept, notes, read, index = _kept(own, every, most, steps), list[str](), list[int](), dict[tuple[int, str], int]()
    common = common_inputs({name: own}, inputs, n_inputs=n_inputs, seed=seed)
    rows, kind = common.of[name], chosen_null(null, chosen, [own], notes)
    one = layers_of({name: own.model}, sites)
    with Features(max_bytes) as features:
        for snapshot in walk(own, kept, notes):
            if not snapshot.finite:
                notes.append(f"Step {snapshot.step:,} was left out: its weights hold NaN or infinity.")
                continue
            wanted = [place.site for places in one.values() for place in places]
            found = read_network(features, snapshot.subject, rows, wanted, max_bytes)
            index |= {(len(read), site): place for site, place in found.items()}
            read.append(snapshot.step)
        if len(read) < 2:
            raise MissingCapability(f"{name}: a map over training needs two checkpoints; {len(read)} could be read")
        layers = {label: [replace(p, network=i) for i in range(len(read)) for p in ps] for label, ps in one.items()}
        values = compared(chosen, features, index, layers, list(map(str, read)), max_bytes, progress)
        chance = {} if kind is None else beside_chance(
            kind, chosen, features, index, layers, [own] * len(read), [rows] * len(read), values, draws, seed, max_bytes, notes
        )  # fmt: skip
    values = {site: frame.set_axis(read, axis=0).set_axis(read, axis=1) for site, frame in values.items()}
    changes = {site: _changes(chosen, frame, most_changes, seed) for site, frame in values.items()}
    said = SAID[kind].format(draws) if kind else ""
    return SimilarityMap(chosen, values, chance, said, common.note, tuple(read), changes, notes)


def _one(subject: Network) -> tuple[str, Subject]:
    """The network, with a series of checkpoints."""
    subjects = networks_of(subject)
    if len(subjects) != 1:
        raise InterpError(
            f"similarity over training is of one network, got {len(subjects)}: take a member, interp.load(path, member=0)"
        )
    name, own = next(iter(subjects.items()))
    own = replace(own, precision=torch.float32)  # checkpoints are not cast to and fro
    if lacking := own.lacks(["series"]):
        raise MissingCapability(f"{name}: {lacking[0]}")
    return name, own


def _kept(own: Subject, every: int, most: int | None, steps: Sequence[int] | None) -> list[int]:
    if most is not None:
        require_range("most", most, 2)
    if steps is None:
        return kept_steps(own, every, most)
    assert own.series is not None  # it was asked for
    return sorted({own.series.entry(step).step for step in steps})


def _changes(measure: Measure, frame: pd.DataFrame, most: int, seed: int) -> list[RepresentationChange]:
    """Changes of the trained representation: the network before training belongs to no phase."""
    values = frame.to_numpy() if measure.higher_is_more_alike else -(frame.to_numpy() ** 2) / 2
    alive = np.isfinite(np.diagonal(values)) & (frame.index.to_numpy() > 0)
    steps = [int(step) for step, good in zip(frame.index, alive, strict=True) if good]
    return representation_changes(values[np.ix_(alive, alive)], steps, most=most, seed=seed)
