"""The analysis `progress`: progress measures over the checkpoints of a run, and which of them leads test accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from interp.errors import require_range
from interp.history.measure_history import MeasureHistory
from interp.history.progress import track
from interp.history.steps import left_out
from interp.plugins.analysis import Result, analysis
from interp.plugins.measure import choose
from interp.plugins.options import parse_settings
from interp.report import figures
from interp.scores import LEARNT
from interp.subject import Subject
from probes.analyses.curves import first_step_above
from probes.analyses.leads import MAIN, by_curve, is_companion, last_window, lead_table, leading, main_curves
from probes.claims.oddities import collapse_claims
from probes.claims.training import grokking_claims, lead_claims
from probes.stability import slingshots

CHANGE_NOTE = (
    "A change is the best single step between two levels, by least squares over the checkpoints; its 95% interval is that of the "
    "profile likelihood, which is too narrow if neighbouring checkpoints are correlated."
)


@analysis(
    "progress",
    needs=("weights",),
    order=30,
    question="history",
    summary="Measures over the run's checkpoints; which one leads",
)
def progress_analysis(
    subject: Subject,
    *,
    measures: str | None = None,
    settings: str | None = None,
    every: int = 1,
    executor: str | None = None,
    cache: bool = True,
    threshold: float = LEARNT,
) -> Result:
    """All measures that apply, over all checkpoints in one pass; results are cached for the next call.

    Progress measures as in Nanda et al. 2023, https://arxiv.org/abs/2301.05217, and Golechha 2024,
    https://arxiv.org/abs/2405.12755.

    Args:
        subject: a network; with several checkpoints, all of them are measured.
        measures: names separated by commas; by default all that apply (see ``interp measures``).
        settings: options of measures: ``local_complexity.masks=8;restricted_loss.definition=logit``.
        every: use every n-th checkpoint only, counting from the last.
        executor: ``process:4`` or ``dask:ADDRESS`` distributes the checkpoints over workers.
        cache: reuse and store results in the cache.
        threshold: train accuracy that counts as memorised, test accuracy that counts as generalised.

    Returns:
        All values, the last of each, and for each measure the step of its change with an interval.
    """
    require_range("threshold", threshold, 0, 1)
    parts = [part for part in (settings or "").split(";") if part.strip()]
    options = parse_settings(parts, "the setting", "local_complexity.masks=8")
    found = track(subject, measures or None, options=options, every=every, executor=executor, cache=cache)
    result = Result(tables={"last": last_values(found.frame)}, notes=_notes(found))
    steps = sorted(found.frame["step"].unique())
    result.metrics = {
        "checkpoints": len(steps),
        "last_step": int(steps[-1]) if steps else None,
        **_last_metrics(found.frame),
    }
    at = subject.step if subject.step is not None or not steps else int(steps[-1])
    collapse = collapse_claims(result.metrics.get("softmax_collapse")) if not steps or at == steps[-1] else []
    result.claims = list(collapse)
    if len(steps) < 2:
        result.headline = f"{found.frame['measure'].nunique()} measures at one checkpoint"
        return result
    result.tables["measures"] = found.frame
    curves = accuracy_curves(subject, found.frame)
    marks = {name: first_step_above(points, threshold) for name, points in curves.items()}
    memorised, generalised = marks.get("train accuracy"), marks.get("test accuracy")
    result.metrics |= {"memorised_at_step": memorised, "generalised_at_step": generalised}
    leads = lead_table(found.frame, memorised, generalised)
    result.tables["which leads"] = leads
    _draw(result, found.frame, curves, memorised, generalised, leads)
    _slingshots(result, subject, found.frame)
    if curves:
        result.claims = grokking_claims(memorised, generalised, at or 0, threshold, "which leads")
    window = last_window(leads)
    own = leads.query("window == @window")
    result.claims += lead_claims(own, leading(leads, window), generalised, at or 0, "which leads") + collapse
    result.headline = _headline(leads, len(steps), memorised, generalised, threshold)
    return result


def last_values(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per curve: its value at the last checkpoint at which it was measured."""
    last = frame.drop_duplicates(["measure", "where"], keep="last")
    return last.reindex(columns=["measure", "where", "step", "value"]).reset_index(drop=True)


def _last_metrics(frame: pd.DataFrame) -> dict[str, float | None]:
    """The final value of the curve that represents each measure, by ``measure_where``; values per layer are in the table."""
    found = {}
    for row in last_values(frame).to_dict("records"):
        if row["where"] in MAIN or row["where"].startswith("frequency "):
            label = f"{row['measure']}_{row['where']}".rstrip("_").replace(" ", "_")
            found[label] = row["value"] if math.isfinite(row["value"]) else None
    return found


def accuracy_curves(subject: Subject, frame: pd.DataFrame) -> dict[str, list[tuple[int, float]]]:
    """Train and test accuracy by step: as recorded during training if available, otherwise as measured at the checkpoints."""
    curves = {}
    for part in ("train", "test"):
        recorded = subject.curves.get(f"{part}_accuracy", [])
        rows = frame.query("measure == 'accuracy' and where == @part")
        measured = list(zip(rows["step"].tolist(), rows["value"].tolist(), strict=True))
        points = recorded if len(recorded) > len(measured) else measured
        if points:
            curves[f"{part} accuracy"] = points
    return curves


