"""Attention patterns, head by head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError, MissingCapability, require_range
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject
from interp.tasks import BinaryOperation, Task
from probes.plots import panels

if TYPE_CHECKING:
    import plotly.graph_objects as go

AVERAGED = 1024  # inputs in the mean, evenly chosen
POSITIONS = 64  # queries and keys that are shown
LABELLED = 16  # positions up to which the hover names tokens


def attention(
    subject: Subject | HookedModel, inputs: Tensor | None = None, *, layer: int | Sequence[int] | None = None,
    head: int | Sequence[int] | None = None, examples: int = 8,
) -> go.Figure:  # fmt: skip
    """Attention patterns, a panel for each head: which position (down) reads from which (across).

    Args:
        subject: a network with attention; a Subject with a task, or a hooked model with ``inputs``.
        inputs: tokens ``[batch, pos]``; by default the task's.
        layer: number of the layer, or several; all by default.
        head: number of the head, or several; all by default.
        examples: single inputs that a slider offers beside the mean over all; 0 for none.

    Returns:
        heat maps of the mean pattern. The hover names the positions, and for a single input its tokens.

    Raises:
        MissingCapability: neither a task nor inputs.
        InterpError: a network without attention patterns, no such layer or head, or more than 32 panels.

    >>> import interp
    >>> config = interp.TransformerConfig(1, 8, 2, 4, d_vocab=6, d_vocab_out=5, n_ctx=3)
    >>> model = interp.HookedTransformer(config).init_weights(seed=0)
    >>> len(attention(model, torch.tensor([[1, 2, 5]])).data)
    2
    """
    subject = as_subject(subject)
    require_range("examples", examples, 0, 64)
    if inputs is None and subject.task is None:
        raise MissingCapability(f"{subject.name}: attention needs a task, or inputs=tokens [batch, pos]")
    given = subject.require_task().inputs if inputs is None else inputs
    own = subject.task if inputs is None else None
    found = _patterns(subject.model, _evenly(given, AVERAGED), layer, head)
    few = _evenly(given, examples) if examples else given[:0]
    single = _patterns(subject.model, few, layer, head) if len(few) else {}
    figure = panels.grid(list(found), title=f"Attention: mean over {min(len(given), AVERAGED):,} inputs")
    roles = _roles(own, next(iter(found.values())).shape[-1])
    for i, (name, pattern) in enumerate(found.items()):
        n = min(POSITIONS, pattern.shape[-1])
        figure.add_heatmap(
            z=_rounded(pattern.mean(0)), x=list(range(n)), y=list(range(min(POSITIONS, pattern.shape[-2]))),
            text=_texts(roles, pattern), coloraxis="coloraxis", name=name,
            hovertemplate="%{text}: %{z:.3f}<extra>%{fullData.name}</extra>", **panels.place(i, len(found)),
        )  # fmt: skip
    ticks: dict[str, Any] = {"tickvals": list(range(len(roles))), "ticktext": roles} if len(roles) <= LABELLED else {}
    panels.square(figure).update_xaxes(**ticks).update_yaxes(**ticks)
    bar = {"title": {"text": "attention", "side": "right"}, "thickness": 12}
    figure.update_layout(coloraxis={"colorscale": "Blues", "cmin": 0, "cmax": 1, "colorbar": bar})
    if single:
        _add_slider(figure, found, single, few, roles, own)
    return figure


def _patterns(model: HookedModel, inputs: Tensor, layer: Any, head: Any) -> dict[str, Tensor]:
    """Patterns ``[batch, query, key]`` by the name of the head."""
    sites = [n for n in model.hook_dict if {"query", "key"} <= set(model.axes_of(n)) and "pattern" in n]
    if not sites:
        raise InterpError(
            f"a {type(model).__name__} has no attention patterns: no hook point has the axes query and key"
        )
    chosen = _chosen("layer", layer, len(sites))
    taken = capture(model, inputs, [sites[i] for i in chosen])
    found: dict[str, Tensor] = {}
    for i in chosen:
        axes, values = model.axes_of(sites[i]), taken[sites[i]]
        order = [axes.index(a) for a in ("batch", "head", "query", "key") if a in axes]
        values = values.permute(order) if "head" in axes else values.permute(order)[:, None]
        for j in _chosen("head", head, values.shape[1]):
            found[f"L{i}H{j}"] = values[:, j, :POSITIONS, :POSITIONS]
    if len(found) > panels.MOST:
        raise InterpError(
            f"{len(found)} heads are more than the {panels.MOST} panels of a figure: choose layer= or head="
        )
    return found


def _chosen(what: str, given: Any, count: int) -> list[int]:
    if given is None:
        return list(range(count))
    numbers = [given] if isinstance(given, int) else list(given)
    for n in numbers:
        if isinstance(n, bool) or not isinstance(n, int) or not -count <= n < count:
            raise InterpError(f"{what} must be a number from 0 to {count - 1}, got {n!r}")
    return [n % count for n in numbers]


def _evenly(inputs: Tensor, most: int) -> Tensor:
    """At most so many inputs, evenly spaced."""
    if not isinstance(inputs, Tensor):
        raise InterpError(f"inputs must be a tensor of tokens [batch, pos], got {type(inputs).__name__}")
    if len(inputs) <= most:
        return inputs
    return inputs[torch.linspace(0, len(inputs) - 1, most).round().long()]


def _rounded(pattern: Tensor) -> list[list[float]]:
    return [[round(v, 4) for v in row] for row in pattern.double().cpu().tolist()]


def _roles(task: Task | None, positions: int) -> list[str]:
    """What stands at each position, as far as the task says."""
    if isinstance(task, BinaryOperation) and len(task.items) == positions:
        return list(task.items)
    return [str(i) for i in range(positions)]


def _tokens(row: Tensor, roles: Sequence[str], task: Task | None) -> list[str]:
    """The tokens of one input, as the task writes them."""
    if row.is_floating_point() or row.ndim != 1:
        return list(roles)
    symbols = task.n_symbols if isinstance(task, BinaryOperation) else None
    plain = [str(t) for t in row.tolist()]
    if symbols is None or len(plain) != len(roles):
        return plain
    return [role if int(t) >= symbols else f"{role}={t}" for t, role in zip(plain, roles, strict=True)]


def _texts(labels: Sequence[str], pattern: Tensor) -> list[list[str]]:
    """For the hover: what reads what."""
    queries, keys = (min(POSITIONS, n) for n in pattern.shape[-2:])
    if max(queries, keys) > LABELLED or len(labels) < max(queries, keys):
        return [[f"{q} reads {k}" for k in range(keys)] for q in range(queries)]
    first = len(labels) - queries if queries < len(labels) else 0  # a model may compute the last position alone
    return [[f"{labels[first + q]} reads {labels[k]}" for k in range(keys)] for q in range(queries)]


def _add_slider(
    figure: go.Figure,
    mean: dict[str, Tensor],
    single: dict[str, Tensor],
    few: Tensor,
    roles: list[str],
    task: Task | None,
) -> None:
    """A step for the mean, and one for each single input."""
    steps = []
    for i in range(-1, len(few)):
        values = {n: p.mean(0) for n, p in mean.items()} if i < 0 else {n: p[i] for n, p in single.items()}
        labels = roles if i < 0 else _tokens(few[i], roles, task)
        text = [_texts(labels, p) for p in values.values()]
        label = "mean" if i < 0 else " ".join(t.split("=", 1)[-1] or t for t in labels[:8])
        steps.append({
            "method": "restyle", "label": label, "args": [{"z": [_rounded(p) for p in values.values()], "text": text}],
        })  # fmt: skip
    figure.update_layout(
        sliders=[{"steps": steps, "currentvalue": {"prefix": "input: "}, "pad": {"t": 40}, "active": 0}],
        height=figure.layout.height + 90, margin_b=40,
    )  # fmt: skip
