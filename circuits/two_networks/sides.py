"""The two sides of a comparison: each network on the inputs that both take, and what its outputs are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.engine.effects import Effects
from circuits.engine.evaluation import Evaluation, make_evaluation, outputs_of
from circuits.metrics import AccuracyMetric, LossMetric, MetricLike
from circuits.two_networks.output_difference import OutputDifference, centred
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.hooked.foreign.guest import Guest
from interp.hooked.foreign.several import Inputs, InputsLike
from interp.sites import hidden_sites, resolve_sites
from interp.subject import Subject, as_subject
from probes.common_inputs import common_inputs
from probes.input_rows import input_rows

MOST = 1 << 14  # inputs by default


@dataclass(frozen=True, eq=False)
class Side:
    """A network on inputs that another takes, too.

    Attributes:
        name: of the network.
        subject: in the precision of its measures.
        evaluation: judges its outputs: by its task's loss and accuracy where these inputs are its examples, and by their
            squared difference from its own outputs, the last metric.
        clean: what is read of its outputs ``[n, width]``, in float64.
        fit: inputs on which maps into this network are fitted: its train examples, or a random half.
        judged: the others: its test examples, or the other half.
        split: which of the two it is, in words.
        examples: which examples of its task the inputs are; None where they are not.
    """

    name: str
    subject: Subject
    evaluation: Evaluation
    clean: Float[Tensor, "n width"]
    fit: Int[Tensor, "fit"]
    judged: Int[Tensor, "judged"]
    split: str
    examples: Int[Tensor, "n"] | None

    @property
    def labelled(self) -> bool:
        """Whether the right outputs are known; otherwise outputs are judged by the network's own."""
        return len(self.evaluation.metrics) > 1

    @property
    def answers(self) -> bool:
        """Whether there is an accuracy."""
        return any(isinstance(m, AccuracyMetric) for m in self.evaluation.metrics)

    @property
    def loss_name(self) -> str:
        """What ``loss`` is, for a reader."""
        task = self.subject.task
        return task.loss if self.labelled and task is not None else "mean squared difference from its own outputs"

    @property
    def variance(self) -> float:
        """Mean squared deviation of the outputs from their mean over inputs: what a share of output variance is a share of."""
        difference = self._difference
        return float((difference.clean - difference.clean.mean(0)).square().mean())

    def rows(self, site: str, dtype: torch.dtype | None = None) -> Float[Tensor, "n d"]:
        """The activation at a site for all inputs, at the position that is read."""
        return input_rows(self.subject, self.evaluation.inputs, site, dtype=dtype)[site]

    def scores(self, effects: Effects) -> list[dict[str, float]]:
        """Loss and accuracy on the judged inputs, and the share of output variance that was lost on all of them.

        Args:
            effects: of the metrics of `evaluation`, summed over the judged inputs and over all.

        Returns:
            ``loss``, ``accuracy`` (NaN without answers) and ``lost`` for every change.
        """
        losses = effects.mean(0, 0)
        accuracies = effects.mean(1, 0) if self.answers else [float("nan")] * len(losses)
        variance = self.variance
        lost = [d / variance if variance else float("nan") for d in effects.mean(len(self.evaluation.metrics) - 1, 1)]
        return [
            {"loss": loss, "accuracy": accuracy, "lost": share}
            for loss, accuracy, share in zip(losses, accuracies, lost, strict=True)
        ]

    def judge(self, outputs: Float[Tensor, "n width"]) -> dict[str, float]:
        """The scores of outputs, as they are read, for all inputs."""
        values = self.evaluation.judge(outputs.unsqueeze(0).to(self.clean.device))
        return self.scores(Effects(torch.einsum("gnm,np->gpm", values, self.evaluation.parts), self.evaluation.sizes))[
            0
        ]

    @property
    def _difference(self) -> OutputDifference:
        last = self.evaluation.metrics[-1]
        assert isinstance(last, OutputDifference)
        return last


