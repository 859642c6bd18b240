"""The analysis `theory`: predictions of the effective theory of representation learning beside trained networks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.errors import InterpError, MissingCapability, require_range
from interp.history.progress import progress
from interp.history.steps import kept_steps, left_out, walk
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.scores import score
from interp.snapshot import Snapshot
from interp.subject import Subject
from interp.tasks import ToyAddition
from interp.training.run import Run
from probes.effective_theory import effective_flow, grokking_rate, linear_probability
from probes.measures.parallelograms import operation_of, representation_of
from probes.parallelograms import equations, ideal, normalised, nullity, parallelograms, samples_of
from probes.rqi_criteria import Criterion

FORCED = 0.95  # RQI from which the linear structure counts as learned, as in Liu et al. 2022
MAX_P = 24  # symbols up to which the probability is drawn; eigenvalues of thousands of larger matrices take minutes
COUNTED: dict[str, str] = {"paper": "the paper", "code": "its authors' code"}
MEASURES = ("rqi", "predicted_accuracy", "ideal_rqi", "ideal_accuracy", "lambda_3", "accuracy")


@analysis(
    "theory",
    needs=("task", "answers"),
    order=31,
    question="represents",
    summary="Effective theory of addition: predicted and measured structure",
)
def theory(
    subject: Subject, *, every: int = 1, draws: int = 2_000, delta: float | None = None, criterion: Criterion = "paper",
    executor: str | None = None,
) -> Result:  # fmt: skip
    """Grokking rate and ideal structure of the train set, effective flow beside trained embeddings, all members of a run.

    Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
    https://arxiv.org/abs/2205.10343. For addition without a modulus (task `addition`), which a representation on a line
    solves.

    Args:
        subject: a network trained on addition.
        every: use every n-th checkpoint only, counting from the last.
        draws: random train sets per size, for the probability that one forces the linear structure.
        delta: largest distance that counts as a parallelogram; that of the criterion.
        criterion: by which RQI and predicted accuracy count: ``"paper"``, or ``"code"`` for the authors' code.
        executor: distributes the checkpoints of the members over workers (``process:4``, ``dask:ADDRESS``).

    Returns:
        Predicted and measured structure, accuracy and steps; for a run, a row per member.

    Raises:
        MissingCapability: any other task.
    """
    require_range("draws", draws, 1)
    task = subject.require_task()
    if not isinstance(task, ToyAddition):
        raise MissingCapability(
            f"the effective theory needs addition that is not reduced modulo p (task addition), not {task.name}"
        )
    _, samples, trained = operation_of(Snapshot(subject))
    rate, free = grokking_rate(samples, trained), int(nullity(equations(samples, trained)))
    scaled = representation_of(Snapshot(subject), criterion)
    found, best = parallelograms(scaled, samples, trained, delta, criterion=criterion), ideal(samples, trained)
    lr = embedding_rate(subject)
    accuracy = score(task, subject.logits()).accuracy or 0.0
    result = Result(
        {
            "nullity": free, "linear_structure_forced": free == 2, "lambda_3": rate,
            "predicted_grokking_steps": 1 / (rate * lr) if rate and lr else None, "embedding_lr": lr,
            "rqi": found.rqi, "ideal_rqi": best.rqi, "accuracy": accuracy, "predicted_accuracy": found.accuracy,
            "ideal_accuracy": best.accuracy, "train_samples": int(trained.sum()), "samples": len(trained),
        }
    )  # fmt: skip
    if task.p <= MAX_P:
        _probability(result, task.p, int(trained.sum()), draws)
    if lr and subject.series is not None and len(subject.series) > 1 and rate:
        _trajectories(result, subject, kept_steps(subject, every, 60), lr)
    if subject.members > 1 and subject.origin:
        _members(result, subject, every, delta, criterion, executor)
    forced = "forces" if free == 2 else f"does not force (nullity {free})"
    result.headline = (
        f"the train set {forced} the linear structure; RQI {found.rqi:.2f} (ideal {best.rqi:.2f}), accuracy {accuracy:.2f} "
        f"(predicted {found.accuracy:.2f}, ideal {best.accuracy:.2f})"
    )
    result.notes.append(
        f"RQI and predicted accuracy count parallelograms as {COUNTED[criterion]} does (option criterion: paper or code)."
    )
    result.notes.append(
        "lambda_3 is computed at Z0 of embeddings with mean 0 and variance 1; predicted steps are 1 / (lambda_3 x learning rate "
        "of the embeddings), for gradient descent on the effective loss. Adam steps are another unit: compare trends, not "
        "numbers."
    )
    return result


def embedding_rate(subject: Subject) -> float | None:
    """The learning rate of the embeddings in the subject's run; None if it does not come from a run."""
    source = Path(subject.origin.get("source", ""))
    if not (source / "run.json").is_file():
        return None
    try:
        plan = Run(source).plan
    except InterpError:  # another program's run.json
        return None
    own: dict[str, Any] = {**plan.optimizer.to_dict(), **plan.members[int(subject.origin.get("member", 0))]}
    rate = own.get("embedding_lr")
    return float(own["lr"] if rate is None else rate)


