"""Activation patching: which activations of a clean run restore the clean answer in a corrupted run."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import torch
from torch import Tensor
from typing_extensions import override

from circuits.engine.arguments import require_progress, require_whole
from circuits.engine.budget import DEFAULT_BYTES, inputs_at_once, slices
from circuits.engine.clean_corrupted import Pair, make_pair
from circuits.engine.effects import Progress
from circuits.engine.evaluation import arrival
from circuits.engine.patch_cells import Cells, make_cells
from circuits.engine.patch_resume import Found, Written, from_the_position, from_the_site
from circuits.experiments.heatmap import ACROSS, heat_map
from circuits.findings import Findings
from circuits.interventions.layout import Features
from circuits.metrics import MetricLike
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.activations.transform import transform_at
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike, tiled_inputs
from interp.hooked.transformer.staggered import POINTS, departs
from interp.sites import SitePattern, resolve_sites
from interp.subject import Subject, as_subject


@dataclass(frozen=True)
class Patching(Findings):
    """The effect of every patched cell, and its heat map.

    Attributes:
        effects: a row per cell: ``site``, an index per distinguished axis, the metric's value and ``recovered``, 0 for the
            corrupted run's value and 1 for the clean run's. ``attrs`` holds both values and what the sign means.
    """

    effects: pd.DataFrame

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """`effects`."""
        return self.effects

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per cell: ``component, site, index, metric, clean, changed, change`` and the columns of `effects`.

        ``clean`` is the metric in the clean run, ``changed`` with the cell patched (attribution: estimated), and ``change``
        the difference between ``changed`` and the corrupted run's value.
        """
        attrs, own = self.effects.attrs, self.effects
        named = [_name(row) for row in own.to_dict("records")]
        changed = own["effect"] + attrs["corrupted"] if "effect" in own else own[attrs["metric"]]
        first = {
            "component": named, "site": own["site"], "index": range(len(own)), "metric": attrs["metric"],
            "clean": attrs["clean"], "changed": changed, "change": changed - attrs["corrupted"],
        }  # fmt: skip
        rest = {n: own[n] for n in own.columns if n not in ("site", "effect", attrs["metric"])}
        return pd.DataFrame({**first, **rest})

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """The metric, its value in the clean and the corrupted run, and what the signs mean."""
        return {str(k): v for k, v in self.effects.attrs.items()}

    @override
    def figure(self) -> go.Figure:
        """A heat map of ``recovered``: sites (and heads) from top to bottom, positions from left to right."""
        return heat_map(self.effects, "recovered")

    @override
    def __repr__(self) -> str:
        best = self.effects.nlargest(3, "recovered")
        named = [f"{_name(row)} {row['recovered']:.3g}" for row in best.to_dict("records")]
        return f"Patching of {len(self.effects):,} cells; most recovered: {', '.join(named)}"


def _name(row: Mapping[Hashable, Any]) -> str:
    """A cell's site and indices."""
    indices = [f"{a}={int(row[a])}" for a in ACROSS if a in row and row[a] == row[a]]  # NaN: the site lacks the axis
    return " ".join([str(row["site"]), *indices])


