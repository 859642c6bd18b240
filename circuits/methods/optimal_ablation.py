"""Optimal ablation: each component replaced by the constant that hurts least, found by gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from circuits.discovery.graph import better
from circuits.engine.arguments import require_whole
from circuits.engine.budget import BATCH, DEFAULT_BYTES, inputs_at_once, slices
from circuits.engine.components import Kind
from circuits.engine.evaluation import Evaluation, make_evaluation
from circuits.interventions.kinds import Ablate
from circuits.interventions.values import Fixed
from circuits.methods.node_cells import NodeCells, node_cells
from circuits.methods.node_scores import NodeScores
from circuits.metrics import AccuracyMetric, MetricLike
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp._util.threads import few_threads
from interp.activations.capture import capture
from interp.activations.transform import transform_at
from interp.errors import InterpError, UnknownName, kind_of, require_positive, unknown
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike, tiled_inputs
from interp.sites import Site
from interp.subject import Subject, as_subject


@dataclass(frozen=True, eq=False, repr=False)
class OptimalAblation(NodeScores):
    """`NodeScores` with the constant of every component.

    Attributes:
        values: by component, what replaces it: a `Fixed` of the hook point's shape, of which the component's part counts.
        places: by component, the part of a hook point that it is.
    """

    values: Mapping[str, Fixed] = field(default_factory=dict, repr=False)
    places: Mapping[str, Site] = field(default_factory=dict, repr=False)

    def ablation(self, component: str) -> Ablate:
        """The intervention that puts a component's constant in its place, for `circuits.applied`.

        Args:
            component: its name in `nodes`.

        Returns:
            the intervention.

        Raises:
            UnknownName: no such component; the nearest are named.
        """
        if component not in self.values:
            raise UnknownName(unknown("component", component, list(self.values)))
        return Ablate(self.places[component], self.values[component])


@with_bar
def optimal_ablation(
    subject: Subject | HookedModel,
    kind: Kind = "heads",
    *,
    site: str | Site | None = None,
    inputs: InputsLike | None = None,
    metric: MetricLike = "loss",
    steps: int = 100,
    lr: float = 0.1,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> OptimalAblation:
    """Optimal ablation: the least loss with a component replaced by a constant, and that constant.

        effect(component) = min over constants a of  m(component := a)  -  m(unchanged)

    (the maximum for a metric that is better where it is higher). What is left of the effect is the information about the
    input that the component carries; mean and zero ablation add the harm that an unusual constant does. Each position has a
    constant of its own, as the mean has. Adam starts at the mean or at zero, whichever is better, and the best constant on the
    way counts, so on these inputs the effect is never worse than either's.

    Cost: ``steps`` forward and backward passes of what comes after the hook point, and three forward passes, for each
    component; as many components as memory allows run together.

    Misleads in that the constant is fitted to the inputs that it is judged on: few inputs flatter it; and as all ablation one
    by one, where components back each other up. Adam may stop at a local minimum: an effect is an upper bound.

    Args:
        subject: the network, and its task if it has one.
        kind: of component: ``"heads"``, ``"neurons"``, ``"attention"`` or ``"mlp"``.
        site: hook points whose units are the components instead, by name or glob.
        inputs: ``[n, ...]``; the task's examples by default.
        metric: with a gradient: by name, a `Metric`, or a function of the model's outputs, better where it is higher.
        steps: of Adam.
        lr: its first step, in standard deviations of the component's activation; it falls to 0 in the end.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (steps done, steps in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `OptimalAblation`: ``effect``, and beside it ``mean_effect`` and ``zero_effect``, all changed minus clean; the constants
        are ``.values``.

    Raises:
        MissingCapability: neither inputs nor a task, or a hook point that fires several times.
        InterpError: no such components, or a metric without a gradient.

    Li and Janson 2024, Optimal ablation for interpretability, https://arxiv.org/abs/2409.09951.
    """
    require_whole("steps", steps, 1)
    require_positive("lr", lr)
    evaluation = make_evaluation(as_subject(subject), [metric], inputs, dtype=dtype)
    if isinstance(evaluation.metrics[0], AccuracyMetric):
        raise InterpError("constants are found by gradients, and accuracy has none: use 'loss', 'kl' or 'logit_diff'")
    if not isinstance(kind, str):
        raise InterpError(f"a kind is a name such as 'heads', got {kind_of(kind)}; inputs go by name, inputs=...")
    cells, rows, values, places = node_cells(evaluation, kind, site=site), [], {}, {}
    seen = told("steps", progress)
    with few_threads(sum(p.numel() for p in evaluation.model.parameters())):
        base = float(evaluation.run()[0])
        for index, own in enumerate(cells):
            fit = _Fit(evaluation, own, max_bytes)
            mean, zero, best, constants = fit.run(
                steps, lr, lambda done, i=index: seen(i * steps + done, len(cells) * steps)
            )
            for row, *three, constant in zip(own.rows(), best, mean, zero, constants, strict=True):
                found = [float(x) - base for x in three]
                rows.append(row | dict(zip(("effect", "mean_effect", "zero_effect"), found, strict=True)))
                values[row["component"]] = Fixed(constant)
            places |= dict(zip(own.component.labels, fit.places, strict=True))
    passes = ((steps + 3) * len(rows) + 1, steps * len(rows))
    nodes = pd.DataFrame(rows)
    name = evaluation.metrics[0].name
    return OptimalAblation(
        nodes, "optimal ablation", name, base, "the best constant", *passes, "effect", values, places
    )


class _Fit:
    """The constants of one hook point's components."""

    def __init__(self, evaluation: Evaluation, cells: NodeCells, max_bytes: int):
        self.evaluation, self.cells, self.max_bytes = evaluation, cells, max_bytes
        self.groups = torch.as_tensor(cells.component.groups, device=evaluation.inputs.device)
        self.arrival = evaluation.arrival(cells.site)
        sites = {cells.site} | ({self.arrival[0]} if self.arrival else set())
        acts = capture(evaluation.model, evaluation.inputs, sites, batch_size=BATCH)
        self.shape, self.flat = acts[cells.site].shape, cells.features.last(acts[cells.site])  # [n, ..., feature]
        self.stream = acts[self.arrival[0]] if self.arrival else self.flat
        self.sign = better(evaluation.metrics[0])

    @property
    def places(self) -> list[Site]:
        """The part of the hook point that each component is."""
        site, m = self.cells.component.site, len(self.groups)
        if m == 1:
            return [site]
        if "head" in self.cells.features.axes:
            return [replace(site, head=i) for i in range(m)]
        return [replace(site, unit=own) for own in self.groups.tolist()]

    def outputs(self, constants: Tensor, part: slice, rows: slice) -> Tensor:
        """Outputs ``[k, n, ...]`` with each of k components at its constant ``[k, 1, ..., size]``."""
        model, groups, features = self.evaluation.model, self.groups[part], self.cells.features
        moves = constants - self.flat[rows][..., groups].movedim(-2, 0)  # [k, n, ..., size]
        if self.arrival is not None:
            site, matrix = self.arrival
            matrix = (
                torch.eye(self.flat.shape[-1], dtype=moves.dtype, device=moves.device) if matrix is None else matrix
            )
            shift = torch.einsum("kn...s,ksd->kn...d", moves, matrix.detach().to(moves)[groups])
            found = model.resume(site, (self.stream[rows] + shift).flatten(0, 1))
        else:
            inputs = self.evaluation.inputs[rows]
            index = groups.reshape(len(groups), *[1] * (moves.ndim - 2), -1).expand_as(moves)
            moved = torch.zeros(*moves.shape[:-1], self.flat.shape[-1], dtype=moves.dtype, device=moves.device)
            moved = moved.scatter(-1, index, moves).flatten(0, 1)
            with transform_at(model, {self.cells.site: lambda a: a + features.back(moved, a.shape)}):
                found = model(tiled_inputs(inputs, len(groups)))
        return found.unflatten(0, (len(groups), -1))

    def judged(self, constants: Tensor, slopes: bool) -> tuple[Tensor, Tensor]:
        """The metric's mean for every component, and the gradient of its sum."""
        metric, n = self.evaluation.metrics[0], len(self.flat)
        at_once, values = inputs_at_once(self.evaluation, self.max_bytes), []
        size, gradient = n if metric.whole else min(n, at_once), torch.zeros_like(constants)
        for part in slices(len(constants), max(1, at_once // size)):
            own, total = constants[part].detach().requires_grad_(slopes), []
            for rows in slices(n, size):
                with torch.set_grad_enabled(slopes):
                    found = metric.values(self.outputs(own, part, rows), rows, self.evaluation.answers).sum(1) / n
                if slopes:
                    gradient[part] += torch.autograd.grad(found.sum(), own)[0]
                total.append(found.detach())
            values.append(torch.stack(total).sum(0))
        return torch.cat(values), gradient

    def run(self, steps: int, lr: float, seen: Callable[[int], None]) -> tuple[Any, Any, Any, list[Tensor]]:
        """The metric at the mean, at zero and at the best constants, and those in the hook point's shape."""
        middle = self.flat.double().mean(0, keepdim=True).to(self.flat.dtype)
        own = middle[..., self.groups].movedim(-2, 0)  # [k, 1, ..., size]
        spread = (self.flat - middle)[..., self.groups].double().square().mean((*range(self.flat.ndim - 1), -1)).sqrt()
        spread = spread.clamp_min(1e-9).to(own).reshape(-1, *[1] * (own.ndim - 1))
        (mean, _), (zero, _) = self.judged(own, False), self.judged(torch.zeros_like(own), False)
        worse = (self.sign * zero > self.sign * mean).reshape(spread.shape)
        start = torch.where(worse, torch.zeros_like(own), own)
        best, constants = torch.where(worse.flatten(), zero, mean), start.clone()
        moved = torch.zeros_like(own)
        adam = torch.optim.Adam([moved], lr=lr)
        for step in range(steps + 1):
            now = start + spread * moved
            values, gradient = self.judged(now, step < steps)
            ahead = self.sign * values > self.sign * best
            best = torch.where(ahead, values, best)
            constants = torch.where(ahead.reshape(spread.shape), now, constants)
            moved.grad = -self.sign * gradient * spread
            adam.param_groups[0]["lr"] = lr * (1 - step / (steps + 1))
            adam.step()
            seen(min(step + 1, steps))
        whole = middle.expand(len(own), *middle.shape[1:]).unsqueeze(1)
        index = self.groups.reshape(len(own), *[1] * (whole.ndim - 2), -1).expand(*own.shape)
        filled = whole.scatter(-1, index, constants)
        return mean, zero, best, [self.cells.features.back(one, self.shape) for one in filled]
