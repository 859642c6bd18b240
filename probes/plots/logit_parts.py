"""Direct logit attribution over the input table: what each component adds to the right answer's logit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, MissingCapability, UnknownName, kind_of, unknown
from interp.hooked import HookedMLP, HookedModel
from interp.report import figures
from interp.subject import Subject, as_subject
from probes.direct_effects import Question, direct_effects
from probes.plots import panels
from probes.plots.input_grid import InputGrid, input_grid

if TYPE_CHECKING:
    import plotly.graph_objects as go


def logit_attribution(
    subject: Subject | HookedModel, component: str | Sequence[str] | None = None, *, centred: bool = False
) -> go.Figure:
    """What each component adds directly to the right answer's logit, over the input table (a down, b across).

    A transformer's logits are a sum over what each component writes into the residual stream, times the unembedding; a final
    norm divides by the scale that the whole stream has. An MLP's are the sum over its last hidden units. All components
    together give the logit. `circuits.logit_attribution` gives the numbers, by neuron and by position too.

    Args:
        subject: a transformer, a wrapped bridge or an MLP, with a task on two symbols.
        component: ``"embed"``, ``"pos_embed"``, a head ``"L0H1"``, an MLP ``"L0 mlp"``, ``"bias"``; of an MLP a unit of its last
            layer, ``"L0N13"``; or several, a panel each. By default every component of a transformer, and the eight units of
            an MLP that vary most.
        centred: subtract what the component adds to the average logit, which softmax ignores.

    Returns:
        a heat map for each component, all on one scale of colours.

    Raises:
        MissingCapability: no task is known, or one without a table of pairs or without logits.
        UnknownName: no such component; the nearest are named.
        InterpError: another kind of network, norms after the residual stream, or more than 32 components.

    Elhage et al. 2021, A Mathematical Framework for Transformer Circuits,
    https://transformer-circuits.pub/2021/framework/index.html.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> subject = interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model))
    >>> [trace.z.shape for trace in logit_attribution(subject, ["L0N1", "bias"]).data]
    [(5, 5), (5, 5)]
    """
    subject = as_subject(subject)
    grid = input_grid(subject.require_task())
    parts = logit_parts(subject, grid, centred)
    chosen = _chosen(component, parts, subject)
    maps = {name: grid.fill(parts[name]) for name in chosen}
    what = "logit of the right answer" + (", less the mean of all logits" if centred else "")
    reach = max(float(one.nan_to_num(0).abs().max()) for one in maps.values())
    hover = "a %{y}, b %{x}: %{z:.4g}<extra></extra>"
    if len(maps) == 1:
        (name, one), *_ = maps.items()
        drawn = figures.heatmap(
            one.numpy(), title=f"{name}: direct effect on the {what}{grid.thinned}", x=grid.symbols, y=grid.symbols,
            x_title="b", y_title="a", height=460,
        )  # fmt: skip
        drawn.update_traces(coloraxis="coloraxis", hovertemplate=hover)
        return panels.square(panels.shown(drawn)).update_layout(coloraxis=panels.signed_axis(reach, "logit"))
    figure = panels.grid(list(maps), title=f"Direct effect on the {what}{grid.thinned}")
    for i, one in enumerate(maps.values()):
        figure.add_heatmap(
            z=one.float().numpy(), x=grid.symbols, y=grid.symbols, coloraxis="coloraxis", hovertemplate=hover,
            **panels.place(i, len(maps)),
        )  # fmt: skip
    return panels.square(figure).update_layout(coloraxis=panels.signed_axis(reach, "logit"))


def _chosen(given: str | Sequence[str] | None, parts: dict[str, Tensor], subject: Subject) -> list[str]:
    if given is None:
        names = list(parts)
        if isinstance(subject.model, HookedMLP):
            names = sorted(parts, key=lambda n: -float(parts[n].std(correction=0)))[:8]
        names = names if len(names) <= panels.MOST else sorted(names, key=lambda n: -float(parts[n].abs().mean()))
        return names[: panels.MOST]
    if not isinstance(given, (str, list, tuple)):
        raise InterpError(f"a component is a name such as 'L0H1', or a list of names, got {kind_of(given)}")
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if name not in parts:
            raise UnknownName(unknown("component", name, parts))
    if not 0 < len(names) <= panels.MOST:
        raise InterpError(f"a figure shows 1 to {panels.MOST} components, got {len(names)}")
    return names


def logit_parts(subject: Subject, grid: InputGrid, centred: bool = False) -> dict[str, Float[Tensor, "example"]]:
    """What each component adds to the right answer's logit.

    Args:
        subject: a transformer or an MLP, with a task that has logits.
        grid: which examples.
        centred: subtract what it adds to the mean logit.

    Returns:
        by component, for each example of the grid; their sum is the logit.

    Raises:
        MissingCapability: a task whose answers have no logits.
        InterpError: another kind of network.
    """
    task, model = subject.require_task(), subject.model.cast(subject.precision)
    if not task.criterion.logits:
        raise MissingCapability(f"{task.name}: the loss {task.loss} has no logit of the right answer")
    position = task.readout if task.readout is not None else -1
    question = Question(task.labels[grid.examples], None, position, task.width, centred)
    parts, _ = direct_effects(model, task.inputs[grid.examples], question)
    return {name: part.values[:, i] for part in parts for i, name in enumerate(part.names)}
