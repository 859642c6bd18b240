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
        one = Subject(subject.name, series.at(entry.step).to(subject.model.device), task, step=entry.step)
        one.precision = subject.precision
        found = performance.measure(one)
        row: dict[str, float | int | None] = {
            "step": entry.step,
            "train_loss": found["train_loss"],
            "test_loss": found["test_loss"],
            "train_accuracy": accuracy(found, "train"),
            "test_accuracy": accuracy(found, "test"),
            "weight_norm": float(
                torch.stack([p.detach().double().pow(2).sum() for p in one.model.parameters()]).sum().sqrt()
            ),
        }
        if cyclic:
            logits = tables.logit_table(one)
            share = fourier.logit_shares(logits).on_difference.tolist()
            row.update({f"mode {k}": share[k] for k in keys})
        rows.append(row)
    return pd.DataFrame(rows)


def accuracy(found: dict[str, float | int | None], part: str) -> float | None:
    """Share of right answers in a part of the split, as `performance.measure` counted them; None where it is empty."""
    right, total = found[f"{part}_correct"], found[f"{part}_total"]
    return right / total if total and right is not None else None


@analysis(
    "history",
    needs=("series", "task"),
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
    if any(pd.notna(a) for a in frame["train_accuracy"]):
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
    part = "test" if len(subject.require_task().test_indices) else "train"
    last = frame[f"{part}_accuracy"].iloc[-1]
    end = f"{part} loss {frame[f'{part}_loss'].iloc[-1]:.3g}" if pd.isna(last) else f"{part} accuracy {last:.2%}"
    result.headline = f"{len(frame)} checkpoints to step {int(steps.iloc[-1]):,}; {end} at the end"
    return result
