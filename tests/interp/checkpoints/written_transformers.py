"""Transformers as people write them: each a module of plain torch, the options that its file needs, and nothing of ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

VOCAB, CONTEXT, WIDTH, HEADS, HIDDEN = 11, 5, 12, 3, 20


@dataclass(frozen=True)
class Written:
    """A module that somebody might have written.

    Attributes:
        make: builds it.
        layout: the name of the layout that reads it.
        options: what its file does not say, as ``--layout`` takes it.
        config: what stands beside the weights.
        outputs: size of the output layer.
    """

    make: Callable[[], nn.Module]
    layout: str
    options: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> str | None:
        """``name:options``, or None where the file says enough."""
        return f"{self.layout}:{self.options}" if self.options else None


def future(n: int) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool).triu(1)


def attend(q: Tensor, k: Tensor, v: Tensor, causal: bool = True, scale: float | None = None) -> Tensor:
    """Heads are the axis before the last two."""
    scores = q @ k.mT / (scale or math.sqrt(q.shape[-1]))
    if causal:
        scores = scores.masked_fill(future(q.shape[-2]), -math.inf)
    return scores.softmax(-1) @ v


def by_head(x: Tensor, heads: int = HEADS) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def joined(z: Tensor) -> Tensor:
    return z.transpose(-3, -2).flatten(-2)


class Grokker(nn.Module):
    """nn.MultiheadAttention, an MLP in a Sequential, norms before, after, or none."""

    def __init__(
        self, layers=1, norm="last", final=False, causal=True, positions=True, bias=True, act=nn.ReLU, mlp=True
    ):
        super().__init__()
        self.norm, self.causal = norm, causal
        self.token_embed = nn.Embedding(VOCAB, WIDTH)
        if positions:
            self.pos_embed = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            block = nn.Module()
            block.attn = nn.MultiheadAttention(WIDTH, HEADS, bias=bias, batch_first=True)
            if mlp:
                block.ff = nn.Sequential(
                    nn.Linear(WIDTH, HIDDEN, bias), act(), nn.Dropout(0.1), nn.Linear(HIDDEN, WIDTH, bias)
                )
            if norm:
                block.ln1 = nn.LayerNorm(WIDTH)
                if mlp:
                    block.ln2 = nn.LayerNorm(WIDTH)
            self.blocks.append(block)
        self.final = nn.LayerNorm(WIDTH) if final else None
        self.output = nn.Linear(WIDTH, VOCAB, bias)

    def forward(self, tokens):
        x = self.token_embed(tokens)
        if hasattr(self, "pos_embed"):
            x = x + self.pos_embed.weight[: tokens.shape[1]]
        mask = future(tokens.shape[1]) if self.causal else None
        for b in self.blocks:
            read = b.ln1(x) if self.norm == "first" else x
            x = x + b.attn(read, read, read, attn_mask=mask, need_weights=False)[0]
            x = b.ln1(x) if self.norm == "last" else x
            if hasattr(b, "ff"):
                x = x + b.ff(b.ln2(x) if self.norm == "first" else x)
                x = b.ln2(x) if self.norm == "last" else x
        return self.output(self.final(x) if self.final else x)


class Encoder(nn.Module):
    """nn.TransformerEncoder between an embedding and a Linear, as in PyTorch's tutorial."""

    def __init__(
        self, layers=2, norm_first=False, final=False, causal=False, positions="parameter", act="relu", bias=True
    ):
        super().__init__()
        self.causal, self.positions = causal, positions
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, HIDDEN, 0.1, act, batch_first=True, norm_first=norm_first, bias=bias
        )
        norm = nn.LayerNorm(WIDTH) if final else None
        self.transformer_encoder = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)
        self.encoder, self.decoder = nn.Embedding(VOCAB, WIDTH), nn.Linear(WIDTH, VOCAB)
        if positions == "parameter":
            self.pos_embedding = nn.Parameter(torch.randn(1, CONTEXT, WIDTH))
        elif positions == "buffer":
            self.pos_encoder = nn.Module()
            self.pos_encoder.register_buffer("pe", waves(CONTEXT)[:, None])

    def forward(self, tokens):
        n = tokens.shape[1]
        x = self.encoder(tokens)
        if self.positions == "parameter":
            x = x + self.pos_embedding[:, :n]
        elif self.positions == "buffer":
            x = x * math.sqrt(WIDTH) + self.pos_encoder.pe[:n, 0]
        elif self.positions == "computed":
            x = x + waves(n).to(x)
        return self.decoder(self.transformer_encoder(x, mask=future(n) if self.causal else None))


