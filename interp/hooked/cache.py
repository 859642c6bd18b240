"""The cache of a forward pass: a dict of activations that also answers to TransformerLens's short names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, UnknownSite, nearest
from interp.hooked.residual_stream import ResidualStream

ALIASES = {  # TransformerLens's, of `transformer_lens.utils.get_act_name`
    "attn": "pattern", "attn_logits": "attn_scores", "key": "k", "query": "q", "value": "v", "mlp_pre": "pre",
    "mlp_mid": "mid", "mlp_post": "post",
}  # fmt: skip
KINDS = {"a": "attn", "m": "mlp", "b": "block"}
SHOWN = 40  # activations in a repr
WITH_LAYER = re.compile(r"([a-z_]+?)(\d+)([a-z]?.*)")  # k6, scale4ln1


class NoSuchActivation(UnknownSite, KeyError):
    """A name that the cache does not hold; a KeyError too, as of every dict."""

    __str__ = BaseException.__str__  # a KeyError's is its message in quotes


class ActivationCache(ResidualStream, dict[str, Tensor]):
    """Activations by the name of their hook point, as `HookedModel.run_with_cache` gives them.

    As in TransformerLens, ``cache["q", 0]`` is ``cache["blocks.0.attn.hook_q"]``, ``cache["pattern", -1]`` the last layer's,
    ``cache["scale", 0, "ln1"]`` that of one norm, and ``cache["embed"]`` is ``cache["hook_embed"]``.

    Of a transformer it also gives what its components wrote into the residual stream: `decompose_resid`, `accumulated_resid`,
    `stack_head_results`, `stack_neuron_results`, `logit_attrs`, `apply_ln_to_stack`.

    Args:
        values: by name.
        model: that they are of; its weights are read when a method needs them.
        has_batch_dim: whether the first axis is the batch.
    """

    def __init__(
        self, values: Mapping[str, Tensor] = MappingProxyType({}), model: Any = None, has_batch_dim: bool = True
    ):
        super().__init__(values)
        self.model, self.has_batch_dim = model, has_batch_dim

    if TYPE_CHECKING:  # a dict of str takes str alone

        @override
        def __getitem__(self, key: Any, /) -> Tensor: ...

    def __missing__(self, key: Any) -> Tensor:
        return super().__getitem__(full_name(key, self))

    def to(self, device: torch.device | str) -> ActivationCache:
        """The same activations on a device."""
        return ActivationCache({n: value.to(device) for n, value in self.items()}, self.model, self.has_batch_dim)

    def stack_activation(self, name: str) -> Tensor:
        """One activation of every layer.

        Args:
            name: short, such as ``"resid_pre"``.

        Returns:
            ``[layer, ...]``.

        Raises:
            NoSuchActivation: no layer has it.
            InterpError: layers in which it has different shapes.
        """
        layers = sorted(n for n in map(layer_of, self) if n is not None)
        found = [self[name, layer] for layer in dict.fromkeys(layers) if matches(self, name, layer)]
        if not found:
            raise NoSuchActivation(_missing(name, self))
        if len({one.shape for one in found}) > 1:
            raise InterpError(f"{name} has another shape in each layer: {[list(one.shape) for one in found]}")
        return torch.stack(found)

    @override
    def __repr__(self) -> str:
        lines = [f"  {name} {list(value.shape)}" for name, value in list(self.items())[:SHOWN]]
        if len(self) > SHOWN:
            lines.append(f"  and {len(self) - SHOWN:,} more")
        size = sum(v.numel() * v.element_size() for v in self.values())
        return "\n".join([f"ActivationCache of {len(self)} activations, {size / 2**20:,.1f} MiB", *lines])


def full_name(key: Any, known: Iterable[str]) -> str:
    """The hook point that a name stands for.

    Args:
        key: its full name; a short one, such as ``"embed"`` or ``"q0"``; or a short name and a layer, perhaps with the part of
            the layer: ``("q", 0)``, ``("scale", 0, "ln1")``.
        known: names of hook points.

    Returns:
        the full name.

    Raises:
        NoSuchActivation: none of the known names, or more than one.

    >>> names = ["hook_embed", "blocks.0.attn.hook_q", "blocks.1.attn.hook_q", "blocks.0.mlp.hook_post"]
    >>> full_name(("q", -1), names), full_name("embed", names), full_name("post0", names)
    ('blocks.1.attn.hook_q', 'hook_embed', 'blocks.0.mlp.hook_post')
    """
    known = list(known)
    if isinstance(key, str):
        if key in known:
            return key
        split = WITH_LAYER.fullmatch(key)
        found = matches(known, key, None)
        if not found and split:
            found = matches(known, split[1], int(split[2]), split[3] or None)
    elif isinstance(key, tuple) and len(key) in (2, 3) and isinstance(key[0], str):
        found = matches(known, *key)
    else:
        raise NoSuchActivation(
            f"an activation is named by a text, or by a text and a layer such as ('q', 0); got {key!r}"
        )
    if len(found) != 1:
        raise NoSuchActivation(
            f"{key!r} could be {', '.join(found[:4])}: name the layer, as in ('q', 0), or the whole hook point" if found
            else _missing(key, known)
        )  # fmt: skip
    return found[0]


def matches(known: Iterable[str], name: str, layer: Any, part: str | None = None) -> list[str]:
    """The hook points with a short name.

    Args:
        known: names of hook points.
        name: short, with or without ``hook_``.
        layer: its number, -1 for the last; None for any, and for hook points outside the layers.
        part: of the layer, such as ``"ln1"``, ``"attn"`` or ``"mlp"``.

    Returns:
        full names; several where more than one fits.
    """
    known = list(known)
    own = name.removeprefix("hook_")
    ends = {f"hook_{own}", f"hook_{ALIASES.get(own, own)}"}
    if layer is not None:
        numbers = [n for n in map(layer_of, known) if n is not None]
        if not isinstance(layer, int) or not numbers:
            return []
        layer = max(numbers) + 1 + layer if layer < 0 else layer
    part = KINDS.get(part or "", part)
    found = [k for k in known if k.rsplit(".", 1)[-1] in ends and (layer is None or layer_of(k) == layer)]
    return [k for k in found if part in (None, "block") or part in k.split(".")]


def layer_of(name: str) -> int | None:
    """The number of the layer in a hook point's name; None outside the layers."""
    return next((int(piece) for piece in name.split(".") if piece.isdigit()), None)


def _missing(key: Any, known: Iterable[str]) -> str:
    known = list(known)
    name = str(key[0]) if isinstance(key, tuple) and key else str(key)
    close = nearest(name, known) or [k for k in known if name in k][:3]
    hint = f"; nearest: {', '.join(close)}" if close else ""
    return f"no activation {key!r} in the cache{hint} ({len(known)} in all: list(cache))"
