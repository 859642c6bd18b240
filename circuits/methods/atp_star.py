"""AtP*: attribution patching of nodes, corrected for saturated attention and for effects that cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from circuits.engine.budget import DEFAULT_BYTES, inputs_at_once, slices
from circuits.engine.evaluation import Evaluation, outputs_of
from circuits.interventions.counterfactual import Counterfactual
from circuits.methods.node_cells import POINTS, NodeCells, NodeKind, node_cells
from circuits.methods.node_scores import NodeScores
from circuits.methods.pairs import evaluated, with_transformer
from circuits.metrics import MetricLike
from interp._util.threads import few_threads
from interp.activations.capture import Activations, capture
from interp.activations.gradients import gradients
from interp.activations.transform import transform_at
from interp.errors import InterpError
from interp.hooked import HookedTransformer
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject

KINDS: tuple[NodeKind, ...] = ("queries", "keys", "values", "neurons")


def atp_star(
    subject: Subject | HookedModel,
    clean: Tensor | None = None,
    corrupted: Tensor | None = None,
    *,
    kinds: NodeKind | Sequence[NodeKind] = KINDS,
    by_position: bool = False,
    qk_fix: bool = True,
    grad_drop: bool | None = None,
    verify: bool = False,
    metric: MetricLike = "logit_diff",
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> NodeScores:
    """AtP*: the effect of patching the corrupted run's activation into each node of the clean run, from gradients.

        effect(node) = mean over inputs of       (a_corrupted - a_clean)(node) * dm/da(clean)
        score(node)  = mean over inputs of  1 / (L - 1) * sum over layers l of |the same without layer l in the gradient|

    **QK fix**: for queries and keys the difference is that of the attention pattern, whose softmax is computed again, and the
    gradient is the pattern's. **GradDrop**: the gradient is taken L times, each time not through what one layer writes, so
    that a direct and an indirect effect that cancel are seen; the node's own layer gives 0. With two layers that would leave a
    node of the first one its direct effect only, with one layer nothing: ``score`` is then the size of the whole gradient's.

    Cost: a forward pass of the corrupted inputs and one forward and backward pass of the clean ones, and with GradDrop one
    more of both per layer.

    Misleads where a node's effect is not linear behind it: dead ReLUs, later attention that saturates, backup. ``score`` is
    not an effect but a rank: it has no sign, and is larger than the effect where layers cooperate. Check the first nodes with
    ``verify=True``.

    Args:
        subject: a transformer, and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default.
        corrupted: another input for each of them, with another answer.
        kinds: of nodes: ``queries``, ``keys``, ``values``, ``heads`` (their outputs), ``neurons``, ``attention``, ``mlp``
            (whole layers).
        by_position: every position of a node by itself.
        qk_fix: compute the softmax again for queries and keys.
        grad_drop: drop layers from the gradient; by default where there are three or more.
        verify: also patch every node, a run each, and add the true ``patched`` (mean change) and ``patched_size`` (mean size).
        metric: with a gradient: by name, a `Metric`, or a function of the model's outputs. Not ``"kl"``, whose gradient at the
            clean run is zero.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.

    Returns:
        `NodeScores`, ranked by ``score``; ``effect`` is the expected change of the metric, changed minus clean.

    Raises:
        MissingCapability: neither inputs nor a task.
        UnknownName: a kind of node that does not exist.
        InterpError: not a transformer, no corrupted inputs or ones that do not align, or a metric without a gradient.

    Kramár et al. 2024, AtP*: An Efficient and Scalable Method for Localizing LLM Behaviour to Components,
    https://arxiv.org/abs/2403.00745.
    """
    subject = with_transformer(as_subject(subject))
    if not isinstance(subject.model, HookedTransformer):
        raise InterpError(
            f"AtP* corrects the attention of transformers, a {type(subject.model).__name__} has none; circuits.attribute takes "
            "any network"
        )
    if corrupted is None:
        raise InterpError("AtP* compares two runs: give the corrupted inputs, one for every clean input")
    evaluation, corrupted = evaluated(subject, [metric], clean, corrupted, dtype)
    assert corrupted is not None
    cells = node_cells(evaluation, kinds, by_position=by_position)
    attributed = _Attribution(evaluation, corrupted.to(evaluation.inputs.device), cells, qk_fix)
    layers = subject.model.config.n_layers
    drops = range(layers) if layers > 1 and (layers > 2 if grad_drop is None else grad_drop) else []
    with few_threads(sum(p.numel() for p in evaluation.model.parameters())):
        plain = attributed.run(None, max_bytes)
        sizes = [attributed.run(layer, max_bytes).abs() for layer in drops]
        score = torch.stack(sizes).sum(0) / (layers - 1) if sizes else plain.abs()
        base = float(evaluation.run()[0])
        other = evaluation.judge(outputs_of(evaluation.model, attributed.corrupted).unsqueeze(0))[..., 0].mean()
        if not float(score.max()) > 1e-9 * abs(float(other) - base):
            raise InterpError(
                f"the gradient of {evaluation.metrics[0].name} at the clean run is zero (that of 'kl' always is); use "
                "metric='logit_diff'"
            )
        nodes = pd.DataFrame([row for own in cells for row in own.rows()])
        nodes["effect"], nodes["score"] = plain.mean(0).tolist(), score.mean(0).tolist()
        if verify:
            alone = torch.eye(len(evaluation.inputs), dtype=torch.float64, device=plain.device)
            each = replace(evaluation, parts=alone)  # every input is a part of its own
            own = each.judge(outputs_of(evaluation.model, evaluation.inputs).unsqueeze(0))[0, :, 0]
            value = Counterfactual(corrupted)
            change = torch.cat([c.ablated(each, value, max_bytes) for c in cells]) - own
            nodes["patched"], nodes["patched_size"] = change.mean(1).tolist(), change.abs().mean(1).tolist()
    passes = (2 + len(drops), 1 + len(drops))
    return NodeScores(
        nodes, "AtP*", evaluation.metrics[0].name, base, repr(Counterfactual(corrupted)), *passes, by="score"
    )


class _Attribution:
    """Gradients at the clean run times what the corrupted run would change, example by example."""

    def __init__(self, evaluation: Evaluation, corrupted: Tensor, cells: Sequence[NodeCells], qk_fix: bool):
        assert isinstance(evaluation.model, HookedTransformer)
        self.evaluation, self.model, self.corrupted, self.cells = evaluation, evaluation.model, corrupted, cells
        self.fixed = qk_fix and any(c.kind in ("queries", "keys") for c in cells)

    def run(self, dropped: int | None, max_bytes: int) -> Tensor:
        """A number per example and cell ``[n, cells]``; the gradient does not go through what a layer writes."""
        model, n, metric = self.model, len(self.evaluation.inputs), self.evaluation.metrics[0]
        sites = {c.site for c in self.cells}
        if self.fixed:
            sites |= {name for name in model.hook_dict if name.endswith(("attn.hook_q", "attn.hook_k"))}
        patterns = {name for name in model.hook_dict if name.endswith("hook_pattern")} if self.fixed else set()
        ends = ("hook_attn_out", "hook_mlp_out")
        writes = [f"blocks.{dropped}.{end}" for end in ends if dropped is not None]
        stopped = {name: Tensor.detach for name in writes if name in model.hook_dict}
        found = []
        for rows in slices(n, n if metric.whole else inputs_at_once(self.evaluation, max_bytes)):

            def score(outputs: Tensor, rows: slice = rows) -> Tensor:
                return metric.values(outputs.unsqueeze(0), rows, self.evaluation.answers)[0]

            source = capture(model, self.corrupted[rows], sites)
            with transform_at(model, stopped):
                base, slopes = gradients(model, self.evaluation.inputs[rows], score, sites | patterns)
            parts = [self._terms(c, base, source, slopes) for c in self.cells]
            found.append(torch.cat(parts, 1).double())
        return torch.cat(found)

    def _terms(
        self, cells: NodeCells, base: dict[str, Tensor], source: Activations, slopes: dict[str, Tensor]
    ) -> Tensor:
        if not (self.fixed and cells.kind in ("queries", "keys")):
            return cells.sums(slopes[cells.site] * (source[cells.site] - base[cells.site]))
        block = cells.site.removesuffix(POINTS[cells.kind])
        clean, slope = base[f"{block}attn.hook_pattern"], slopes[f"{block}attn.hook_pattern"]
        names = [f"{block}attn.hook_{letter}" for letter in "qk"]
        (q, k), (other_q, other_k) = ([run[name] for name in names] for run in (base, source))
        attn = self.model.block(int(block.split(".")[1])).attention
        n_pos = k.shape[1]
        first = 0 if q.shape[1] == n_pos else int(self.model.config.readout or 0) % n_pos

        def moved(scores: Tensor) -> Tensor:
            return ((scores.softmax(-1) - clean) * slope).sum(-1)  # [n, head, query]

        if cells.kind == "queries":
            return cells.cells(moved(attn.scores(other_q, k, first)).transpose(1, 2))
        scores, others = attn.scores(q, k, first), attn.scores(q, other_k, first)
        if cells.positions is None:
            return moved(others).sum(-1)
        one = torch.eye(n_pos, dtype=torch.bool, device=q.device)
        return torch.cat([moved(torch.where(one[p], others, scores)).sum(-1) for p in range(n_pos)], 1)
