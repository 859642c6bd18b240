"""Published transformers: what they compute that neither names nor shapes of their tensors show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Config = Mapping[str, Any]
LOCAL_WINDOW = 256  # positions that GPT-Neo's local attention sees, where no config says it


@dataclass(frozen=True)
class Architecture:
    """One that public checkpoints have.

    Attributes:
        title: what to call it.
        names: patterns, each of which occurs in the name of a tensor; none where names don't tell it from others.
        model_type: as the ``config.json`` of Hugging Face states it; empty for others.
        implies: what it computes, under the names of our options, and ``offset`` (rows of the table of positions before the
            first) and ``most_positions`` (up to which ours is the same); from its config, which may be empty.
        usually: the same, where copies of the code may differ.
    """

    title: str
    names: tuple[str, ...] = ()
    model_type: str = ""
    implies: Callable[[Config], dict[str, Any]] = field(default=lambda config: {})
    usually: Mapping[str, Any] = field(default_factory=dict)


def _gpt_neo(config: Config) -> dict[str, Any]:
    local = "local" in config.get("attention_layers", ["local"])
    window = config.get("window_size", LOCAL_WINDOW)
    return {
        "attn_scale": 1.0,
        "act_fn": config.get("activation_function", "gelu_new"),
        "norm_first": True,
        "causal": True,
        **({"most_positions": window} if local and isinstance(window, int) and window > 0 else {}),
    }


def _opt(config: Config) -> dict[str, Any]:
    first = config.get("do_layer_norm_before", True) is not False
    act_fn = config.get("activation_function", "relu")
    return {"offset": 2, "norm_first": first, "causal": True, "eps": 1e-5, "act_fn": act_fn}


def _biogpt(config: Config) -> dict[str, Any]:
    scale = {} if config.get("scale_embedding") is False else {"embed_scale": "sqrt"}
    act_fn = config.get("hidden_act", "gelu")  # its norms take torch's epsilon, whatever the config says
    return {"offset": 2, "norm_first": True, "causal": True, "eps": 1e-5, "act_fn": act_fn, **scale}


def _openai_gpt(config: Config) -> dict[str, Any]:
    act_fn = config.get("afn", "gelu")
    return {"norm_first": False, "causal": True, "act_fn": "gelu_new" if act_fn == "gelu" else act_fn}


PUBLISHED = (
    Architecture("GPT-2", (), "gpt2", lambda config: {"norm_first": True, "causal": True}),
    Architecture("GPT", ("tokens_embed", "positions_embed", r"attn\.c_attn"), "openai-gpt", _openai_gpt),
    Architecture("GPT-Neo", (r"attn\.attention\.q_proj", r"wpe\.weight", r"mlp\.c_fc"), "gpt_neo", _gpt_neo),
    Architecture(
        "OPT", (r"decoder\.embed_positions", r"self_attn_layer_norm", r"decoder\.final_layer_norm"), "opt", _opt
    ),
    Architecture("BioGPT", (r"biogpt\.embed_positions", r"self_attn_layer_norm"), "biogpt", _biogpt),
    Architecture(
        "GPTBigCode", (), "gpt_bigcode", lambda config: {"norm_first": True, "causal": True, "qkv": "heads"}
    ),
    # blocks written after https://github.com/openai/grok: a norm named after what it follows
    Architecture("openai/grok", (r"self_attn_norm", r"(?:ffn|fc|ff)_norm", r"attn_heads"), usually={"norm_first": False}),
    Architecture(
        "danielmamay/grokking", (r"self_attn_norm", r"(?:ffn|fc|ff)_norm", "in_proj_weight"),
        usually={"norm_first": False, "act_fn": "gelu", "causal": True},
    ),
    Architecture(
        "Sea-Snell/grokking", (r"transformer_blocks\.\d+\.attn\.val_proj", r"layer_norm1", r"(?:^|\.)positions\.weight$"),
        implies=lambda config: {"embed_scale": "sqrt", "act_fn": "gelu", "causal": True},
    ),
    # https://github.com/karpathy/minGPT of 2020, and Othello-GPT, https://github.com/likenneth/othello_world
    Architecture(
        "minGPT", (r"(?:^|\.)tok_emb\.weight$", r"(?:^|\.)pos_emb$", r"attn\.key\.weight$", r"mlp\.2\.weight$"),
        usually={"norm_first": True, "act_fn": "gelu"},
    ),
)  # fmt: skip

# what a config may state that our transformer does not compute
PARALLEL = "attention and MLP read the same stream (parallel residual)"
LOCAL = "attention that sees only some positions"
SCALED = "a factor on what the parts add, or on the logits"
CAPPED = "capped scores or logits"
LACKING: Mapping[str, str] = {
    **dict.fromkeys(("parallel_residual", "use_parallel_residual", "parallel_attn", "parallel_block",
                     "parallel_attn_mlp", "shared_attention_norm"), PARALLEL),
    **dict.fromkeys(("alibi", "use_alibi"), "scores that fall with distance (ALiBi)"),
    **dict.fromkeys(("qk_norm", "use_qk_norm", "qk_layernorm", "norm_qk"), "norms of queries and keys"),
    **dict.fromkeys(("attn_logit_softcapping", "final_logit_softcapping", "logit_softcap", "softcap",
                     "attn_scores_soft_cap", "output_logits_soft_cap"), CAPPED),
    **dict.fromkeys(("use_local_attn", "local_attention"), LOCAL),
    "scale_attn_by_inverse_layer_idx": "scores divided by the number of the layer too",
    "use_normalization_before_and_after": "norms before and behind each part",
    "post_embedding_ln": "a norm of the embeddings",
}  # fmt: skip
FACTORS = ("embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling", "logit_scale")
EXPERTS = ("num_experts", "num_local_experts", "n_experts")
IN_ATTENTION = ("rotary", "rope", "alibi", "shortformer", "relative")  # positions that are not added to the embeddings


def architecture_of(names: Iterable[str], config: Config) -> Architecture | None:
    """The published architecture that a config states, or that names of tensors show.

    Args:
        names: of the tensors.
        config: beside them.

    Returns:
        The architecture; None for any other.

    >>> architecture_of([], {"model_type": "gpt_neo", "architectures": ["GPTNeoForCausalLM"]}).title
    'GPT-Neo'
    >>> architecture_of(["transformer.wte.weight", "transformer.h.0.attn.c_attn.weight"], {}) is None
    True
    """
    listed = list(names)
    if (stated := _model_type(config)) is not None:
        return next((a for a in PUBLISHED if a.model_type == stated), None)
    return next((a for a in PUBLISHED if a.names and all(_occurs(p, listed) for p in a.names)), None)


def lacking(config: Config) -> str:
    """What a config states that our transformer does not compute.

    Args:
        config: beside the weights, entries one level down among the others.

    Returns:
        A clause for a message; empty if there is nothing.

    >>> lacking({"use_parallel_residual": True})
    'its config states use_parallel_residual=True: attention and MLP read the same stream (parallel residual)'
    >>> lacking({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}), lacking({"alibi": False})
    ('', '')
    """
    for key, what in LACKING.items():
        value = config.get(key)
        if value not in (None, False) and not (isinstance(value, (int, float)) and value <= 0):  # -1.0 means no cap
            return f"its config states {key}={value}: {what}"
    for key in (*FACTORS, *EXPERTS):
        value = config.get(key)
        if isinstance(value, (int, float)) and (value > 1 if key in EXPERTS else value != 1):
            return f"its config states {key}={value}: {'a choice between MLPs' if key in EXPERTS else SCALED}"
    positions = str(config.get("positional_embedding_type") or "").lower()
    if positions.startswith(IN_ATTENTION):
        return f"its config states positional_embedding_type={positions}: positions that enter attention itself"
    if isinstance(config.get("attn_types"), (list, tuple)) and "local" in config["attn_types"]:
        return f"its config states attn_types with 'local': {LOCAL}"
    stated = _model_type(config)
    if stated is not None and all(a.model_type != stated for a in PUBLISHED):
        known = ", ".join(a.model_type for a in PUBLISHED if a.model_type)
        return (
            f"its config states model_type={stated} (Hugging Face), and of these only {known} are read; "
            "open it with interp.wrap(transformers.AutoModelForCausalLM.from_pretrained(folder), tokens), or with a bridge of "
            "TransformerLens"
        )
    return ""


def _model_type(config: Config) -> str | None:
    """The architecture by Hugging Face's name, if it is a config of theirs."""
    theirs = "architectures" in config or "transformers_version" in config
    value = config.get("model_type")
    return value if theirs and isinstance(value, str) else None


def _occurs(pattern: str, names: list[str]) -> bool:
    return any(re.search(pattern, name) for name in names)