def _probability(result: Result, p: int, own: int, draws: int) -> None:
    total = p * (p + 1) // 2
    sizes = sorted({round(total * share / 20) for share in range(2, 20)} | {own})
    rows = []
    for n in sizes:
        found = linear_probability(p, n, draws)
        rows.append((n, n / total, found.value, *found.interval, found.total, found.exact))
    columns = ["train samples", "train fraction", "probability", "low", "high", "train sets", "exact"]
    frame = pd.DataFrame(rows, columns=pd.Index(columns))
    result.tables["probability of linear structure"] = frame
    figure = figures.lines(
        {"probability": (frame["train fraction"], frame["probability"])}, markers=True, x_title="train fraction",
        title=f"Probability that a random train set forces the linear structure (p = {p})", y_title="probability",
    )  # fmt: skip
    figure.add_vline(
        x=own / total, line={"color": figures.GREY, "dash": "dash"}, annotation_text="this train set's size"
    )
    result.figures["probability of linear structure"] = figure


def _trajectories(result: Result, subject: Subject, steps: list[int], lr: float) -> None:
    """Normalised embeddings on the final principal axis: trained, and by the effective flow from the first step."""
    clouds: dict[int, Tensor] = {}
    for snapshot in walk(subject, steps, result.notes):
        table, samples, trained = operation_of(snapshot)
        if bool(table.isfinite().all()):
            clouds[snapshot.step] = normalised(table).cpu()
        else:
            result.notes.append(left_out(snapshot.step, "the embeddings hold NaN or infinity"))
    seen = list(clouds)
    if len(seen) < 2 or not bool(clouds[seen[0]].any()):
        result.notes.append("Trajectories need two steps with finite embeddings, which differ at the first step.")
        return
    axis = torch.linalg.svd(clouds[seen[-1]], full_matrices=False).Vh[0]
    samples, trained = samples_of(subject.require_task())
    times = lr * (torch.tensor(seen, dtype=torch.float64) - seen[0])
    flow = effective_flow(clouds[seen[0]], samples, trained, times) @ axis
    figure = figures.lines(
        {},
        title="Embeddings: trained (lines), effective flow (dots)",
        x_title="training step",
        y_title="normalised embedding",
    )
    for k in range(samples.n_symbols):
        color, dash, _ = figures.look(k)
        own = [float(clouds[s][k] @ axis) for s in seen]
        figure.add_scatter(x=seen, y=own, name=str(k), mode="lines", line={"color": color, "dash": dash})
        figure.add_scatter(
            x=seen,
            y=flow[:, k].numpy(),
            name=f"{k}, theory",
            mode="markers",
            marker={
                "color": color,
                "size": 3,
                "symbol": figures.SYMBOLS[k // len(figures.PALETTE) % len(figures.SYMBOLS)],
            },
            showlegend=False,
        )
    result.figures["trajectories"] = figure.update_layout(height=440)


def member_table(
    run: Run,
    every: int = 1,
    delta: float | None = None,
    executor: str | None = None,
    *,
    criterion: Criterion = "paper",
    device: str = "auto",
    dtype: torch.dtype = torch.float64,
) -> pd.DataFrame:
    """Predictions of the effective theory and what was measured, for every member of a run.

    Args:
        run: of networks trained on addition.
        every: use every n-th checkpoint only, counting from the last.
        delta: largest distance that counts as a parallelogram; that of the criterion.
        criterion: ``"paper"`` or ``"code"``, see `probes.rqi_criteria`.
        executor: distributes the checkpoints over workers.
        device: to measure on.
        dtype: to measure in.

    Returns:
        One row per member: lambda_3, RQI and accuracies at the last checkpoint, their ideals, the share of samples in the
        train set. ``grokked_at`` is the first checkpoint with an RQI above 0.95 (NaN if there is none), ``predicted_steps``
        is ``1 / (lambda_3 lr)`` (infinite if the train set does not force a line).

    Raises:
        InterpError: no checkpoint could be measured.
    """
    counted = {"delta": delta, "criterion": criterion}
    options = {"rqi": counted, "predicted_accuracy": counted}
    frame = progress(run, MEASURES, options=options, every=every, executor=executor, device=device, dtype=dtype)
    if frame.empty:
        raise InterpError("no checkpoint of the run could be measured")
    last: dict[int, dict[str, float]] = {}
    grokked: dict[int, int] = {}
    for row in frame.to_dict("records"):
        if row["where"] in ("", "all", "normalised", "code"):
            last.setdefault(row["member"], {})[row["measure"]] = row["value"]
        if row["measure"] == "rqi" and row["value"] > FORCED:
            grokked.setdefault(row["member"], row["step"])
    table = pd.DataFrame.from_dict(last, orient="index").rename_axis("member")
    table["grokked_at"] = [grokked.get(m, math.nan) for m in table.index]
    rates = [embedding_rate(run.subject(int(m))) for m in table.index]
    table["predicted_steps"] = [
        math.nan if lr is None else 1 / (rate * lr) if rate * lr else math.inf
        for rate, lr in zip(table["lambda_3"], rates, strict=True)
    ]
    trained = [samples_of(run.plan.task.of_member(run.plan.members[int(m)]))[1] for m in table.index]
    table["train_fraction"] = [float(t.double().mean()) for t in trained]
    return table.reset_index()


def _members(
    result: Result, subject: Subject, every: int, delta: float | None, criterion: Criterion, executor: str | None
) -> None:
    table = member_table(
        Run(subject.origin["source"]),
        every,
        delta,
        executor,
        criterion=criterion,
        device=str(subject.model.device),
        dtype=subject.precision,
    )
    result.tables["members"] = table
    for real, predicted, most, title in (
        ("accuracy", "predicted_accuracy", "ideal_accuracy", "Accuracy"), ("rqi", "ideal_rqi", None, "RQI")
    ):  # fmt: skip
        figure = figures.scatter(
            table[predicted], table[real], labels=[f"member {m}" for m in table["member"]], square=True,
            title=f"{title}: trained against {predicted.replace('_', ' ')}", x_title=predicted.replace("_", " "), y_title=real,
        )  # fmt: skip
        result.figures[f"{title.lower()} by member"] = figure.add_scatter(
            x=[0, 1], y=[0, 1], mode="lines", line={"color": figures.GREY, "dash": "dot"}, showlegend=False
        )
        if most is not None:
            gaps = table[real].to_numpy(float) - table[predicted].to_numpy(float)
            result.metrics["mean_gap_of_predicted_accuracy"] = float(np.abs(gaps).mean())
    fits = table.query("grokked_at == grokked_at and lambda_3 > 0")
    result.metrics |= {
        "members": len(table),
        "members_with_linear_structure": len(table.query("grokked_at == grokked_at")),
    }
    if len(fits) >= 3:
        from scipy.stats import spearmanr  # a second that only runs of many members need

        order = float(spearmanr(fits["grokked_at"], fits["predicted_steps"])[0])  # pyright: ignore[reportArgumentType]
        result.metrics["rank_correlation_of_steps"] = order if math.isfinite(order) else None
        result.figures["steps by member"] = figures.scatter(
            fits["predicted_steps"], fits["grokked_at"], labels=[f"member {m}" for m in fits["member"]],
            colors=fits["train_fraction"], color_title="train fraction",
            title=f"Steps to RQI above {FORCED}: measured against 1 / (lambda_3 lr)",
            x_title="1 / (lambda_3 lr)", y_title="measured steps",
        )  # fmt: skip
    over = table.query("rqi > ideal_rqi + 1e-9")
    if len(over):
        result.notes.append(
            f"{len(over)} of {len(table)} members have more parallelograms than the ideal model of their train set."
        )
