"""Transformers as people write them: the module that wrote the file and the model that is read compute the same function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import interp
from interp.errors import AmbiguousLayout, InterpError, UnknownLayout
from interp.hooked import HookedTransformer
from tests.interp.checkpoints.written_transformers import (
    CONTEXT,
    HEADS,
    VOCAB,
    WIDTH,
    WRITTEN,
    Encoder,
    Gated,
    Grokker,
    NanoGPT,
    random,
)

NAMES = sorted(WRITTEN)


def tokens(n: int = CONTEXT) -> Tensor:
    return torch.randint(VOCAB, (7, n), generator=torch.Generator().manual_seed(0))


def written(name: str, path: Path) -> nn.Module:
    """The module, saved to a file with its config beside the weights."""
    module, one = random(name), WRITTEN[name]
    torch.save({"model_state_dict": module.state_dict(), **({"config": one.config} if one.config else {})}, path)
    return module


@torch.no_grad()
def assert_same(module: nn.Module, model: interp.HookedModel, atol: float = 1e-10) -> None:
    """At all positions, for whole and shorter inputs, and the outputs depend on every position they may."""
    for n in (CONTEXT, 2):
        expected = module(tokens(n))
        assert expected.std(0).min() > 1e-3
        torch.testing.assert_close(model(tokens(n)), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_the_model_computes_what_the_module_does(name: str, tmp_path: Path) -> None:
    """In float64 to 1e-10; saved in our format it comes back as itself."""
    module = written(name, tmp_path / "file.pt")
    subject = interp.load(tmp_path / "file.pt", layout=WRITTEN[name].spec, device="cpu")
    assert isinstance(subject.model, HookedTransformer)
    assert subject.provenance.layout == WRITTEN[name].layout
    assert_same(module, subject.model)
    again = interp.load(interp.save(subject, tmp_path / "ours.safetensors"), device="cpu")
    assert again.model.config == subject.model.config
    assert_same(module, again.model)
    small = interp.load(tmp_path / "file.pt", layout=WRITTEN[name].spec, device="cpu", dtype="float32")
    assert small.model.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_it_is_recognised_without_being_told(name: str, tmp_path: Path) -> None:
    """No layout is named: what is missing is asked for, and the answer is an option that this layout has."""
    written(name, tmp_path / "file.pt")
    layout, questions = WRITTEN[name].layout, []
    try:
        assert interp.load(tmp_path / "file.pt", device="cpu").provenance.layout == layout
    except AmbiguousLayout as question:
        questions.append(str(question))
    assert all(f"--layout {layout}:" in q for q in questions)
    assert WRITTEN[name].layout in interp.inspect(tmp_path / "file.pt").layout


@pytest.mark.parametrize(
    "name", ["grokker of two layers, norm first", "Hugging Face", "lecture", "LLaMA's names", "timm"]
)
def test_sorted_names_are_read_alike(name: str, tmp_path: Path) -> None:
    """safetensors keeps no order, and names are under a prefix of somebody's own."""
    module, one = random(name), WRITTEN[name]
    state = {f"student.{n}": t.contiguous().clone() for n, t in sorted(module.state_dict().items())}
    save_file(state, tmp_path / "model.safetensors")
    spec = one.spec or f"{one.layout}:n_heads={HEADS}"
    assert_same(module, interp.load(tmp_path / "model.safetensors", layout=spec, device="cpu").model)


def test_tied_weights_that_are_stored_once(tmp_path: Path) -> None:
    """safetensors of Hugging Face leave out the output layer; that it is the table of tokens is noted."""
    module = random("Hugging Face")
    state = {n: t.contiguous() for n, t in module.state_dict().items() if n != "lm_head.weight"}
    save_file(state, tmp_path / "model.safetensors")
    subject = interp.load(tmp_path / "model.safetensors", layout=f"gpt2:n_heads={HEADS}", device="cpu")
    assert_same(module, subject.model)
    assert "tied" in " ".join(subject.provenance.notes)


