"""Which ablations matter on held-out inputs: intervals from resampled inputs, corrected for asking many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, get_args

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from circuits.engine.arguments import require_progress, require_whole
from circuits.engine.budget import DEFAULT_BYTES, slices
from circuits.engine.components import Components, Kind, find_components
from circuits.engine.components import by_position as at_each_position
from circuits.engine.effects import Progress, pieces
from circuits.engine.evaluation import Evaluation, outputs_of
from circuits.experiments.resampled import Changes, Correction, Moments, Weights, corrected, judged, require_correction
from circuits.experiments.sample import On, Sample, sample_of
from circuits.findings import EffectTable
from circuits.interventions.values import DEFAULT, Value, ValueLike, as_value
from circuits.metrics import MetricLike
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp._util.threads import few_threads
from interp.activations.loaders import Labels
from interp.errors import UnknownName, require_range, unknown
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import Inputs
from interp.sites import Site
from interp.subject import Subject, as_subject
from probes.basis import Basis, as_basis
from probes.spectra import Reduction

if TYPE_CHECKING:
    import plotly.graph_objects as go

DRAWN = 40  # components in the figure, those with the largest changes


class Intervals(EffectTable):
    """Ablations with intervals, p values and verdicts, as a DataFrame that follows `Findings`."""

    @property
    def _constructor(self) -> type[Intervals]:
        return Intervals

    @property
    def table(self) -> pd.DataFrame:
        """The same as a plain DataFrame: a row per component, in the columns of every finding and its own."""
        return self.rows

    def figure(self) -> go.Figure:
        """The largest changes with their intervals; those that are needed stand out."""
        from interp.report import figures

        own = self.rows
        own = own.iloc[(-own["change"].abs().to_numpy(dtype=float)).argsort(kind="stable")[:DRAWN]]
        places = [f" at {p}" for p in own["pos"]] if "pos" in own else [""] * len(own)
        names = [f"{c}{p}" for c, p in zip(own["component"], places, strict=True)]
        colors = [
            figures.ORANGE if yes else figures.GREY for yes in own["needed"]
        ]  # a name on a bar would hide its interval
        metric, share = own["metric"].iloc[0], f"{self.attrs['confidence']:.0%}"
        drawn = figures.bars(names, own["change"], x_title="", y_title=f"{metric}, changed minus clean",
                             title=f"Change of the {metric} with {share} intervals; needed components in colour")  # fmt: skip
        away = {"array": own["high"] - own["change"], "arrayminus": own["change"] - own["low"], "symmetric": False}
        return drawn.update_traces(marker_color=colors, error_y={"type": "data", **away, "thickness": 1, "width": 2})


@with_bar
def ablation_intervals(
    subject: Subject | HookedModel,
    kind: Kind | None = None,
    *,
    metric: MetricLike | None = None,
    value: ValueLike = DEFAULT,
    basis: Basis | Reduction | Tensor | None = None,
    site: str | Site | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    by_position: bool = False,
    on: On = "test",
    inputs: Tensor | Inputs | Iterable[Any] | None = None,
    labels: Labels = None,
    confidence: float = 0.95,
    n_boot: int = 1000,
    correction: Correction = "max",
    seed: int = 0,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Progress | bool | None = None,
) -> Intervals:
    """Ablate every component on held-out inputs, and say which are needed: with intervals, and corrected for asking many.

    Inputs are drawn again with replacement, the same for the clean and every ablated network, so that what makes an input
    hard cancels (paired bootstrap). A component is *needed* where its p value, corrected over all rows of the table, is below
    ``1 - confidence``: p is of the mean change not being for the worse (of no change, where the metric does not say which
    direction is better). In a network where nothing matters, anything is called needed at most at that rate with ``"max"`` and
    ``"holm"``. Intervals are those of the studentised bootstrap (Efron and Tibshirani 1993, An Introduction to the Bootstrap,
    https://doi.org/10.1201/9780429246593), of each component by itself.

    Misleads where the inputs are not a sample: of a whole table of a task (``on="all"``) nothing is left that the result could be
    wrong about. And where a handful of inputs make up all of the change, in samples of some dozens: ``"holm"`` and ``"bh"``
    then call too much needed, where ``"max"`` keeps its rate.

    Args:
        subject: a Subject, or a hooked model together with ``inputs`` and a function as ``metric``.
        kind: ``"neurons"`` (the default), ``"heads"``, ``"attention"`` or ``"mlp"``.
        metric: by default the task's loss; a name, a `Metric`, or a function of the model's outputs that returns a value per
            input. Where it does not say which direction is better, needed means changed either way.
        value: what replaces the component; of held-out inputs the default is the mean over the training examples.
        basis: ablate the directions of a Basis (or of a PCA or SVD) at ``site`` instead of a kind.
        site: the hook point of ``basis``, or whose features are ablated; a `Site` with ``pos`` only there.
        groups: indices of directions or features that are ablated together.
        by_position: each component at one position at a time.
        on: the task's ``"test"`` examples (held out), ``"train"`` or ``"all"``; ``inputs`` takes its place.
        inputs: run on these ``[batch, ...]``, or a loader of batches as `ablate` takes it.
        labels: of a loader: which item of a batch is its targets.
        confidence: of the intervals, and 1 minus the rate of false answers.
        n_boot: how often the inputs are drawn again.
        correction: ``"max"``: the rate of any false answer, from the largest statistic of each draw (Romano and Wolf 2005,
            https://doi.org/10.1111/j.1468-0262.2005.00615.x); ``"holm"``: the same from the p values alone; ``"bh"``: the
            share of false ones among those called needed (Benjamini and Hochberg).
        seed: of the draws.
        dtype: the model is computed in this, the subject's precision (float64) by default.
        max_bytes: working memory in addition to the captured activations, and to 4 bytes per component and draw.
        progress: called with (groups done, groups in all).

    Returns:
        A DataFrame with a row per component: ``component, site, index`` (with ``by_position`` also ``pos``), ``metric, clean,
        changed, change, low, high`` (ends of the interval of the change), ``p, p_adjusted, needed``. It follows `Findings`.

    Raises:
        MissingCapability: the subject has no task, and no inputs or metric replace it.
        UnknownName: a kind, metric, value, correction or set of examples that does not exist; the nearest are named.
        InterpError: fewer than two inputs, or a metric without a value per input.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((4,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> found = ablation_intervals(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)))
    >>> bool((found["low"] <= found["high"]).all()), len(found)
    (True, 4)
    """
    subject, value = as_subject(subject), as_value(value)
    _check(on, correction, confidence, n_boot, seed, max_bytes, progress)
    rows = max_bytes // 4 // (8 * (n_boot + 1))
    sample = sample_of(subject, metric, value, (on, inputs, labels), dtype, rows)
    directions = None if basis is None else as_basis(basis)
    own = find_components(sample.first, kind, basis=directions, site=site, groups=groups)
    where = at_each_position(sample.first, own, site) if by_position else [(c, None) for c in own]
    every = [c for c, _ in where]
    seen = told("ablations", progress)
    judge = sample.first.metrics[0]
    side = 0 if judge.higher_is_better is None else -1 if judge.higher_is_better else 1
    mean, found = _changes(sample, every, (confidence, side), Draws(n_boot, seed, max_bytes), seen)
    adjusted = corrected(found, correction)
    frame = pd.concat([_labels(c, pos) for c, pos in where], ignore_index=True)
    frame = frame.assign(
        metric=judge.name, clean=mean, changed=(mean + found.change).tolist(), change=found.change.tolist(),
        low=found.low.tolist(), high=found.high.tolist(), p=found.p.tolist(), p_adjusted=adjusted.tolist(),
        needed=(adjusted < 1 - confidence).tolist(),
    )  # fmt: skip
    made = Intervals(frame)
    made.attrs = {
        "clean": {judge.name: mean}, "value": sample.value, "sign": judge.sign, "inputs": f"{sample.n:,} {sample.name}",
        "confidence": confidence, "n_boot": n_boot, "correction": correction, "seed": seed,
        "needed": f"{sum(frame['needed'].to_list())} of {len(frame)}", "label": "component",
        **({"notes": list(sample.first.notes)} if sample.first.notes else {}),
    }  # fmt: skip
    return made


def _check(
    on: On, correction: Correction, confidence: float, n_boot: int, seed: int, max_bytes: int, progress: Any
) -> None:
    if on not in get_args(On):
        raise UnknownName(unknown("set of examples", on, get_args(On)))
    require_correction(correction)
    require_range("confidence", confidence, 0.5, 0.9999)
    require_whole("n_boot", n_boot, 100)
    require_whole("seed", seed, 0)
    require_whole("max_bytes", max_bytes, 1)
    require_progress(progress)


@dataclass(frozen=True)
class Draws:
    """How often the inputs are drawn again, from which seed, and in how much memory."""

    n_boot: int
    seed: int
    max_bytes: int

    @property
    def at_once(self) -> int:
        """How many rows of a number per draw may be held at once."""
        return max(1, self.max_bytes // 8 // (8 * (self.n_boot + 1)))


def _changes(
    sample: Sample, every: Sequence[Components], asked: tuple[float, int], draws: Draws, seen: Progress
) -> tuple[float, Changes]:
    """The metric's mean, and its changes without each component; only statistics of the draws are kept for all of them."""
    found, done, total, mean = [], 0, sum(len(c.groups) for c in every), 0.0
    for part in _pieces(every, sample.settled(every), draws.at_once):
        weights, moments, clean = Weights(sample.n, draws.n_boot, draws.seed), None, 0.0
        for block in sample.blocks():
            drawn = weights.take(len(block.inputs)).to(block.parts.device)
            plain = block.judge(outputs_of(block.model, block.inputs).unsqueeze(0))[0, :, 0]
            clean += float(plain.sum())
            own = [_moments(block, c, v, plain, drawn, draws.max_bytes) for c, v in part]
            moments = own if moments is None else [a + b for a, b in zip(moments, own, strict=True)]
        assert moments is not None  # a sample has inputs
        mean = clean / sample.n
        found += [judged(m, *asked, mean) for m in moments]
        done += sum(len(c.groups) for c, _ in part)
        seen(done, total)
    return mean, Changes(*(torch.cat([getattr(f, one.name) for f in found]) for one in fields(Changes)))


@torch.no_grad()
def _moments(
    block: Evaluation, components: Components, value: Value, clean: Float[Tensor, " n"], drawn: Float[Tensor, "n n_boot"],
    max_bytes: int,
) -> Moments:  # fmt: skip
    """Sums of the changes over a block of inputs; no more of them are held than the engine gives at once."""
    weights = torch.cat([torch.ones_like(drawn[:, :1]), drawn], 1)
    first = weights.new_zeros(len(components.groups), weights.shape[1])
    second, third = torch.zeros_like(first), first.new_zeros(len(first))
    with few_threads(sum(p.numel() for p in block.model.parameters())):
        for groups, rows, values in pieces(block, components, value, (), max_bytes):
            change = values[:, :, 0] - clean[rows]
            first[groups] += change @ weights[rows]
            second[groups] += change.square() @ weights[rows]
            third[groups] += change.pow(3).sum(1)
    return Moments(first, second, third, len(clean))


def _pieces(
    every: Sequence[Components], values: Sequence[Value], limit: int
) -> Iterator[list[tuple[Components, Value]]]:
    """Components in their order, as many groups at once as their sums may take."""
    piece: list[tuple[Components, Value]] = []
    for c, v in zip(every, values, strict=True):
        for rows in slices(len(c.groups), limit):
            part = replace(c, groups=c.groups[rows], labels=c.labels[rows])
            if piece and sum(len(p.groups) for p, _ in piece) + len(part.groups) > limit:
                yield piece
                piece = []
            piece.append((part, v))
    yield piece


def _labels(components: Components, pos: int | None) -> pd.DataFrame:
    frame = pd.DataFrame({
        "component": components.labels, "site": components.site.name, "index": range(len(components.labels))
    })  # fmt: skip
    return frame if pos is None else frame.assign(pos=pos)
