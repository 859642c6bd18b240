"""Direct logit attribution over the input table: what each component adds to the right answer's logit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError, MissingCapability, UnknownName, kind_of, unknown
from interp.hooked import HookedMLP, HookedModel, HookedTransformer
from interp.report import figures
from interp.subject import Subject, as_subject
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
    together give the logit.

    Args:
        subject: a transformer or an MLP of the suite, with a task on two symbols.
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


@torch.no_grad()
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
    inputs, labels = task.inputs[grid.examples], task.labels[grid.examples].to(model.device)
    if isinstance(model, HookedTransformer):
        written = _of_transformer(model, inputs, task.readout if task.readout is not None else -1)
        bias = getattr(model.unembed, "b_U", None)
    elif isinstance(model, HookedMLP):
        post = f"layers.{len(model.config.hidden) - 1}.hook_post"
        units = capture(model, inputs, post)[post]
        W_U = model.unembed.W_U[:, : task.width]
        found = {f"L{len(model.config.hidden) - 1}N{i}": _read(units[:, i, None], W_U[i, None], labels, centred)
                 for i in range(units.shape[1])}  # fmt: skip
        return found | _bias(getattr(model.unembed, "b_U", None), task.width, labels, centred)
    else:
        raise InterpError(
            f"{subject.name}: direct effects on logits are of a transformer or an MLP of the suite, this is a "
            f"{type(model).__name__}"
        )
    W_U = model.unembed.W_U[:, : task.width]
    found = {name: _read(one, W_U, labels, centred) for name, one in written.items()}
    return found | _bias(bias, task.width, labels, centred)


def _read(written: Tensor, W_U: Tensor, labels: Tensor, centred: bool) -> Tensor:
    """Logits of the right answers from what is written ``[example, d]``."""
    directions = W_U.T[labels] - (W_U.mean(1) if centred else 0)
    return (written * directions).sum(-1)


def _bias(bias: Tensor | None, width: int, labels: Tensor, centred: bool) -> dict[str, Tensor]:
    if bias is None:
        return {}
    own = bias[:width]
    return {"bias": own[labels] - (own.mean() if centred else 0)}


def _of_transformer(model: HookedTransformer, inputs: Tensor, position: int) -> dict[str, Tensor]:
    """What each component writes into the stream at the position that is read, after the final norm's scale."""
    config = model.config
    if config.post_norm:
        raise InterpError(
            "norms after the residual stream (post_norm) leave no direct effects that add up to the logit"
        )
    wanted = ["hook_embed", *(["hook_pos_embed"] if config.positions else [])]
    wanted += [f"blocks.{i}.{name}" for i in range(config.n_layers) for name in ("attn.hook_z", "hook_mlp_out")]
    scaled = config.normalization is not None and config.final_norm
    taken = capture(model, inputs, [n for n in wanted if n in model.hook_dict] + ["ln_final.hook_scale"] * scaled)

    def at(name: str) -> Tensor:
        one = taken[name]
        return one[:, 0] if one.shape[1] == 1 else one[:, position]  # the last block may compute one position alone

    parts = {n.removeprefix("hook_"): at(n) for n in wanted[: 1 + config.positions]}
    for i in range(config.n_layers):
        attention = model.block(i).attention
        z, W_O = at(f"blocks.{i}.attn.hook_z"), attention.W_O
        parts |= {f"L{i}H{h}": z[:, h] @ W_O[h] for h in range(config.n_heads)}
        if (b_O := getattr(attention, "b_O", None)) is not None:
            parts[f"L{i} attention bias"] = b_O.expand(len(z), -1)
        if f"blocks.{i}.hook_mlp_out" in taken:
            parts[f"L{i} mlp"] = at(f"blocks.{i}.hook_mlp_out")
    if not scaled:
        return parts
    scale = at("ln_final.hook_scale")
    return _normed(model, parts, scale)


def _normed(model: HookedTransformer, parts: dict[str, Tensor], scale: Tensor) -> dict[str, Tensor]:
    """What reaches the unembedding of each part: centred, over the stream's scale, times the norm's weights."""
    norm = model.ln_final
    w, b = getattr(norm, "w", None), getattr(norm, "b", None)
    made = {}
    for name, part in parts.items():
        part = part if model.config.normalization == "RMS" else part - part.mean(-1, keepdim=True)
        made[name] = part / scale * (1.0 if w is None else w)
    return made if b is None else made | {"final norm's bias": b.expand(len(scale), -1)}
