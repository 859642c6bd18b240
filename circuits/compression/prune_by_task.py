"""Pruning MLPs and transformers: units and heads that the task does not need are removed, with the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from circuits.bisection import largest
from circuits.compression.derived import derived, score_columns, scores_of
from circuits.compression.proof import before_and_after, shares_left, sizes_in_words
from circuits.compression.slots import Slots, find_slots, without
from circuits.experiments.ablation import ablate
from circuits.findings import Findings
from interp.errors import InterpError, require_range
from interp.scores import Scores
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, repr=False)
class Compacted(Findings):
    """A smaller network, and the proof of what it still does.

    Attributes:
        subject: the smaller network on the same task, for every analysis.
        difference: largest absolute difference of the logits, over all inputs of the task.
        scores: loss and accuracy of the smaller network.
        scores_before: loss and accuracy of the whole network.
        units: in use; a transformer's padding is not counted.
        units_before: of the whole network.
        heads: in use; a transformer's padding is not counted.
        heads_before: of the whole network.
        parameters: numbers in all weights, padding included.
        parameters_before: of the whole network.
        mask: by the whole network's parameters, False where a weight belongs to a unit or head that was removed: what
            `interp.train` takes as ``mask`` to train the same circuit from its start.
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
    mask: Mapping[str, torch.Tensor]

    @property
    def table(self) -> pd.DataFrame:
        """A row per number: ``component, site, index, metric, clean, changed, change``."""
        before, after = score_columns(self.scores_before), score_columns(self.scores)
        for name in ("units", "heads", "parameters"):
            before[name], after[name] = getattr(self, f"{name}_before"), getattr(self, name)
        return before_and_after(before, after)

    @property
    def summary(self) -> dict[str, Any]:
        """Sizes, scores and the largest difference of the logits."""
        return sizes_in_words(self.table) | {"difference": self.difference}

    def figure(self) -> go.Figure:
        """What is left of units, heads and parameters, as shares."""
        return shares_left(self.table, ("units", "heads", "parameters"))


def compacted(subject: Subject, keep_accuracy: float | None = None) -> Compacted:
    """Remove units and heads that the task does not need.

    Without ``keep_accuracy`` nothing changes: removed are those from which no weight leads on, and those that are the same for
    every input at every position that counts, their constant folded into the next bias. Without a bias only those that write 0
    can be removed. Copies stay. "Exact" holds on the task's inputs only: on others a unit that is constant here may vary.

    With ``keep_accuracy`` further units and heads are removed, as many together as leave at least this accuracy over all
    examples: those with the smallest loss change when mean-ablated one at a time (`circuits.ablate`) first, replaced by their
    mean over inputs and positions. How many is found by bisection, which assumes that accuracy falls with their number.
    Those without a bias that takes their mean stay.

    Args:
        subject: an MLP or a transformer, with a task.
        keep_accuracy: the accuracy over all examples that must be left.

    Returns:
        `Compacted`: the smaller network, its size, and its scores beside those of the whole network.

    Raises:
        MissingCapability: no task is known; with ``keep_accuracy``, its answers are not right or wrong.
        InterpError: another kind of network; an accuracy above the whole network's; no bias at all that takes a mean; logits
            that are not finite.
    """
    whole = subject = as_subject(subject).cast()
    slots = find_slots(subject)
    kept = [~s.needless for s in slots]
    if not bool(whole.logits().isfinite().all()):
        raise InterpError(f"{subject.name}: its logits hold NaN or infinity; prune a network whose logits are finite")
    if keep_accuracy is not None:
        require_range("keep_accuracy", keep_accuracy, 0, 1)
        kept = _greedy(subject, slots, kept, keep_accuracy)
    smaller = derived(subject, without(subject.model, slots, kept), "pruned")
    difference = float((smaller.logits() - whole.logits()).abs().max())

    def count(kind: str, masks: Sequence[torch.Tensor]) -> int:
        return sum(int(m.sum()) for s, m in zip(slots, masks, strict=True) if s.kind == kind)

    everything = [torch.ones_like(m) for m in kept]
    return Compacted(
        smaller, difference, scores_of(smaller), scores_of(whole), count("neurons", kept), count("neurons", everything),
        count("heads", kept), count("heads", everything), _parameters(smaller), _parameters(whole),
        _mask(subject, slots, kept),
    )  # fmt: skip


def _greedy(
    subject: Subject, slots: Sequence[Slots], exact: list[torch.Tensor], keep_accuracy: float
) -> list[torch.Tensor]:
    """Which components are left when as many go as the accuracy allows."""
    if missing := subject.lacks(["answers"]):
        raise InterpError(f"keep_accuracy needs answers that are right or wrong: {missing[0]}")
    own = scores_of(subject).accuracy or 0.0
    if own < keep_accuracy:
        raise InterpError(f"keep_accuracy is {keep_accuracy:g}, but the whole network reaches only {own:.4g}")
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
        return (scores_of(tried).accuracy or 0.0) >= keep_accuracy

    return after(largest(len(places), enough))


def _mask(subject: Subject, slots: Sequence[Slots], kept: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {name: torch.ones_like(p, dtype=torch.bool) for name, p in subject.model.named_parameters()}
    for s, own in zip(slots, kept, strict=True):
        gone = (~own).nonzero().squeeze(1)
        for name, axis in s.axes.items():
            found[name].index_fill_(axis, gone, False)
    return found


def _parameters(subject: Subject) -> int:
    return sum(p.numel() for p in subject.model.parameters())