def _headline(leads: pd.DataFrame, n: int, memorised: int | None, generalised: int | None, threshold: float) -> str:
    when = [
        f"{what} {'never' if step is None else f'by step {step:,}'}"
        for what, step in (("memorised", memorised), ("generalised", generalised))
    ]
    start = f"{n} checkpoints: {', '.join(when)} (accuracy stays at or above {threshold:g})"
    window = last_window(leads)
    test = leads.query(f"window == {window!r} and measure == 'accuracy' and where == 'test'")
    if test.empty:
        return start
    before = leading(leads, window)
    named = ", ".join(before[:6]) + (f" and {len(before) - 6} more" if len(before) > 6 else "")
    change = f"change{'' if len(before) > 1 else 's'} before test accuracy (step {test['changes_at'].iloc[0]:,.0f})"
    return f"{start}; {named or 'no measure'} {change}"


def _draw(
    result: Result,
    frame: pd.DataFrame,
    accuracies: Mapping[str, list[tuple[int, float]]],
    memorised: int | None,
    generalised: int | None,
    leads: pd.DataFrame,
) -> None:
    known = choose(None)
    background = {name: ([s for s, _ in p], [a for _, a in p]) for name, p in accuracies.items()}
    marks = {"memorised": memorised, "generalised": generalised}
    result.figures["which leads"] = _lead_figure(main_curves(leads), marks)
    for name, rows in frame.groupby("measure", sort=False):
        one = known.get(str(name))
        curves = {w or str(name): (c["step"], c["value"]) for _, w, c in by_curve(rows) if not is_companion(w)}
        positive = bool((rows["value"].dropna() > 0).all())
        result.figures[str(name)] = figures.timeline(
            curves, title=f"{name}: {one.summary if one else ''}", y_title=str(name), background=background, marks=marks,
            log_y=bool(one and one.log and positive),
        )  # fmt: skip
        if len(curves) > figures.LEGEND:
            result.notes.append(
                f"{name}: the figure shows the first {figures.LEGEND} of {len(curves)} curves; the table has all."
            )
    result.lead = "accuracy" if "accuracy" in result.figures else "which leads"


def _lead_figure(main: pd.DataFrame, marks: Mapping[str, int | None]):
    window = last_window(main)
    part = main[main["window"] == window].iloc[::-1]
    figure = figures.lines({}, title="When each measure changes", x_title=f"step ({window})", y_title="")
    labels = [f"{m} {w}".strip() for m, w in zip(part["measure"], part["where"], strict=True)]
    figure.add_scatter(
        x=part["changes_at"], y=labels, mode="markers", marker={"size": 8, "color": figures.BLUE}, name="change",
        error_x={"type": "data", "symmetric": False, "array": part["high"] - part["changes_at"],
                 "arrayminus": part["changes_at"] - part["low"]},
        text=[f"explains {e:.0%} of the variance" for e in part["explained"]],
    )  # fmt: skip
    for name, step in marks.items():
        if step is not None:
            figure.add_vline(x=step, line={"color": figures.GREY, "dash": "dash"}, annotation_text=name)
    return figure.update_layout(height=120 + 22 * len(part), showlegend=False, margin={"l": 190})


def _slingshots(result: Result, subject: Subject, frame: pd.DataFrame) -> None:
    recorded = subject.curves.get("train_loss", [])
    rows = frame.query("measure == 'loss' and where == 'train'")
    points = recorded if len(recorded) > len(rows) else list(zip(rows["step"], rows["value"], strict=True))
    if points:
        jumps = slingshots([int(s) for s, _ in points], [float(v) for _, v in points])
        result.metrics["slingshots"] = len(jumps)
        if jumps:
            named = ", ".join(f"{s:,}" for s in jumps[:12]) + (" ..." if len(jumps) > 12 else "")
            result.notes.append(
                f"The train loss spikes to ten times its lowest value {len(jumps)} times, at steps {named}: slingshots, as "
                "with adaptive optimizers late in training, or the effect of a large learning rate."
            )


def _notes(found: MeasureHistory) -> list[str]:
    notes = list(found.notes)
    notes += [left_out(step, reason) for step, reason in found.unreadable.items()]
    if found.nonfinite:
        named = ", ".join(f"{s:,}" for s in found.nonfinite[:8]) + (" ..." if len(found.nonfinite) > 8 else "")
        notes.append(f"The weights hold NaN or infinity at {len(found.nonfinite)} checkpoints, first at steps {named}.")
    notes += [f"{name} failed: {reason}" for name, reason in found.errors.items()]
    reasons: dict[str, list[str]] = {}
    for name, reason in found.skipped.items():
        reasons.setdefault(reason, []).append(name)
    notes += [f"Left out: {', '.join(names)}: {reason}." for reason, names in reasons.items()]
    if len(set(found.frame["step"])) > 1:
        notes.append(CHANGE_NOTE)
    return notes
