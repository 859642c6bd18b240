"""Published transformers compute what neither names nor shapes show: it is read from the config or the names, or refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

import interp
from interp.errors import UnknownLayout
from tests.interp.checkpoints.written_transformers import (
    CONTEXT,
    HEADS,
    HIDDEN,
    VOCAB,
    WIDTH,
    NanoGPT,
    attend,
    by_head,
    joined,
)

GPT_NAMES = {
    "vocab_size": VOCAB, "n_positions": CONTEXT, "n_embd": WIDTH, "n_layer": 2, "n_head": HEADS, "n_inner": HIDDEN,
    "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
NAMES = {
    "vocab_size": VOCAB, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS,
    "max_position_embeddings": CONTEXT, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
NEO = {k: v for k, v in NAMES.items() if "num" not in k} | {"num_layers": 2, "num_heads": HEADS}

# class, its config, layout, and whether names alone tell it from others
READ: dict[str, tuple[str, dict[str, Any], str, bool]] = {
    "GPT-2": ("GPT2", GPT_NAMES, "gpt2", False),
    "GPT": ("OpenAIGPT", {k: v for k, v in GPT_NAMES.items() if k != "n_inner"}, "gpt2", True),
    "GPT-Neo": (
        "GPTNeo",
        {**NEO, "attention_types": [[["global", "local"], 1]], "window_size": 256},
        "separate_attention",
        True,
    ),
    "OPT": ("OPT", {**NAMES, "ffn_dim": HIDDEN, "word_embed_proj_dim": WIDTH}, "separate_attention", True),
    "BioGPT": ("BioGpt", {**NAMES, "intermediate_size": HIDDEN}, "separate_attention", True),
    "GPTBigCode": ("GPTBigCode", {**GPT_NAMES, "multi_query": False}, "gpt2", False),
}
LM = {"GPT2": "LMHeadModel", "OpenAIGPT": "LMHeadModel"}


def model_of(name: str, **more: Any) -> nn.Module:
    """With weights large enough that every part shows in the logits."""
    cls, config, *_ = READ[name]
    torch.manual_seed(0)
    module = getattr(transformers, cls + LM.get(cls, "ForCausalLM"))(
        getattr(transformers, f"{cls}Config")(**{**config, **more})
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module.double().eval()


@torch.no_grad()
def assert_same(module: nn.Module, model: interp.HookedModel, n: int = CONTEXT) -> None:
    tokens = torch.randint(2, VOCAB, (5, n), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(tokens), module(tokens).logits, rtol=0, atol=1e-6)  # GPT-Neo attends in float32


@pytest.mark.parametrize("name", READ)
def test_a_folder_computes_what_the_architecture_does(name: str, tmp_path: Path) -> None:
    """Offsets of positions, unscaled scores, scaled embeddings, norms behind: nothing of it is in the weights."""
    module = model_of(name)
    module.save_pretrained(tmp_path)  # type: ignore[operator]
    subject = interp.load(tmp_path, device="cpu")
    assert_same(module, subject.model)
    assert f"read as {name} by its config" in subject.provenance.notes[0]


@pytest.mark.parametrize("name", [n for n, (*_, told) in READ.items() if told])
def test_a_state_dict_alone_is_known_by_its_names(name: str, tmp_path: Path) -> None:
    """Only the number of heads is asked."""
    module = model_of(name)
    torch.save(module.state_dict(), tmp_path / "file.pt")
    subject = interp.load(tmp_path / "file.pt", layout=f"{READ[name][2]}:n_heads={HEADS}", device="cpu")
    assert_same(module, subject.model)
    assert f"read as {name} by its names" in subject.provenance.notes[0]


def test_local_attention_is_read_as_far_as_it_sees_all(tmp_path: Path) -> None:
    """Up to the window the two are the same; longer inputs are an error, not another function."""
    module = model_of("GPT-Neo", window_size=3)
    module.save_pretrained(tmp_path)  # type: ignore[operator]
    subject = interp.load(tmp_path, device="cpu")
    assert subject.model.config.n_ctx == 3  # type: ignore[attr-defined]
    assert "most_positions=3" in subject.provenance.notes[0]
    assert_same(module, subject.model, 3)


def test_other_architectures_of_hugging_face_are_refused_by_name(tmp_path: Path) -> None:
    """Rotary positions and the like are in no tensor; nothing is offered that would make another network of it."""
    config = transformers.LlamaConfig(**NAMES, num_key_value_heads=HEADS, intermediate_size=HIDDEN)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(UnknownLayout, match=r"model_type=llama.*interp\.wrap\(transformers"):
        interp.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"parallel_residual": True}, "parallel residual"),
        ({"model": {"qk_norm": True}}, "norms of queries and keys"),
        ({"attn_config": {"alibi": True}}, "ALiBi"),
        ({"final_logit_softcapping": 30.0}, "capped scores or logits"),
        ({"residual_multiplier": 0.22}, "a factor"),
    ],
)
def test_what_a_config_states_and_ours_does_not_compute_is_refused(
    config: dict[str, Any], what: str, tmp_path: Path
) -> None:
    """Whosever config it is; with the layout named, too."""
    torch.save({"model": NanoGPT().state_dict(), "config": {"n_head": HEADS, **config}}, tmp_path / "file.pt")
    for layout in (None, "gpt2"):
        with pytest.raises(UnknownLayout, match=what):
            interp.load(tmp_path / "file.pt", layout=layout)


class NormsBehind(nn.Module):
    """The blocks of danielmamay/grokking: norms behind each part, one more before the output, GELU, positions first."""

    def __init__(self):
        super().__init__()
        self.token_embeddings, self.position_embeddings = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.model = nn.Sequential(self._block(), self._block(), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB))

    @staticmethod
    def _block() -> nn.Module:
        block = nn.Module()
        block.self_attn, block.self_attn_norm = nn.MultiheadAttention(WIDTH, HEADS), nn.LayerNorm(WIDTH)
        block.ffn = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))
        block.ffn_norm = nn.LayerNorm(WIDTH)
        return block

    def forward(self, tokens: Tensor) -> Tensor:
        x = (self.token_embeddings(tokens) + self.position_embeddings.weight[: tokens.shape[1]]).transpose(0, 1)
        mask = torch.full((len(x), len(x)), -torch.inf).triu(1)
        for block in self.model[:2]:
            x = block.self_attn_norm(x + block.self_attn(x, x, x, attn_mask=mask)[0])
            x = block.ffn_norm(x + block.ffn(x))
        return self.model[3](self.model[2](x)).transpose(0, 1)


class ScaledEmbeddings(nn.Module):
    """The transformer of Sea-Snell/grokking: embeddings times the square root of their width, GELU, norms first."""

    def __init__(self):
        super().__init__()
        self.transformer_blocks = nn.ModuleList(self._block() for _ in range(2))
        self.embeddings, self.positions = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.output, self.norm = nn.Linear(WIDTH, VOCAB), nn.LayerNorm(WIDTH)

    @staticmethod
    def _block() -> nn.Module:
        block, block.attn = nn.Module(), nn.Module()
        for name in ("key_proj", "val_proj", "query_proj", "output_proj"):
            setattr(block.attn, name, nn.Linear(WIDTH, WIDTH))
        block.ff1, block.ff2 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        block.layer_norm1, block.layer_norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        return block

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embeddings(tokens) * math.sqrt(WIDTH) + self.positions.weight[: tokens.shape[1]]
        for block in self.transformer_blocks:
            q, k, v = (by_head(getattr(block.attn, f"{n}_proj")(block.layer_norm1(x))) for n in ("query", "key", "val"))
            x = x + block.attn.output_proj(joined(attend(q, k, v)))
            x = x + block.ff2(nn.functional.gelu(block.ff1(block.layer_norm2(x))))
        return self.output(self.norm(x))


def test_a_scale_of_embeddings_that_a_repository_has_is_applied(tmp_path: Path) -> None:
    """Known by the names of its modules, with or without a wrapper around; the option wins."""
    torch.manual_seed(0)
    module = ScaledEmbeddings().eval()
    torch.save({f"transformer.{n}": t for n, t in module.state_dict().items()}, tmp_path / "model.pt")
    layout = f"separate_attention:n_heads={HEADS}"
    subject = interp.load(tmp_path / "model.pt", layout=layout, device="cpu")
    tokens = torch.randint(VOCAB, (5, CONTEXT))
    torch.testing.assert_close(subject.model(tokens), module(tokens), rtol=0, atol=1e-5)
    other = interp.load(tmp_path / "model.pt", layout=f"{layout},embed_scale=1", device="cpu")
    assert not torch.allclose(other.model(tokens), module(tokens), atol=1e-2)


def test_norms_named_after_what_they_follow_stand_behind_it(tmp_path: Path) -> None:
    """As in openai/grok and what was written after it, though a last norm elsewhere speaks for norms first."""
    torch.manual_seed(0)
    module = NormsBehind().eval()
    torch.save(module.state_dict(), tmp_path / "file.pt")
    subject = interp.load(tmp_path / "file.pt", layout=f"multihead_attention:n_heads={HEADS}", device="cpu")
    tokens = torch.randint(VOCAB, (5, CONTEXT))
    torch.testing.assert_close(subject.model(tokens), module(tokens), rtol=0, atol=1e-5)
    assert "norm=last" in " ".join(subject.provenance.notes)
    assert "act_fn=gelu" in " ".join(subject.provenance.notes)


def lens_file(path: Path, **config: Any) -> Path:
    """A state dict of TransformerLens's names, with a config beside it."""
    shape = interp.TransformerConfig(2, 8, 2, 4, VOCAB, VOCAB, CONTEXT, d_mlp=16, normalization="LN")
    model = interp.HookedTransformer(shape).init_weights(seed=0)
    torch.save({"model": {n: p.detach() for n, p in model.named_parameters()}, "config": config}, path)
    return path


@pytest.mark.parametrize(
    "config",
    [
        {"positional_embedding_type": "shortformer"},
        {"parallel_attn_mlp": True},
        {"attn_types": ["global", "local"]},
        {"output_logits_soft_cap": 30.0},
        {"num_experts": 4},
        {"scale_attn_by_inverse_layer_idx": True},
    ],
    ids=str,
)
def test_what_transformer_lens_computes_and_ours_does_not_is_refused(config: dict[str, Any], tmp_path: Path) -> None:
    """Its config says so, as it is pickled beside the weights; the names and shapes are ours."""
    with pytest.raises(UnknownLayout, match=f"its config states {next(iter(config))}"):
        interp.load(lens_file(tmp_path / "tl.pt", **config))


def test_what_transformer_lens_leaves_off_is_read(tmp_path: Path) -> None:
    """A cap of -1 is none; the activation is heard whatever it is called."""
    off = {
        "positional_embedding_type": "standard",
        "output_logits_soft_cap": -1.0,
        "num_experts": None,
        "act_type": "GELU",
    }
    subject = interp.load(lens_file(tmp_path / "tl.pt", **off))
    assert subject.provenance.layout == "transformer_lens"
    assert subject.model.config.act_fn == "gelu"  # type: ignore[attr-defined]
