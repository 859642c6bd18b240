"""Layouts of transformers and of networks with two embeddings: a model written in foreign names loads as itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import interp
from interp._util.registry import Plugin, load_group
from interp.checkpoints.formats.header import HEADER
from interp.checkpoints.formats.tensors import TensorRef
from interp.checkpoints.layouts import FileInfo, choose, layouts, task_from_config
from interp.errors import AmbiguousLayout, InterpError, UnknownLayout, UnknownName
from interp.hooked import HookedMLP, HookedModel, HookedTransformer, MLPConfig, TransformerConfig
from tests.models import CONFIGS, TRANSFORMERS, make

State = dict[str, Tensor]


def state(model: HookedModel) -> State:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def tokens(model: HookedModel, seed: int = 0) -> Tensor:
    """Random inputs of the right kind."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(model.config, TransformerConfig):
        return torch.randint(model.config.d_vocab, (8, model.config.n_ctx), generator=generator)
    assert isinstance(model.config, MLPConfig)
    if model.config.d_vocab is None:
        return torch.randn(8, model.config.d_in or 0, generator=generator, dtype=torch.float64)
    return torch.randint(model.config.d_vocab, (8, model.config.n_operands), generator=generator)


def assert_same_network(loaded: HookedModel, model: HookedModel) -> None:
    """Equal logits on random inputs, and they depend on the inputs."""
    x = tokens(model)
    expected = model(x)
    assert expected.std(0).max() > 1e-3, "the model ignores its inputs, so the test would prove nothing"
    torch.testing.assert_close(loaded(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CONFIGS)
def test_our_own_layout(name: str, tmp_path: Path) -> None:
    """Config and weights of every model of the table come back, bit for bit."""
    model = make(name)
    subject = interp.load(interp.save(model, tmp_path / "file.safetensors"), device="cpu")
    assert subject.model.config == model.config
    assert subject.provenance.layout == "suite"
    assert all(torch.equal(p, q) for p, q in zip(subject.model.parameters(), model.parameters(), strict=True))
    assert_same_network(subject.model, model)


HEADERS: dict[str, Any] = {
    "no JSON": "{",
    "a list": "[]",
    "no config": {"step": 1},
    "an unknown kind": {"config": {"kind": "oracle"}},
    "a kind of no text": {"config": {"kind": ["mlp"]}},
    "fields missing": {"config": {"kind": "mlp"}},
    "a field unknown": {"config": {"kind": "mlp", "hidden": [4], "d_out": 3, "d_in": 2, "depth": 2}},
    "a field of another type": {"config": {"kind": "mlp", "hidden": 4, "d_out": 3, "d_in": 2}},
    "a width of another type": {"config": {"kind": "mlp", "hidden": ["4"], "d_out": 3, "d_in": 2}},
    "another width": {"config": {"kind": "mlp", "hidden": [5], "d_out": 3, "d_in": 2}},
    "an unknown task": {"config": {"kind": "mlp", "hidden": [4], "d_out": 3, "d_in": 2}, "task": {"name": "x"}},
    "a task of another type": {"config": {"kind": "mlp", "hidden": [4], "d_out": 3, "d_in": 2}, "task": [1]},
    "a step of another type": {"config": {"kind": "mlp", "hidden": [4], "d_out": 3, "d_in": 2}, "step": "last"},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_someone_edited_is_an_error_of_the_file(header: Any, tmp_path: Path) -> None:
    """The message names the file, and the text of a step does not become a step."""
    model = HookedMLP(MLPConfig((4,), 3, d_in=2)).init_weights(seed=0)
    content = header if isinstance(header, str) else json.dumps(header)
    save_file(state(model), tmp_path / "file.safetensors", metadata={HEADER: content})
    with pytest.raises(InterpError, match=r"file\.safetensors"):
        repr(interp.load(tmp_path / "file.safetensors", device="cpu"))


def said(config: TransformerConfig) -> str:
    """What a state dict of TransformerLens does not say, as options."""
    options = f"act_fn={config.act_fn},causal={config.causal},post_norm={config.post_norm}"
    return options + (",normalization=LNPre" if config.normalization == "LNPre" else "")


def without_mlp_bias(model: HookedModel) -> TransformerConfig:
    """The config, less the field that means nothing where there is no MLP."""
    assert isinstance(model.config, TransformerConfig)
    return replace(model.config, mlp_bias=model.config.mlp_bias and model.config.d_mlp is not None)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", [n for n, c in TRANSFORMERS.items() if c.positions])
def test_transformer_lens(name: str, seed: int, saved: Callable) -> None:
    """Its names are ours; its buffers (``mask``, ``IGNORE``) are reported and left out."""
    model = make(name, seed)
    buffers = {"blocks.0.attn.mask": torch.ones(3, 3).tril() > 0, "blocks.0.attn.IGNORE": torch.tensor(-torch.inf)}
    path = saved({**state(model), **buffers})
    subject = interp.load(path, layout=f"transformer_lens:{said(TRANSFORMERS[name])}", device="cpu")
    assert_same_network(subject.model, model)
    assert without_mlp_bias(subject.model) == without_mlp_bias(model)
    assert set(subject.provenance.extra_tensors) == set(buffers)


def test_transformer_lens_is_recognised_and_its_config_is_heard(saved: Callable) -> None:
    """Without options: what stands beside the weights settles the activation."""
    model = make("folded norm")
    path = saved({"model": state(model), "config": {"act_fn": "gelu", "normalization_type": "LNPre"}})
    subject = interp.load(path, device="cpu")
    assert subject.provenance.layout == "transformer_lens"
    assert subject.provenance.notes == ()
    assert_same_network(subject.model, model)


def test_the_epsilon_of_a_config_is_heard(saved: Callable) -> None:
    """``eps`` in TransformerLens's configs: beside small activations it is part of the function."""
    model = make("layer norm")
    twin = HookedTransformer.from_weights(replace(model.config, ln_eps=0.5), state(model))  # type: ignore[arg-type]
    path = saved({"model": state(model), "config": {"act_fn": "relu", "eps": 0.5}})
    assert_same_network(interp.load(path, device="cpu").model, twin)


def test_what_is_assumed_is_noted(saved: Callable) -> None:
    """A state dict says neither the activation nor whether LayerNorm was folded."""
    notes = " ".join(interp.load(saved(state(make("plain"))), device="cpu").provenance.notes)
    assert "ReLU" in notes
    assert "LNPre" in notes


def grokking(model: HookedTransformer, blocks: str) -> State:
    """The names and shapes of neelnanda-io/Grokking, written from its description and not from our reader."""
    ours, theirs = state(model), {}
    theirs["embed.W_E"] = ours["embed.W_E"].T
    theirs["pos_embed.W_pos"] = ours["pos_embed.W_pos"]
    theirs["unembed.W_U"] = ours["unembed.W_U"]
    for layer in range(model.config.n_layers):
        attn, mlp = f"blocks.{layer}.attn", f"blocks.{layer}.mlp"
        for which in ("W_Q", "W_K", "W_V"):
            theirs[f"{blocks}.{layer}.attn.{which}"] = torch.einsum("hmd->hdm", ours[f"{attn}.{which}"])
        heads = ours[f"{attn}.W_O"]  # [head, d_head, d_model]
        theirs[f"{blocks}.{layer}.attn.W_O"] = torch.cat(list(heads), dim=0).T  # [d_model, head*d_head]
        theirs[f"{blocks}.{layer}.attn.mask"] = torch.ones(model.config.n_ctx, model.config.n_ctx).tril()
        if model.config.d_mlp is not None:
            theirs[f"{blocks}.{layer}.mlp.W_in"] = ours[f"{mlp}.W_in"].T
            theirs[f"{blocks}.{layer}.mlp.W_out"] = ours[f"{mlp}.W_out"].T
            theirs |= {f"{blocks}.{layer}.mlp.{b}": ours[f"{mlp}.{b}"] for b in ("b_in", "b_out")}
    return {name: tensor.contiguous() for name, tensor in theirs.items()}


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize("blocks", ["blocks", "attn_blocks"])
@pytest.mark.parametrize("name", ["plain", "two layers", "no mlp", "square"])
def test_grokking(name: str, blocks: str, wrapper: str, saved: Callable) -> None:
    """One and two layers, with MLPs and without, under both names of the blocks; masks are reported."""
    model = make(name)
    assert isinstance(model, HookedTransformer)
    path = saved({"model": {wrapper + n: t for n, t in grokking(model, blocks).items()}, "epoch": 9})
    subject = interp.load(path, layout=f"grokking:act_fn={model.config.act_fn}", device="cpu")
    assert_same_network(subject.model, model)
    assert without_mlp_bias(subject.model) == without_mlp_bias(model)
    assert subject.provenance.extra_tensors == tuple(f"{blocks}.{i}.attn.mask" for i in range(model.config.n_layers))


@pytest.mark.parametrize("blocks", ["blocks", "attn_blocks"])
def test_grokking_is_recognised(blocks: str, saved: Callable) -> None:
    """Without a word from the user, even where ``d_model`` is ``head * d_head``."""
    model = make("no mlp")
    assert isinstance(model, HookedTransformer)
    subject = interp.load(saved(grokking(model, blocks)), device="cpu")
    assert subject.provenance.layout == "grokking"
    assert_same_network(subject.model, model)


def per_operand(hidden: int = 9, symbols: int = 7, embed: int = 5, combine: Any = "concat", out: int = 7) -> HookedMLP:
    config = MLPConfig((hidden,), out, d_vocab=symbols, d_embed=embed, embedding="per_operand", combine=combine,
                       bias=False, unembed_bias=False)  # fmt: skip
    return HookedMLP(config).double().init_weights(seed=3, scale=2.0)


def two_embeddings(model: HookedMLP, transposed: bool = False) -> State:
    """The names of rep-theory-mech-interp, as published or all transposed."""
    ours = state(model)
    theirs = {
        "W_x": ours["embed.W_E"][0],
        "W_y": ours["embed.W_E"][1],
        "W": ours["layers.0.W"],
        "W_U": ours["unembed.W_U"],
    }
    return {name: (tensor.T if transposed else tensor).contiguous() for name, tensor in theirs.items()}


SHAPES: dict[str, dict[str, Any]] = {
    "concat": {},
    "sum": {"combine": "sum"},
    "more answers": {"out": 11},
    "wide": {"hidden": 30},
}


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_two_embeddings(shape: dict[str, Any], transposed: bool, saved: Callable) -> None:
    """Shapes decide the orientation; a stray tensor is reported."""
    model = per_operand(**shape)
    subject = interp.load(saved({**two_embeddings(model, transposed), "IGNORE": torch.ones(2)}), device="cpu")
    assert_same_network(subject.model, model)
    assert subject.model.config == model.config
    assert subject.provenance.extra_tensors == ("IGNORE",)


@pytest.mark.parametrize("orientation", ["in_out", "out_in"])
def test_two_embeddings_where_both_orientations_fit(orientation: str, saved: Callable) -> None:
    """All matrices square: the reader asks, and each answer gives the network that it names."""
    model = per_operand(hidden=7, embed=7, combine="sum")
    path = saved(two_embeddings(model, transposed=orientation == "out_in"))
    with pytest.raises(AmbiguousLayout, match="orientation=") as caught:
        interp.load(path, device="cpu")
    assert "out_in" in str(caught.value)
    assert_same_network(
        interp.load(path, layout=f"two_embeddings:orientation={orientation}", device="cpu").model, model
    )
    other = {"in_out": "out_in", "out_in": "in_out"}[orientation]
    wrong = interp.load(path, layout=f"two_embeddings:orientation={other}", device="cpu").model
    assert not torch.allclose(wrong(tokens(model)), model(tokens(model)))


def test_an_orientation_that_does_not_fit_is_an_error(saved: Callable) -> None:
    """Whatever the user says, shapes are shapes."""
    with pytest.raises(InterpError, match="orientation=out_in"):
        interp.load(saved(two_embeddings(per_operand())), layout="two_embeddings:orientation=out_in", device="cpu")


def foreign() -> dict[str, State]:
    plain = make("plain")
    assert isinstance(plain, HookedTransformer)
    return {
        "transformer_lens": state(plain),
        "grokking": grokking(plain, "blocks"),
        "two_embeddings": two_embeddings(per_operand()),
    }


MISSING = [(kind, name) for kind, names in foreign().items() for name in names if not name.endswith("mask")]


@pytest.mark.parametrize(("kind", "missing"), MISSING)
def test_a_missing_weight_is_an_error_and_never_random(kind: str, missing: str, saved: Callable) -> None:
    """Every weight of every layout in turn; the message names it, or the part of the MLP that lost it."""
    tensors = {name: tensor for name, tensor in foreign()[kind].items() if name != missing}
    for layout in (None, kind):
        with pytest.raises(InterpError, match=r"file\.pt") as caught:
            interp.load(saved(tensors), layout=layout, device="cpu")
        assert (".mlp." if ".mlp." in missing else missing.rpartition(".")[2]) in str(caught.value)


FREE = ("embed.W_E", "pos_embed.W_pos", "unembed.W_U", "W_U")  # one axis of these is settled by nothing else


@pytest.mark.parametrize(("kind", "broken"), [(kind, name) for kind, name in MISSING if name not in FREE])
def test_a_weight_of_another_shape_is_an_error(kind: str, broken: str, saved: Callable) -> None:
    """One entry too many along the first axis."""
    tensors = foreign()[kind]
    tensors[broken] = torch.cat([tensors[broken], tensors[broken][:1]])
    with pytest.raises(InterpError, match=r"file\.pt"):
        interp.load(saved(tensors), layout=kind, device="cpu")


@pytest.mark.parametrize("kind", ["transformer_lens", "grokking", "two_embeddings"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_load_with_a_warning(kind: str, value: float, saved: Callable) -> None:
    """A run that diverged is worth looking at; the warning counts the entries."""
    tensors = foreign()[kind]
    name = "W_U" if kind == "two_embeddings" else "unembed.W_U"
    tensors[name][1, :3] = value
    warnings = interp.load(saved(tensors), device="cpu").warnings
    assert warnings == ["unembed.W_U has 3 entries that are NaN or infinite"]


@pytest.mark.parametrize("kind", ["transformer_lens", "grokking", "two_embeddings"])
def test_an_unknown_layout_lists_the_tensors_and_the_nearest_layout(kind: str, saved: Callable) -> None:
    """With names and shapes, the layouts that there are, and what the nearest lacks."""
    lost = "W_y" if kind == "two_embeddings" else "pos_embed.W_pos"
    tensors = {n: t for n, t in foreign()[kind].items() if n != lost}
    with pytest.raises(UnknownLayout) as caught:
        interp.load(saved(tensors), device="cpu")
    message = str(caught.value)
    assert all(f"{name} {list(t.shape)} {str(t.dtype)[6:]}" in message for name, t in tensors.items())
    assert all(name in message for name in layouts())
    assert f"nearest is '{kind}'" in message
    assert lost in message


UNKNOWN = {
    "a layout": ("groking", "layout 'groking'; did you mean 'grokking'"),
    "an option": ("grokking:act=relu", "did you mean 'act_fn'"),
    "an activation": ("grokking:act_fn=rellu", "activation 'rellu'; did you mean 'relu'"),
}


@pytest.mark.parametrize(("spec", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_does_not_exist_suggests_the_nearest(spec: str, message: str, saved: Callable) -> None:
    """As `UnknownName`, which the docstring of load promises."""
    with pytest.raises(InterpError, match=message) as caught:
        interp.load(saved(foreign()["grokking"]), layout=spec, device="cpu")
    assert isinstance(caught.value, UnknownName)


def test_a_layout_that_does_not_fit_says_why(saved: Callable) -> None:
    """The user's choice is checked as the reader's own is."""
    with pytest.raises(UnknownLayout, match="do not fit layout transformer_lens: W_O has 2 axes"):
        interp.load(saved(foreign()["grokking"]), layout="transformer_lens", device="cpu")


def test_no_two_layouts_claim_the_same_tensors() -> None:
    """Each of the foreign networks is recognised by exactly one layout, without a look at its numbers."""

    def unread() -> Tensor:
        raise AssertionError("a layout read a tensor in order to recognise it")

    for kind, tensors in foreign().items():
        references = {n: TensorRef(tuple(t.shape), t.dtype, "cpu", unread) for n, t in tensors.items()}
        claiming = [n for n, x in layouts().items() if not x.by_hand and x.matches(references, FileInfo()).ok]
        assert claiming == [kind]
        assert choose(references, FileInfo())[0].name == kind


UNREPRESENTED = {
    "transformer_lens": {"blocks.0.mlp.W_gate": torch.ones(12, 10)},
    "grokking": {"blocks.0.ln1.w_ln": torch.ones(12), "blocks.0.ln1.b_ln": torch.ones(12)},
}


@pytest.mark.parametrize("kind", UNREPRESENTED)
def test_a_weight_that_the_model_cannot_hold_is_no_mere_extra(kind: str, saved: Callable) -> None:
    """A gated MLP without its gate, a norm left out: another network, which must not pass as the one in the file."""
    path = saved({**foreign()[kind], **UNREPRESENTED[kind]})
    try:
        subject = interp.load(path, device="cpu")
    except InterpError as error:
        assert "file.pt" in str(error)  # noqa: PT017  refused, or loaded with a warning
        return
    assert any(name in warning for name in UNREPRESENTED[kind] for warning in subject.warnings)


def test_configs_of_others() -> None:
    """Both families of configs give a task, or the note names what is missing."""
    task, note = task_from_config({"p": 113, "fn_name": "add", "frac_train": 0.3, "seed": 1})
    assert (task, note) == (interp.ModularArithmetic(113, "add", 0.3, 1), None)
    group = {"group": "CyclicGroup", "group_parameter": 113, "frac_train": 0.3, "seed": 2}
    assert task_from_config(group)[0] == interp.ModularArithmetic(113, "add", 0.3, 2, "torch")
    task, note = task_from_config({**group, "group": "SymmetricGroup", "group_parameter": 5})
    assert task is None
    assert note is not None
    assert "--task group:table=" in note
    assert task_from_config({"p": 113, "fn_name": "rand"})[1] is not None
    assert task_from_config({"lr": 1}) == (None, None)


REAL = {"C113_T_seed1": "transformer_lens", "C113_MLP_seed1": "two_embeddings"}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_networks_have_the_loss_that_their_authors_report(name: str, data: Path) -> None:
    """Recognised without a word; the task comes from the ``cfg.json`` beside the file."""
    subject = interp.load(data / "groups" / name / "model.pt", device="cpu")
    reported = json.loads((data / "groups" / name / "summary_metrics.json").read_text())["all_loss"]
    assert subject.provenance.layout == REAL[name]
    assert subject.require_task().losses(subject.logits()).mean().item() == pytest.approx(reported, rel=1e-6)


def test_a_layout_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch, saved: Callable) -> None:
    """A stranger's broken layout stops none of ours, and is named where no layout fits: it may be the missing one."""
    known = load_group("interp.layouts")
    strangers = {"odd": Plugin("odd", "odd-package", value=3), "sad": Plugin("sad", "sad-package", error="no module x")}
    monkeypatch.setattr("interp._util.registry.load_group", lambda _: {**known, **strangers})
    assert interp.load(saved(foreign()["grokking"]), device="cpu").provenance.layout == "grokking"
    with pytest.raises(UnknownLayout) as caught:
        interp.load(saved({"a": torch.ones(2, 3, 4)}), device="cpu")
    assert "The layout odd cannot be loaded: odd-package registers it, but a layout is an instance of" in str(
        caught.value
    )
    assert "The layout sad cannot be loaded: no module x." in str(caught.value)
    with pytest.raises(InterpError, match="the layout 'sad' of sad-package cannot be used: no module x"):
        interp.load(saved(foreign()["grokking"]), layout="sad", device="cpu")
