"""Patching: what of a clean run, put into a corrupted one, brings the clean answer back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import torch
from torch import Tensor, nn

from circuits.engine.clean_corrupted import Pair, make_pair
from circuits.engine.effects import DEFAULT_BYTES, Progress, inputs_at_once, slices
from circuits.engine.patch_cells import Cells, make_cells
from circuits.engine.patch_resume import Found, Written, from_the_position, from_the_site
from circuits.experiments.heatmap import heat_map
from circuits.interventions.layout import Features
from circuits.metrics import MetricLike
from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.transformer.staggered import POINTS, departs
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
    pair = make_pair(subject, clean, corrupted, metric, sites=sites, beside=lambda m: _beside(m, sites), dtype=dtype)
    cells = _cells(pair, sites, by)
    numbers, values, done = [], [], 0
    for own, found in _measured(pair, cells, max_bytes):
        numbers += own
        values.append(found)
        done += len(own)
        if progress is not None:
            progress(done, sum(len(c.indices) for c in cells))
    effect = torch.empty(len(numbers), dtype=torch.float64)
    effect[numbers] = torch.cat(values).cpu()  # the one wait for a GPU
    effects = pd.DataFrame([row for c in cells for row in c.rows()])
    effects[pair.evaluation.metrics[0].name] = effect.tolist()
    effects["recovered"] = pair.recovered(effect).tolist()
    effects.attrs = {**pair.attrs}
    return Patching(effects)


def _beside(model: HookedModel, sites: SitePattern) -> list[str]:
    """What the cells need of the corrupted run besides the sites: where changes arrive, and what later positions look back at."""
    streams = [stream for site in resolve_sites(model, sites) for stream, _ in _arrival(model, site.name)]
    return streams + ([s.name for s in resolve_sites(model, POINTS)] if departs(model) else [])


def _cells(pair: Pair, sites: SitePattern, by: Sequence[str] | None) -> list[Cells]:
    model, found = pair.evaluation.model, []
    for site in resolve_sites(model, sites):
        shape, axes = pair.base[site.name].shape, model.axes_of(site.name)
        if pair.source[site.name].shape != shape:
            raise InterpError(f"{site.name}: the clean and the corrupted run do not align there")
        if len(shape) > len(axes):
            raise InterpError(f"{site.name} fires several times in a forward pass; patch it with circuits.Patch")
        found.append(make_cells(site, axes, shape, by))
    return found


def _arrival(model: HookedModel, site: str) -> list[tuple[str, Tensor | None]]:
    """Where a change at the site arrives, and along which rows; nothing where the model does not say so."""
    try:
        return [model.writes(site)]
    except UnknownSite:
        return []


def _measured(pair: Pair, cells: Sequence[Cells], max_bytes: int) -> Iterator[Found]:
    """Every cell by the route that runs least: from its position on, from its site on, or whole."""
    model, source, base, first, together = pair.evaluation.model, pair.source, pair.base, 0, []
    for own in cells:
        name, numbers = own.site.name, range(first, first + len(own.indices))
        first = numbers.stop
        arrivals = _arrival(model, name)
        if not arrivals:
            yield from _whole(pair, own, numbers, source[name], max_bytes)
            continue
        stream, rows = arrivals[0]
        change = Features(own.axes).last(source[name] - base[name])
        rows = None if rows is None else rows.detach().to(change)
        one = Written(own, numbers, stream, base[stream], base[name].shape, change, rows)
        if departs(model) and "pos" in own.by:
            together.append(one)
        else:
            yield from from_the_site(pair, one, max_bytes)
    if together:
        yield from from_the_position(pair, together, base, max_bytes)


def _whole(pair: Pair, cells: Cells, numbers: range, source: Tensor, max_bytes: int) -> Iterator[Found]:
    """A network that cannot be resumed at the site runs whole, on the batch tiled by cells."""
    at_once = max(1, inputs_at_once(pair.evaluation, max_bytes) // len(pair.corrupted))
    for piece in slices(len(numbers), at_once):
        part = list(range(piece.start, piece.stop))
        yield [numbers[c] for c in part], _tiled(pair, cells, part, source)


def _tiled(pair: Pair, cells: Cells, part: list[int], source: Tensor) -> Tensor:
    """The metric's means of one forward pass on as many tiles of the batch as there are cells."""
    batch = cells.axes.index("batch")
    n = len(pair.corrupted)

    def put(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        tiles = output.unflatten(batch, (len(part), n)).movedim(batch, 0)
        mask = cells.mask(part, source.shape, source.device)
        return torch.where(mask, source, tiles).movedim(0, batch).flatten(batch, batch + 1)

    model = pair.evaluation.model
    tiled = pair.corrupted.repeat(len(part), *[1] * (pair.corrupted.ndim - 1))
    handle = model.hook_dict[cells.site.name].register_forward_hook(put)
    try:
        outputs = model(tiled)
    finally:
        handle.remove()
    return pair.evaluation.judge(outputs.unflatten(0, (len(part), n))).mean((1, 2))