def test_an_unknown_number_of_heads_is_asked_for(tmp_path: Path) -> None:
    """With the command that answers; a number that does not divide the width is refused."""
    written("grokker", tmp_path / "file.pt")
    with pytest.raises(
        AmbiguousLayout, match=r"how many heads.*1, 2, 3, 4, 6, 12.*--layout multihead_attention:n_heads="
    ):
        interp.load(tmp_path / "file.pt")
    assert interp.inspect(tmp_path / "file.pt").layout == "multihead_attention, but n_heads must be given"
    for wrong in ("5", "0", "two", "true"):
        with pytest.raises(InterpError, match="n_heads"):
            interp.load(tmp_path / "file.pt", layout=f"multihead_attention:n_heads={wrong}")


def test_heads_that_the_tensors_show_are_not_argued_with(tmp_path: Path) -> None:
    """One module a head: another number in the options is an error."""
    written("lecture", tmp_path / "file.pt")
    with pytest.raises(InterpError, match=f"tensors show {HEADS}"):
        interp.load(tmp_path / "file.pt", layout="separate_attention:n_heads=2")


def test_a_config_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """It may be another network's."""
    torch.save({"model": Grokker().state_dict(), "config": {"n_heads": 7}}, tmp_path / "file.pt")
    with pytest.raises(InterpError, match="n_heads=7 does not fit"):
        interp.load(tmp_path / "file.pt")


def test_what_is_assumed_is_noted_with_the_way_to_change_it(tmp_path: Path) -> None:
    """Nothing in the weights says these; with a config that does, there is no note."""
    torch.save(Grokker(positions=False).state_dict(), tmp_path / "file.pt")
    spec = f"multihead_attention:n_heads={HEADS}"
    subject = interp.load(tmp_path / "file.pt", layout=spec)
    (note,), (warning,) = subject.provenance.notes, subject.warnings
    assert f"sinusoids are read with --layout {spec},positions=sinusoidal" in warning
    for assumed in ("norm=last", "act_fn=relu", "causal=true", "eps=1e-05", "positions=none", f"--layout {spec},"):
        assert assumed in note
    command = note.split("--layout ")[1].split()[0]
    assert interp.load(tmp_path / "file.pt", layout=command).provenance.notes == ()


def test_a_mask_in_the_file_says_that_attention_is_causal(tmp_path: Path) -> None:
    """It is not a guess then, and the mask is reported as no part of the model."""
    written("minGPT", tmp_path / "file.pt")
    subject = interp.load(tmp_path / "file.pt", layout=f"separate_attention:n_heads={HEADS},act_fn=gelu")
    assert "causal" not in " ".join(subject.provenance.notes)
    assert subject.provenance.extra_tensors == ("blocks.0.attn.mask", "blocks.1.attn.mask")
    assert subject.model.config.causal  # type: ignore[attr-defined]