def waves(n: int) -> Tensor:
    table = torch.zeros(n, WIDTH, dtype=torch.float64)
    for position in range(n):
        for i in range(0, WIDTH, 2):
            table[position, i] = math.sin(position / 10000 ** (i / WIDTH))
            table[position, i + 1] = math.cos(position / 10000 ** (i / WIDTH))
    return table


class DecoderBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(WIDTH, HEADS)
        self.self_attn_norm, self.ffn_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.ffn = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))

    def forward(self, x):
        a, _ = self.self_attn(x, x, x, attn_mask=future(len(x)))
        a = self.self_attn_norm(x + a)
        return self.ffn_norm(a + self.ffn(a))


class InASequential(nn.Module):
    """Blocks, last norm and output layer are the items of one Sequential; batches come second."""

    def __init__(self):
        super().__init__()
        self.token_embeddings, self.position_embeddings = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.model = nn.Sequential(DecoderBlock(), DecoderBlock(), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB))

    def forward(self, tokens):
        x = self.token_embeddings(tokens) + self.position_embeddings.weight[: tokens.shape[1]]
        return self.model(x.transpose(0, 1)).transpose(0, 1)


class OneBlock(nn.Module):
    """One block without a number: everything stands at the top."""

    def __init__(self):
        super().__init__()
        self.embed, self.pos_embed = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, WIDTH))
        self.unembed = nn.Linear(WIDTH, VOCAB)

    def forward(self, tokens):
        x = self.embed(tokens) + self.pos_embed.weight[: tokens.shape[1]]
        x = self.norm1(x + self.attn(x, x, x, attn_mask=future(tokens.shape[1]))[0])
        return self.unembed(self.norm2(x + self.mlp(x)))


class KeysApart(nn.Module):
    """nn.MultiheadAttention with q_proj_weight, k_proj_weight, v_proj_weight and one in_proj_bias."""

    def __init__(self):
        super().__init__()
        self.embed, self.pos = nn.Embedding(VOCAB, WIDTH), nn.Parameter(torch.randn(CONTEXT, WIDTH))
        block = nn.Module()
        block.attn = nn.MultiheadAttention(WIDTH, HEADS, kdim=WIDTH + 1, vdim=WIDTH + 2, batch_first=True)
        for name in ("k_proj_weight", "v_proj_weight"):
            setattr(block.attn, name, nn.Parameter(torch.randn(WIDTH, WIDTH)))
        block.attn.kdim = block.attn.vdim = WIDTH
        self.layers, self.head = nn.ModuleList([block]), nn.Linear(WIDTH, VOCAB)

    def forward(self, tokens):
        x = self.embed(tokens) + self.pos[: tokens.shape[1]]
        attn = self.layers[0].attn
        return self.head(x + attn(x, x, x, attn_mask=future(tokens.shape[1]))[0])


