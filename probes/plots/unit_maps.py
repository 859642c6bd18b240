"""Activations of hidden units over the input table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError, kind_of
from interp.hooked.base import HookedModel
from interp.report import figures
from interp.sites import Site, hidden_sites, resolve_sites
from interp.subject import Subject, as_subject
from probes.plots import panels
from probes.plots.input_grid import InputGrid, input_grid

if TYPE_CHECKING:
    import plotly.graph_objects as go

NAME = re.compile(r"L(\d+)N(\d+)")
MOST = 16  # units in a figure


def unit(subject: Subject | HookedModel, unit: int | str | Sequence[int | str], site: str | None = None) -> go.Figure:
    """The activation of one unit, or of several, over the input table: first operand down, second across.

    Args:
        subject: with a task on two symbols.
        unit: its number, or its name ``"L0N13"`` as in a table of ablations; or several of them, a panel each.
        site: hook point with the units; by default the first hidden layer's.

    Returns:
        a heat map for each unit, at the position where the answer is read. Of many symbols every second, third, ... is shown.

    Raises:
        MissingCapability: no task is known, or one that has no table of pairs.
        UnknownSite: no such hook point.
        InterpError: no such unit, too many of them, or a hook point without units.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> figure = unit(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)), [0, "L0N7"])
    >>> [trace.z.shape for trace in figure.data]
    [(5, 5), (5, 5)]
    """
    subject = as_subject(subject)
    grid = input_grid(subject.require_task())
    wanted = [_parsed(subject, one, site) for one in ([unit] if isinstance(unit, (int, str)) else _several(unit))]
    names = [f"{name} {number}" for name, number in wanted]
    maps = torch.cat([_maps(subject, grid, name, number) for name, number in wanted])
    if len(wanted) == 1:
        drawn = figures.heatmap(
            maps[0].numpy(), title=f"{names[0]} over the input table{grid.thinned}", x=grid.symbols, y=grid.symbols,
            x_title="b", y_title="a", unit="activation", height=460,
        )  # fmt: skip
        return panels.square(panels.shown(drawn.update_traces(hovertemplate="a %{y}, b %{x}: %{z:.4g}<extra></extra>")))
    figure = panels.grid(names, title=f"Units over the input table, a down and b across{grid.thinned}")
    for i, one in enumerate(maps):
        figure.add_heatmap(
            z=one.numpy(), x=grid.symbols, y=grid.symbols, coloraxis="coloraxis",
            hovertemplate="a %{y}, b %{x}: %{z:.4g}<extra></extra>", **panels.place(i, len(maps)),
        )  # fmt: skip
    bar = {"title": {"text": "activation", "side": "right"}, "thickness": 12}
    return panels.square(figure).update_layout(coloraxis={"colorscale": "Viridis", "colorbar": bar})


def _several(units: Sequence[int | str]) -> list[int | str]:
    try:
        found = list(units)
    except TypeError:
        raise InterpError(f"a unit is a number or a name such as 'L0N13', got {kind_of(units)}") from None
    if not 0 < len(found) <= MOST:
        raise InterpError(f"a figure shows 1 to {MOST} units, got {len(found)}")
    return found


def _parsed(subject: Subject, given: int | str, site: str | None) -> tuple[str, int]:
    """The hook point and the number of a unit."""
    sites = hidden_sites(subject.model)
    if isinstance(given, str):
        match = NAME.fullmatch(given)
        if match is None or int(match[1]) >= len(sites):
            raise InterpError(
                f"a unit is a number or a name such as 'L0N13' (of {len(sites)} hidden layers), got {given!r}"
            )
        return sites[int(match[1])], int(match[2])
    if isinstance(given, bool) or not isinstance(given, int):
        raise InterpError(f"a unit is a number or a name such as 'L0N13', got {kind_of(given)}")
    if site is None and not sites:
        raise InterpError(f"{subject.name} has no hidden layer: name a hook point with site=")
    return resolve_sites(subject.model, site or sites[0])[0].name, given


def _maps(subject: Subject, grid: InputGrid, name: str, number: int) -> Tensor:
    """A unit over the table ``[1, row, column]``."""
    task, model = subject.require_task(), subject.model.cast(subject.precision)
    axes = model.axes_of(name)
    if axes[0] != "batch" or "unit" not in axes or "head" in axes:
        raise InterpError(f"{name} has no units of one number: its axes are {', '.join(axes)}")
    pos = (task.readout if task.readout is not None else -1) if "pos" in axes else None
    taken = capture(model, task.inputs[grid.examples], Site(name, pos=pos, unit=number))
    values = next(iter(taken.values()))
    if values.ndim > 1:
        raise InterpError(f"{name} has more axes than units and a position: {', '.join(axes)}")
    return grid.fill(values)[None]
