"""What the config in a Keras file says of the network: its layers in their order, and what they compute besides products."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

UNORDERED = "names, not the order of the layers"  # what a file is sorted by, in its metadata under "order"
WITH_WEIGHTS = {"Dense", "Embedding", "SimpleRNN", "LSTM", "GRU", "Bidirectional"}
NOTHING = {  # in evaluation these pass on what they get
    "InputLayer", "Dropout", "Flatten", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization", "Masking",
}  # fmt: skip
ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}


@dataclass(frozen=True)
class Described:
    """What a config says.

    Attributes:
        order: places of the layers in the file, first to last; both by their names and by the numbers of their classes.
        config: settings as a training config has them: ``act_fn``, or why the layers do not form a chain.
        notes: what comes behind the last layer.
    """

    order: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def described(text: str | None) -> Described:
    """Read a Keras config.

    Args:
        text: JSON, as the file holds it; None without one.

    Returns:
        What it says; nothing if the text is not a config.
    """
    try:
        model = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return Described()
    layers = list(_layers(model, 0))
    if not layers:
        return Described()
    held = [(cls, settings) for cls, settings in layers if cls in WITH_WEIGHTS]
    functions = _activations(layers)
    others = list(dict.fromkeys(cls for cls, _ in layers if cls not in WITH_WEIGHTS | NOTHING | ACTIVATIONS))
    config: dict[str, Any] = {}
    between = list(dict.fromkeys(f for f, (cls, _) in zip(functions[:-1], held[:-1], strict=True) if cls == "Dense"))
    if len(between) == 1:
        config["act_fn"] = between[0]
    elif between:
        config["activations"] = ", ".join(between)
    if others:
        config["other_layers"] = ", ".join(others[:4])
    elif len(_outputs(model)) > 1:
        config["other_layers"] = "several outputs"
    last = functions[-1] if functions else "linear"
    notes = () if last == "linear" else (f"the network ends in {last}; outputs here are what goes into it",)
    return Described(tuple(_places(layers)), config, notes)


def _layers(model: Any, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Class and settings of every layer, those of models in models among them."""
    settings = model.get("config") if isinstance(model, Mapping) else None
    layers = settings.get("layers") if isinstance(settings, Mapping) else None
    for layer in layers if isinstance(layers, list) and depth < 5 else ():
        if not isinstance(layer, Mapping):
            continue
        cls, own = str(layer.get("class_name")), layer.get("config")
        own = own if isinstance(own, Mapping) else {}
        if "layers" in own:
            yield from _layers(layer, depth + 1)
        else:
            yield cls, own


def _outputs(model: Any) -> list[Any]:
    """The outputs of a functional model: a layer, a number and a number each."""
    outputs = model["config"].get("output_layers")
    nested = isinstance(outputs, list) and outputs and isinstance(outputs[0], list)
    return outputs if nested else []


def _activations(layers: list[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The function behind each layer with weights: its own, or that of a layer for it."""
    found: list[str] = []
    for cls, settings in layers:
        own = str(settings.get("activation", "linear"))
        if cls in WITH_WEIGHTS:
            found.append(own if cls == "Dense" else "linear")
        elif cls in ACTIVATIONS and found:
            own = own if cls == "Activation" else cls.lower()
            found[-1] = own if found[-1] == "linear" else f"{found[-1]} and {own}"
    return found


def _places(layers: list[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Names of layers as files have them: their own, and ``dense``, ``dense_1`` by class."""
    seen: Counter[str] = Counter()
    for cls, settings in layers:
        yield str(settings.get("name"))
        kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls).lower()
        yield kind + (f"_{seen[kind]}" if seen[kind] else "")
        seen[kind] += 1