class NanoGPT(nn.Module):
    """karpathy/nanoGPT, model.py, with the flash attention written out."""

    def __init__(self, bias=True, tied=True, layers=2):
        super().__init__()
        block = lambda: nn.ModuleDict({  # noqa: E731
            "ln_1": nn.LayerNorm(WIDTH, bias=bias),
            "attn": nn.ModuleDict({"c_attn": nn.Linear(WIDTH, 3 * WIDTH, bias), "c_proj": nn.Linear(WIDTH, WIDTH, bias)}),
            "ln_2": nn.LayerNorm(WIDTH, bias=bias),
            "mlp": nn.ModuleDict({"c_fc": nn.Linear(WIDTH, HIDDEN, bias), "c_proj": nn.Linear(HIDDEN, WIDTH, bias)}),
        })  # fmt: skip
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(VOCAB, WIDTH), "wpe": nn.Embedding(CONTEXT, WIDTH),
            "h": nn.ModuleList(block() for _ in range(layers)), "ln_f": nn.LayerNorm(WIDTH, bias=bias),
        })  # fmt: skip
        for b in self.transformer.h:
            b.attn.register_buffer("bias", torch.ones(CONTEXT, CONTEXT).tril()[None, None])
        self.lm_head = nn.Linear(WIDTH, VOCAB, bias=False)
        if tied:
            self.transformer.wte.weight = self.lm_head.weight

    def forward(self, tokens):
        t = self.transformer
        x = t.wte(tokens) + t.wpe.weight[: tokens.shape[1]]
        for b in t.h:
            q, k, v = b.attn.c_attn(b.ln_1(x)).chunk(3, -1)
            x = x + b.attn.c_proj(joined(attend(by_head(q), by_head(k), by_head(v))))
            x = x + b.mlp.c_proj(F.gelu(b.mlp.c_fc(b.ln_2(x))))
        return self.lm_head(t.ln_f(x))


def hugging_face(tied: bool = True) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCAB, n_positions=CONTEXT, n_embd=WIDTH, n_layer=2, n_head=HEADS, n_inner=HIDDEN, resid_pdrop=0.0,
        tie_word_embeddings=tied, attn_implementation="eager", bos_token_id=0, eos_token_id=0,
    )  # fmt: skip

    class Logits(GPT2LMHeadModel):
        def forward(self, tokens):  # type: ignore[override]
            return super().forward(tokens).logits

    return Logits(config)


class Lecture(nn.Module):
    """karpathy/ng-video-lecture: heads of their own, with a mask each."""

    def __init__(self, heads=HEADS):
        super().__init__()
        self.token_embedding_table = nn.Embedding(VOCAB, WIDTH)
        self.position_embedding_table = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(self._block(heads) for _ in range(2)))
        self.ln_f, self.lm_head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB)

    @staticmethod
    def _block(heads: int) -> nn.Module:
        block, sa = nn.Module(), nn.Module()
        sa.heads = nn.ModuleList()
        for _ in range(heads):
            head = nn.Module()
            head.key, head.query, head.value = (nn.Linear(WIDTH, WIDTH // heads, bias=False) for _ in range(3))
            head.register_buffer("tril", torch.ones(CONTEXT, CONTEXT).tril())
            sa.heads.append(head)
        sa.proj = nn.Linear(WIDTH, WIDTH)
        block.sa, block.ffwd = sa, nn.Module()
        block.ffwd.net = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, WIDTH), nn.Dropout(0.1))
        block.ln1, block.ln2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        return block

    def forward(self, tokens):
        x = self.token_embedding_table(tokens) + self.position_embedding_table.weight[: tokens.shape[1]]
        for b in self.blocks:
            y = b.ln1(x)
            z = [attend(h.query(y), h.key(y), h.value(y)) for h in b.sa.heads]
            x = x + b.sa.proj(torch.cat(z, -1))
            x = x + b.ffwd.net(b.ln2(x))
        return self.lm_head(self.ln_f(x))


