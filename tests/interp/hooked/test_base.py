"""What every model does: groups of parameters for optimisers, casts, and refusing what it cannot be built from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interp import CPPNConfig, HookedCPPN, HookedLSTM, HookedMLP, HookedTransformer, InterpError, LSTMConfig, MLPConfig
from interp.errors import UnknownName
from tests.models import CONFIGS, LSTMS, MLPS, TRANSFORMERS, make

DECODER, LAST = ("decoder",), ("decoder", "last")


@pytest.mark.parametrize("name", [*CONFIGS, *LSTMS])
def test_every_parameter_is_in_one_general_group(name: str) -> None:
    """Embedding and decoder share the parameters out; exactly the unembedding is last."""
    model = make(name)
    groups = model.parameter_groups()
    assert list(groups) == [n for n, _ in model.named_parameters()]
    tables = {"embed.W_E", "pos_embed.W_pos"} & set(groups)
    assert {n for n, g in groups.items() if g == ("embedding",)} == tables
    assert {n for n, g in groups.items() if g == LAST} == {"unembed.W_U", "unembed.b_U"} & set(groups)
    assert set(groups.values()) == {("embedding",), DECODER, LAST}


def test_without_an_embedding_all_is_decoder() -> None:
    """Vectors in: no group of that name."""
    groups = HookedMLP(MLPConfig((4,), 3, d_in=2)).parameter_groups()
    assert groups == {"layers.0.W": DECODER, "layers.0.b": DECODER, "unembed.W_U": LAST, "unembed.b_U": LAST}


@pytest.mark.parametrize("cls", [HookedTransformer, HookedMLP, HookedLSTM, HookedCPPN])
@pytest.mark.parametrize("config", [{"d_out": 3}, "2;sin:3", None, MLPConfig])
def test_a_model_is_built_from_its_own_config(cls: type, config: object) -> None:
    """Not from a dict, a text, a class, or another model's config."""
    with pytest.raises(InterpError, match=f"a {cls.__name__} is built from a {cls.config_class.__name__}, got "):
        cls(config)
    other = LSTMS["lstm"] if cls is HookedTransformer else TRANSFORMERS["plain"]
    with pytest.raises(InterpError, match=f"got {type(other).__name__}"):
        cls(other)
    with pytest.raises(InterpError, match=f"got {type(other).__name__}"):
        cls.from_weights(other, {})


def test_weights_are_a_dict() -> None:
    """Another model is named, not asked for its items."""
    with pytest.raises(InterpError, match="weights are a dict of tensors by parameter name, got HookedMLP"):
        HookedMLP.from_weights(MLPS["deep"], make("deep"))  # type: ignore[arg-type]


def test_casts() -> None:
    """Itself where nothing changes; what is neither a dtype nor a device is refused."""
    model = make("deep")
    assert model.cast() is model is model.cast(torch.float64, "cpu")
    single = model.cast(torch.float32)
    assert single.dtype == torch.float32
    assert all(torch.equal(a.float(), b) for a, b in zip(model.parameters(), single.parameters(), strict=True))
    for dtype in ("float32", torch.long, float):
        with pytest.raises(InterpError, match="dtype must be one of torch.float64, "):
            model.cast(dtype)  # type: ignore[arg-type]
    for device in ("gpu", "cuda:x", 1.5):
        with pytest.raises(InterpError, match="device must be cpu, cuda, cuda:1, mps or the like, got"):
            model.cast(device=device)  # type: ignore[arg-type]


def test_seeds() -> None:
    """Numpy's whole numbers too; nothing else."""
    one, other = (HookedMLP(MLPS["deep"]).init_weights(seed) for seed in (3, np.int64(3)))  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for wrong in ("3", 3.0, None):
        with pytest.raises(InterpError, match="seed must be a whole number"):
            one.init_weights(wrong)  # type: ignore[arg-type]


def test_kinds_of_component() -> None:
    """An unknown kind names the nearest."""
    assert make("two layers").component_sites("heads") == ["blocks.0.attn.hook_z", "blocks.1.attn.hook_z"]
    assert make("deep").component_sites("heads") == []
    with pytest.raises(UnknownName, match="unknown kind of component 'head'; did you mean 'heads'"):
        make("deep").component_sites("head")


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "9", True, None])
def test_shapes_are_whole_numbers(wrong: object) -> None:
    """Of every model; the field is named."""
    with pytest.raises(InterpError, match="TransformerConfig.n_heads must be a whole number of at least 1, got"):
        type(TRANSFORMERS["plain"])(**{**vars(TRANSFORMERS["plain"]), "n_heads": wrong})
    with pytest.raises(InterpError, match="LSTMConfig.d_hidden must be"):
        LSTMConfig(**{**vars(LSTMS["lstm"]), "d_hidden": wrong})
    with pytest.raises(InterpError, match="MLPConfig.hidden must be"):
        MLPConfig((4, wrong), 3, d_in=2)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="string" if not isinstance(wrong, str) else "cannot read"):
        CPPNConfig(wrong)  # type: ignore[arg-type]


def test_widths_may_be_a_list() -> None:
    """And then equal those given as a tuple; one number is not a list of widths."""
    assert MLPConfig([9, 8], 3, d_in=2) == MLPConfig((9, 8), 3, d_in=2)  # type: ignore[arg-type]
    for one in (48, "48"):
        with pytest.raises(InterpError, match=r"hidden is a tuple of widths, such as \(48,\), got"):
            MLPConfig(one, 3, d_in=2)  # type: ignore[arg-type]
