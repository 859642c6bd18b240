"""Slots: a layer's units or heads, what each writes over the task, and the same network with fewer of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError
from interp.hooked import HookedMLP, HookedTransformer
from interp.hooked.base import HookedModel
from interp.subject import Subject, at_readout

ROUNDING = 16  # units of rounding within which a value counts as constant


@dataclass(frozen=True, eq=False)
class Slots:
    """The units, or the heads, of one layer.

    Attributes:
        kind: ``"neurons"`` or ``"heads"``.
        site: their hook point.
        writes: the mean of what each writes, over inputs and positions that count ``[slot, out]``.
        needless: which can be removed without changing anything.
        axes: by parameter the axis that counts the slots; the outgoing weights come last.
        bias: the parameter that takes constants; None where there is none.
    """

    kind: Literal["neurons", "heads"]
    site: str
    writes: Float[Tensor, "slot out"]
    needless: Bool[Tensor, " slot"]
    axes: Mapping[str, int]
    bias: str | None

    @property
    def foldable(self) -> bool:
        """Whether a bias takes the mean of what is removed."""
        return self.bias is not None


def find_slots(subject: Subject) -> list[Slots]:
    """All layers' units and heads, first to last.

    Args:
        subject: with a task.

    Returns:
        one `Slots` for the units, and one for the heads, of each layer.

    Raises:
        InterpError: the model is neither an MLP nor a transformer.
    """
    model = subject.model
    if isinstance(model, HookedMLP):
        described = _of_mlp(model)
    elif isinstance(model, HookedTransformer):
        described = _of_transformer(model)
    else:
        raise InterpError(
            f"prune needs an image network, an MLP or a transformer; {subject.name} is a {type(model).__name__}"
        )
    if not described:
        return []
    reader, weights = at_readout(model, subject.require_task()), dict(model.state_dict())
    found: list[Slots] = []
    ahead: Slots | None = None
    for kind, site, axes, bias in reversed(described):
        acts = capture(reader, subject.require_task().inputs, site, batch_size=4096)[site]
        acts = acts.flatten(0, -2) if kind == "neurons" else acts.flatten(0, -3)  # [n, slot] or [n, head, d_head]
        acts = acts.unsqueeze(-1) if kind == "neurons" else acts
        outgoing = weights[list(axes)[-1]]
        outgoing = outgoing.unsqueeze(1) if kind == "neurons" else outgoing  # [slot, d, out]
        if ahead is not None and isinstance(model, HookedMLP):
            outgoing = outgoing * ~ahead.needless  # weights that lead only to units that are removed
        constant = _constant(acts).all(-1)
        writes = torch.einsum("sd,sdo->so", acts.mean(0), outgoing)
        silent = (outgoing == 0).all(-1).all(-1) | (constant & (acts[0] == 0).all(-1))
        found.append(Slots(kind, site, writes, silent | constant if bias else silent, axes, bias))
        ahead = found[-1]
    return found[::-1]


Described = tuple[Literal["neurons", "heads"], str, dict[str, int], str | None]


def _of_mlp(model: HookedMLP) -> list[Described]:
    c, n, found = model.config, len(model.config.hidden), []
    for i in range(n):
        own = {f"layers.{i}.W": 1, **({f"layers.{i}.b": 0} if c.bias else {})}
        last = i == n - 1
        after, biased = ("unembed.W_U", c.unembed_bias) if last else (f"layers.{i + 1}.W", c.bias)
        bias = ("unembed.b_U" if last else f"layers.{i + 1}.b") if biased else None
        found.append(("neurons", f"layers.{i}.hook_post", {**own, after: 0}, bias))
    return found


def _of_transformer(model: HookedTransformer) -> list[Described]:
    c, found = model.config, []
    for i in range(c.n_layers):
        block = f"blocks.{i}"
        names = ["W_Q", "W_K", "W_V", *(["b_Q", "b_K", "b_V"] if c.attn_bias else []), "W_O"]
        axes = {f"{block}.attn.{name}": 0 for name in names}
        found.append(("heads", f"{block}.attn.hook_z", axes, f"{block}.attn.b_O" if c.attn_bias else None))
        if c.d_mlp is not None:
            mlp = f"{block}.mlp"
            read = ["in", *(["gate"] if c.gated_mlp else [])]
            axes = {f"{mlp}.W_{name}": 1 for name in read}
            axes |= {f"{mlp}.b_{name}": 0 for name in read if c.mlp_bias}
            found.append(
                ("neurons", f"{mlp}.hook_post", {**axes, f"{mlp}.W_out": 0}, f"{mlp}.b_out" if c.mlp_bias else None)
            )
    return found


def _constant(acts: Tensor) -> Tensor:
    """Whether an activation ``[n, ...]`` is the same for all n, to rounding of its own size."""
    size = acts.abs().amax(0)
    return acts.amax(0) - acts.amin(0) <= ROUNDING * torch.finfo(acts.dtype).eps * size


def without(model: HookedModel, slots: Sequence[Slots], kept: Sequence[Tensor]) -> HookedModel:
    """The model with only the slots that are kept; what the others write on average goes into the next bias.

    A transformer's layers have one width: those that keep fewer are padded with weights of 0. No layer is left empty.

    Args:
        model: an MLP or a transformer.
        slots: of all its layers.
        kept: masks, one for each.

    Returns:
        the smaller model.
    """
    weights = {name: w.clone() for name, w in model.state_dict().items()}
    sizes = {s.site: max(1, int(m.sum())) for s, m in zip(slots, kept, strict=True)}
    if isinstance(model, HookedTransformer):
        widest = {
            kind: max((sizes[s.site] for s in slots if s.kind == kind), default=0) for kind in ("neurons", "heads")
        }
        sizes = {s.site: widest[s.kind] for s in slots}
    for s, mask in zip(slots, kept, strict=True):
        if s.bias is not None:
            # a needless unit may write anything to units that are removed as well
            weights[s.bias] += s.writes[~mask].sum(0)
        for name, axis in s.axes.items():
            weights[name] = _resized(weights[name], axis, mask, sizes[s.site])
    return type(model).from_weights(_config(model, slots, sizes), weights).to(model.device)


def _resized(weight: Tensor, axis: int, mask: Tensor, size: int) -> Tensor:
    chosen = weight.index_select(axis, mask.nonzero().squeeze(1))
    shape = list(weight.shape)
    shape[axis] = size - chosen.shape[axis]
    return torch.cat([chosen, weight.new_zeros(shape)], axis)


def _config(model: HookedModel, slots: Sequence[Slots], sizes: Mapping[str, int]):
    if isinstance(model, HookedMLP):
        return replace(model.config, hidden=tuple(sizes[s.site] for s in slots))
    assert isinstance(model, HookedTransformer)
    found = {s.kind: sizes[s.site] for s in slots}
    changes = {"n_heads": found["heads"], **({"d_mlp": found["neurons"]} if "neurons" in found else {})}
    return replace(model.config, **changes)