class AttentionOnly(nn.Module):
    """Heads as modules of matrices, no MLP, no norm; each head writes by its own W_O, or all by one."""

    def __init__(self, own_output: bool):
        super().__init__()
        self.own_output, size = own_output, 5
        self.tok_embed, self.pos_embed = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.layers = nn.ModuleList()
        for _ in range(2):
            layer = nn.Module()
            layer.heads = nn.ModuleList()
            for _ in range(2):
                head = nn.Module()
                head.W_Q, head.W_K, head.W_V = (nn.Linear(WIDTH, size, bias=False) for _ in range(3))
                if own_output:
                    head.W_O = nn.Linear(size, WIDTH, bias=False)
                layer.heads.append(head)
            if not own_output:
                layer.W_O = nn.Linear(2 * size, WIDTH, bias=False)
            self.layers.append(layer)
        self.unembed = nn.Linear(WIDTH, VOCAB, bias=False)

    def forward(self, tokens):
        x = self.tok_embed(tokens) + self.pos_embed.weight[: tokens.shape[1]]
        for layer in self.layers:
            z = [attend(h.W_Q(x), h.W_K(x), h.W_V(x)) for h in layer.heads]
            if self.own_output:
                x = x + sum(h.W_O(one) for h, one in zip(layer.heads, z, strict=True))
            else:
                x = x + layer.W_O(torch.cat(z, -1))
        return self.unembed(x)


class Separate(nn.Module):
    """Four Linear layers of attention under given names, an MLP under others."""

    def __init__(self, names: str, mlp: str = "mlp.fc1 mlp.fc2", stack: str = "encoder.layers", bias=True, inner=WIDTH):
        super().__init__()
        self.names, self.mlp, self.stack = names.split(), mlp.split(), stack
        self.embedding, self.fc_out = nn.Embedding(VOCAB, WIDTH), nn.Linear(WIDTH, VOCAB, bias)
        self.positional_encoding = nn.Parameter(torch.randn(CONTEXT, WIDTH))
        for i in range(2):
            shapes = [(WIDTH, inner)] * 3 + [(inner, WIDTH), (WIDTH, HIDDEN), (HIDDEN, WIDTH)]
            for name, shape in zip([*self.names, *self.mlp], shapes, strict=True):
                put(self, f"{stack}.{i}.{name}", nn.Linear(*shape, bias=bias))
            put(self, f"{stack}.{i}.norm1", nn.LayerNorm(WIDTH))
            put(self, f"{stack}.{i}.norm2", nn.LayerNorm(WIDTH))

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positional_encoding[: tokens.shape[1]]
        for i in range(2):
            at = f"{self.stack}.{i}."
            q, k, v, o, up, down = (self.get_submodule(at + n) for n in (*self.names, *self.mlp))
            z = joined(attend(by_head(q(x)), by_head(k(x)), by_head(v(x)), causal=False))
            x = self.get_submodule(at + "norm1")(x + o(z))
            x = self.get_submodule(at + "norm2")(x + down(F.relu(up(x))))
        return self.fc_out(x)


def put(root: nn.Module, name: str, module: nn.Module) -> None:
    """Register a module under a name with dots."""
    *parents, leaf = name.split(".")
    for part in parents:
        if not hasattr(root, part):
            root.add_module(part, nn.Module())
        root = getattr(root, part)
    root.add_module(leaf, module)


