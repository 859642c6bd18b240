"""Intervene: the metrics of a network with interventions in place, compared with those of the unchanged network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import torch
from typing_extensions import override

from circuits.engine.evaluation import make_evaluation
from circuits.findings import EffectTable
from circuits.interventions.apply import applied
from circuits.interventions.kinds import Intervention
from circuits.metrics import MetricLike
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike
from interp.subject import Subject, as_subject


def intervene(
    subject: Subject | HookedModel,
    interventions: Intervention | Sequence[Intervention],
    *,
    metric: MetricLike | Sequence[MetricLike] | None = None,
    inputs: InputsLike | None = None,
    strict: bool = True,
    dtype: torch.dtype | None = None,
) -> EffectTable:
    """The metrics with interventions in place, all together, in the order given.

    Args:
        subject: a Subject, or a hooked model together with ``inputs`` and a function as ``metric``.
        interventions: one or several; a glob on a site applies at every hook point that it matches.
        metric: one or several, by name, as a `Metric` or as a function of the outputs; by default the task's loss and
            accuracy. A function whose name is taken gets a number, ``metric_2``.
        inputs: run on these ``[batch, ...]``; by default all examples of the task.
        strict: raise if an intervention never fired or changed nothing.
        dtype: the model is computed in this, the subject's precision (float64) by default.

    Returns:
        A DataFrame with a row per metric: ``metric, clean, changed, change``. It follows `Findings`: ``.table``,
        ``.summary``, ``.figure()``, ``.save(path)``.

    Raises:
        UnknownSite: a site that matches no hook point.
        NoEffect: with ``strict``, an intervention that never fired or changed nothing.
        MissingCapability: there is no task, and no inputs or metric replace it.
        InterpError: inputs or interventions of the wrong kind or shape.
    """
    subject = as_subject(subject)
    evaluation = make_evaluation(subject, metric, inputs, dtype=dtype)
    clean = evaluation.run()
    # every position, so that sites mean what the user means; one pass, so that means are taken over all inputs
    with applied(replace(subject, model=evaluation.whole), interventions, strict=strict), torch.no_grad():
        changed = evaluation.judge(evaluation.whole(evaluation.inputs).unsqueeze(0)).mean((0, 1))
    names = [m.name for m in evaluation.metrics]
    frame = pd.DataFrame(
        {"metric": names, "clean": clean.tolist(), "changed": changed.tolist(), "change": (changed - clean).tolist()}
    )
    signs = "; ".join(m.sign for m in evaluation.metrics)
    return MetricTable.of(frame, clean=dict(zip(names, clean.tolist(), strict=True)), sign=signs)


class MetricTable(EffectTable):
    """A row per metric, of one change of the network."""

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per metric: ``component, site, index, metric, clean, changed, change``."""
        tidy = self.rows
        for place, (name, value) in enumerate((("component", "all interventions"), ("site", ""), ("index", 0))):
            tidy.insert(place, name, value)
        return tidy

    @property
    @override
    def _constructor(self) -> type[MetricTable]:
        return MetricTable
