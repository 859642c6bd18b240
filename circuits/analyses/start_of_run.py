"""The part of the analysis ``components`` about a run: what the last checkpoint uses, looked for in the first one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from circuits.compression.derived import scores_of
from circuits.compression.held import Held
from interp.plugins.analysis import Result
from interp.report import figures
from interp.subject import Subject


def add_start(
    result: Result, subject: Subject, held: dict[str, Held], numbers: dict[str, int | None], checkpoints: int
) -> list[str]:
    """The lottery-ticket view: what this checkpoint uses, looked for in the first one and in those between.

    Liu et al. 2022, appendix K, https://arxiv.org/abs/2205.10343.

    Args:
        result: gets table, figures, metrics and a note.
        subject: with a series.
        held: sites by name.
        numbers: how many components of each are enough.
        checkpoints: at how many the first site is restricted.

    Returns:
        the findings in words.
    """
    found = [words for name, end in held.items() if (words := _add_variance(result, subject, name, end, numbers[name]))]
    name = next(iter(held))
    n = numbers[name]
    _add_run(result, subject, name, len(held[name].basis) if n is None else n, checkpoints)
    result.notes.append(
        "Lottery-ticket view (Liu et al. 2022, appendix K): the components of the last checkpoint are those of the checkpoint "
        "that was loaded; an earlier activation keeps its own mean. n random directions hold n of D of the variance on average."
    )
    return found


def _add_variance(result: Result, subject: Subject, name: str, end: Held, n: int | None) -> str:
    """Figure of the first checkpoint's variance along both checkpoints' components; the finding in words."""
    first = _at(subject, 0)
    shares = {"its own": Held.of(first, name), "last checkpoint's": Held.of(first, name, basis_from=subject)}
    curves = {f"first checkpoint, {of} components": one.explained() for of, one in shares.items()}
    curves["last checkpoint, its own components"] = end.explained()
    curves["random directions"] = torch.arange(len(end.basis) + 1) / end.basis.dim
    result.figures[f"start at {name}"] = figures.lines(
        {label: (np.arange(len(share)), share.cpu().numpy()) for label, share in curves.items()},
        title=f"{name}: variance of the first checkpoint along components of the last",
        x_title="components", y_title="share of the variance in the first n",
    )  # fmt: skip
    if n is None:
        return ""
    share = float(shares["last checkpoint's"].explained()[n])
    result.metrics[f"start_variance_in_{name}"] = share
    return (
        f"at step {first.step:,} the {n} components of {name} hold {share:.1%} of its variance "
        f"(random directions: {n / end.basis.dim:.1%})"
    )


def _add_run(result: Result, subject: Subject, name: str, n: int, checkpoints: int) -> None:
    """Table and figure of one site restricted to its own and to the last checkpoint's components, over the run."""
    rows, metrics = [], ["loss"]
    for one in _spread(subject, checkpoints):
        own, end, whole = Held.of(one, name), Held.of(one, name, basis_from=subject), scores_of(one)
        few = min(n, len(own.basis))
        metrics = ["loss"] if whole.accuracy is None else ["accuracy", "loss"]
        scores = {"whole": whole, "own": own.scores(few), "end": end.scores(n)}
        rows.append(
            {"step": one.step, "site": name, "components": n, "own_explained": float(own.explained()[few]),
             "end_explained": float(end.explained()[n])}
            | {f"{of}_{metric}": getattr(s, metric) for metric in metrics for of, s in scores.items()}
        )  # fmt: skip
    table = pd.DataFrame(rows)
    result.tables["over the run"] = table
    labels = {"whole": "network", "own": f"its own first {n}", "end": f"the first {n} of the last checkpoint"}
    result.figures["held over the run"] = figures.lines(
        {label: (table["step"], table[f"{of}_{metrics[0]}"]) for of, label in labels.items()},
        title=f"{name} restricted to {n} components at each checkpoint: {metrics[0]}",
        x_title="training step", y_title=f"{metrics[0]}, all examples", log_y=metrics[0] == "loss", markers=True,
    )  # fmt: skip


def _at(subject: Subject, index: int) -> Subject:
    assert subject.series is not None
    model = subject.series[index].cast(subject.model.dtype, subject.model.device)
    return replace(subject, model=model, step=subject.series.steps[index], curves={})


def _spread(subject: Subject, checkpoints: int) -> Iterator[Subject]:
    """Checkpoints at even distances in the series, the first and the last among them."""
    assert subject.series is not None
    for i in sorted({round(i) for i in np.linspace(0, len(subject.series) - 1, checkpoints).tolist()}):
        yield _at(subject, i)
