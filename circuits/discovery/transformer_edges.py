"""The edges of a transformer: from the embedding, every head and every MLP to all later readers of the residual stream."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from circuits.discovery.graph import EFFECTS, EdgeGraph
from circuits.discovery.held_edges import HeldEdges
from circuits.discovery.receivers import layout
from circuits.engine.budget import BATCH, CPU_PIECE, slices
from circuits.engine.evaluation import Evaluation, outputs_of
from circuits.interventions.counterfactual import Counterfactual
from circuits.interventions.values import Mean, Value
from interp.hooked import HookedTransformer


class TransformerEdges(EdgeGraph):
    """Every receiver (a head's queries, keys or values, an MLP, the logits) reads its own sum of what senders write.

    An ablated edge replaces the sender's output by its mean, by zero, or by what it is for the corrupted input of the same
    row, for this receiver only. The terms of the sum are exact: the embedding (positions included), each head's own part of
    ``W_O`` and each MLP with its bias; the attention's bias is in every sum. Such edges are those of ACDC (Conmy et al. 2023,
    https://arxiv.org/abs/2304.14997).

    Args:
        evaluation: the network, the inputs and the metrics.
        model: the network again.
        value: what an ablated edge carries.
        reference: inputs that a mean is taken over.
        max_bytes: working memory in addition to the captured activations.
        by_position: tell edges apart by the position at which they are read.

    Attributes:
        senders: in the order in which they write.
        receivers: in the order in which they read.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        model: HookedTransformer,
        value: Value,
        reference: Tensor,
        max_bytes: int,
        by_position: bool = False,
    ):
        self.evaluation, self.model, self.max_bytes = evaluation, model, max_bytes
        self.senders, self.receivers = layout(model, evaluation.inputs.shape[1], by_position)
        self.labels = [label for r in self.receivers for label in r.labels(self.senders)]
        self.places = [r.place for r in self.receivers for _ in range(r.hears * r.width)]
        self.sender_of = torch.tensor([s for r in self.receivers for s in range(r.hears) for _ in range(r.width)])
        self.stages = [[0]]
        for i in range(model.config.n_layers):
            first = 1 + i * (model.config.n_heads + (model.config.d_mlp is not None))
            self.stages.append([*range(first, first + model.config.n_heads)])
            if model.config.d_mlp is not None:
                self.stages.append([first + model.config.n_heads])
        self.corrupted = reference if isinstance(value, Counterfactual) else None
        self.constants = [] if self.corrupted is not None else self._constants(value, reference)
        self._held: OrderedDict[tuple[int, int], HeldEdges] = OrderedDict()

    @torch.no_grad()
    def _constants(self, value: Value, reference: Tensor) -> list[Tensor]:
        """What replaces each sender on an ablated edge ``[pos, d_model]``; in the last block, at the readout position."""
        if not isinstance(value, Mean):
            return [reference.new_zeros((), dtype=self.model.dtype)] * len(self.senders)
        model = self.evaluation.whole if value.needs_all_positions else self.model
        assert isinstance(model, HookedTransformer)
        sums: list[Tensor] = []
        for part in slices(len(reference), self.at_once):
            own = [w.double().sum(0) for w in self._writes(reference[part], model)]
            sums = [a + b for a, b in zip(sums, own, strict=True)] if sums else own
        means = [s / len(reference) for s in sums]
        if value.needs_all_positions:  # one for all positions; the first keeps as many as the stream has
            means = [m.mean(0, keepdim=True).expand(-1 if i else len(m), -1) for i, m in enumerate(means)]
        return [m.to(self.model.dtype) for m in means]

    @torch.no_grad()
    def _writes(self, tokens: Tensor, model: HookedTransformer) -> list[Tensor]:
        """What each sender of the whole network writes ``[n, pos, d_model]``."""
        receivers = self.receivers if model is self.model else layout(model, tokens.shape[1], by_position=False)[1]
        return HeldEdges.free(model, receivers, tokens).writes()

    def held(self, rows: slice) -> HeldEdges:
        """The network on some inputs, with what replaces their edges; the last few are remembered within ``max_bytes``."""
        key = (rows.start, rows.stop)
        if key not in self._held:
            tokens, constants = self.evaluation.inputs[rows], self.constants
            if self.corrupted is not None:
                constants = self._writes(self.corrupted[rows], self.model)
            with torch.no_grad():
                self._held[key] = HeldEdges(
                    self.model, self.receivers, self.model.stream(tokens) - constants[0], constants
                )
            size = sum(c.nbytes for c in (self._held[key].embedded, *constants))
            while len(self._held) > max(1, self.max_bytes // size):
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]

    @cached_property
    @override
    def at_once(self) -> int:  # type: ignore[override]
        config, n_pos = self.model.config, self.evaluation.inputs.shape[1]
        heads = config.n_heads * (3 * config.d_head + 2 * n_pos)  # queries, keys, values; scores and patterns
        per_layer = heads + 2 * (config.d_mlp or 0) + 4 * config.d_model
        per_position = config.n_layers * per_layer + config.d_model * 2 * len(self.senders) + config.d_vocab_out
        limit = self.max_bytes if self.evaluation.inputs.is_cuda else min(self.max_bytes, CPU_PIECE)
        return max(1, limit // (n_pos * per_position * self.model.dtype.itemsize))

    @override
    @torch.no_grad()
    def ends(self) -> tuple[float, float]:
        judge = self.evaluation.metrics[0]
        if self.corrupted is None or judge.whole:
            return super().ends()
        outputs = (outputs_of(self.model, x, BATCH) for x in (self.evaluation.inputs, self.corrupted))
        clean, empty = (float(self.evaluation.judge(o.unsqueeze(0))[..., 0].mean()) for o in outputs)
        return clean, empty

    @override
    def outputs(self, kept: Float[Tensor, "k elements"], rows: slice) -> Tensor:
        held = self.held(rows)
        found = held.run(held.rows(kept)).outputs
        assert found is not None
        return found

    @override
    @torch.no_grad()
    def effects(self, kept: Bool[Tensor, " elements"]) -> Float[Tensor, "elements metrics"]:
        """The metrics without each edge of the circuit: only what hears its receiver is run again."""
        inside = kept.clone()
        if int(kept.sum()) > EFFECTS:
            ranked = self.attributions(kept).masked_fill(~kept, torch.inf).argsort(stable=True)
            inside[ranked[EFFECTS:]] = False
        inside = inside.cpu()
        n, metrics = len(self.evaluation.inputs), self.evaluation.metrics
        sums = torch.zeros(len(self), len(metrics), dtype=torch.float64, device=kept.device)
        for rows in slices(n, n if any(m.whole for m in metrics) else min(n, self.at_once)):
            held, size = self.held(rows), rows.stop - rows.start
            base = held.base(kept)
            for index, receiver in enumerate(self.receivers):
                own = inside[receiver.edges].nonzero().flatten()
                for part in own.split(max(1, self.at_once // size)) if len(own) else ():
                    changed = base.rows[index].flatten().repeat(len(part), 1)
                    changed[torch.arange(len(part)), part] = 0
                    run = held.run({index: changed.unflatten(1, base.rows[index].shape)}, base)
                    outputs = base.outputs_of(run, len(part))
                    sums[part.to(kept.device) + receiver.start] += self.evaluation.judge(outputs, rows).sum(1)
        sums[~inside.to(kept.device)] = torch.nan
        return sums / n

    @override
    def slopes(
        self, kept: Float[Tensor, " elements"], shares: Mapping[int, float] | None = None
    ) -> Float[Tensor, " elements"]:
        metric, n = self.evaluation.metrics[-1], len(self.evaluation.inputs)
        total = torch.zeros(len(self), dtype=torch.float64, device=kept.device)
        for rows in slices(n, n if metric.whole else min(n, self.at_once)):

            def score(outputs: Tensor, rows: slice = rows) -> Tensor:
                return metric.values(outputs, rows, self.evaluation.answers).sum() / n

            total += self.held(rows).slopes(kept, score, shares)
        return total
