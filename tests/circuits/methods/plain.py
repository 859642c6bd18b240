"""Edges by their plain definition: one network at a time, every receiver's stream summed sender by sender."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from interp import HookedTransformer


def senders(model: HookedTransformer) -> list[str]:
    names = ["embed"]
    for i in range(model.config.n_layers):
        names += [f"L{i}H{h}" for h in range(model.config.n_heads)]
        names += [f"L{i} mlp"] if model.config.d_mlp is not None else []
    return names


def run(
    model: HookedTransformer,
    tokens: Tensor,
    held: Mapping[str, Tensor] | None = None,
    share: Mapping[str, Tensor] | None = None,
    given: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Logits, what each sender writes, and what each receiver hears.

    An edge "a > b" carries ``share * what a writes + (1 - share) * held[a]``; a sender in ``given`` writes that.
    """
    held, share, given = held or {}, share or {}, given or {}
    writes: dict[str, Tensor] = {}
    hears: dict[str, Tensor] = {}
    biases = torch.zeros((), dtype=model.dtype)

    def write(name: str, tensor: Tensor) -> None:
        writes[name] = given.get(name, tensor)

    def hear(receiver: str) -> Tensor:
        total = biases
        for name, tensor in writes.items():
            part = share.get(f"{name} > {receiver}", torch.ones((), dtype=model.dtype))
            total = total + (tensor if name not in held else part * tensor + (1 - part) * held[name])
        hears[receiver] = total
        return total

    write("embed", model.embed(tokens) + (model.pos_embed(*tokens.shape) if model.config.positions else 0))
    for i in range(model.config.n_layers):
        block = model.block(i)
        attn, out = block.attention, {}
        for h in range(model.config.n_heads):
            q, k, v = (
                block.ln1(hear(f"L{i}H{h} {part}")) @ getattr(attn, f"W_{x}")[h]
                + (getattr(attn, f"b_{x}")[h] if attn.bias else 0)
                for part, x in (("queries", "Q"), ("keys", "K"), ("values", "V"))
            )
            scores = q @ k.mT / attn.scale
            if model.config.causal:
                scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
            out[f"L{i}H{h}"] = scores.softmax(-1) @ v @ attn.W_O[h]
        for name, tensor in out.items():
            write(name, tensor)
        biases = biases + attn.b_O if attn.bias else biases
        if block.has_mlp:
            write(f"L{i} mlp", block.mlp(block.ln2(hear(f"L{i} mlp"))))
    return model.unembed(model.ln_final(hear("logits"))), writes, hears
