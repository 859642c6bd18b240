"""The graph that all methods work on: a network's edges on clean inputs, held at their mean or at corrupted inputs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.discovery.edges import edge_graph
from circuits.discovery.graph import EdgeGraph, judges
from circuits.engine.budget import DEFAULT_BYTES
from circuits.engine.clean_corrupted import aligned
from circuits.engine.evaluation import Evaluation, answers_of, make_evaluation
from circuits.interventions.counterfactual import Counterfactual
from circuits.interventions.values import DEFAULT, ValueLike, as_value
from circuits.logit_diff import LogitDiff
from circuits.metrics import MetricLike, make_metric
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.hooked.foreign.bridge import WrappedBridge
from interp.hooked.foreign.bridge_twin import transformer_of
from interp.hooked.foreign.several import InputsLike
from interp.subject import Subject, as_subject


def with_transformer(subject: Subject) -> Subject:
    """A subject whose TransformerLens bridge is replaced by a transformer of ours with its weights; others as they are.

    Args:
        subject: any.

    Returns:
        the subject.

    Raises:
        InterpError: a bridge of a network that has no twin among ours.
    """
    return (
        replace(subject, model=transformer_of(subject.model)) if isinstance(subject.model, WrappedBridge) else subject
    )


@dataclass(frozen=True)
class Ends:
    """A graph of edges, and its metric with all of them and with none.

    Attributes:
        graph: of the network.
        clean: the metric of the whole network.
        empty: of the network in which every edge carries what replaces it.
        value: what that is.
    """

    graph: EdgeGraph
    clean: float
    empty: float
    value: str

    def faithfulness(self, kept: Bool[Tensor, "k edges"]) -> Float[Tensor, " k"]:
        """The share of the way from no edge to all edges that each of k circuits goes."""
        return (self.graph.scores(kept)[:, 0] - self.empty) / (self.clean - self.empty)


def evaluated(
    subject: Subject,
    metrics: Sequence[MetricLike],
    clean: InputsLike | None,
    corrupted: InputsLike | None,
    dtype: torch.dtype | None = None,
) -> tuple[Evaluation, Any]:
    """The evaluation of clean inputs, whose answers are compared with those of corrupted ones.

    Args:
        subject: the network, and its task if it has one.
        metrics: of its outputs.
        clean: inputs ``[n, ...]``; the task's examples by default.
        corrupted: another input for each of them; None for none.
        dtype: the network runs in this, the subject's precision by default.

    Returns:
        the evaluation, and the corrupted inputs.

    Raises:
        MissingCapability: neither inputs nor a task.
        InterpError: inputs that do not align.
    """
    wrong = other = None
    if corrupted is not None:
        clean, other = aligned(subject.require_task().inputs if clean is None else clean, corrupted)
        others = None if subject.task is None else answers_of(subject.task, other)
        plain = others is not None and others.ndim == 1 and not others.is_floating_point()
        wrong = others if plain else None
        if wrong is None and any(isinstance(m, LogitDiff) and m.wrong is None for m in map(make_metric, metrics)):
            warnings.warn(
                "the task does not know the answers to the corrupted inputs, so logit_diff compares each clean answer with the "
                "largest other one; metric=circuits.LogitDiff(right, wrong) says with which",
                UserWarning,
                stacklevel=4,
            )
    return make_evaluation(subject, metrics, clean, wrong=wrong, dtype=dtype), other


def make_ends(
    subject: Subject | HookedModel,
    clean: InputsLike | None,
    corrupted: InputsLike | None,
    metric: MetricLike,
    value: ValueLike | None,
    *,
    by_position: bool = False,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> Ends:
    """The edges of a network, with what an ablated edge carries.

    Args:
        subject: the network, and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default.
        corrupted: another input for each of them: an ablated edge carries what it carries there. None: ``value``.
        metric: by name, a `Metric`, or a function of the model's outputs. ``logit_diff`` compares the clean inputs' answers
            with the corrupted inputs', if the task knows them.
        value: what an ablated edge carries without ``corrupted``: ``"mean"`` over the inputs (the default) or ``"zero"``.
        by_position: tell edges apart by the position at which they are read.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.

    Returns:
        the graph and its ends.

    Raises:
        MissingCapability: neither inputs nor a task.
        InterpError: inputs that do not align, both ``corrupted`` and ``value``, a network without edges, or a metric that
            ablating everything does not change.
    """
    subject = as_subject(subject)
    if corrupted is not None and value is not None:
        raise InterpError("an ablated edge carries a value or what it carries for corrupted inputs: give one of them")
    given = DEFAULT if value is None else as_value(value)
    asked = make_metric(metric)
    evaluation, other = evaluated(subject, judges(asked, subject.task), clean, corrupted, dtype)
    given = given if other is None else Counterfactual(other)
    graph = edge_graph(evaluation, given, max_bytes, by_position)
    assert isinstance(graph, EdgeGraph)
    full, empty = graph.ends()
    if not abs(full - empty) > 1e-9 * max(abs(full), abs(empty)):
        raise InterpError(
            f"{subject.name}: the {asked.name} is {full:g} in the whole network and {empty:g} with all {len(graph)} edges held "
            f"at {given}: there is nothing that a circuit could do"
        )
    return Ends(graph, full, empty, repr(given))