@with_bar
@torch.no_grad()
def patch(
    subject: Subject | HookedModel,
    clean: InputsLike,
    corrupted: InputsLike,
    sites: SitePattern,
    *,
    metric: MetricLike = "logit_diff",
    by: Sequence[str] | None = None,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Progress | bool | None = None,
) -> Patching:
    """Activation patching (causal tracing): put every part of a clean run, one at a time, into the corrupted run.

    Args:
        subject: a Subject, or a hooked model together with a metric that needs no task.
        clean: inputs ``[batch, ...]``.
        corrupted: inputs with another answer, each aligned with the clean one in the same row.
        sites: hook points, by name or glob; a `Site` with ``pos``, ``head`` or ``unit`` patches only within that selection.
        metric: ``"logit_diff"`` (the clean answer's logit minus the corrupted one's), ``"loss"``, ``"accuracy"``, ``"kl"``,
            a registered name, a `Metric`, or a function of the model's outputs ``[batch, ...]`` that returns ``[batch]`` or
            one number. Its column has its name; a lambda's is ``metric``.
        by: axes whose entries are patched one by one; by default ``pos`` (or ``operand``) and ``head`` if a site has them,
            else ``unit``. ``()`` patches each site whole.
        dtype: the model runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (cells done, cells in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        a `Patching`: ``.effects`` has a row per cell, ``.figure()`` is the heat map, ``.table`` the tidy table.

    Raises:
        UnknownSite: a site that the model does not have.
        InterpError: inputs that do not align; hooks left on the model; arguments of the wrong kind.

    The numbers are those of one forward pass per cell. What lies before a site runs once, and in a causal transformer
    nothing before a patched position runs again. Misleads if the corrupted inputs are unlike any that the network was
    trained on: a patch may then restore normal operation rather than the answer.

    Meng et al. 2022, Locating and Editing Factual Associations in GPT, https://arxiv.org/abs/2202.05262; Zhang and Nanda
    2023, Towards Best Practices of Activation Patching, https://arxiv.org/abs/2309.16042.
    """
    subject = as_subject(subject)
    require_whole("max_bytes", max_bytes, 1)
    require_progress(progress)
    pair = make_pair(
        subject, clean, corrupted, metric, sites=sites, corrupted_only=lambda m: _corrupted_only(m, sites), dtype=dtype
    )
    cells = _cells(pair, sites, by)
    numbers, values, done = [], [], 0
    show = told("patches", progress)
    for own, found in _measured(pair, cells, max_bytes):
        numbers += own
        values.append(found)
        done += len(own)
        show(done, sum(len(c.indices) for c in cells))
    effect = torch.empty(len(numbers), dtype=torch.float64)
    effect[numbers] = torch.cat(values).cpu()  # the one wait for a GPU
    effects = pd.DataFrame([row for c in cells for row in c.rows()])
    effects[pair.evaluation.metrics[0].name] = effect.tolist()
    effects["recovered"] = pair.recovered(effect).tolist()
    effects.attrs = {**pair.attrs}
    return Patching(effects)


def _corrupted_only(model: HookedModel, sites: SitePattern) -> list[str]:
    """What else the cells need of the corrupted run: where changes arrive, and what later positions attend to."""
    arrivals = [arrival(model, site.name) for site in resolve_sites(model, sites)]
    streams = [one[0] for one in arrivals if one is not None]
    return streams + ([s.name for s in resolve_sites(model, POINTS)] if departs(model) else [])


def _cells(pair: Pair, sites: SitePattern, by: Sequence[str] | None) -> list[Cells]:
    model, found = pair.evaluation.model, []
    for site in resolve_sites(model, sites):
        shape, axes = pair.base[site.name].shape, model.axes_of(site.name)
        if pair.source[site.name].shape != shape:
            raise InterpError(f"{site.name} has different shapes in the clean and the corrupted run")
        if len(shape) > len(axes):
            raise InterpError(f"{site.name} fires several times in a forward pass; patch it with circuits.Patch")
        found.append(make_cells(site, axes, shape, by))
    return found


def _measured(pair: Pair, cells: Sequence[Cells], max_bytes: int) -> Iterator[Found]:
    """Every cell by the cheapest route: from its position on, from its site on, or the whole network."""
    model, source, base, first, together = pair.evaluation.model, pair.source, pair.base, 0, []
    for own in cells:
        name, numbers = own.site.name, range(first, first + len(own.indices))
        first = numbers.stop
        reached = arrival(model, name)
        if reached is None:
            yield from _whole(pair, own, numbers, source[name], max_bytes)
            continue
        stream, rows = reached
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
    """For a network that cannot be resumed at the site: the whole network, on the batch tiled by cells."""
    at_once = max(1, inputs_at_once(pair.evaluation, max_bytes) // len(pair.corrupted))
    for piece in slices(len(numbers), at_once):
        part = list(range(piece.start, piece.stop))
        yield [numbers[c] for c in part], _tiled(pair, cells, part, source)


def _tiled(pair: Pair, cells: Cells, part: list[int], source: Tensor) -> Tensor:
    """The metric's means of one forward pass on as many tiles of the batch as there are cells."""
    batch = cells.axes.index("batch")
    n = len(pair.corrupted)

    def put(activation: Tensor) -> Tensor:
        tiles = activation.unflatten(batch, (len(part), n)).movedim(batch, 0)
        mask = cells.mask(part, source.shape, source.device)
        return torch.where(mask, source, tiles).movedim(0, batch).flatten(batch, batch + 1)

    model = pair.evaluation.model
    copies = tiled_inputs(pair.corrupted, len(part))
    with transform_at(model, {cells.site.name: put}):
        outputs = model(copies)
    return pair.evaluation.judge(outputs.unflatten(0, (len(part), n))).mean((1, 2))
