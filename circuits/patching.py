"""Patching: what of a clean run, put into a corrupted one, brings the clean answer back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import torch
from torch import Tensor, nn

from circuits.cells import Cells, make_cells
from circuits.effects import DEFAULT_BYTES, Progress, inputs_at_once, slices
from circuits.features import Features
from circuits.heatmaps import heat_map
from circuits.metrics import MetricLike
from circuits.pairs import Pair, make_pair
from interp.activations import Activations, capture
from interp.errors import InterpError, UnknownSite
from interp.hooked import HookedTransformer
from interp.sites import SitePattern, resolve_sites
from interp.subject import Subject


@dataclass(frozen=True)
class Patching:
    """The effect of every cell, and its picture.

    Attributes:
        effects: a row per cell: ``site``, an index for each axis told apart, the metric's value and ``recovered``: 0 where it
            is the corrupted run's, 1 where it is the clean run's. ``attrs`` holds both values and the sign.
    """

    effects: pd.DataFrame

    @property
    def figure(self) -> go.Figure:
        """A heat map: sites (and heads) down, positions across."""
        return heat_map(self.effects, "recovered")

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.figure._repr_mimebundle_(**kwargs)


@torch.no_grad()
def patch(
    subject: Subject,
    clean: Tensor,
    corrupted: Tensor,
    sites: SitePattern,
    *,
    metric: MetricLike = "logit_diff",
    by: Sequence[str] | None = None,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Progress | None = None,
) -> Patching:
    """Put every part of a clean run, one by one, into the corrupted run.

    Args:
        clean: inputs ``[batch, ...]``.
        corrupted: inputs that differ in what is asked, each in the place of its clean one.
        sites: hook points, by name or glob; a `Site` with ``pos``, ``head`` or ``unit`` patches within that alone.
        metric: ``"logit_diff"`` (the clean answer's logit minus the corrupted one's), ``"loss"``, ``"accuracy"``, ``"kl"``,
            a `Metric`, or a function of the model's outputs ``[batch, ...]`` that returns ``[batch]`` or one number.
        by: axes whose entries are patched one by one; by default ``pos`` (or ``operand``) and ``head`` where a site has them,
            else ``unit``. ``()`` patches each site whole.
        dtype: the model runs in this, the subject's precision by default.
        max_bytes: working memory besides the captured activations.
        progress: called with (cells done, cells in all).

    Raises:
        UnknownSite: a site that the model has not.
        InterpError: inputs that do not align; hooks that somebody left on the model.

    The same numbers as one forward pass per cell. What lies before a site runs once, and in a causal transformer nothing
    before a patched position runs again. Misleads where a corrupted run is one that the network never meets: then what is
    restored may be that it works at all. Source: Meng et al. 2022; Zhang and Nanda 2023.
    """
    pair = make_pair(subject, clean, corrupted, metric, dtype)
    wanted = resolve_sites(pair.trial.model, sites)
    points = {s.name for s in wanted}
    source, base = (capture(pair.trial.model, x, points) for x in (pair.clean, pair.corrupted))
    cells = []
    for site in wanted:
        if source[site.name].shape != base[site.name].shape:
            raise InterpError(f"{site.name}: the clean and the corrupted run do not align there")
        if source[site.name].ndim > len(pair.trial.model.axes_of(site.name)):
            raise InterpError(f"{site.name} fires several times in a forward pass; patch it with circuits.Patch")
        cells.append(make_cells(site, pair.trial.model.axes_of(site.name), base[site.name].shape, by))
    total, done, frames = sum(len(c.indices) for c in cells), 0, []
    run = _run_of(pair)
    for own in cells:
        values = torch.full((len(own.indices),), torch.nan, dtype=torch.float64)
        for part, found in _pieces(pair, own, source[own.site.name], base[own.site.name], run, max_bytes):
            values[part] = found.cpu()
            done += len(part)
            if progress is not None:
                progress(done, total)
        frame = pd.DataFrame(own.rows())
        frame[pair.trial.metrics[0].name] = values.tolist()
        frame["recovered"] = pair.recovered(values).tolist()
        frames.append(frame)
    effects = pd.concat(frames, ignore_index=True)
    effects.attrs = {**pair.attrs}
    return Patching(effects)


def _run_of(pair: Pair) -> Activations | None:
    """What a run from a later position takes of the corrupted run; None where the network has no such runs."""
    model = pair.trial.model
    if not isinstance(model, HookedTransformer) or not model.config.causal or model.config.readout is not None:
        return None
    return capture(model, pair.corrupted, [f"*attn.hook_{n}" for n in "qkv"] + ["*hook_resid_pre"])


def _pieces(
    pair: Pair, cells: Cells, source: Tensor, base: Tensor, run: Activations | None, max_bytes: int
) -> Iterator[tuple[list[int], Tensor]]:
    """Indices of cells, and the metric's means with each of them patched."""
    model, name = pair.trial.model, cells.site.name
    at_once = max(1, inputs_at_once(pair.trial, max_bytes) // len(pair.corrupted))
    every = range(len(cells.indices))
    try:
        stream, matrix = model.writes(name)
    except UnknownSite:
        for part in slices(len(every), at_once):
            yield list(every[part]), _whole(pair, cells, list(every[part]), source)
        return
    features = Features(cells.axes)
    change = features.last(source - base)
    clean_stream = base if stream == name else capture(model, pair.corrupted, stream)[stream]
    rows = None if matrix is None else matrix.detach().to(change)

    def changed(part: list[int], at: slice = slice(None)) -> Tensor:
        """The stream ``[cells, batch, ..., d]`` with the cells patched."""
        mask = cells.mask(part, base.shape, base.device).expand(len(part), *base.shape)
        flat = torch.stack([features.last(m) for m in mask])[:, :, at]
        moved = change[:, at] * flat
        return clean_stream[:, at] + (moved if rows is None else moved @ rows)

    if run is not None and "pos" in cells.by:
        assert isinstance(model, HookedTransformer)
        outputs = model(pair.corrupted)
        for position, part in _by_position(cells, at_once):
            x = changed(part, slice(position, position + 1)).squeeze(2)
            later = model.resume_position(stream, x.flatten(0, 1), position, run).unflatten(0, x.shape[:2])
            whole = outputs.expand(len(part), *outputs.shape).clone()
            whole[:, :, position : position + later.shape[2]] = later
            yield part, pair.trial.judge(whole).mean((1, 2))
        return
    for piece in slices(len(every), at_once):
        part = list(every[piece])
        x = changed(part)
        outputs = model.resume(stream, x.flatten(0, 1)).unflatten(0, x.shape[:2])
        yield part, pair.trial.judge(outputs).mean((1, 2))


def _by_position(cells: Cells, at_once: int) -> Iterator[tuple[int, list[int]]]:
    """The cells of each position, at most so many at once."""
    place = cells.by.index("pos")
    for position in sorted({index[place] for index in cells.indices}):
        own = [i for i, index in enumerate(cells.indices) if index[place] == position]
        for part in slices(len(own), at_once):
            yield position, own[part]


def _whole(pair: Pair, cells: Cells, part: list[int], source: Tensor) -> Tensor:
    """A network that cannot be resumed at the site runs whole, on the batch tiled by cells."""
    batch = cells.axes.index("batch")
    n = len(pair.corrupted)

    def put(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        tiles = output.unflatten(batch, (len(part), n)).movedim(batch, 0)
        mask = cells.mask(part, source.shape, source.device)
        return torch.where(mask, source, tiles).movedim(0, batch).flatten(batch, batch + 1)

    model = pair.trial.model
    tiled = pair.corrupted.repeat(len(part), *[1] * (pair.corrupted.ndim - 1))
    handle = model.hook_dict[cells.site.name].register_forward_hook(put)
    try:
        outputs = model(tiled)
    finally:
        handle.remove()
    return pair.trial.judge(outputs.unflatten(0, (len(part), n))).mean((1, 2))
