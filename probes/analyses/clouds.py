"""The analysis `clouds`: t-SNE of hidden activations at several steps."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import plotly.graph_objects as go
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from interp.errors import InterpError, MissingCapability, require_range
from interp.history.steps import kept_steps, left_out, walk
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.scores import LEARNT
from interp.sites import hidden_sites
from interp.snapshot import Snapshot
from interp.subject import Subject
from interp.tasks import SparseParity
from probes.change_points import first_step_above
from probes.tsne import FEWEST, tsne


@analysis(
    "clouds",
    needs=("activations", "series"),
    order=36,
    question="represents",
    summary="t-SNE of hidden activations at chosen steps",
)
def clouds(
    subject: Subject, *, steps: tuple[int, ...] | None = None, points: int = 250, site: str | None = None,
    perplexity: float = 30.0, seed: int = 0,
) -> Result:  # fmt: skip
    """t-SNE of a hidden layer's activations, coloured by label (for parity, by the relevant bits).

    Args:
        subject: a run with a task and hidden units.
        steps: which checkpoints; by default the first, those at which train and test accuracy reach 0.9, and the last.
        points: at most this many examples, evenly spaced over all of them.
        site: the hidden layer; the last by default.
        perplexity: of t-SNE; at most a third of the points is used.
        seed: of t-SNE.

    Returns:
        A figure per step, and all points as a table.

    Raises:
        InterpError: a site that is not a hidden layer, or a step without a checkpoint.
        MissingCapability: a network without hidden units.
    """
    require_range("points", points, FEWEST)
    sites = hidden_sites(subject.model)
    if not sites:
        raise MissingCapability("needs hidden units after an activation function; the network has none")
    if site is not None and site not in sites:
        raise InterpError(f"clouds.site must be one of {', '.join(sites)}; got {site!r}")
    chosen, task = _steps(subject, steps), subject.require_task()
    result, rows = Result(), []
    found: dict[int, Tensor] = {}
    index = torch.linspace(0, len(task.inputs) - 1, min(points, len(task.inputs))).round().long().unique()
    names = _names(subject, index)
    for snapshot in walk(subject, chosen, result.notes):
        values = _activations(snapshot, site or sites[-1], index)
        if not bool(values.isfinite().all()):
            result.notes.append(left_out(snapshot.step, "the activations hold NaN or infinity"))
            continue
        found[snapshot.step] = values
    most = min(perplexity, (len(index) - 1) / 3)
    # limits are set around all threads, so that none lifts another's
    with threadpool_limits(1), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        places = pool.map(lambda values: tsne(values, most, seed), found.values())
        for step, placed in zip(found, places, strict=True):
            rows += [(step, int(i), n, x, y) for i, n, (x, y) in zip(index, names, placed.tolist(), strict=True)]
            result.figures[f"step {step}"] = _draw(placed, names, f"Step {step:,}: {site or sites[-1]}")
    result.tables["points"] = pd.DataFrame(rows, columns=pd.Index(["step", "example", "group", "x", "y"]))
    result.metrics = {"points": len(index), "steps": [int(s) for s in chosen]}
    result.headline = f"t-SNE of {len(index)} examples at steps {', '.join(f'{s:,}' for s in chosen)}"
    if perplexity > (len(index) - 1) / 3:
        result.notes.append(
            f"The perplexity is {(len(index) - 1) / 3:.3g}, a third of the points, instead of {perplexity:g}."
        )
    result.notes.append(
        "t-SNE preserves neighbourhoods; distances between clusters and their sizes carry no information."
    )
    return result


def _steps(subject: Subject, asked: Sequence[int] | None) -> list[int]:
    known = kept_steps(subject)
    if asked is None:
        events = [first_step_above(subject.curves.get(f"{part}_accuracy", []), LEARNT) for part in ("train", "test")]
        reached = [next((s for s in known if s >= e), known[-1]) for e in events if e is not None]
        return sorted({known[0], *reached, known[-1]})
    missing = [s for s in asked if s not in known]
    if missing:
        raise InterpError(
            f"clouds.steps: no checkpoint at {missing[0]}; the run has {len(known)}, from {known[0]} to {known[-1]}"
        )
    return sorted(set(asked))


def _activations(snapshot: Snapshot, site: str, index: Tensor) -> Tensor:
    return snapshot.hidden[site][index.to(snapshot.model.device)]


def _names(subject: Subject, index: Tensor) -> list[str]:
    """The group of every example: for parity its relevant bits, otherwise its label."""
    task = subject.require_task()
    if isinstance(task, SparseParity):
        return ["".join("+" if bit > 0 else "-" for bit in row) for row in task.inputs[index, : task.k].tolist()]
    labels = task.labels[index]
    return [str(int(v)) for v in labels] if labels.ndim == 1 else ["" for _ in labels]


def _draw(placed: Tensor, names: Sequence[str], title: str) -> go.Figure:
    groups = sorted(set(names), key=lambda n: (len(n), n))
    if len(groups) > 2 * len(figures.PALETTE):
        numbers = [groups.index(n) for n in names]
        return figures.scatter(
            placed[:, 0].numpy(), placed[:, 1].numpy(), labels=names, colors=numbers, title=title, x_title="t-SNE 1",
            y_title="t-SNE 2", square=True, color_title="label",
        )  # fmt: skip
    figure = figures.lines({}, title=title, x_title="t-SNE 1", y_title="t-SNE 2")
    for i, group in enumerate(groups):
        rows = [j for j, n in enumerate(names) if n == group]
        color, _, symbol = figures.look(i)
        figure.add_scatter(
            x=placed[rows, 0].numpy(), y=placed[rows, 1].numpy(), mode="markers", name=group,
            marker={"size": 6, "color": color, "symbol": symbol},
        )  # fmt: skip
    return figure.update_layout(height=440).update_yaxes(scaleanchor="x")
