"""Integrated gradients by component: what each head or neuron contributes, from gradients averaged along a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from circuits.engine.algebra import check_value, settle
from circuits.engine.arguments import require_whole
from circuits.engine.budget import DEFAULT_BYTES, inputs_at_once, slices
from circuits.engine.evaluation import Evaluation
from circuits.interventions.counterfactual import Counterfactual, paired
from circuits.interventions.values import DEFAULT, Mean, Value, ValueLike, as_value
from circuits.methods.node_cells import NodeCells, NodeKind, node_cells
from circuits.methods.node_scores import NodeScores
from circuits.methods.pairs import evaluated
from circuits.metrics import MetricLike
from interp._util.threads import few_threads
from interp.activations.batches import placed
from interp.activations.capture import capture
from interp.activations.gradients import gradients
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike, tiled_inputs
from interp.sites import Site
from interp.subject import Subject, as_subject

Path = Literal["activations", "inputs"]
STARTS = ("hook_embed", "hook_input")  # where the inputs enter


def integrated_gradients(
    subject: Subject | HookedModel,
    clean: InputsLike | None = None,
    corrupted: InputsLike | None = None,
    *,
    kinds: NodeKind | Sequence[NodeKind] = ("heads", "neurons"),
    site: str | Site | None = None,
    path: Path = "activations",
    steps: int = 16,
    by_position: bool = False,
    verify: bool = False,
    metric: MetricLike = "logit_diff",
    value: ValueLike | None = None,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> NodeScores:
    """Integrated gradients by component: the gradient along a straight path from the clean run to the corrupted one.

    ``path="activations"``: each hook point moves by itself, in the clean run (Marks et al.):

        effect(node) = sum of  (a_corrupted - a_clean)(node) * mean over the path of dm/da

    so that the effects at one hook point sum to that of patching all of it. ``path="inputs"``: the embedded inputs move, and
    a node's effect is the part of the change that passes through it (conductance):

        effect(node) = integral over the path of  dm/da(node) da(node)

    so that the effects of nodes that together cut the network (all units of an MLP's layer, or of the residual stream) sum to
    the metric of the corrupted run minus that of the clean one. Heads and neurons of several layers do not form such a cut: what
    passes through two of them is counted twice.

    Cost: ``steps`` forward and backward passes for each hook point, or for all of them on the path of inputs, one more there;
    and a forward pass of either run.

    Misleads in that half-way activations are such as the network never sees, and a single node's effect leaves out how it
    interacts with others of its hook point (``verify=True`` shows it). Few steps miss steep parts of the path.

    Args:
        subject: the network, and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default.
        corrupted: another input for each of them: the end of the path.
        kinds: of nodes: ``heads``, ``neurons``, ``attention``, ``mlp``, ``queries``, ``keys``, ``values``.
        site: hook points whose units are the nodes instead, by name or glob.
        path: ``"activations"`` or ``"inputs"``.
        steps: Gauss-Legendre points of the path of activations; intervals of the path of inputs (trapezoidal rule).
        by_position: every position of a node by itself.
        verify: also replace every node, a run each, and add its true effect ``patched``.
        metric: with a gradient: by name, a `Metric`, or a function of the model's outputs.
        value: the end of the path without ``corrupted``: of the activations (of the embedded inputs), ``"mean"`` over the
            inputs (the default) or ``"zero"``.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.

    Returns:
        `NodeScores`: ``effect`` is the change of the metric, changed minus clean, that the node contributes.

    Raises:
        MissingCapability: neither inputs nor a task, or a hook point that fires several times.
        UnknownName: another path, or a kind of node that does not exist.
        InterpError: inputs that do not align, both ``corrupted`` and ``value``, or a metric without a gradient.

    Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, https://arxiv.org/abs/1703.01365; Dhamdhere et al. 2018,
    How Important Is a Neuron?, https://arxiv.org/abs/1805.12233; Marks et al. 2024, Sparse Feature Circuits,
    https://arxiv.org/abs/2403.19647.
    """
    require_whole("steps", steps, 1, 1000)
    if path not in get_args(Path):
        raise UnknownName(unknown("path", path, get_args(Path)))
    if corrupted is not None and value is not None:
        raise InterpError("the path ends at a value or at corrupted inputs: give one of them")
    evaluation, other = evaluated(as_subject(subject), [metric], clean, corrupted, dtype)
    end = as_value(DEFAULT if value is None else value) if other is None else Counterfactual(other)
    if isinstance(end, Mean) and end.reference is None:
        end = replace(end, reference=evaluation.inputs)
    check_value(end)
    shown, end = repr(end), paired(end, evaluation.inputs)
    cells = node_cells(evaluation, kinds, site=site, by_position=by_position)
    along, sites = _Path(evaluation, end, steps, max_bytes), list(dict.fromkeys(c.site for c in cells))
    with few_threads(sum(p.numel() for p in evaluation.model.parameters())):
        effects = along.inputs(cells) if path == "inputs" else along.activations(cells)
        nodes = pd.DataFrame([row for own in cells for row in own.rows()])
        nodes["effect"] = effects.tolist()
        base = float(evaluation.run()[0])
        if verify:
            changed = torch.cat([c.ablated(evaluation, end, max_bytes) for c in cells])
            shares = evaluation.parts.sum(0) / evaluation.parts.sum()
            nodes["patched"] = (changed.nan_to_num() @ shares - base).tolist()
    backward = steps + 1 if path == "inputs" else steps * len(sites)
    return NodeScores(
        nodes, f"integrated gradients ({path})", evaluation.metrics[0].name, base, shown, backward + 2, backward
    )


@dataclass
class _Path:
    """A straight path from the activations of a network to what replaces them."""

    evaluation: Evaluation
    end: Value
    steps: int
    max_bytes: int

    def activations(self, cells: Sequence[NodeCells]) -> Tensor:
        """The mean effect per cell, with each hook point on a path of its own."""
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        shares, found = [float(x) for x in (nodes + 1) / 2], {}
        for site in dict.fromkeys(c.site for c in cells):
            own = [c for c in cells if c.site == site]

            def terms(
                acts: Mapping[str, Tensor], slopes: Mapping[str, Tensor], site: str = site
            ) -> Mapping[str, Tensor]:
                weight = torch.as_tensor(weights / 2).to(slopes[site])
                return {site: torch.tensordot(weight, slopes[site], 1) * (acts[site][-1] - acts[site][0])}

            found |= self._walk(
                own, site, [0.0, *shares, 1.0], lambda a, g, t=terms: t(a, {k: v[1:-1] for k, v in g.items()})
            )
        return torch.cat([found[id(c)] for c in cells])

    def inputs(self, cells: Sequence[NodeCells]) -> Tensor:
        """The mean effect per cell, with the embedded inputs on the path."""
        start = next((name for name in STARTS if name in self.evaluation.model.hook_dict), None)
        if start is None:
            raise InterpError(
                f"a {type(self.evaluation.model).__name__} has no hook point where its inputs enter ({', '.join(STARTS)}); use "
                "path='activations'"
            )

        def terms(acts: Mapping[str, Tensor], slopes: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            return {s: ((slopes[s][1:] + slopes[s][:-1]) / 2 * acts[s].diff(dim=0)).sum(0) for s in acts}

        found = self._walk(cells, start, [i / self.steps for i in range(self.steps + 1)], terms)
        return torch.cat([found[id(c)] for c in cells])

    def _walk(
        self,
        cells: Sequence[NodeCells],
        moved: str,
        shares: Sequence[float],
        terms: Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Mapping[str, Tensor]],
    ) -> dict[int, Tensor]:
        """The mean effect per cell, by the object that holds them; all points of the path run in one batch."""
        evaluation, n, sums = self.evaluation, len(self.evaluation.inputs), {}
        model, metric, names = evaluation.model, evaluation.metrics[0], {c.site for c in cells} | {moved}
        k, axes = len(shares), {s: model.axes_of(s) for s in names}
        value = self.end if isinstance(self.end, Counterfactual) else settle(evaluation, self.end, Site(moved), None)
        for rows in slices(n, n if metric.whole else max(1, inputs_at_once(evaluation, self.max_bytes) // k)):
            inputs, batch = evaluation.inputs[rows], axes[moved].index("batch")
            clean = capture(model, inputs, moved)[moved]
            if isinstance(value, Counterfactual):
                far = capture(model, placed(value.corrupted[rows], model), moved)[moved]
            else:
                far = value.of(clean, axes[moved]).expand_as(clean)
            points = torch.cat([clean + (far - clean) * x for x in shares], batch)

            def score(outputs: Tensor, rows: slice = rows) -> Tensor:
                return metric.values(outputs.unflatten(0, (k, -1)), rows, evaluation.answers).sum()

            acts, slopes = gradients(model, tiled_inputs(inputs, k), score, names, replaced={moved: points})
            own = terms(*({s: _points(t, axes[s], k) for s, t in found.items()} for found in (acts, slopes)))
            for c in cells:
                sums[id(c)] = sums.get(id(c), 0) + c.sums(own[c.site]).double().sum(0) / n
        return sums


def _points(tensor: Tensor, axes: Sequence[str], k: int) -> Tensor:
    """A tiled activation with its points first ``[k, ...]``."""
    batch = axes.index("batch")
    return tensor.unflatten(batch, (k, -1)).movedim(batch, 0)
