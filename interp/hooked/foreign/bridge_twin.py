"""A TransformerLens bridge as a transformer of ours, with copies of its weights, for what needs to rewrite its forward pass."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.hooked.activation_functions import ACTIVATIONS
from interp.hooked.foreign.bridge import TRIAL, WrappedBridge
from interp.hooked.transformer.config import TransformerConfig
from interp.hooked.transformer.model import HookedTransformer

CLOSE = 1e-4  # largest difference of logits, relative to their size


@torch.no_grad()
def transformer_of(guest: WrappedBridge) -> HookedTransformer:
    """The same network as a `HookedTransformer`; its logits are compared with the bridge's before it is given.

    Args:
        guest: the wrapped bridge, of a network with learned or no position embeddings, and norms before each layer.

    Returns:
        the transformer, with copies of the weights.

    Raises:
        InterpError: a network of another kind; the message says which part is.
    """
    bridge = cast(Any, guest.module)
    cfg, positional = bridge.cfg, bridge.cfg.positional_embedding_type
    gated, norm = bool(getattr(cfg, "gated_mlp", False)), cfg.normalization_type
    faults = [
        (positional not in ("standard", None, "none"), f"positions of the kind {positional!r}"),
        (bool(cfg.parallel_attn_mlp), "attention and MLP side by side"),
        (norm not in (None, "LN", "LNPre", "RMS"), f"norms of the kind {norm!r}"),
        (not cfg.attn_only and cfg.act_fn not in ACTIVATIONS, f"the activation function {cfg.act_fn!r}"),
        (cfg.attention_dir not in ("causal", "bidirectional"), f"attention of the kind {cfg.attention_dir!r}"),
    ]
    if wrong := [what for bad, what in faults if bad]:
        raise InterpError(f"a bridge with {', '.join(wrong)} has no twin among our transformers")
    positions, scale = positional == "standard", cfg.attn_scale if cfg.use_attn_scale else 1.0
    config = TransformerConfig(
        cfg.n_layers, cfg.d_model, cfg.n_heads, cfg.d_head, guest.W_E.shape[0], guest.W_U.shape[1], cfg.n_ctx,
        d_mlp=None if cfg.attn_only else cfg.d_mlp, act_fn=cfg.act_fn or "relu", normalization=norm,
        causal=cfg.attention_dir == "causal", attn_bias=True, unembed_bias=True, ln_eps=cfg.eps, gated_mlp=gated,
        positions=positions, attn_scale=scale if scale and scale > 0 else None,
    )  # fmt: skip
    weights = {"embed.W_E": guest.W_E, "unembed.W_U": guest.W_U, "unembed.b_U": guest.b_U}
    weights |= {"pos_embed.W_pos": guest.W_pos[: cfg.n_ctx]} if positions else {}
    for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"):
        weights |= {f"blocks.{i}.attn.{name}": w for i, w in enumerate(getattr(guest, name))}
    for name in () if cfg.attn_only else ("W_in", "b_in", "W_out", "b_out", *(["W_gate"] if gated else [])):
        weights |= {f"blocks.{i}.mlp.{name}": w for i, w in enumerate(getattr(guest, name))}
    if gated:
        weights |= {f"blocks.{i}.mlp.b_gate": torch.zeros_like(b) for i, b in enumerate(guest.b_in)}
    for i, block in enumerate(bridge.blocks):
        for ln in ("ln1", "ln2"):
            weights |= _norm(f"blocks.{i}.{ln}", getattr(block, ln, None), norm)
    weights |= _norm("ln_final", bridge.ln_final, norm)
    twin = HookedTransformer.from_weights(config, weights).to(guest.device)
    tokens = torch.arange(TRIAL[0] * TRIAL[1], device=guest.device).reshape(TRIAL) % config.d_vocab
    theirs, own = guest(tokens), twin(tokens)
    apart = float((theirs - own).abs().max() / theirs.abs().max().clamp_min(1e-30))
    if not apart < CLOSE:
        raise InterpError(
            f"a transformer of ours with the bridge's weights gives other logits ({apart:.1e} of their size apart), so the "
            "bridge has something that ours lacks"
        )
    return twin


def _norm(at: str, module: Any, norm: str | None) -> dict[str, Tensor]:
    if norm not in ("LN", "RMS") or module is None:
        return {}
    return {f"{at}.w": module.weight} | ({f"{at}.b": module.bias} if norm == "LN" else {})
