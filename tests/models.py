"""Every model of the tests, in one table: small, random, seeded, in float64."""

from __future__ import annotations

import torch

from interp import LSTMConfig, MLPConfig, Subject, TransformerConfig
from interp.hooked import HookedModel, build
from interp.tasks import ModularArithmetic, Task

P = 7

TRANSFORMERS: dict[str, TransformerConfig] = {
    name: TransformerConfig(**{"n_layers": 1, "d_model": 12, "n_heads": 3, "d_head": 4, "d_vocab": P + 1,
                               "d_vocab_out": P, "n_ctx": 3, "d_mlp": 10, **changes})
    for name, changes in {
        "plain": {},
        "two layers": {"n_layers": 2},
        "layer norm": {"n_layers": 2, "normalization": "LN", "attn_bias": True, "unembed_bias": True},
        "folded norm": {"normalization": "LNPre", "act_fn": "gelu"},
        "no mlp": {"n_layers": 2, "d_mlp": None},
        "bidirectional": {"causal": False, "act_fn": "silu", "mlp_bias": False, "d_vocab_out": P + 1},
        "square": {"act_fn": "square", "d_head": 5},
        "norm last": {"n_layers": 2, "normalization": "LN", "post_norm": True, "final_norm": False, "attn_bias": True},
        "norm last, no mlp": {"n_layers": 2, "normalization": "LN", "post_norm": True, "d_mlp": None, "causal": False},
        "gated": {"n_layers": 2, "normalization": "RMS", "gated_mlp": True, "act_fn": "silu", "mlp_bias": False},
        "gated with biases": {"n_layers": 2, "gated_mlp": True, "act_fn": "gelu", "positions": False, "attn_scale": 1.5},
    }.items()
}  # fmt: skip

MLPS: dict[str, MLPConfig] = {
    "shared concat": MLPConfig((9,), P, d_vocab=P, d_embed=5),
    "shared sum": MLPConfig((9, 8), P, d_vocab=P, d_embed=5, combine="sum", act_fn="gelu"),
    "per operand": MLPConfig((9,), P, d_vocab=P, d_embed=5, embedding="per_operand", bias=False, unembed_bias=False),
    "product": MLPConfig((9,), P, d_vocab=P, d_embed=4, combine="product"),
    "product of tables": MLPConfig((9,), P, d_vocab=P, d_embed=9, combine="product", embedding="per_operand"),
    "deep": MLPConfig((9, 8, 6), P, d_vocab=P, d_embed=5, act_fn="tanh"),
}

LSTMS: dict[str, LSTMConfig] = {
    "lstm": LSTMConfig(P, 5, 6, 2, 3, n_ctx=4),
    "one layer lstm": LSTMConfig(P, 5, 6, 1, 1, n_ctx=4),
}

CONFIGS: dict[str, TransformerConfig | MLPConfig] = {**TRANSFORMERS, **MLPS}


def make(name: str, seed: int = 0, scale: float = 2.0) -> HookedModel:
    """A random model of the table; biases and norms are random too, so that nothing is 0 or 1 by chance."""
    model = build({**CONFIGS, **LSTMS}[name]).double().init_weights(seed, scale)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 3:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def subject(name: str, seed: int = 0) -> Subject:
    """A random model with a task that fits it."""
    model = make(name, seed)
    task: Task = ModularArithmetic(P, "add", train_fraction=0.4, seed=seed).fit(model)
    return Subject(name, model, task)