QUESTIONS: dict[str, tuple[str, str]] = {
    "bare matrices": (f"n_heads={HEADS}", "orientation=in_out"),
    "each head's rows together": (f"n_heads={HEADS}", "qkv=parts"),
    "lucidrains, GEGLU": (f"n_heads={HEADS}", "gate=second"),
    "encoder without biases": (f"n_heads={HEADS}", "normalization=RMS"),
    "gated, no positions": (f"n_heads={HEADS}", "positions=none"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_changes_the_function_and_cannot_be_told_is_asked(name: str, tmp_path: Path) -> None:
    """Two readings fit; the message holds the option that settles it, after those that were given."""
    written(name, tmp_path / "file.pt")
    given, answer = QUESTIONS[name]
    with pytest.raises(AmbiguousLayout, match=f"--layout {WRITTEN[name].layout}:{given},{answer}"):
        interp.load(tmp_path / "file.pt", layout=f"{WRITTEN[name].layout}:{given}")


def changed(module: nn.Module, **more: Any) -> dict[str, Tensor]:
    """Its tensors with some added, replaced or, where None, left out."""
    state = {**module.state_dict(), **{n.replace("__", "."): t for n, t in more.items()}}
    return {n: t for n, t in state.items() if t is not None}


ODD: dict[str, tuple[dict[str, Tensor], str]] = {
    "a tensor more in a block": (changed(Grokker(), blocks__0__gate=torch.ones(1)), "blocks.0.gate|gate"),
    "a bias of keys": (changed(Grokker(), blocks__0__attn__bias_k=torch.ones(1, 1, WIDTH)), "bias_k"),
    "a token of a class": (changed(Grokker(), cls_token=torch.ones(1, 1, WIDTH)), "cls_token"),
    "no table of tokens": (changed(Grokker(), token_embed__weight=None), "table of tokens"),
    "two tables of tokens": (changed(Grokker(), other_embed__weight=torch.ones(VOCAB, WIDTH)), "other_embed"),
    "blocks that differ": (
        changed(Grokker(2), blocks__1__ln1__weight=None, blocks__1__ln1__bias=None),
        "blocks 0 and 1 differ",
    ),
    "one norm for two layers": (changed(Grokker(), blocks__0__ln1__weight=None, blocks__0__ln1__bias=None), "1 norms"),
    "an output of another width": (changed(Grokker(), output__weight=torch.ones(VOCAB, WIDTH + 1)), "output"),
    "no values": (
        changed(Gated("q k v o w1 w3 w2 n1 n2"), layers__0__v__weight=None, layers__1__v__weight=None),
        "not all there",
    ),
    "grouped queries": (
        changed(
            Gated("q k v o w1 w3 w2 n1 n2"),
            **{f"layers__{i}__{n}__weight": torch.ones(4, WIDTH) for i in (0, 1) for n in "kv"},
        ),
        "grouped queries",
    ),
    "rotary positions": (
        changed(Gated("q k v o w1 w3 w2 n1 n2"), layers__0__rotary_emb__inv_freq=torch.ones(2)),
        "positions enter",
    ),
    "two stacks": (
        {
            **{f"encoder.{n}": t for n, t in Grokker().state_dict().items()},
            **{f"decoder.{n}": t for n, t in Grokker().state_dict().items()},
        },
        "several stacks",
    ),
    "another sequence": (
        changed(
            Encoder(),
            **{
                f"transformer_encoder__layers__{i}__multihead_attn__in_proj_weight": torch.ones(3 * WIDTH, WIDTH)
                for i in (0, 1)
            },
        ),
        "another sequence",
    ),
    "a norm of the embeddings": (
        changed(Grokker(), embed_norm__weight=torch.ones(WIDTH), embed_norm__bias=torch.ones(WIDTH)),
        "norm of the embeddings",
    ),
    "an MLP after the blocks": (
        changed(NanoGPT(), lm_head__2__weight=torch.ones(VOCAB, WIDTH)),
        "more than one output",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_has_no_place_is_named_and_never_dropped(name: str, tmp_path: Path) -> None:
    """A transformer that we cannot compute is refused with the reason, and is not 'nearest' to a chain of layers."""
    state, reason = ODD[name]
    torch.save(state, tmp_path / "file.pt")
    with pytest.raises(UnknownLayout, match=reason) as caught:
        interp.load(tmp_path / "file.pt")
    assert "nearest is 'linear_chain'" not in str(caught.value)
    assert any(f"nearest is {n!r}" in str(caught.value) for n in ("multihead_attention", "separate_attention", "gpt2"))


def test_rotary_positions_in_a_config_are_not_left_out(tmp_path: Path) -> None:
    """The weights of LLaMA do not show them; read without, it would be another network."""
    torch.save(
        {"model": Gated("q k v o w1 w3 w2 n1 n2", False).state_dict(), "config": {"n_heads": HEADS, "rope_theta": 1e4}},
        tmp_path / "f.pt",
    )
    with pytest.raises(AmbiguousLayout, match=r"rope_theta.*interp\.wrap"):
        interp.load(tmp_path / "f.pt")


def test_a_network_of_q_values_is_no_attention(tmp_path: Path) -> None:
    """One name that could be a query's does not make a transformer of a chain."""
    torch.save({"q.0.weight": torch.ones(4, 3), "q.2.weight": torch.ones(2, 5)}, tmp_path / "file.pt")
    with pytest.raises(UnknownLayout) as caught:
        interp.load(tmp_path / "file.pt")
    assert "nearest is 'linear_chain'" in str(caught.value)


def test_a_folder_of_hugging_face(tmp_path: Path) -> None:
    """``save_pretrained`` writes config.json beside the weights, which holds heads, activation and epsilon: no notes but one."""
    module = random("Hugging Face")
    module.config.layer_norm_epsilon = 1e-3  # type: ignore[union-attr]
    for norm in (m for m in module.modules() if isinstance(m, nn.LayerNorm)):
        norm.eps = 1e-3
    module.save_pretrained(tmp_path)  # type: ignore[operator]
    subject = interp.load(tmp_path, device="cpu", dtype="float64")
    assert_same(module, subject.model)
    assert "act_fn" not in " ".join(subject.provenance.notes)


@pytest.mark.parametrize(
    ("config", "scale"), [({"scale_attn_weights": False}, 1.0), ({"scale_attn_by_inverse_layer_idx": True}, None)]
)
def test_scales_of_a_config_are_heard_or_refused(config: dict[str, bool], scale: float | None, tmp_path: Path) -> None:
    """Scores may be divided by something else."""
    torch.save({"model": NanoGPT().state_dict(), "config": {"n_head": HEADS, **config}}, tmp_path / "file.pt")
    if scale is None:
        with pytest.raises(InterpError, match="inverse_layer_idx"):
            interp.load(tmp_path / "file.pt")
    else:
        assert interp.load(tmp_path / "file.pt").model.config.attn_scale == scale  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("config", "last"),
    [
        ({"norm_first": False}, True),
        ({"pre_norm": True}, False),
        ({"norm_position": "post"}, True),
        ({"post_norm": False}, False),
    ],
)
def test_where_the_norms_stand_is_heard(config: dict[str, Any], last: bool, tmp_path: Path) -> None:
    """Under the names that people give it; the option wins."""
    torch.save(
        {"model": Grokker(1, "first", final=True).state_dict(), "config": {"n_heads": HEADS, **config}},
        tmp_path / "f.pt",
    )
    assert interp.load(tmp_path / "f.pt").model.config.post_norm == last  # type: ignore[attr-defined]
    told = interp.load(tmp_path / "f.pt", layout=f"multihead_attention:norm={'first' if last else 'last'}")
    assert told.model.config.post_norm != last  # type: ignore[attr-defined]


def test_weights_of_several_dtypes_are_made_one(tmp_path: Path) -> None:
    """Some people keep norms in float32 beside float16; the widest loses nothing."""
    module = Grokker()
    state = {n: t.half() if "ln" not in n else t for n, t in module.state_dict().items()}
    torch.save(state, tmp_path / "file.pt")
    subject = interp.load(tmp_path / "file.pt", layout=f"multihead_attention:n_heads={HEADS}", device="cpu")
    module.load_state_dict({n: t.float() for n, t in state.items()})
    assert_same(module.eval(), subject.model, atol=1e-5)
    assert "float16, float32" in " ".join(subject.provenance.notes)


def test_an_output_layer_of_whole_numbers_is_not_taken_for_absent(tmp_path: Path) -> None:
    """Quantised, it has no place; read as tied, the network would be another one."""
    torch.save(
        {**Grokker().state_dict(), "output.weight": torch.ones(VOCAB, WIDTH, dtype=torch.int8)}, tmp_path / "file.pt"
    )
    with pytest.raises(UnknownLayout, match="hold no weights.*output.weight"):
        interp.load(tmp_path / "file.pt", layout=f"multihead_attention:n_heads={HEADS}")
