"""The analysis `phases`: the phase diagram of learning over a run of many networks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.errors import MissingCapability
from interp.phase_diagrams import choose_axes, ordered, values_of
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.scores import LEARNT
from interp.subject import Subject
from interp.training.members import varying
from interp.training.phases import PHASES, SHORT, SPLIT, TIE, UNDECIDED

VERDICTS = (*PHASES, UNDECIDED)
COLORS: dict[str, str] = dict(
    zip(VERDICTS, (figures.GREEN, figures.ORANGE, figures.BLUE, figures.GREY, figures.PURPLE), strict=True)
)
PUBLISHED = 100_000  # steps that Liu et al. allow
COMMON = "the run's"  # value of a setting that a member shares with the run


@analysis(
    "phases",
    needs=("members",),
    order=8,
    question="history",
    summary="Comprehension, grokking, memorization, confusion over a grid of runs",
)
def phases(
    subject: Subject,
    *,
    x: str | None = None,
    y: str | None = None,
    threshold: float = LEARNT,
    side: str | None = None,
    reached: str = "first",
    limit: int | None = None,
    gap: int = 1_000,
) -> Result:
    """The learning phase of every network of a run, over two of the settings in which the networks differ.

    Comprehension, grokking, memorization and confusion as in Liu et al. 2022, Towards Understanding Grokking: An Effective
    Theory of Representation Learning, https://arxiv.org/abs/2205.10343, section 4.

    Args:
        subject: a network of a run with several members.
        x: setting along the horizontal axis; by default the first that differs, seeds last.
        y: setting along the vertical axis; by default the next that differs, never a seed.
        threshold: accuracy to be reached; the paper takes 0.9, and 0.6 for the validation accuracy on MNIST.
        side: ``>`` or ``>=``; the paper has both. By default both are taken, and where they differ a network is undecided.
        reached: ``first`` measured step, or ``for_good``, until the end of the training.
        limit: steps within which it must be reached, 100,000 in the paper; by default as many as the run has. A network that
            was trained too short to tell is undecided.
        gap: comprehension if test accuracy follows train accuracy within fewer steps, otherwise grokking.

    Returns:
        The phase diagram, the median steps to memorise and to generalise, and a row per network.

    Raises:
        MissingCapability: not a run of several networks, or one that recorded no accuracies.
    """
    run = subject.run
    if run is None:
        raise MissingCapability("phases need a run of several networks; train one with interp train --seeds or --grid")
    if "train_accuracy" not in run.metrics:
        raise MissingCapability(
            "phases need a run that recorded accuracies; train on a task whose answers can be right or wrong"
        )
    definition = {"side": side, "reached": reached, "gap": gap}
    table = run.phases(threshold, limit=limit, **definition)  # pyright: ignore[reportArgumentType]  each as it is called
    across, down = choose_axes(varying(run.plan.members), x, y)
    counts = Counter(table["phase"].tolist())
    result = Result(
        {
            "networks": len(table),
            **{p: counts[p] for p in VERDICTS},
            "x": across,
            "y": down,
            "steps": table.attrs["steps"],
        },
        {"phases": table.reset_index()},
    )
    result.figures["phase diagram"] = diagram(table, across, down)
    for column, title in (("train_at", "memorise"), ("test_at", "generalise")):
        if across is not None and table[column].notna().to_numpy().any():
            result.figures[f"steps to {title}"] = _steps(table, column, across, down, title)
    result.lead = "phase diagram"
    result.notes += _doubts(table)
    if limit is None and table.attrs["steps"] < PUBLISHED:
        longer = run.phases(threshold, limit=PUBLISHED, **definition)  # pyright: ignore[reportArgumentType]  as above
        open_ = sum(a == UNDECIDED != b for a, b in zip(longer["phase"], table["phase"], strict=True))
        said = (
            f"Phases within the run's own {table.attrs['steps']:,} steps; Liu et al. allow {PUBLISHED:,}, by which "
            f"{open_:,} of these networks {'is' if open_ == 1 else 'are'} undecided: they may still learn (limit={PUBLISHED})."
        )
        result.notes += [said] if open_ else []
    others = [s for s in varying(run.plan.members) if s not in (across, down)]
    if others:
        result.notes.append(f"A cell shows the most common phase of its networks, which differ in {', '.join(others)}.")
    shown = [p for p in VERDICTS if p in PHASES or counts[p]]
    result.headline = f"{len(table)} networks: " + ", ".join(f"{counts[p]} {p}" for p in shown)
    return result


def _doubts(table: pd.DataFrame) -> list[str]:
    """What keeps networks from a phase, a sentence each."""
    why, threshold = Counter(table["why"].tolist()), f"{table.attrs['threshold']:g}"
    said = {
        TIE: f"have one phase where accuracy must be above {threshold} and another where {threshold} is enough, so they are "
        "undecided; side says which is meant.",
        SHORT: "were trained too short to tell, so they are undecided.",
        SPLIT: f"cannot get to a test accuracy of {threshold}: no train example has the answers of some test examples "
        "(test_reachable). They can be no more than memorization.",
    }
    return [f"{why[reason]:,} of {len(table):,} networks {text}" for reason, text in said.items() if why[reason]]


def diagram(table: pd.DataFrame, across: str | None, down: str | None) -> go.Figure:
    """Phase diagram: a cell per pair of settings in its phase's colour, with the steps on hover and lines between phases.

    Args:
        table: ``train_at, test_at, phase``, perhaps ``why``, and the settings, a row per network.
        across: setting along the horizontal axis; None for the network's number.
        down: setting along the vertical axis; None for a single row.

    Returns:
        The figure.
    """
    if across is None:
        table, across = table.assign(network=table.index), "network"
    cells = _cells(table, across, down)
    xs, ys = (ordered({place[side] for place in cells}) for side in (0, 1))
    code = np.full((len(ys), len(xs)), np.nan)
    text = [["" for _ in xs] for _ in ys]
    for (a, b), rows in cells.items():
        i, j = ys.index(b), xs.index(a)
        code[i, j] = VERDICTS.index(rows["phase"].mode().iloc[0])
        text[i][j] = _hover(rows)
    n = len(VERDICTS)
    scale = [[edge, COLORS[p]] for k, p in enumerate(VERDICTS) for edge in (k / n, (k + 1) / n)]
    figure = go.Figure(
        go.Heatmap(
            z=code, text=text, hovertemplate="%{text}<extra></extra>", zmin=-0.5, zmax=n - 0.5, colorscale=scale, showscale=False,
            x=list(range(len(xs))), y=list(range(len(ys))), xgap=1, ygap=1,
        )
    )  # fmt: skip
    figures.style(figure, "Phases of learning", across, down or "", height=420 if down else 240)
    figure.update_xaxes(tickvals=list(range(len(xs))), ticktext=[_short(v) for v in xs], showgrid=False)
    figure.update_yaxes(
        tickvals=list(range(len(ys))), ticktext=[_short(v) for v in ys] if down else [""], showgrid=False
    )
    present = set(table["phase"])
    for phase in [p for p in VERDICTS if p in PHASES or p in present]:  # the legend: squares without data
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=phase,
            marker={"color": COLORS[phase], "symbol": "square", "size": 10},
        )
    figure.update_layout(shapes=_boundaries(code))
    return figure


def _cells(table: pd.DataFrame, across: str, down: str | None) -> dict[tuple, pd.DataFrame]:
    cells: dict[tuple, list[int]] = {}
    for row, place in enumerate(zip(values_of(table, across), values_of(table, down), strict=True)):
        cells.setdefault(place, []).append(row)
    return {place: table.iloc[rows] for place, rows in cells.items()}


def _hover(rows: pd.DataFrame) -> str:
    def step(value: float) -> str:
        return "never" if pd.isna(value) else f"{value:,.0f}"

    shown = rows.head(8).to_dict("records")
    lines = [
        f"{r['phase']}{_because(r)}: train at {step(r['train_at'])}, test at {step(r['test_at'])}{_right(r)}"
        for r in shown
    ]
    return "<br>".join(lines + ([f"and {len(rows) - 8} more"] if len(rows) > 8 else []))


def _because(row: dict) -> str:
    return f" ({row['why']})" if row.get("why") else ""


def _right(row: dict) -> str:
    """The most right answers, where they were counted."""
    if not row.get("test_n"):
        return ""
    return f", at best {row['test_correct']:.0f} of {row['test_n']:.0f} right"


def _boundaries(code: np.ndarray) -> list[dict]:
    """Lines between neighbouring cells of different phases."""
    line = {"color": "#222", "width": 2}
    rows, columns = code.shape
    code = np.nan_to_num(code, nan=-1)  # all cells without a network count as one phase
    shapes = [
        {"type": "line", "x0": j + 0.5, "x1": j + 0.5, "y0": i - 0.5, "y1": i + 0.5, "line": line}
        for i in range(rows) for j in range(columns - 1) if code[i, j] != code[i, j + 1]
    ]  # fmt: skip
    shapes += [
        {"type": "line", "x0": j - 0.5, "x1": j + 0.5, "y0": i + 0.5, "y1": i + 0.5, "line": line}
        for i in range(rows - 1) for j in range(columns) if code[i, j] != code[i + 1, j]
    ]  # fmt: skip
    return shapes


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _steps(table: pd.DataFrame, column: str, across: str, down: str | None, title: str) -> go.Figure:
    """Median steps per cell on a logarithmic scale; blank if no network reached the threshold."""
    cells = _cells(table, across, down)
    xs, ys = (ordered({place[side] for place in cells}) for side in (0, 1))
    grid = np.full((len(ys), len(xs)), np.nan)
    for (a, b), rows in cells.items():
        reached = rows[column].dropna().to_numpy()
        grid[ys.index(b), xs.index(a)] = np.median(reached) if len(reached) else np.nan
    return figures.heatmap(
        grid, log=True, unit="steps", x=[_short(v) for v in xs], y=[_short(v) for v in ys] if down else [""],
        title=f"Steps to {title}", x_title=across, y_title=down or "", height=420 if down else 240,
    )  # fmt: skip