class Fused(nn.Module):
    """A qkv Linear, norms first, in lucidrains' nesting of numbers or timm's names; the gate may be fused too."""

    def __init__(self, names: str, head_major=False, gated=False, inner=WIDTH):
        super().__init__()
        self.names, self.head_major, self.gated = names.split(), head_major, gated
        self.token_emb, self.pos_emb = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        qkv, out, norm1, up, down, norm2 = self.names
        for i in range(2):
            put(self, f"layers.{i}.{norm1}", nn.LayerNorm(WIDTH))
            put(self, f"layers.{i}.{qkv}", nn.Linear(WIDTH, 3 * inner, bias=False))
            put(self, f"layers.{i}.{out}", nn.Linear(inner, WIDTH))
            put(self, f"layers.{i}.{norm2}", nn.LayerNorm(WIDTH))
            put(self, f"layers.{i}.{up}", nn.Linear(WIDTH, HIDDEN * (1 + gated)))
            put(self, f"layers.{i}.{down}", nn.Linear(HIDDEN, WIDTH))
        self.to_logits = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB))

    def forward(self, tokens):
        x = self.token_emb(tokens) + self.pos_emb.weight[: tokens.shape[1]]
        for i in range(2):
            qkv, out, norm1, up, down, norm2 = (self.get_submodule(f"layers.{i}.{n}") for n in self.names)
            whole = qkv(norm1(x))
            if self.head_major:
                q, k, v = whole.unflatten(-1, (HEADS, -1)).transpose(-3, -2).chunk(3, -1)
            else:
                q, k, v = (by_head(part) for part in whole.chunk(3, -1))
            x = x + out(joined(attend(q, k, v)))
            hidden = up(norm2(x))
            if self.gated:
                value, gate = hidden.chunk(2, -1)
                hidden = value * F.gelu(gate)
            else:
                hidden = F.gelu(hidden)
            x = x + down(hidden)
        return self.to_logits(x)


class MinGPT(nn.Module):
    """karpathy/minGPT of 2020: key, query, value, a mask, a parameter of positions."""

    def __init__(self):
        super().__init__()
        self.pos_emb, self.tok_emb = nn.Parameter(torch.randn(1, CONTEXT, WIDTH)), nn.Embedding(VOCAB, WIDTH)
        self.blocks = nn.Sequential()
        for _ in range(2):
            block, attn = nn.Module(), nn.Module()
            block.ln1, block.ln2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            attn.key, attn.query, attn.value, attn.proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
            attn.register_buffer("mask", torch.ones(CONTEXT, CONTEXT).tril().view(1, 1, CONTEXT, CONTEXT))
            block.attn = attn
            block.mlp = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH), nn.Dropout(0.1))
            self.blocks.append(block)
        self.ln_f, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB, bias=False)

    def forward(self, tokens):
        x = self.tok_emb(tokens) + self.pos_emb[:, : tokens.shape[1]]
        for b in self.blocks:
            y = b.ln1(x)
            z = attend(by_head(b.attn.query(y)), by_head(b.attn.key(y)), by_head(b.attn.value(y)))
            x = x + b.attn.proj(joined(z))
            x = x + b.mlp(b.ln2(x))
        return self.head(self.ln_f(x))


