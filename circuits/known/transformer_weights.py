"""The true edges of a transformer, from its weights: what is written, what is read, and what of it reaches the logits."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError
from interp.hooked import HookedTransformer

NEGLIGIBLE = 1e-9


def transformer_edges(
    model: HookedTransformer, inputs: Tensor, readout: int, varying: bool = True, negligible: float = NEGLIGIBLE
) -> frozenset[str]:
    """The edges through which something that differs between inputs reaches the logits; no part is ever replaced.

    One forward pass gives what each sender writes at each position, ``D [n, pos, d_model]``, as the difference from its mean
    over the inputs. Going from the logits backwards, a receiver's read matrix ``F [pos, d_model, k]`` has only the columns
    that matter, at the positions that matter:

    - logits: ``W_U`` at the position that is read.
    - an MLP: the columns of ``W_in`` of those neurons whose activation differs between inputs there, and whose row of
      ``W_out`` has a product that is not zero with the read matrix of a later receiver.
    - a head's values: ``W_V W_O`` times the read matrices of later receivers, at the positions it attends to.
    - a head's queries and keys: ``W_Q k`` for all differences k of two visible keys, and ``W_K q`` for all queries q;
      only where the pattern differs between inputs and what the visible positions' values write there differs for a later
      receiver.

    There is an edge where ``D F`` is not zero at some input and position. Weights decide, so an edge is there though another
    one may do its work, too. Edges that carry the same on all inputs (a position, a BOS token) are none: no counterfactual
    can show them; with ``varying=False`` they are there as well.

    Args:
        model: without norms, that computes all positions; computed in float64.
        inputs: tokens ``[n, pos]``: all that the network is meant for.
        readout: the position whose logits count.
        varying: whether an edge must carry something that differs between inputs.
        negligible: products up to this are zero.

    Returns:
        labels as `circuits.discover` gives them: ``embed > L0H1 queries``, ``L0H1 > L0 mlp``, ``L0 mlp > logits``.

    Raises:
        InterpError: a network with norms or gated MLPs, in which products of weights do not decide.
    """
    config = model.config
    if config.normalization is not None or config.gated_mlp:
        raise InterpError("edges follow from products of weights only in a transformer without norms and gates")
    if not config.n_layers or config.readout is not None:
        raise InterpError(
            "the true edges are those of a transformer with layers that computes all positions (readout=None)"
        )
    model = model.cast(torch.float64)  # a constant differs from its mean by more than nothing in float32
    found = _Backwards(model, inputs, varying, negligible)
    last = torch.zeros(inputs.shape[1], *model.W_U.shape, dtype=model.dtype)
    last[readout] = model.W_U.detach()
    found.receive("logits", last, len(found.written))
    for layer in reversed(range(config.n_layers)):
        found.mlp(layer)
        found.heads(layer)
    return frozenset(found.edges)


@dataclass
class _Backwards:
    """The walk from the logits to the embedding.

    Attributes:
        written: what each sender writes ``[n, pos, d_model]``, in order.
        reads: read matrices of the receivers seen so far, side by side ``[pos, d_model, k]``.
    """

    model: HookedTransformer
    inputs: Tensor
    varying: bool
    negligible: float
    edges: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        model, layers = self.model, range(self.model.config.n_layers)
        with torch.no_grad():
            self.acts = capture(model, self.inputs, "*")
            self.written = {"embed": self.acts["blocks.0.hook_resid_pre"]}
            for i in layers:
                z, W_O = self.acts[f"blocks.{i}.attn.hook_z"], model.block(i).attention.W_O
                self.written |= {f"L{i}H{h}": z[..., h, :] @ W_O[h] for h in range(len(W_O))}
                if model.block(i).has_mlp:
                    self.written[f"L{i} mlp"] = self.acts[f"blocks.{i}.hook_mlp_out"]
        self.names = list(self.written)
        self.reads = torch.zeros(self.inputs.shape[1], model.config.d_model, 0, dtype=model.dtype)

    def seen(self, activation: Tensor) -> Tensor:
        """What counts of an activation ``[n, ...]``: its difference from the mean over the inputs, or all of it."""
        return activation - activation.mean(0) if self.varying else activation

    def receive(self, name: str, read: Float[Tensor, "pos d_model k"], hears: int) -> Tensor:
        """Note the edges into a receiver that reads the first ``hears`` senders; its read matrix, a basis of it."""
        for sender in self.names[:hears]:
            product = torch.einsum("npd,pdk->npk", self.seen(self.written[sender]), read)
            if product.numel() and float(product.abs().max()) > self.negligible:
                self.edges.add(f"{sender} > {name}")
        basis = _spanning(read)
        if name == "logits":
            self.reads = basis
        return basis

    def mlp(self, layer: int) -> None:
        if not self.model.block(layer).has_mlp:
            return
        mlp, post = self.model.block(layer).mlp, self.acts[f"blocks.{layer}.mlp.hook_post"]
        reach = torch.einsum("md,pdk->pmk", mlp.W_out.detach(), self.reads).abs().sum(-1)
        needed = (self.seen(post).abs().amax(0) * reach > self.negligible).to(post.dtype)  # [pos, d_mlp]
        read = self.receive(f"L{layer} mlp", mlp.W_in.detach() * needed[:, None, :], self.names.index(f"L{layer} mlp"))
        self.reads = _spanning(torch.cat([self.reads, read], -1))

    def heads(self, layer: int) -> None:
        n_heads = self.model.config.n_heads
        found = [read for h in range(n_heads) for read in self._head(layer, h, self.names.index(f"L{layer}H0"))]
        self.reads = _spanning(torch.cat([self.reads, *found], -1))

    def _head(self, layer: int, h: int, hears: int) -> list[Tensor]:
        """Read matrices of a head's queries, keys and values."""
        attn, at = self.model.block(layer).attention, f"blocks.{layer}.attn"
        W_Q, W_K, W_V, W_O = (getattr(attn, f"W_{x}")[h].detach() for x in "QKVO")
        q, k, v = (self.acts[f"{at}.hook_{x}"][:, :, h] for x in "qkv")  # [n, pos, d_head]
        pattern = self.acts[f"{at}.hook_pattern"][:, h]  # [n, query, key]
        n_pos = pattern.shape[-1]
        visible = torch.ones(n_pos, n_pos, dtype=torch.bool)
        visible = visible.tril() if attn.causal else visible
        out = W_O @ self.reads  # [query, d_head, k]: what of a value reaches a later receiver
        attended = (pattern.abs().amax(0) > self.negligible).to(q.dtype)
        values = torch.einsum("de,qek,qp->pdqk", W_V, out, attended).flatten(2)
        queries, keys = torch.zeros(2, n_pos, *W_Q.shape, dtype=q.dtype)
        for place in range(n_pos):
            sees = visible[place]
            if not self._moves(pattern[:, place, sees], v[:, sees] @ out[place]):
                continue
            differences = k[:, sees] - k[:, sees][:, :1]
            queries[place] = W_Q @ _columns(differences.flatten(0, 1))
            asked = W_K @ _columns(q[:, place]) * sees[:, None, None]
            keys = _spanning(torch.cat([keys, asked], -1))
        parts = {"queries": queries, "keys": keys, "values": values}
        return [self.receive(f"L{layer}H{h} {name}", read, hears) for name, read in parts.items()]

    def _moves(self, pattern: Float[Tensor, "n key"], sent: Float[Tensor, "n key k"]) -> bool:
        """Whether the pattern of one query differs between inputs (or keys), and it matters where it attends."""
        base = pattern.mean(0) if self.varying else pattern.mean(-1, keepdim=True)
        differs = float((pattern - base).abs().max()) > self.negligible
        return differs and bool(sent.numel()) and float((sent - sent[:, :1]).abs().max()) > self.negligible


def _columns(rows: Float[Tensor, "m d"]) -> Float[Tensor, "d d"]:
    """As many columns as rows have entries, with the same span and the same products' norms as all rows."""
    _, sizes, directions = torch.linalg.svd(rows, full_matrices=False)
    columns = torch.zeros(rows.shape[1], rows.shape[1], dtype=rows.dtype)
    columns[:, : len(sizes)] = (sizes[:, None] * directions).T
    return columns


def _spanning(read: Float[Tensor, "pos d k"]) -> Float[Tensor, "pos d m"]:
    """At most d columns at each position with the span of all of them."""
    if read.shape[-1] <= read.shape[-2]:
        return read
    directions, sizes, _ = torch.linalg.svd(read, full_matrices=False)
    return directions * sizes[:, None, :]
