"""One edge replaced at a time, in whole forward passes written out from the weights: no graph, no hooks, no search."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from interp import HookedMLP, HookedTransformer

Sent = Mapping[str, Tensor]


def transformer(
    model: HookedTransformer, tokens: Tensor, edge: str = "", instead: Sent | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits ``[n, pos, out]``, and what each sender writes; the receiver of one edge reads something else of its sender."""
    config, sent = model.config, {}
    sender, _, receiver = edge.partition(" > ")

    def read(name: str) -> Tensor:
        total = sum(sent.values())
        if name == receiver and instead is not None:
            total = total - sent[sender] + instead[sender]
        return total

    sent["embed"] = model.W_E[tokens] + model.W_pos[: tokens.shape[1]]
    for i in range(config.n_layers):
        written = {}
        for h in range(config.n_heads):
            q = read(f"L{i}H{h} queries") @ model.W_Q[i, h]
            k = read(f"L{i}H{h} keys") @ model.W_K[i, h]
            v = read(f"L{i}H{h} values") @ model.W_V[i, h]
            scores = q @ k.mT / (config.attn_scale or 1.0)
            if config.causal:
                scores = scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -torch.inf)
            written[f"L{i}H{h}"] = scores.softmax(-1) @ v @ model.W_O[i, h]
        sent |= written
        if config.d_mlp is not None:
            mlp = model.block(i).mlp
            sent[f"L{i} mlp"] = torch.relu(read(f"L{i} mlp") @ mlp.W_in + mlp.b_in) @ mlp.W_out + mlp.b_out
    return read("logits") @ model.W_U, sent


def mlp(
    model: HookedMLP, inputs: Tensor, edge: str = "", instead: Sent | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The same of an MLP with one hidden layer, whose senders are single units."""
    x = model.W_E[inputs].flatten(1) if model.config.d_vocab is not None else inputs.to(model.dtype)
    sender, _, receiver = edge.partition(" > ")
    layer, sent = model.layer(0), {}

    def read(units: Tensor, W: Tensor, names: tuple[str, str]) -> Tensor:
        own = {f"{names[0]}{i}": units[:, i] for i in range(units.shape[1])}
        sent.update(own)
        columns = []
        for b in range(W.shape[1]):
            total = torch.zeros(len(units), dtype=units.dtype)
            for a, (name, value) in enumerate(own.items()):
                changed = instead is not None and (name, f"{names[1]}{b}") == (sender, receiver)
                total = total + (instead[name] if changed and instead is not None else value) * W[a, b]
            columns.append(total)
        return torch.stack(columns, 1)

    hidden = layer.act(read(x, layer.W, ("in", "L0N")) + layer.b)
    return read(hidden, model.W_U, ("L0N", "out")) + model.unembed.b_U, sent
