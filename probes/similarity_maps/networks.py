"""The networks of a map: opened by name, at a step, and run once on the inputs that all have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from interp._util.memory import give_back
from interp.activations.capture import DEFAULT_BUDGET
from interp.errors import InterpError
from interp.hooked import HookedModel
from interp.hooked.foreign.several import Inputs
from interp.report.sources import as_subjects
from interp.runs import RunLike
from interp.sites import Site
from interp.subject import Subject
from probes.input_rows import input_rows
from probes.similarity_maps.features import Features

Network = Subject | HookedModel | RunLike | str | Path


def networks_of(networks: object, step: int | None = None) -> dict[str, Subject]:
    """Networks by name, at a step.

    Args:
        networks: Subjects, models, paths or runs, one or several, as a list or by name; a run stands for all its members.
        step: of runs and series; their last by default.

    Returns:
        Subjects, in the order given.

    Raises:
        InterpError: something else, two of one name, or no checkpoint at the step.
    """
    given = networks.path if isinstance(networks, RunLike) else networks
    if isinstance(given, (str, Path)):
        given = [given]
    if isinstance(given, Mapping):
        given = {name: one.path if isinstance(one, RunLike) else one for name, one in given.items()}
        paths: Sequence[object] = list(given.values())
    elif isinstance(given, Iterable) and not isinstance(given, (Subject, HookedModel)):
        given = paths = [one.path if isinstance(one, RunLike) else one for one in given]
    else:
        paths = [given]
    how = None if step is None else [{"step": step}] * len(paths)
    found = as_subjects(given, how=how)  # type: ignore[arg-type]  # refuses other kinds
    if step is not None:
        for name, one in found.items():
            if one.step != step and one.series is not None:
                found[name] = replace(one, model=one.series.at(step).to(one.model.device), step=step)
    return found


def read_network(
    features: Features, subject: Subject, inputs: Tensor | Inputs, sites: Sequence[str | Site], max_bytes: int
) -> dict[str, int]:
    """Run a network once and keep its activations.

    Args:
        features: gets them.
        subject: the network.
        inputs: rows that all networks have in common.
        sites: where to read.
        max_bytes: of the activations of one network, at least what `interp.capture` takes anyway.

    Returns:
        The number in ``features``, by site.

    Raises:
        InterpError: an activation that is NaN or infinite.
    """
    rows = input_rows(subject, inputs, sites, dtype=torch.float32, max_bytes=max(max_bytes, DEFAULT_BUDGET))
    found = {}
    for site, values in rows.items():
        try:
            found[site] = features.add(values)
        except InterpError as error:
            raise InterpError(f"{subject.name}, {site}: {error}") from None
    del rows
    if features.spilled:  # memory is short
        give_back()
    return found
