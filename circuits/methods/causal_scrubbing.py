"""Causal scrubbing: a hypothesis of what each activation depends on, tested by resampling everything that it leaves open."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.discovery.held_edges import HeldEdges, narrowed
from circuits.discovery.receivers import PARTS, Receiver, layout
from circuits.engine.arguments import require_whole
from circuits.engine.evaluation import Evaluation, make_evaluation, outputs_of
from circuits.methods.pairs import with_transformer
from circuits.methods.scrubbed import Feature, Scrubbed
from circuits.metrics import MetricLike
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp._util.threads import few_threads
from interp.errors import InterpError, UnknownName, kind_of, unknown
from interp.hooked import HookedTransformer
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject


@with_bar
@torch.no_grad()
def causal_scrubbing(
    subject: Subject | HookedModel,
    hypothesis: Mapping[str, Feature],
    *,
    inputs: Tensor | None = None,
    metric: MetricLike = "loss",
    n_draws: int = 10,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Scrubbed:
    """Causal scrubbing: run the network with every activation taken from another input that the hypothesis calls equal.

    The hypothesis names what matters and what it depends on: a node (``"embed"``, ``"L0H1"``, ``"L0 mlp"``) or a single edge
    (``"L0H1 > L1H0 keys"``; as in `circuits.eap`) and a feature of the input. Edges override their node. The logits of an input
    x are then computed recursively. Each receiver (a head's queries, keys or values, an MLP, the logits) that is computed for
    some input hears

    - of a named sender, what it writes for another input, drawn by itself from those with the same feature; that is computed
      for that input in the same way, as far as the hypothesis names edges into it, and otherwise taken from the network;
    - of all other senders, the embedding included, what they write for one input drawn at random.

    A node with several named readers is drawn anew for each (the graph is unrolled to a tree).

    Cost: for each draw, one computation of a node for each path of named edges from it to the logits: few for a hypothesis of
    some nodes, exponential in the depth for one that names all.

    Misleads in that it can only refute: a hypothesis that lumps everything into the feature "same input" recovers everything,
    and errors may cancel. Compare hypotheses that differ in one thing. With few inputs a random one is often the same.

    Args:
        subject: a transformer, and its task if it has one.
        hypothesis: by node or edge, its feature: a function of the inputs ``[n, ...]`` that gives integers or truths ``[n]``
            or ``[n, ...]``, or a tensor of them; None: all of the input, so that nothing is resampled.
        inputs: ``[n, ...]``, from which others are drawn, too; the task's examples by default.
        metric: by name, a `Metric`, or a function of the model's outputs.
        n_draws: how often everything is drawn.
        seed: of the draws.
        dtype: the network runs in this, the subject's precision by default.
        progress: called with (draws done, draws in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `Scrubbed`, with the metric under the hypothesis and the share ``recovered``.

    Raises:
        MissingCapability: neither inputs nor a task.
        UnknownName: a node or edge that the network does not have.
        InterpError: not a transformer, or a feature without an integer per input.

    Chan et al. 2022, Causal Scrubbing, https://www.alignmentforum.org/posts/JvZhhzycHu2Yd57RN.
    """
    require_whole("n_draws", n_draws, 1)
    require_whole("seed", seed, 0)
    subject = with_transformer(as_subject(subject))
    if not isinstance(subject.model, HookedTransformer):
        raise InterpError(
            f"causal scrubbing resamples the edges of transformers, not of a {type(subject.model).__name__}"
        )
    evaluation = make_evaluation(subject, [metric], inputs, dtype=dtype)
    tree, seen = _Tree(evaluation, hypothesis, seed), told("draws", progress)
    own, clean = torch.arange(len(evaluation.inputs)), outputs_of(evaluation.model, evaluation.inputs)
    draws = []
    with few_threads(sum(p.numel() for p in evaluation.model.parameters())):
        for draw in range(n_draws):
            found = [tree.logits(own), clean[tree.anything(len(own)).to(clean.device)]]
            values = evaluation.judge(torch.stack(found))[..., 0].mean(1)
            draws.append(dict(zip(("scrubbed", "random"), values.tolist(), strict=True)))
            seen(draw + 1, n_draws)
    value = float(evaluation.judge(clean.unsqueeze(0))[..., 0].mean())
    return Scrubbed(pd.DataFrame(draws), evaluation.metrics[0].name, value, dict(hypothesis))


class _Tree:
    """A transformer computed for inputs that are drawn anew along every named edge."""

    def __init__(self, evaluation: Evaluation, hypothesis: Mapping[str, Feature], seed: int):
        model, inputs = evaluation.model, evaluation.inputs
        assert isinstance(model, HookedTransformer)
        self.model, self.n, self.generator = model, len(inputs), torch.Generator().manual_seed(seed)
        self.senders, self.receivers = layout(model, inputs.shape[1], by_position=False)
        self.held = HeldEdges.free(model, self.receivers, inputs)
        self.writes = self.held.writes()
        self.features = self._features(hypothesis, inputs)
        self.into = {s: [r for r in self.receivers if self._writer(r) == s] for s in range(1, len(self.senders))}

    def _features(self, hypothesis: Mapping[str, Feature], inputs: Tensor) -> dict[tuple[int, str], Tensor | None]:
        """By sender and receiver, which inputs are equal: a class per input, or None where each is its own."""
        if not isinstance(hypothesis, Mapping):
            raise InterpError(f"a hypothesis is a dict of features by node or edge, got {kind_of(hypothesis)}")
        edges = {label: (i, r.name) for r in self.receivers for i, label in enumerate(r.labels(self.senders))}
        found: dict[tuple[int, str], Tensor | None] = {}
        for name, feature in sorted(hypothesis.items(), key=lambda item: " > " in str(item[0])):  # nodes first
            if name not in edges and name not in self.senders:
                raise UnknownName(unknown("node or edge", name, [*self.senders, *edges]))
            own = [edges[name]] if name in edges else [at for at in edges.values() if at[0] == self.senders.index(name)]
            found |= dict.fromkeys(own, _classes(name, feature, inputs))
        return found

    def _writer(self, receiver: Receiver) -> int:
        """The sender that a receiver belongs to; none for the logits."""
        name = f"L{receiver.layer}H{receiver.head}" if receiver.part in PARTS else receiver.name
        return self.senders.index(name) if name in self.senders else -1

    def anything(self, n: int) -> Int[Tensor, " n"]:
        """Random inputs."""
        return torch.randint(self.n, (n,), generator=self.generator)

    def _alike(self, classes: Tensor | None, rows: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        """For each input a random one of its class."""
        if classes is None:
            return rows
        order = classes.argsort(stable=True)
        sizes = classes.bincount()
        starts, own = sizes.cumsum(0) - sizes, classes[rows]
        drawn = torch.rand(len(rows), generator=self.generator, dtype=torch.float64) * sizes[own]
        return order[starts[own] + drawn.long().clamp_max(sizes[own] - 1)]

    def _heard(self, receiver: Receiver, rows: Int[Tensor, " n"]) -> Float[Tensor, "n pos d"]:
        total, other = self.held.constant(receiver), self.anything(len(rows)).to(rows.device)
        for sender in range(receiver.hears):
            at = (sender, receiver.name)
            named = at in self.features
            written = (
                self._written(sender, self._alike(self.features[at], rows)) if named else self.writes[sender][other]
            )
            total = total + narrowed(written, receiver.positions)
        return total

    def _written(self, sender: int, rows: Int[Tensor, " n"]) -> Float[Tensor, "n pos d"]:
        """What a sender writes for some inputs, computed as far as the hypothesis says from what."""
        receivers = self.into.get(sender, [])
        if not any((s, r.name) in self.features for r in receivers for s in range(r.hears)):
            return self.writes[sender][rows]
        layer, block = receivers[0].layer, self.model.block(receivers[0].layer)
        if receivers[0].part == "mlp":
            return block.mlp(block.ln2(self._heard(receivers[0], rows)))
        attn, taken = block.attention, dict[str, Tensor]()
        for receiver in receivers:
            letter = PARTS[receiver.part]
            own = block.ln1(self._heard(receiver, rows)) @ getattr(attn, f"W_{letter}")[receiver.head]
            own = own + getattr(attn, f"b_{letter}")[receiver.head] if attn.bias else own
            taken[receiver.part] = own.unsqueeze(-2)
        first = next(r for r in self.receivers if r.layer == layer and r.part == "queries").positions[0]
        return (
            attn.read(taken["queries"], taken["keys"], taken["values"], first)[..., 0, :] @ attn.W_O[receivers[0].head]
        )

    def logits(self, rows: Int[Tensor, " n"]) -> Tensor:
        """Outputs ``[n, pos, out]`` for some inputs."""
        return self.model.unembed(self.model.ln_final(self._heard(self.receivers[-1], rows)))


def _classes(name: str, feature: Feature, inputs: Tensor) -> Tensor | None:
    """The class of every input, on the CPU."""
    if feature is None:
        return None
    found = feature(inputs) if callable(feature) else feature
    if not isinstance(found, Tensor) or found.ndim < 1 or len(found) != len(inputs) or found.is_floating_point():
        shown = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else kind_of(found)
        raise InterpError(f"the feature of {name} must be a tensor of integers [{len(inputs)}, ...], got {shown}")
    return found.reshape(len(found), -1).unique(dim=0, return_inverse=True)[1].cpu()
