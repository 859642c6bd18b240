"""Kinds of model: ours and a stranger's, from the entry points to a checkpoint and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

import interp
from interp import HookedMLP, InterpError, MLPConfig
from interp._util.registry import Plugin
from interp.errors import UnknownName
from interp.hooked import MODELS, Config, HookedModel, HookPoint, build, config_from_dict, model_class, model_kinds
from interp.hooked.registry.kinds import GROUP, OURS


@dataclass(frozen=True)
class MixerConfig(Config):
    """A stranger's config."""

    kind: ClassVar[str] = "mixer"
    width: int
    sizes: tuple[int, ...] = (1, 2)


class HookedMixer(HookedModel):
    """A stranger's model."""

    config_class = MixerConfig
    config: MixerConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, config: MixerConfig):
        super().__init__(config)
        self.W = nn.Parameter(torch.zeros(config.width, config.width))
        self.hook_mixed = HookPoint("batch", "unit")
        self.setup()

    def forward(self, x: Tensor) -> Tensor:
        return self.hook_mixed(x @ self.W)


@dataclass(frozen=True)
class NamelessConfig(Config):
    """A config that forgot its kind."""

    width: int = 2


class Nameless(HookedMixer):
    config_class = NamelessConfig


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> dict[str, Plugin]:
    """The group of entry points, to be filled by the test."""
    group = {name: Plugin(name, "interp-suite", value=cls) for name, cls in OURS.items()}
    monkeypatch.setattr("interp.hooked.registry.kinds.load_group", lambda name: group if name == GROUP else {})
    return group


def test_ours_are_registered_as_a_strangers_are() -> None:
    """The installed package lists exactly our kinds, under their configs' names."""
    from interp._util.registry import load_group

    group = load_group(GROUP)
    assert {name: plugin.value for name, plugin in group.items()} == OURS
    assert set(model_kinds()) == {"transformer", "mlp", "rnn", "lstm", "cppn", "neat", "toy_model", "tensors"}
    assert all(cls.config_class.kind == kind for kind, cls in model_kinds().items())


def test_a_strangers_model_is_a_kind_like_ours(entry_points: dict[str, Plugin], tmp_path: Path) -> None:
    """Its config is read back, its model built, saved and loaded; MODELS sees it too."""
    assert "mixer" not in MODELS
    entry_points["mixer"] = Plugin("mixer", "strangers", value=HookedMixer)
    assert (
        list(model_kinds())
        == ["transformer", "mlp", "rnn", "lstm", "cppn", "neat", "toy_model", "tensors", "mixer"]
        == list(MODELS)
    )
    assert MODELS["mixer"] is model_class("mixer") is HookedMixer
    assert "mixer" in MODELS
    assert len(MODELS) == 9
    config = config_from_dict({"kind": "mixer", "width": 3, "sizes": [4, 5]})
    assert config == MixerConfig(3, (4, 5))
    model = build(config).init_weights(0)
    loaded = interp.load(interp.save(model, tmp_path / "mixer.safetensors"), device="cpu").model
    assert isinstance(loaded, HookedMixer)
    assert loaded.config == config
    assert torch.equal(loaded.W, model.state_dict()["W"])


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (
            Plugin("mixer", "strangers", error="strangers:HookedMixer failed to import: ImportError: no"),
            "failed to import",
        ),
        (Plugin("mixer", "strangers", value=nn.Linear), "of package strangers must be a subclass of HookedModel"),
        (Plugin("mixer", "strangers", value=HookedMixer(MixerConfig(2))), "must be a subclass of HookedModel"),
        (Plugin("mixer", "strangers", value=HookedModel), "HookedModel of package strangers has no config_class"),
        (Plugin("mixer", "strangers", value=HookedMLP), "must be the entry point's name 'mixer', got 'mlp'"),
        (Plugin("mixer", "strangers", value=Nameless), "must be the entry point's name 'mixer', got None"),
    ],
)
def test_a_broken_kind_is_reported_when_asked_for(
    entry_points: dict[str, Plugin], plugin: Plugin, message: str
) -> None:
    """The others stay usable."""
    entry_points["mixer"] = plugin
    assert "mixer" not in model_kinds()
    assert build(MLPConfig((4,), 3, d_in=2)).config == MLPConfig((4,), 3, d_in=2)
    for ask in (
        lambda: model_class("mixer"),
        lambda: config_from_dict({"kind": "mixer"}),
        lambda: build(MixerConfig(2)),
    ):
        with pytest.raises(InterpError, match=f"the kind of model 'mixer' cannot be used: .*{message}"):
            ask()


def test_a_name_that_two_packages_register_is_refused(entry_points: dict[str, Plugin]) -> None:
    """Ours too: which of them would run is an accident of the installation."""
    entry_points["mlp"] = Plugin("mlp", "?", error="the name 'mlp' is registered 2 times (by interp-suite, strangers)")
    with pytest.raises(InterpError, match="'mlp' is registered 2 times"):
        build(MLPConfig((4,), 3, d_in=2))


def test_unknown_kinds_and_fields_name_the_nearest() -> None:
    """Of a typo, of nothing, and of a field."""
    with pytest.raises(UnknownName, match="unknown kind of model 'transfomer'; did you mean 'transformer'"):
        model_class("transfomer")
    for kind in (None, 3, ["mlp"]):
        with pytest.raises(UnknownName, match="known: cppn, lstm, mlp, neat, rnn, tensors, toy_model, transformer"):
            config_from_dict({"kind": kind})
    with pytest.raises(UnknownName, match="unknown field of a mlp config 'd_inn'; did you mean 'd_in'"):
        config_from_dict({"kind": "mlp", "hidden": [4], "d_out": 3, "d_inn": 2})
    with pytest.raises(InterpError, match="cannot make a mlp config of these fields"):
        config_from_dict({"kind": "mlp"})


def test_what_is_not_a_config_is_refused() -> None:
    """A dict where a config is wanted, and the other way round."""
    with pytest.raises(InterpError, match="built from its config, got dict"):
        build({"kind": "mlp"})  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="made from a dict of its fields, got MLPConfig"):
        config_from_dict(MLPConfig((4,), 3, d_in=2))  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="kind of model"):
        build(Config())