def sides(
    subjects: Mapping[str, Subject], inputs: InputsLike | None, n_inputs: int | None, seed: int
) -> tuple[dict[str, Side], str]:
    """Networks on the inputs that they have in common.

    Args:
        subjects: by name.
        inputs: as in `probes.common_inputs.common_inputs`.
        n_inputs: at most so many.
        seed: of the draw of inputs, and of the halves where there is no split into train and test.

    Returns:
        The sides by name, and what the inputs are.

    Raises:
        InterpError: networks whose inputs do not agree, or too few inputs.
    """
    found = common_inputs(subjects, inputs, n_inputs=n_inputs, seed=seed)
    return {
        name: _side(name, subject, found.of[name], found.examples[name], seed) for name, subject in subjects.items()
    }, found.note


def two_names(a: Subject | HookedModel, b: Subject | HookedModel) -> dict[str, Subject]:
    """Two networks by name: their own names where these differ, otherwise with their steps, or ``a`` and ``b``."""
    first, second = as_subject(a), as_subject(b)
    names = [first.name, second.name]
    if names[0] == names[1] and first.step != second.step:
        names = [f"{s.name}, step {s.step:,}" if s.step is not None else s.name for s in (first, second)]
    if names[0] == names[1]:
        names = ["a", "b"]
    return dict(zip(names, (first, second), strict=True))


def last_site(side: Side, site: str | None) -> str:
    """The exact name of a site, or that of the last hidden layer where none is given.

    Args:
        side: of the network.
        site: a hook point.

    Returns:
        its name.

    Raises:
        InterpError: no hidden layer is known, or no such site.
    """
    if site is not None:
        named = resolve_sites(side.subject.model, site)
        if len(named) > 1:
            raise InterpError(
                f"{site!r} names {len(named)} hook points of {side.name}; name one, such as {named[0].name}"
            )
        return named[0].name
    known = hidden_sites(side.subject.model)
    if not known:
        raise InterpError(f"{side.name}: a {type(side.subject.model).__name__} has no hidden layers; name a site")
    hidden = [name for name in known if not _is_output(side, name)] if isinstance(side.subject.model, Guest) else known
    return (hidden or known)[-1]


def _is_output(side: Side, site: str) -> bool:
    """Whether a submodule's output is what the whole wrapped module returns."""
    rows = side.rows(site)
    return rows.shape == side.clean.shape and torch.allclose(rows.double(), side.clean.to(rows.device))


def _side(name: str, subject: Subject, inputs: Tensor | Inputs, examples: Tensor | None, seed: int) -> Side:
    subject = subject.cast()
    if not all(bool(w.isfinite().all()) for w in subject.model.parameters()):
        raise InterpError(f"{name}: its weights hold NaN or infinity, so nothing that it computes can be compared")
    task = subject.task
    own = [LossMetric(), *([AccuracyMetric()] if task is not None and task.answerable else [])]
    metrics: list[MetricLike] = list(own) if task is not None and examples is not None else []
    bare = make_evaluation(subject, metrics or "loss", inputs)
    read = bare.answers.read(outputs_of(bare.model, bare.inputs).unsqueeze(0))[0].detach().double()
    centre = bool(metrics) and task is not None and task.criterion.shift_invariant
    difference = OutputDifference(centred(read, centre), centre)
    fit, judged, split = _split(subject, examples, len(inputs), seed)
    parts = torch.zeros(len(inputs), 2, dtype=torch.float64, device=read.device)
    parts[judged.to(read.device), 0] = 1
    parts[:, 1] = 1
    kept = bare.metrics if metrics else ()
    evaluation = replace(bare, metrics=(*kept, difference), parts=parts)
    return Side(name, subject, evaluation, read, fit, judged, split, examples)


def _split(subject: Subject, examples: Tensor | None, n: int, seed: int) -> tuple[Tensor, Tensor, str]:
    """Which inputs maps are fitted on and judged on: train and test examples, or random halves."""
    if subject.task is not None and examples is not None:
        trained = torch.isin(examples, subject.task.train_indices.cpu())
        tested = torch.isin(examples, subject.task.test_indices.cpu())
        if int(trained.sum()) >= 2 and int(tested.sum()) >= 2:
            return trained.nonzero()[:, 0], tested.nonzero()[:, 0], "fitted on train, judged on test examples"
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[: n // 2].sort().values, order[n // 2 :].sort().values, "fitted on a random half, judged on the other"
