"""Compaction: MLPs and transformers without the units and heads that their task does not need, and the proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from circuits.bisection import largest
from circuits.compression.slots import Slots, find_slots, without
from circuits.experiments.ablation import ablate
from circuits.scores import Scores, derived, scores
from interp.errors import InterpError, require_range
from interp.subject import Subject


@dataclass(frozen=True)
class Compacted:
    """A smaller network, and the proof of what it still does.

    Attributes:
        subject: the smaller network on the same task, for every analysis.
        difference: largest absolute difference of the logits that are read, over all inputs of the task.
        scores, scores_before: loss and accuracy.
        units, units_before, heads, heads_before: in use; a transformer's padding is not counted.
        parameters, parameters_before: numbers in all weights, padding included.
    """

    subject: Subject
    difference: float
    scores: Scores
    scores_before: Scores
    units: int
    units_before: int
    heads: int
    heads_before: int
    parameters: int
    parameters_before: int


def compacted(subject: Subject, keep_accuracy: float | None = None) -> Compacted:
    """Remove units and heads that the task does not need.

    Without ``keep_accuracy`` nothing changes: what goes is what no weight leads away from, and what is the same for every
    input at every position that counts, its constant folded into the next bias. Where there is no bias only what writes 0
    can go. Copies stay. "Exact" holds on the task's inputs alone: on others a unit that is constant here may vary.

    With it, units and heads go besides, as many together as leave at least this accuracy over all examples: those with
    the smallest loss change when mean-ablated alone (`circuits.ablate`) first, replaced by their mean over inputs and
    positions. How many is found by bisection, which supposes that accuracy falls with their number. What has no
    bias to take its mean stays.

    Raises:
        MissingCapability: no task is known; with ``keep_accuracy``, its answers are not right or wrong.
        InterpError: another kind of network; an accuracy that it has not itself; no bias at all to fold a mean into;
            logits that are not finite.
    """
    whole = subject = subject.cast()
    slots = find_slots(subject)
    kept = [~s.needless for s in slots]
    if not bool(whole.logits().isfinite().all()):
        raise InterpError(f"{subject.name}: its logits hold NaN or infinity, so nothing shows what it needs")
    if keep_accuracy is not None:
        require_range("keep_accuracy", keep_accuracy, 0, 1)
        kept = _greedy(subject, slots, kept, keep_accuracy)
    smaller = derived(subject, without(subject.model, slots, kept), "pruned")
    difference = float((smaller.logits() - whole.logits()).abs().max())

    def count(kind: str, masks: Sequence[torch.Tensor]) -> int:
        return sum(int(m.sum()) for s, m in zip(slots, masks, strict=True) if s.kind == kind)

    everything = [torch.ones_like(m) for m in kept]
    return Compacted(
        smaller, difference, scores(smaller), scores(whole), count("neurons", kept), count("neurons", everything),
        count("heads", kept), count("heads", everything), _parameters(smaller), _parameters(whole),
    )  # fmt: skip


def _greedy(
    subject: Subject, slots: Sequence[Slots], exact: list[torch.Tensor], keep_accuracy: float
) -> list[torch.Tensor]:
    """Which components are left when as many go as the accuracy allows."""
    if missing := subject.lacks(["answers"]):
        raise InterpError(f"keep_accuracy needs answers that are right or wrong: {missing[0]}")
    own = scores(subject).accuracy or 0.0
    if own < keep_accuracy:
        raise InterpError(f"keep_accuracy is {keep_accuracy:g}, and the whole network reaches {own:.4g}")
    if slots and not any(s.foldable for s in slots):
        raise InterpError(
            "no bias follows its units or heads (mlp_bias, unembed_bias or attn_bias is False), so nothing can be replaced "
            "by its mean; prune without keep_accuracy"
        )
    places: list[tuple[float, int, int]] = []
    for i, s in enumerate(slots):
        if s.foldable:
            frame = ablate(subject, s.kind, site=s.site)
            effects = zip(frame["loss_change"], frame["index"], strict=True)
            places += [(float(change), i, int(j)) for change, j in effects if exact[i][int(j)]]
    places.sort()

    def after(n: int) -> list[torch.Tensor]:
        masks = [m.clone() for m in exact]
        for _, i, j in places[:n]:
            masks[i][j] = False
        return masks

    def enough(n: int) -> bool:
        tried = derived(subject, without(subject.model, slots, after(n)), "pruned")
        return (scores(tried).accuracy or 0.0) >= keep_accuracy

    return after(largest(len(places), enough))


def _parameters(subject: Subject) -> int:
    return sum(p.numel() for p in subject.model.parameters())
