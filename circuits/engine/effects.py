"""The effect of many ablations at once: the engine under `ablate`, `discover` and the frequency experiments.

All components of one site are ablated in one call, by the cheapest of three routes. All give the numbers of one forward
pass per component.

1. **Algebra**: where everything behind the site is linear (except for a final LayerNorm), the ablated outputs are the
   clean ones plus what the component's change adds; nothing runs again.
2. **Resumed**: the network before the site runs once, and only the rest runs again, on the batch tiled by components.
3. **Hooked**: a network that cannot be resumed at the site runs whole, on the batch tiled by components.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.engine.algebra import Prepared, prepare_ablation
from circuits.engine.budget import CACHE_ELEMENTS, DEFAULT_BYTES, inputs_at_once, slices
from circuits.engine.components import Components
from circuits.engine.evaluation import Evaluation
from circuits.engine.shifted import Shifted
from circuits.engine.side_by_side import in_order
from circuits.engine.tiled import Piece, tiled
from circuits.interventions.apply import applied
from circuits.interventions.kinds import Intervention
from circuits.interventions.values import Value
from circuits.metrics import AccuracyMetric, LogitDiff, LossMetric, Metric
from interp._util.threads import few_threads
from interp.hooked.base import HookedModel
from interp.hooked.rest import NormedRest

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Effects:
    """Metrics after each ablation, over the parts of the inputs.

    Attributes:
        sums: of every metric, over the inputs of each part.
        sizes: inputs in each part.
    """

    sums: Float[Tensor, "groups parts metrics"]
    sizes: list[int]

    def mean(self, metric: int, part: int | None = None) -> list[float]:
        """Means per group of one metric.

        Args:
            metric: its index.
            part: over this part of the inputs; None: over all.

        Returns:
            a number per group; NaN where the part is empty.
        """
        sums = self.sums[:, :, metric].sum(1) if part is None else self.sums[:, part, metric]
        size = sum(self.sizes) if part is None else self.sizes[part]
        return (sums / size).tolist() if size else [math.nan] * len(sums)

    def count(self, metric: int) -> list[int]:
        """Sums per group over all inputs as whole numbers, of a metric that counts."""
        return self.sums[:, :, metric].sum(1).round().long().tolist()


@torch.no_grad()
def measure(
    evaluation: Evaluation,
    components: Components,
    value: Value,
    *,
    held: Sequence[Intervention] = (),
    max_bytes: int = DEFAULT_BYTES,
    progress: Progress | None = None,
) -> Effects:
    """The metrics after the ablation of each group of components.

    Args:
        evaluation: network, inputs and metrics.
        components: of one site.
        value: what replaces each group.
        held: interventions that stay in place, with values that are the same for every input.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (groups done, groups in all).

    Returns:
        the metrics, summed over the parts of the inputs.
    """
    n_groups = len(components.groups)
    sums = torch.zeros(
        n_groups,
        evaluation.parts.shape[1],
        len(evaluation.metrics),
        dtype=torch.float64,
        device=evaluation.parts.device,
    )
    with few_threads(sum(p.numel() for p in evaluation.model.parameters())):
        for groups, inputs, values in pieces(evaluation, components, value, held, max_bytes):
            sums[groups] += torch.einsum("gnm,np->gpm", values, evaluation.parts[inputs])
            if progress is not None:
                progress(groups.stop, n_groups)
    return Effects(sums, evaluation.sizes)


def pieces(
    evaluation: Evaluation, components: Components, value: Value, held: Sequence[Intervention], max_bytes: int
) -> Iterator[Piece]:
    """What `measure` adds up, piece by piece: groups, inputs, and the metrics' values ``[groups, inputs, metrics]``."""
    if evaluation.arrival(components.site.name) is None:
        yield from tiled(
            evaluation, components, value, held, max(1, inputs_at_once(evaluation, max_bytes) // len(evaluation.inputs))
        )
        return
    prepared = prepare_ablation(evaluation, components, value, held)
    rest = None if _acts_behind(evaluation.model, prepared, held) else evaluation.model.linear_rest(prepared.stream)
    if rest is None:
        yield from _resumed(evaluation, prepared, held, max_bytes)
        return
    metrics = evaluation.metrics if evaluation.task is not None and evaluation.task.loss == "cross_entropy" else ()
    if not metrics or not isinstance(rest, Tensor):
        yield from _algebra(evaluation, prepared, rest, max_bytes)
    elif all(isinstance(m, LossMetric | AccuracyMetric) for m in metrics):
        yield from _losses(evaluation, prepared, rest, max_bytes)
    elif all(isinstance(m, AccuracyMetric) or _is_margin(m, evaluation) for m in metrics):
        yield from _margins(evaluation, prepared, rest, max_bytes)
    else:
        yield from _algebra(evaluation, prepared, rest, max_bytes)


def _is_margin(metric: Metric, evaluation: Evaluation) -> bool:
    """Whether a metric is the logit difference between the task's answers and the largest of the others."""
    return (
        isinstance(metric, LogitDiff)
        and metric.right is None
        and metric.wrong is None
        and metric.position is None
        and evaluation.answers.wrong is None
        and evaluation.answers.labels is not None
    )


def _acts_behind(model: HookedModel, prepared: Prepared, held: Sequence[Intervention]) -> bool:
    """Whether a held intervention acts in the rest of the network."""
    if not held:
        return False
    with applied(model, held, strict=False, measured=False) as record:
        model.resume(prepared.stream, prepared.clean[:1])
    return any(entry.fired for entry in record.entries)


def _losses(evaluation: Evaluation, prepared: Prepared, rest: Tensor, max_bytes: int) -> Iterator[Piece]:
    """Algebra for loss and accuracy only: neither the logits nor their softmax are written to memory.

    Logits are relative to the correct answer's, so that the loss is their ``log sum exp`` less what the correct answer gains.

    Yields:
        groups, inputs, and the metrics' values.
    """
    shifted = _shifted(evaluation, prepared, rest, torch.float64)
    reach = shifted.reach - shifted.reach.mean(1, keepdim=True)  # what all outputs gain alike could overflow
    relative = shifted.clean - shifted.clean.gather(1, shifted.labels[:, None])
    shifted = replace(shifted, clean=relative, reach=reach)
    assert shifted.stable in (True, False)  # known before threads ask for it

    def values(block: tuple[slice, slice]) -> Tensor:
        losses = shifted.losses(*block)
        columns = [losses if isinstance(m, LossMetric) else shifted.right(losses, *block) for m in evaluation.metrics]
        return torch.stack([c.T.double() for c in columns], -1)

    blocks = _blocks(prepared, len(relative), relative.shape[1], max_bytes)
    yield from ((g, n, found) for (g, n), found in in_order(values, blocks, relative.device))


def _margins(evaluation: Evaluation, prepared: Prepared, rest: Tensor, max_bytes: int) -> Iterator[Piece]:
    """Algebra for logit differences and accuracy only, in the network's dtype.

    Yields:
        groups, inputs, and the metrics' values.
    """
    shifted = _shifted(evaluation, prepared, rest, prepared.rows.dtype)

    def values(block: tuple[slice, slice]) -> Tensor:
        margin, right = shifted.margins(*block)
        columns = [right if isinstance(m, AccuracyMetric) else margin for m in evaluation.metrics]
        return torch.stack([c.T.double() for c in columns], -1)

    blocks = _blocks(prepared, len(shifted.clean), shifted.clean.shape[1], max_bytes)
    yield from ((g, n, found) for (g, n), found in in_order(values, blocks, shifted.clean.device))


def _shifted(evaluation: Evaluation, prepared: Prepared, rest: Tensor, dtype: torch.dtype) -> Shifted:
    task, own = evaluation.task, evaluation.answers.labels
    assert task is not None  # the caller has asked
    clean = task.read(evaluation.model.resume(prepared.stream, prepared.clean)).to(dtype)
    labels = (task.labels if own is None else own).to(clean.device)
    reach = (prepared.rows @ rest[:, : clean.shape[-1]]).to(dtype)  # [directions, outputs]
    moves = prepared.moves.reshape(len(clean), -1).to(dtype)
    return Shifted(task, clean, labels, moves, reach, prepared.groups)


def _blocks(prepared: Prepared, n_inputs: int, width: int, max_bytes: int) -> Iterator[tuple[slice, slice]]:
    """The groups and inputs whose losses are in memory at once: one number per pair, or on a GPU all their logits."""
    size = prepared.groups.shape[1]
    on_cpu = prepared.moves.device.type == "cpu"
    pairs = max(1, CACHE_ELEMENTS // size if on_cpu else max_bytes // 32 // width)
    groups = min(len(prepared.groups), max(1, math.isqrt(pairs) // 2))
    for g in slices(len(prepared.groups), groups):
        yield from ((g, n) for n in slices(n_inputs, max(1, pairs // groups)))


def _algebra(evaluation: Evaluation, prepared: Prepared, rest: Tensor | NormedRest, max_bytes: int) -> Iterator[Piece]:
    """Algebra for any metric: the ablated outputs are the clean ones plus moves times ``rows @ rest``.

    With a LayerNorm in between they are ``(centred + moves * rows) @ rest / scale``, where only the scale is not linear in
    the moves: its square is a quadratic form of them.

    Yields:
        groups, inputs, and the metrics' values.
    """
    outputs = evaluation.model.resume(prepared.stream, prepared.clean)  # [inputs, ..., out]
    matrix = rest.matrix if isinstance(rest, NormedRest) else rest
    rows = prepared.rows - prepared.rows.mean(1, keepdim=True) if isinstance(rest, NormedRest) else prepared.rows
    reach = rows @ matrix
    one_by_one = any(m.whole for m in evaluation.metrics)
    for g, n in _parts(prepared, len(outputs), outputs[0].numel(), max_bytes, whole=one_by_one):
        index = prepared.groups[g]
        move = prepared.moves[n][..., index].movedim(-2, 0)  # [groups, inputs, ..., size]
        shift = _along_rows(move, reach[index])
        if isinstance(rest, NormedRest):
            changed = rest.outputs(prepared.clean[n], outputs[n], _along_rows(move, rows[index]), shift)
        else:
            changed = outputs[n] + shift
        yield g, n, evaluation.judge(changed, n)


def _along_rows(move: Tensor, rows: Tensor) -> Tensor:
    """What moves ``[groups, inputs, ..., size]`` add along rows ``[groups, size, d]``: ``[groups, inputs, ..., d]``."""
    if rows.shape[1] == 1:
        return move * rows[:, 0].reshape(len(rows), *[1] * (move.ndim - 2), -1)
    return torch.einsum("gn...k,gkd->gn...d", move, rows)


def _parts(
    prepared: Prepared, n_inputs: int, width: int, max_bytes: int, *, whole: bool = False
) -> Iterator[tuple[slice, slice]]:
    """The groups and inputs of each piece of elementwise work, with ``width`` numbers per pair."""
    # a CPU needs pieces that stay in its cache, a GPU pieces that fill it
    elements = CACHE_ELEMENTS if prepared.moves.device.type == "cpu" else max_bytes // 32
    pairs = max(1, elements // width)
    inputs = n_inputs if whole else min(n_inputs, pairs)
    for g in slices(len(prepared.groups), max(1, pairs // inputs)):
        yield from ((g, n) for n in slices(n_inputs, inputs))


def _resumed(
    evaluation: Evaluation, prepared: Prepared, held: Sequence[Intervention], max_bytes: int
) -> Iterator[Piece]:
    """The rest of the network runs again on the batch, tiled by groups."""
    budget = inputs_at_once(evaluation, max_bytes)
    whole, follow = any(m.whole for m in evaluation.metrics), None
    n_inputs = len(prepared.clean) if whole else min(len(prepared.clean), budget)
    for g in slices(len(prepared.groups), max(1, budget // n_inputs)):
        index = prepared.groups[g]
        for n in slices(len(prepared.clean), n_inputs):
            move = prepared.moves[n][..., index].movedim(-2, 0)
            with applied(evaluation.model, held, strict=False, measured=False):
                follow = follow or evaluation.model.follow(prepared.stream, prepared.clean)
                outputs = follow(n, move, prepared.rows[index])
            yield g, n, evaluation.judge(outputs, n)
