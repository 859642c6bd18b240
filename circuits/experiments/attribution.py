"""Attribution patching: the effect of every patch at once, to first order, from gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from circuits.engine.arguments import require_whole
from circuits.engine.clean_corrupted import Pair, make_pair
from circuits.engine.patch_cells import Cells, make_cells
from circuits.experiments.patching import Patching, patch
from circuits.metrics import MetricLike
from interp.activations.gradients import gradients
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike, tiled_inputs
from interp.sites import Site, SitePattern, resolve_sites
from interp.subject import Subject, as_subject


def attribute(
    subject: Subject | HookedModel,
    clean: InputsLike,
    corrupted: InputsLike,
    sites: SitePattern | None = None,
    *,
    metric: MetricLike = "logit_diff",
    by: Sequence[str] | None = None,
    integrated: int = 0,
    verify: bool = False,
    dtype: torch.dtype | None = None,
) -> Patching:
    """Attribution patching: the effect of every cell of `patch`, estimated as gradient times the difference of the runs.

        effect(cell) ~ sum over the cell's entries of  dm/da (corrupted) * (a_clean - a_corrupted)

    Args:
        subject: a Subject, or a hooked model together with a metric that needs no task.
        clean: inputs ``[batch, ...]``.
        corrupted: inputs with another answer, each aligned with the clean one in the same row.
        sites: hook points, by name or glob; by default all heads and neurons, or every hook point of a network without
            named ones.
        metric: by name, a `Metric`, or a differentiable function of the model's outputs, as in `patch`.
        by: axes whose entries are distinguished, as in `patch`.
        integrated: average the gradient over this many Gauss-Legendre points on the straight line between the site's two
            activations (integrated gradients). 0 takes it only in the corrupted run. Needs a forward and backward pass per
            site and point, where 0 needs one in all.
        verify: also patch every cell, and add the columns ``patched`` and ``patched_recovered``.
        dtype: the model runs in this, the subject's precision by default.

    Returns:
        a `Patching` whose ``effects`` have ``effect``, the estimated change of the metric, and ``recovered``.

    Raises:
        UnknownSite: a site that the model does not have.
        InterpError: inputs that do not align; a metric without a gradient, such as accuracy; arguments of the wrong kind.

    Exact where the metric is linear in the site; otherwise the error grows with the square of the difference. With
    ``integrated`` points the effects of a site's cells sum to that of patching the whole site, up to the rule's error (none
    for polynomials of degree 2 n); a single cell's effect still misses its interactions with others.

    Syed et al. 2023, Attribution Patching Outperforms Automated Circuit Discovery, https://arxiv.org/abs/2310.10348;
    Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, https://arxiv.org/abs/1703.01365.
    """
    subject = as_subject(subject)
    require_whole("integrated", integrated, 0, 1000)
    if sites is None:
        sites = [n for kind in ("heads", "neurons") for n in subject.model.component_sites(kind)] or "*"
    pair = make_pair(subject, clean, corrupted, metric, sites=sites, dtype=dtype)
    model = pair.evaluation.model
    wanted = resolve_sites(model, sites)
    names = list(dict.fromkeys(s.name for s in wanted))
    source, base = pair.source, pair.base
    if integrated:
        slopes = {n: _integrated(pair, n, base[n], source[n], integrated) for n in names}
    else:
        _, slopes = gradients(model, pair.corrupted, lambda out: _score(pair, out), names)
    frames = []
    for site in wanted:
        cells = make_cells(site, model.axes_of(site.name), base[site.name].shape, by)
        terms = (slopes[site.name] * (source[site.name] - base[site.name])).double()
        effect = _sums(cells, terms)
        frame = pd.DataFrame(cells.rows())
        frame["effect"] = effect.cpu().numpy()
        frame["recovered"] = pair.recovered(pair.corrupted_value + effect).cpu().numpy()
        frames.append(frame)
    effects = pd.concat(frames, ignore_index=True)
    if verify:
        real = patch(subject, clean, corrupted, wanted, metric=metric, by=by, dtype=dtype).effects
        effects["patched"] = real[pair.evaluation.metrics[0].name] - pair.corrupted_value
        effects["patched_recovered"] = real["recovered"]
    effects.attrs = {**pair.attrs, "integrated": integrated}
    return Patching(effects)


def _score(pair: Pair, outputs: Tensor) -> Tensor:
    """The metric's mean over the inputs, for every tile of the outputs ``[tile * n, ...]``."""
    n = len(pair.corrupted)
    return pair.evaluation.judge(outputs.unflatten(0, (-1, n)))[..., 0].mean(1)


def _integrated(pair: Pair, name: str, base: Tensor, source: Tensor, n: int) -> Tensor:
    """The gradient at a site, averaged along the line from the corrupted to the clean activation; the points are tiled."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    batch = pair.evaluation.model.axes_of(name).index("batch")
    points = [base + (source - base) * float(x) for x in (nodes + 1) / 2]
    tiled = tiled_inputs(pair.corrupted, n)
    _, found = gradients(
        pair.evaluation.model,
        tiled,
        lambda out: _score(pair, out),
        Site(name),
        replaced={name: torch.cat(points, batch)},
    )
    slopes = found[name].unflatten(batch, (n, -1)).movedim(batch, 0)
    return torch.tensordot(torch.as_tensor(weights / 2).to(slopes), slopes, dims=1)


def _sums(cells: Cells, terms: Tensor) -> Tensor:
    """The sum of the terms in each cell."""
    mask = cells.site.mask(terms.shape, cells.axes, terms.device)
    terms = terms if mask is None else terms * mask
    kept = [cells.axes.index(a) for a in cells.by]
    summed = terms.permute(*kept, *(d for d in range(terms.ndim) if d not in kept)).flatten(len(kept)).sum(-1)
    index = torch.tensor(cells.indices, device=terms.device).reshape(len(cells.indices), len(kept))
    return summed[tuple(index.T)] if kept else summed.reshape(1)
