"""The kinds of model by name: ours, and those that other packages register as entry points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interp._util.registry import Plugin, load_group
from interp._util.schema import require_fields
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.hooked.config import Config
from interp.hooked.cppn.model import HookedCPPN
from interp.hooked.lstm.model import HookedLSTM
from interp.hooked.mlp.model import HookedMLP
from interp.hooked.neat.model import HookedNEAT
from interp.hooked.rnn.model import HookedRNN
from interp.hooked.tensors import HookedTensors
from interp.hooked.toy_model.model import HookedToyModel
from interp.hooked.transformer.model import HookedTransformer

GROUP = "interp.models"
OURS: dict[str, type[HookedModel]] = {
    cls.config_class.kind: cls
    for cls in (
        HookedTransformer,
        HookedMLP,
        HookedRNN,
        HookedLSTM,
        HookedCPPN,
        HookedNEAT,
        HookedToyModel,
        HookedTensors,
    )
}


def model_kinds() -> dict[str, type[HookedModel]]:
    """The classes of hooked models by kind: ours, then those of other packages.

    A package registers its model as an entry point in the group ``interp.models``, whose name is the kind of the
    model's config and whose value is a subclass of `HookedModel`::

        [project.entry-points."interp.models"]
        mixer = "my_package.mixer:HookedMixer"     # HookedMixer.config_class.kind == "mixer"

    Returns:
        the sound ones; asking `model_class` for a broken one raises its error.
    """
    kinds, _ = _kinds()
    return kinds


def model_class(kind: object) -> type[HookedModel]:
    """The class of a kind of model.

    Args:
        kind: such as ``"transformer"``.

    Returns:
        a subclass of `HookedModel`.

    Raises:
        UnknownName: no such kind; the message suggests the nearest.
        InterpError: the kind is registered, but broken; the message says why.
    """
    kinds, broken = _kinds()
    if isinstance(kind, str) and kind in kinds:
        return kinds[kind]
    if isinstance(kind, str) and kind in broken:
        raise InterpError(f"the kind of model {kind!r} cannot be used: {broken[kind]}")
    raise UnknownName(unknown("kind of model", kind, kinds))


def _kinds() -> tuple[dict[str, type[HookedModel]], dict[str, str]]:
    """Sound classes and the errors of broken ones, by kind."""
    kinds, broken = dict(OURS), {}
    for name, plugin in load_group(GROUP).items():
        error = _problem(plugin)
        if error is None:
            kinds[name] = plugin.value
        else:
            kinds.pop(name, None)
            broken[name] = error
    return kinds, broken


def _problem(plugin: Plugin) -> str | None:
    if plugin.error is not None:
        return plugin.error
    value, owner = plugin.value, f"of package {plugin.distribution}"
    if not (isinstance(value, type) and issubclass(value, HookedModel)):
        return f"the entry point {owner} must be a subclass of HookedModel, got {value!r}"
    config_class = getattr(value, "config_class", None)
    if not (isinstance(config_class, type) and issubclass(config_class, Config)):
        return f"{value.__name__} {owner} has no config_class that is a subclass of interp.Config"
    kind = getattr(config_class, "kind", None)
    if kind != plugin.name:
        return f"{config_class.__name__}.kind {owner} must be the entry point's name {plugin.name!r}, got {kind!r}"
    return None


class _Models(Mapping[str, type[HookedModel]]):
    """`model_kinds` as a mapping that other modules can import before all entry points are loaded."""

    def __getitem__(self, kind: str) -> type[HookedModel]:
        return model_kinds()[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(model_kinds())

    def __len__(self) -> int:
        return len(model_kinds())

    def __repr__(self) -> str:
        return repr(model_kinds())


MODELS: Mapping[str, type[HookedModel]] = _Models()


def config_from_dict(fields: Mapping[str, Any]) -> Config:
    """The config that `Config.to_dict` wrote.

    Args:
        fields: plain values by name, and the model's ``kind``.

    Returns:
        a config of that kind.

    Raises:
        UnknownName: a kind of model, or a field of its config, that is not known here.
        InterpError: fields that don't fit together, or a kind that is registered but broken.

    >>> config_from_dict({"kind": "mlp", "hidden": [4], "d_out": 3, "d_in": 2})
    MLPConfig(hidden=(4,), d_out=3, d_vocab=None, ...)
    """
    if not isinstance(fields, Mapping):
        raise InterpError(f"a config is made from a dict of its fields, got {type(fields).__name__}")
    given = dict(fields)
    kind = given.pop("kind", None)
    config_class = model_class(kind).config_class
    known = config_class.__dataclass_fields__
    for name in given:
        if name not in known:
            raise UnknownName(unknown(f"field of a {kind} config", name, known))
    try:
        require_fields(config_class, given)
    except InterpError as error:
        raise InterpError(f"cannot make a {kind} config of these fields: {error}") from None
    try:
        return config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
    except TypeError as error:
        raise InterpError(f"cannot make a {kind} config of these fields: {error}") from None


def build(config: Config) -> HookedModel:
    """A model for a config of any kind, with uninitialised weights; `HookedModel.init_weights` draws them.

    Args:
        config: such as a `TransformerConfig`.

    Returns:
        the model, on the CPU.

    Raises:
        InterpError: not a config, or one of a kind that is broken.
        UnknownName: a kind of model that is not known here.
    """
    if not isinstance(config, Config):
        raise InterpError(
            f"a model is built from its config, got {type(config).__name__}; interp.hooked.config_from_dict makes one of a dict"
        )
    return model_class(getattr(config, "kind", None))(config)
