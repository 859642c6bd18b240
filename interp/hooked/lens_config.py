"""A model's config under the names that TransformerLens gives its own."""

from __future__ import annotations

from typing import Any

from typing_extensions import override


class LensConfig:
    """What ``model.cfg`` is in TransformerLens: read-only, the fields of ``model.config`` and what follows from them.

    In addition to the config's own: ``attention_dir``, ``attn_only``, ``device``, ``dtype``, ``eps``, ``model_name``,
    ``n_key_value_heads``, ``n_params``, ``normalization_type``, ``parallel_attn_mlp``, ``positional_embedding_type``,
    ``use_attn_result``, ``use_attn_scale``.

    Args:
        model: any hooked model.
    """

    __slots__ = ("_model",)

    def __init__(self, model: Any):
        object.__setattr__(self, "_model", model)

    def __getattr__(self, name: str) -> Any:
        config = self._model.config
        if not name.startswith("_") and hasattr(config, name):
            return getattr(config, name)
        derived = {
            "attention_dir": lambda: "causal" if getattr(config, "causal", False) else "bidirectional",
            "attn_only": lambda: not getattr(config, "d_mlp", None),
            "device": lambda: self._model.device,
            "dtype": lambda: self._model.dtype,
            "eps": lambda: getattr(config, "ln_eps", None),
            "model_name": lambda: config.kind,
            "n_key_value_heads": lambda: None,
            "n_params": lambda: sum(p.numel() for p in self._model.parameters()),
            "normalization_type": lambda: getattr(config, "normalization", None),
            "parallel_attn_mlp": lambda: False,
            "positional_embedding_type": lambda: "standard" if getattr(config, "positions", False) else None,
            "use_attn_result": lambda: False,
            "use_attn_scale": lambda: getattr(config, "attn_scale", None) != 1.0,
        }
        if name not in derived:
            raise AttributeError(f"a {type(config).__name__} has no {name!r}; it has {', '.join(config.to_dict())}")
        return derived[name]()

    @override
    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a config is frozen: make a model of another one instead of setting {name}")

    def to_dict(self) -> dict[str, Any]:
        """The config's fields."""
        return self._model.config.to_dict()

    @override
    def __repr__(self) -> str:
        return repr(self._model.config)
