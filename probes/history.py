"""The checkpoints of a series, one after the other: loss, accuracy, and the Fourier modes as they turn on."""

from __future__ import annotations

import pandas as pd
import torch

from interp import figures
from interp.analysis import Result, analysis
from interp.errors import require_range
from interp.subject import Subject
from probes import fourier, performance, tables


def measure_series(subject: Subject, every: int = 1) -> pd.DataFrame:
    """One row per checkpoint: losses, accuracies, weight norm and, for cyclic tasks, the modes' shares of the logits.

    The shares are those of the last checkpoint's key frequencies, each on cos/sin(w_k (a + b - c)) of the logits'
    variance. A checkpoint is opened once, forwarded once, and forgotten.
    """
    series, task = subject.series, subject.require_task()
    assert series is not None  # the analysis needs a series
    cyclic = not isinstance(task.cyclic(), str)
    keys = fourier.logit_frequencies(tables.logit_table(subject)) if cyclic else []
    rows = []
    kept = list(series.entries[::-1][::every])[::-1]  # the last is always among them
    for entry in kept:
        one = Subject(subject.name, series.at(entry.step).cast(subject.model.dtype), task, step=entry.step)
        found = performance.measure(one)
        row: dict[str, float | int | None] = {
            "step": entry.step,
            "train_loss": found["train_loss"],
            "test_loss": found["test_loss"],
            "train_accuracy": (found["train_correct"] or 0) / (found["train_total"] or 1),
            "test_accuracy": (found["test_correct"] or 0) / (found["test_total"] or 1),
            "weight_norm": float(
                torch.stack([p.detach().double().pow(2).sum() for p in one.model.parameters()]).sum().sqrt()
            ),
        }
        if cyclic:
            logits = tables.logit_table(one)
            centred = logits - logits.mean((0, 1))
            share = (fourier.trilinear_spectrum(centred) / centred.pow(2).sum()).tolist()
            row.update({f"mode {k}": share[k] for k in keys})
        rows.append(row)
    return pd.DataFrame(rows)


@analysis(
    "history",
    needs=("series", "task", "input_table"),
    summary="The run's checkpoints, step by step",
    order=30,
)
def history(subject: Subject, *, every: int = 1) -> Result:
    """Losses, accuracies and Fourier modes over the checkpoints of a run.

    Args:
        every: take every n-th checkpoint, counted back from the last.
    """
    require_range("every", every, 1)
    frame = measure_series(subject, every)
    steps = frame["step"]
    result = Result(
        tables={"checkpoints": frame}, metrics={"checkpoints": len(frame), "last_step": int(steps.iloc[-1])}
    )
    result.figures["losses"] = figures.lines(
        {n: (steps, frame[n]) for n in ("train_loss", "test_loss")},
        title="Losses over the checkpoints", x_title="step", y_title="loss", log_y=True, markers=True,
    )  # fmt: skip
    result.figures["accuracies"] = figures.lines(
        {n: (steps, frame[n]) for n in ("train_accuracy", "test_accuracy")},
        title="Accuracies over the checkpoints", x_title="step", y_title="accuracy", markers=True,
    )  # fmt: skip
    modes = {c: (steps, frame[c]) for c in frame.columns if c.startswith("mode ")}
    if modes:
        result.figures["modes"] = figures.lines(
            modes,
            title="Fourier modes turning on",
            x_title="step",
            y_title="share of logit variance",
            markers=True,
        )
        result.notes.append(
            "A mode's share is that of cos/sin(w_k (a + b - c)) in the logits' variance; the modes are the last checkpoint's."
        )
    if not subject.curves:
        result.lead = "losses"
    test = frame["test_accuracy"].iloc[-1]
    result.headline = f"{len(frame)} checkpoints to step {int(steps.iloc[-1]):,}; test accuracy {test:.2%} at the end"
    return result
