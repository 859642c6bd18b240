"""Hooked models: transformers, MLPs, LSTMs and CPPNs whose activations pass through named hook points."""

from __future__ import annotations

from typing import Any

from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import Config, HookedModel, HookPoint
from interp.hooked.cppn.model import HookedCPPN
from interp.hooked.cppn.parts import CPPNConfig
from interp.hooked.foreign.wrap import wrap
from interp.hooked.lstm.model import HookedLSTM, LSTMConfig
from interp.hooked.mlp.model import HookedMLP, MLPConfig
from interp.hooked.transformer.model import HookedTransformer, TransformerConfig

MODELS: dict[str, type[HookedModel]] = {
    cls.config_class.kind: cls for cls in (HookedTransformer, HookedMLP, HookedLSTM, HookedCPPN)
}


def config_from_dict(fields: dict[str, Any]) -> Config:
    """The config that `Config.to_dict` wrote.

    Raises:
        UnknownName: a kind of model, or a field of its config, that this version does not know.
    """
    fields = dict(fields)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in MODELS:
        raise UnknownName(unknown("kind of model", kind, MODELS))
    config_class = MODELS[kind].config_class
    known = config_class.__dataclass_fields__
    for name in fields:
        if name not in known:
            raise UnknownName(unknown(f"field of a {kind} config", name, known))
    try:
        return config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
    except TypeError as error:
        raise InterpError(f"the {kind} config does not fit together: {error}") from None


def build(config: Config) -> HookedModel:
    """An uninitialised model for a config of any kind."""
    return MODELS[config.kind](config)


__all__ = [
    "MODELS", "CPPNConfig", "Config", "HookPoint", "HookedCPPN", "HookedLSTM", "HookedMLP", "HookedModel",
    "HookedTransformer", "LSTMConfig", "MLPConfig", "TransformerConfig", "build", "config_from_dict", "wrap",
]  # fmt: skip
