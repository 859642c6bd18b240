"""The activation function that a training config states, whatever it calls the setting and the function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from interp.hooked.activation_functions import ACTIVATIONS

SETTINGS = (
    "act_fn", "activation", "activation_function", "hidden_act", "act", "act_type", "mlp_activation", "nonlinearity",
    "non_linearity", "non_lin", "activation_fn", "act_func", "hidden_activation",
)  # fmt: skip
OTHER_NAMES = {
    "swish": "silu", "swiglu": "silu", "geglu": "gelu", "reglu": "relu", "glu": "sigmoid", "gelu_tanh": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new", "gelu_approximate": "gelu_new", "linear": "identity",
    "logistic": "sigmoid",
}  # fmt: skip


def with_entries_below(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with the entries of the dicts in it beside its own, which come first."""
    nested = {k: v for inner in config.values() if isinstance(inner, Mapping) for k, v in inner.items()}
    return {**nested, **config}


def stated_activation(config: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    """The activation function by our name, from an option or else from the config.

    Args:
        config: found in the file or beside it; entries one level down count too.
        options: given by the user.

    Returns:
        The name, which may be of a function that ours lack; None where nothing states one.

    >>> stated_activation({"model": {"non_linearity": "nn.Tanh()"}}, {}), stated_activation({"act": "relu"}, {"act_fn": "swish"})
    ('tanh', 'silu')
    """
    held = with_entries_below(config)
    stated = options.get("act_fn", next((held[k] for k in SETTINGS if isinstance(held.get(k), str) and held[k]), None))
    if stated is None:
        return None
    short = re.sub(r"^(?:torch\.|nn\.|functional\.|f\.)+|\(.*\)$", "", str(stated).strip().lower())
    return OTHER_NAMES.get(short, short)


def unknown_activation(config: Mapping[str, Any]) -> str:
    """Why what a config states between the layers cannot be computed by our models, which have one activation; or empty."""
    if others := config.get("other_layers"):
        return f"the file's config has more than layers in a row: {others}"
    if several := config.get("activations"):
        return f"the network has several activations ({several}), and our model one between all layers"
    stated = stated_activation(config, {})
    if stated is None or stated in ACTIVATIONS:
        return ""
    return f"the activation that the file states, {stated}, is not one of {', '.join(sorted(ACTIVATIONS))}"
