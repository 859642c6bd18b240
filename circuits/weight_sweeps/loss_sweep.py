"""Weight sweeps of any network with a task: loss and accuracy along single entries and random directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import pandas as pd
import torch
from torch import Tensor

from circuits.findings import EffectTable
from circuits.weight_sweeps.directions import Direction, as_steps
from circuits.weight_sweeps.stacked_scores import MAX_BYTES, StackedScores
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go


class LossSweep(EffectTable):
    """Loss and accuracy along each direction, as a DataFrame that follows `circuits.findings.Findings`."""

    @property
    def _constructor(self) -> type[LossSweep]:
        return LossSweep

    def figure(self) -> go.Figure:
        """Change of the loss by step, a line for each direction."""
        from interp.report import figures

        drawn = figures.lines(
            {},
            title="Loss along each direction",
            x_title="step along the direction",
            y_title="loss, changed minus clean",
        )
        for name, own in self.rows.sort_values(["direction", "step"]).groupby("direction", sort=False):
            drawn.add_scatter(
                x=own["step"], y=own["loss_change"], mode="lines+markers", line={"width": 0.7, "color": figures.GREY},
                text=own["name"], name=str(name), showlegend=False,
            )  # fmt: skip
        return drawn


@with_bar
@torch.no_grad()
def loss_sweep(
    subject: Subject | HookedModel,
    directions: Sequence[Direction],
    steps: Sequence[float] | Tensor = (-1.0, 1.0),
    part: Literal["train", "test", "all"] = "all",
    max_bytes: int = MAX_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> LossSweep:
    """Weight sweep: loss and accuracy of a network whose weights are moved along each direction.

    What precedes the changed weights is computed once for all directions in the same matrix.

    Args:
        subject: with a task.
        directions: `circuits.single_entries` or `circuits.random_directions` of its model.
        steps: how far, for all directions ``[step]``, or for each ``[direction, step]``.
        part: of the examples: ``"train"``, ``"test"`` or ``"all"``.
        max_bytes: working memory: as many changed networks and examples run at once as fit.
        progress: called with (directions done, directions in all). By default a notebook shows a bar; False
            leaves it out.

    Returns:
        A DataFrame with a row per direction and step: ``direction``, ``name``, ``step``, ``loss`` (mean, in float64),
        ``accuracy`` (NaN for a regression), and their difference from the unchanged network's, ``loss_change`` and
        ``accuracy_change``. It follows `circuits.findings.Findings`.

    Raises:
        MissingCapability: no task is known.
        UnknownName: another part.
        InterpError: no directions, steps of another shape, or a part without examples.
    """
    subject, directions = as_subject(subject), list(directions)
    given, scores = as_steps(steps, len(directions)), StackedScores.of(subject, part, max_bytes)
    weights = {n: p.detach() for n, p in scores.model.named_parameters()}
    base = scores.of_model().mean(0)
    found = torch.zeros(*given.shape, 2, dtype=torch.float64)
    groups: dict[str | None, list[int]] = {}
    for i, direction in enumerate(directions):
        groups.setdefault(direction.parameter, []).append(i)
    done, shown = 0, told("directions", progress)
    for own in groups.values():
        changed_bytes = 4 * sum(t.nbytes for t in directions[own[0]].changes(weights).values())
        networks, n = scores.at_once(changed_bytes)
        size = max(1, networks // given.shape[1])
        for start in range(0, len(own), size):
            ids = own[start : start + size]
            moved = _moved(weights, [directions[i] for i in ids], given[ids])
            found[ids] = scores.of_stack(weights, moved, n).mean(1).unflatten(0, (len(ids), -1))
            done += len(ids)
            shown(done, len(directions))
    k = given.shape[1]
    flat = found.flatten(0, 1)
    frame = pd.DataFrame(
        {
            "direction": [i for i in range(len(directions)) for _ in range(k)],
            "name": [str(d) for d in directions for _ in range(k)],
            "step": given.flatten().numpy(),
            "loss": flat[:, 0].numpy(), "accuracy": flat[:, 1].numpy(),
            "loss_change": (flat[:, 0] - base[0]).numpy(), "accuracy_change": (flat[:, 1] - base[1]).numpy(),
        }
    )  # fmt: skip
    clean = {"loss": float(base[0])} | ({"accuracy": float(base[1])} if scores.judged else {})
    made = LossSweep(frame)
    made.attrs = {"clean": clean, "label": "name", "part": part}
    return made


def _moved(weights: dict[str, Tensor], directions: Sequence[Direction], steps: Tensor) -> dict[str, Tensor]:
    """The parameters that move, ``[direction * step, ...]``; all directions lie in the same ones."""
    changes = [d.changes(weights) for d in directions]
    moved = {}
    for name in changes[0]:
        change = torch.stack([c[name] for c in changes]).unsqueeze(1)  # [direction, 1, ...]
        factor = steps.to(change).reshape(*steps.shape, *[1] * (change.ndim - 2))
        moved[name] = (weights[name] + factor * change).flatten(0, 1)
    return moved