class RMS(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Gated(nn.Module):
    """LLaMA's blocks with learned positions in place of rotary ones."""

    def __init__(self, names: str, positions=True, act=F.silu):
        super().__init__()
        self.names, self.act = names.split(), act
        self.tok_embeddings, self.norm = nn.Embedding(VOCAB, WIDTH), RMS()
        if positions:
            self.pos_embeddings = nn.Embedding(CONTEXT, WIDTH)
        for i in range(2):
            put(self, f"layers.{i}.{self.names[7]}", RMS())
            for name in self.names[:4]:
                put(self, f"layers.{i}.{name}", nn.Linear(WIDTH, WIDTH, bias=False))
            for n, name in enumerate(self.names[4:7]):
                put(
                    self, f"layers.{i}.{name}", nn.Linear(*((HIDDEN, WIDTH) if n == 2 else (WIDTH, HIDDEN)), bias=False)
                )
            put(self, f"layers.{i}.{self.names[8]}", RMS())
        self.output = nn.Linear(WIDTH, VOCAB, bias=False)

    def forward(self, tokens):
        x = self.tok_embeddings(tokens)
        if hasattr(self, "pos_embeddings"):
            x = x + self.pos_embeddings.weight[: tokens.shape[1]]
        for i in range(2):
            q, k, v, o, gate, up, down, n1, n2 = (self.get_submodule(f"layers.{i}.{n}") for n in self.names)
            y = n1(x)
            x = x + o(joined(attend(by_head(q(y)), by_head(k(y)), by_head(v(y)))))
            y = n2(x)
            x = x + down(self.act(gate(y)) * up(y))
        return self.output(self.norm(x))


class Einsum(nn.Module):
    """Parameters with an axis for the heads, in one of the orders that people use."""

    def __init__(self, order: str, output: str):
        super().__init__()
        sizes = {"h": HEADS, "d": WIDTH, "e": 6}
        shape = lambda axes: [math.prod(sizes[a] for a in axis) for axis in axes.split()]  # noqa: E731
        self.order, self.output = order, output
        self.token_table, self.pos_table = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        block, attn, mlp = nn.Module(), nn.Module(), nn.Module()
        for name in ("W_Q", "W_K", "W_V"):
            setattr(attn, name, nn.Parameter(torch.randn(shape(" ".join(order))) / 3))
        attn.W_O = nn.Parameter(torch.randn(shape(output)) / 3)
        mlp.W1, mlp.b1 = nn.Parameter(torch.randn(WIDTH, HIDDEN) / 3), nn.Parameter(torch.randn(HIDDEN))
        mlp.W2, mlp.b2 = nn.Parameter(torch.randn(HIDDEN, WIDTH) / 3), nn.Parameter(torch.randn(WIDTH))
        block.attention, block.mlp = attn, mlp
        self.layers, self.readout = nn.ModuleList([block]), nn.Linear(WIDTH, VOCAB)

    def forward(self, tokens):
        x = self.token_table(tokens) + self.pos_table.weight[: tokens.shape[1]]
        attn, mlp = self.layers[0].attention, self.layers[0].mlp
        q, k, v = (torch.einsum(f"bpd,{self.order}->bhpe", x, w) for w in (attn.W_Q, attn.W_K, attn.W_V))
        z = attend(q, k, v)
        if self.output == "d he":
            x = x + joined(z) @ attn.W_O.T
        else:
            x = x + torch.einsum(f"bhpe,{self.output.replace(' ', '')}->bpd", z, attn.W_O)
        return self.readout(x + F.relu(x @ mlp.W1 + mlp.b1) @ mlp.W2 + mlp.b2)


class Bare(nn.Module):
    """Square matrices that are parameters: x @ W, or W @ x."""

    def __init__(self, left: bool):
        super().__init__()
        self.left = left
        self.embed, self.unembed = nn.Embedding(VOCAB, WIDTH), nn.Linear(WIDTH, VOCAB, bias=False)
        attn = nn.Module()
        for name in ("W_q", "W_k", "W_v", "W_o"):
            setattr(attn, name, nn.Parameter(torch.randn(WIDTH, WIDTH) / 3))
        self.attn = attn

    def forward(self, tokens):
        x = self.embed(tokens)
        q, k, v, o = (w.T if self.left else w for w in self.attn.parameters())
        return self.unembed(x + joined(attend(by_head(x @ q), by_head(x @ k), by_head(x @ v), scale=1.0)) @ o)


class NoOutput(nn.Module):
    """Heads are only concatenated; the table of tokens is the output layer too."""

    def __init__(self):
        super().__init__()
        self.wte, self.wpe, self.qkv = (
            nn.Embedding(VOCAB, WIDTH),
            nn.Embedding(CONTEXT, WIDTH),
            nn.Linear(WIDTH, 3 * WIDTH),
        )

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        q, k, v = (by_head(part) for part in self.qkv(x).chunk(3, -1))
        return (x + joined(attend(q, k, v))) @ self.wte.weight.T


MHA, SEPARATE = "multihead_attention", "separate_attention"
LLAMA = (
    "attention.wq attention.wk attention.wv attention.wo feed_forward.w1 feed_forward.w3 feed_forward.w2 "
    "attention_norm ffn_norm"
)
GATE_PROJ = (
    "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj mlp.gate_proj mlp.up_proj mlp.down_proj "
    "input_layernorm post_attention_layernorm"
)
LUCIDRAINS = "0.fn.to_qkv 0.fn.to_out.0 0.norm 1.fn.net.0 1.fn.net.3 1.norm"
TIMM = "attn.qkv attn.proj norm1 mlp.fc1 mlp.fc2 norm2"

WRITTEN: dict[str, Written] = {
    "grokker": Written(Grokker, MHA, f"n_heads={HEADS}"),
    "grokker of two layers, norm first": Written(lambda: Grokker(2, "first", True), MHA, f"n_heads={HEADS}"),
    "norm last and a last norm": Written(lambda: Grokker(2, "last", True), MHA, f"n_heads={HEADS},norm=last"),
    "norm first without a last norm": Written(
        lambda: Grokker(2, "first"), MHA, "", {"num_heads": HEADS, "norm_first": True}
    ),
    "no norm, no positions": Written(lambda: Grokker(2, None, positions=False), MHA, "", {"model": {"n_head": HEADS}}),
    "no biases, not causal": Written(
        lambda: Grokker(2, causal=False, bias=False), MHA, "", {"heads": HEADS, "causal": False}
    ),
    "attention only": Written(lambda: Grokker(2, mlp=False), MHA, f"n_heads={HEADS}"),
    "attention only, no norm": Written(lambda: Grokker(1, None, mlp=False), MHA, f"n_heads={HEADS}"),
    "gelu": Written(lambda: Grokker(1, act=nn.GELU), MHA, "", {"nhead": HEADS, "activation": "nn.GELU()"}),
    "encoder": Written(Encoder, MHA, f"n_heads={HEADS}"),
    "encoder, norm first": Written(lambda: Encoder(norm_first=True, final=True), MHA, f"n_heads={HEADS},norm=first"),
    "encoder, norm last and a last norm": Written(lambda: Encoder(3, final=True), MHA, "", {"nhead": HEADS}),
    "encoder without biases": Written(
        lambda: Encoder(bias=False, act="gelu"), MHA, f"n_heads={HEADS},act_fn=gelu,normalization=LN"
    ),
    "encoder with a mask and sinusoids": Written(
        lambda: Encoder(causal=True, positions="buffer"), MHA, f"n_heads={HEADS},causal=true,embed_scale=sqrt"
    ),
    "encoder with computed sinusoids": Written(
        lambda: Encoder(positions="computed"), MHA, f"n_heads={HEADS},positions=sinusoidal,n_ctx={CONTEXT}"
    ),
    "one layer of an encoder": Written(lambda: Encoder(1), MHA, f"n_heads={HEADS}"),
    "in a sequential": Written(InASequential, MHA, f"n_heads={HEADS},norm=last,act_fn=gelu"),
    "one block without a number": Written(OneBlock, MHA, f"n_heads={HEADS}"),
    "three matrices": Written(KeysApart, MHA, f"n_heads={HEADS}"),
    "nanoGPT": Written(NanoGPT, "gpt2", "", {"model_args": {"n_head": HEADS}}),
    "nanoGPT without biases": Written(lambda: NanoGPT(False, False, 1), "gpt2", f"n_heads={HEADS}"),
    "Hugging Face": Written(hugging_face, "gpt2", "", {"n_head": HEADS, "activation_function": "gelu_new"}),
    "Hugging Face, untied": Written(lambda: hugging_face(False), "gpt2", f"n_heads={HEADS}"),
    "lecture": Written(Lecture, SEPARATE),
    "lecture, one head": Written(lambda: Lecture(1), SEPARATE, "n_heads=1"),
    "heads as modules": Written(lambda: AttentionOnly(False), SEPARATE),
    "heads that write on their own": Written(lambda: AttentionOnly(True), SEPARATE),
    "minGPT": Written(MinGPT, SEPARATE, f"n_heads={HEADS},act_fn=gelu"),
    "W_q, W_k, W_v, W_o": Written(
        lambda: Separate("attn.W_q attn.W_k attn.W_v attn.W_o"), SEPARATE, f"n_heads={HEADS},causal=false"
    ),
    "query, key, value, out": Written(
        lambda: Separate("attention.query attention.key attention.value attention.out", "ff.0 ff.3", "transformer.h"),
        SEPARATE,
        f"n_heads={HEADS},causal=false",
    ),
    "to_q, to_k, to_v, to_out": Written(
        lambda: Separate("attn.to_q attn.to_k attn.to_v attn.to_out.0", "linear1 linear2", "decoder.layers", False, 24),
        SEPARATE,
        f"n_heads={HEADS},causal=false,norm=last",
    ),
    "w_qs and fc": Written(
        lambda: Separate(
            "slf_attn.w_q slf_attn.w_k slf_attn.w_v slf_attn.fc", "pos_ffn.w_1 pos_ffn.w_2", "layer_stack", True
        ),
        SEPARATE,
        f"n_heads={HEADS},causal=false",
    ),
    "straight in the block": Written(
        lambda: Separate("q_proj k_proj v_proj o_proj", "up down", "blocks"), SEPARATE, f"n_heads={HEADS},causal=false"
    ),
    "w_concat": Written(
        lambda: Separate("attention.w_q attention.w_k attention.w_v attention.w_concat", "ffn.linear1 ffn.linear2"),
        SEPARATE,
        f"n_heads={HEADS},causal=false",
    ),
    "as in BERT": Written(
        lambda: Separate(
            "attention.self.query attention.self.key attention.self.value attention.output.dense",
            "intermediate.dense output.dense",
        ),
        SEPARATE,
        f"n_heads={HEADS},causal=false",
    ),
    "timm": Written(lambda: Fused(TIMM), SEPARATE, f"n_heads={HEADS},act_fn=gelu"),
    "lucidrains": Written(lambda: Fused(LUCIDRAINS, inner=24), SEPARATE, f"n_heads={HEADS},act_fn=gelu"),
    "lucidrains, GEGLU": Written(
        lambda: Fused(LUCIDRAINS, gated=True), SEPARATE, f"n_heads={HEADS},act_fn=gelu,gate=second"
    ),
    "each head's rows together": Written(
        lambda: Fused(TIMM.replace("attn.qkv", "self_attn.qkv_proj").replace("attn.proj", "self_attn.o_proj"), True),
        SEPARATE,
        f"n_heads={HEADS},act_fn=gelu,qkv=heads",
    ),
    "LLaMA's names": Written(lambda: Gated(LLAMA), SEPARATE, f"n_heads={HEADS}"),
    "gate_proj, GEGLU": Written(
        lambda: Gated(GATE_PROJ, act=F.gelu), SEPARATE, "", {"n_heads": HEADS, "activation": "geglu"}
    ),
    "gated, no positions": Written(lambda: Gated(LLAMA, False), SEPARATE, f"n_heads={HEADS},positions=none"),
    "einsum": Written(lambda: Einsum("hde", "h e d"), SEPARATE),
    "einsum, heads' outputs in one": Written(lambda: Einsum("hed", "d he"), SEPARATE),
    "einsum, the stream first": Written(lambda: Einsum("dhe", "d h e"), SEPARATE),
    "bare matrices": Written(lambda: Bare(False), SEPARATE, f"n_heads={HEADS},orientation=in_out,attn_scale=1"),
    "bare matrices from the left": Written(
        lambda: Bare(True), SEPARATE, f"n_heads={HEADS},orientation=out_in,attn_scale=1"
    ),
    "no output projection, tied": Written(NoOutput, SEPARATE, f"n_heads={HEADS}"),
}


def random(name: str) -> nn.Module:
    """The module of that name in float64 and eval mode, every parameter random, biases and norms too."""
    torch.manual_seed(0)
    module = WRITTEN[name].make().double().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter += 0.3 * noise
    return module
