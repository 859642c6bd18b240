"""Measures over the checkpoints of a run: the front door.

Earlier results come from the cache (`interp.history.cache`), so that a second call computes only what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from interp._util.parallel import parse_executor
from interp.checkpoints import load
from interp.errors import InterpError
from interp.history.measure_history import MeasureHistory
from interp.history.one_pass import OnePass
from interp.history.steps import check_every
from interp.hooked import HookedModel
from interp.plugins.measure import choose
from interp.plugins.measure import measures as find_measures
from interp.series import CheckpointSeries
from interp.subject import Subject, as_subject
from interp.training.run import Run


def progress(
    source: Subject | HookedModel | Run | CheckpointSeries | str | Path,
    measures: str | Iterable[str] | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    every: int = 1,
    executor: str | None = None,
    cache: bool = True,
    members: int | Iterable[int] | None = None,
    device: str = "auto",
    dtype: torch.dtype = torch.float64,
) -> pd.DataFrame:
    """Evaluate measures at every checkpoint of a run.

    Args:
        source: a path, a Run (all its members), a Subject, or a series or model (then only weights can be measured).
        measures: names (see ``interp measures``), one text with commas or several; by default all that apply.
        options: by measure, such as ``{"local_complexity": {"masks": 10}}``.
        every: evaluate only every n-th checkpoint, counting from the last.
        executor: ``"process:4"`` or ``"dask:ADDRESS"`` spreads the checkpoints over workers.
        cache: use earlier results, and store new ones.
        members: which networks of a Run or a path, one or several; by default all of a Run and the first of a path.
        device: where the networks of a Run or a path are loaded.
        dtype: in which they are evaluated.

    Returns:
        A tidy table ``step, member, measure, where, value``. Its ``attrs`` say what is missing: ``skipped``, ``errors``,
        ``unreadable``, ``nonfinite`` and ``notes``, with keys (member, name) where there are several members.

    Raises:
        InterpError: an unknown measure or option, a source that cannot be measured, or nothing that can be read.
    """
    found = [
        track(subject, measures, options=options, every=every, executor=executor, cache=cache)
        for subject in _subjects(source, members, device, dtype)
    ]
    if not found:
        raise InterpError("members is empty, so there is nothing to measure")
    frame = pd.concat([one.frame for one in found], ignore_index=True)
    for name in ("skipped", "errors", "unreadable"):
        entries = [(one, k, v) for one in found for k, v in getattr(one, name).items()]
        frame.attrs[name] = {k if len(found) == 1 else (one.member, k): v for one, k, v in entries}
    frame.attrs["nonfinite"] = [s if len(found) == 1 else (one.member, s) for one in found for s in one.nonfinite]
    frame.attrs["notes"] = list(dict.fromkeys(note for one in found for note in one.notes))
    return frame


def _subjects(source: Any, members: int | Iterable[int] | None, device: str, dtype: torch.dtype) -> Iterator[Subject]:
    if isinstance(source, (str, Path, Run)):
        path, usual = (source.path, range(len(source))) if isinstance(source, Run) else (source, [0])
        for member in usual if members is None else [members] if isinstance(members, int) else members:
            yield replace(load(path, member=member, device=device), precision=dtype)
        return
    if members is not None:
        raise InterpError("members chooses networks of a Run or a path; this source is a single network")
    if isinstance(source, CheckpointSeries):
        if not len(source):
            raise InterpError("the series has no checkpoints, so there is nothing to measure")
        yield Subject("series", source[-1], series=source, step=source.steps[-1])
    else:
        yield as_subject(source)


def track(
    subject: Subject | HookedModel,
    measures: str | Iterable[str] | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    every: int = 1,
    executor: str | None = None,
    cache: bool = True,
) -> MeasureHistory:
    """`progress` of one network, with everything that there is to say about it.

    Args:
        subject: a Subject, or a model (then only weights can be measured).
        measures: as in `progress`.
        options: as in `progress`.
        every: as in `progress`.
        executor: as in `progress`.
        cache: as in `progress`.

    Returns:
        The table, the options used, and what was skipped, failed or could not be read.

    Raises:
        InterpError: an unknown measure or option, or an option's value that a measure refuses.
    """
    subject = as_subject(subject)
    check_every(every)
    chosen, broken = choose(measures), {} if measures is not None else find_measures()[1]
    given = {name: choose([name])[name].parse(values) for name, values in (options or {}).items()}
    given = {name: given[name] if name in given else one.parse({}) for name, one in chosen.items()}
    result = MeasureHistory(errors=dict(broken))
    for name, one in chosen.items():
        if missing := subject.lacks(one.needs):
            result.skipped[name] = missing[0]
    chosen = {name: m for name, m in chosen.items() if name not in result.skipped}
    if not chosen:
        return result
    set_by_user = frozenset(options or {})
    return OnePass(subject, chosen, given, set_by_user, every, cache, result).run(parse_executor(executor))
