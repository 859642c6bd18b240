"""Whole pickled modules, as ``torch.save(model)`` writes them: their tensors, and what their attributes say of the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.tensors import TensorRef

TORCH = "torch.nn.modules."
SEQUENTIAL = f"{TORCH}container.Sequential"
# classes of torch.nn.modules.activation that do not stand between layers
NOT_BETWEEN = {"MultiheadAttention", "Softmax", "LogSoftmax", "Softmin", "Softmax2d"}
ENCODER_LAYER = {1: "relu", 2: "gelu"}  # activation_relu_or_gelu of nn.TransformerEncoderLayer
MOST_TEXT = 200  # characters of an attribute


@dataclass(frozen=True)
class Part:
    """A module in a whole one.

    Attributes:
        name: as in a state dict, with a dot at the end; empty for the whole.
        module: what the pickle says of it.
        parent: the class of the module around it.
    """

    name: str
    module: Stub
    parent: str

    @property
    def own(self) -> Mapping[str, Any]:
        """Its attributes, parameters and submodules among them."""
        return _state(self.module)

    @property
    def tensors(self) -> dict[str, TensorRef]:
        """Its own parameters and buffers, by their whole names."""
        groups = (self.own.get("_parameters"), self.own.get("_buffers"))
        return {
            f"{self.name}{n}": t
            for group in groups
            if isinstance(group, Mapping)
            for n, t in group.items()
            if isinstance(t, TensorRef)
        }

    def attributes(self) -> dict[str, Any]:
        """Its plain attributes, of which those of torch's own modules mean something only where they are listed here."""
        plain = plain_of(self.own)
        cls = self.module.qualified
        if not cls.startswith("torch."):
            return {n: v for n, v in plain.items() if n != "training" and not n.startswith("_")}
        wanted = {
            f"{TORCH}activation.MultiheadAttention": ("num_heads",),
            f"{TORCH}transformer.TransformerEncoderLayer": ("norm_first",),
            f"{TORCH}normalization.LayerNorm": ("eps",),
            f"{TORCH}rnn.RNN": ("mode",),
            f"{TORCH}rnn.RNNCell": ("nonlinearity",),
        }
        return {n: plain[n] for n in wanted.get(cls, ()) if n in plain}

    @property
    def activation(self) -> str | None:
        """The activation function that it is, or has; None if it is none."""
        where, _, name = self.module.qualified.rpartition(".")
        if where == f"{TORCH}activation" and name not in NOT_BETWEEN:
            tanh = name == "GELU" and self.own.get("approximate") == "tanh"
            return "gelu_new" if tanh else name.lower()
        if name in ("TransformerEncoderLayer", "TransformerDecoderLayer"):
            return ENCODER_LAYER.get(self.own.get("activation_relu_or_gelu", 0))
        return None


def plain_of(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """The attributes that are a number, a boolean or a short text, by name."""
    return {
        str(n): v for n, v in attributes.items() if isinstance(v, (bool, int, float, str)) and len(str(v)) < MOST_TEXT
    }


def parts_of(module: Stub) -> list[Part]:
    """All modules of a whole one, in the order in which they were registered.

    Args:
        module: the whole.

    Returns:
        The whole first; every module once.
    """
    return list(_walk(module, "", "", set()))


def _walk(module: Stub, name: str, parent: str, seen: set[int]) -> Iterator[Part]:
    if id(module) in seen:
        return
    seen.add(id(module))
    yield Part(name, module, parent)
    inner = _state(module).get("_modules")
    for key, part in inner.items() if isinstance(inner, Mapping) else ():
        if isinstance(part, Stub):
            yield from _walk(part, f"{name}{key}.", module.qualified, seen)


def _state(module: Stub) -> Mapping[str, Any]:
    state = module.state[1] if isinstance(module.state, tuple) and len(module.state) == 2 else module.state
    return state if isinstance(state, Mapping) else {}


def weights_of(module: Stub) -> dict[str, TensorRef]:
    """Parameters and buffers of a whole module, as its state dict would name them."""
    return {name: tensor for part in parts_of(module) for name, tensor in part.tensors.items()}


def stated_by(module: Stub) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a whole module says of its network beside the weights, as a config would say it; and notes.

    Args:
        module: the whole.

    Returns:
        Attributes on which all modules that have them agree, such as ``num_heads``; ``act_fn`` where there is one activation
        between the layers, ``activations`` where there are several; and a note on an activation behind the last layer.
    """
    parts = parts_of(module)
    values: dict[str, set[Any]] = {}
    for part in parts:
        for name, value in part.attributes().items():
            values.setdefault(name, set()).add(value)
    config = {name: next(iter(held)) for name, held in values.items() if len(held) == 1}
    last = max((i for i, part in enumerate(parts) if part.tensors), default=-1)
    behind = [p for i, p in enumerate(parts) if p.activation and i > last and p.parent == SEQUENTIAL]
    between = list(dict.fromkeys(p.activation for p in parts if p.activation and p not in behind))
    if len(between) == 1:
        config["act_fn"] = between[0]
    elif between:
        config["activations"] = ", ".join(map(str, between))
    elif all(p.module.qualified.startswith(TORCH) for p in parts) and module.qualified == SEQUENTIAL:
        config["act_fn"] = "identity"  # nothing but torch's modules in a row, and none of them an activation
    ends = [str(p.activation) for p in behind]
    notes = (f"the module ends in {ends[-1]}; outputs here are what goes into it",) if ends else ()
    return config, notes
