"""The edges of a transformer: from the embedding, every head and every MLP to all later readers of the residual stream."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.discovery.graph import Graph
from circuits.engine.budget import slices
from circuits.engine.evaluation import Evaluation
from circuits.interventions.values import Mean, Value
from interp.errors import InterpError
from interp.hooked import HookedTransformer

Record = Callable[[int, Tensor], None]


class TransformerEdges(Graph):
    """Every receiver (a head's queries, keys or values, an MLP, the logits) reads its own sum of what senders write.

    An ablated edge replaces the sender's output by its mean, for this receiver only. The terms of the sum are exact: the
    embedding (positions included), each head's own part of ``W_O`` and each MLP with its bias; the attention's bias is in
    every sum. Such edges are those of ACDC (Conmy et al. 2023, https://arxiv.org/abs/2304.14997).

    Attributes:
        senders: in the order in which they write.
        blocks: groups of edges: name of the receivers, how many there are, how many senders each may read.
    """

    def __init__(
        self, evaluation: Evaluation, model: HookedTransformer, value: Value, reference: Tensor, max_bytes: int
    ):
        self.evaluation, self.model, self.max_bytes = evaluation, model, max_bytes
        config = model.config
        if not config.n_layers:
            raise InterpError("a transformer without layers has no edges to search")
        if config.post_norm:
            raise InterpError(
                "edges are terms of a sum, and a transformer with post_norm normalises the sum after every layer; "
                "search its nodes (of='nodes')"
            )
        self.senders, self.blocks = ["embed"], []
        for i in range(config.n_layers):
            self.blocks += [(f"L{i} {x}", config.n_heads, len(self.senders)) for x in ("queries", "keys", "values")]
            self.senders += [f"L{i}H{h}" for h in range(config.n_heads)]
            if config.d_mlp is not None:
                self.blocks.append((f"L{i} mlp", 1, len(self.senders)))
                self.senders.append(f"L{i} mlp")
        self.blocks.append(("logits", 1, len(self.senders)))
        self.labels = [
            f"{sender} > {self._receiver(name, n, r)}"
            for name, n, hears in self.blocks for r in range(n) for sender in self.senders[:hears]
        ]  # fmt: skip
        self.places = [name for name, n, hears in self.blocks for _ in range(n * hears)]
        self.constants = self._constants(value, reference)

    @staticmethod
    def _receiver(name: str, n: int, r: int) -> str:
        layer, _, what = name.partition(" ")
        return name if n == 1 and what in ("", "mlp") else f"{layer}H{r} {what}"

    @override
    def outputs(self, kept: Float[Tensor, "k elements"], rows: slice) -> Tensor:
        return self._run(self.evaluation.inputs[rows], kept, self.constants, None, self.model)

    @torch.no_grad()
    def _constants(self, value: Value, reference: Tensor) -> list[Tensor]:
        """What replaces each sender on an ablated edge ``[pos, d_model]``; in the last block, at the readout position."""
        nothing = [reference.new_zeros((), dtype=self.model.dtype)] * len(self.senders)
        if not isinstance(value, Mean):
            return nothing
        sums: dict[int, Tensor] = {}

        def add(sender: int, written: Tensor) -> None:
            sums[sender] = sums.get(sender, torch.zeros((), dtype=torch.float64)) + written[0].double().sum(0)

        everything = torch.ones(1, len(self.labels), dtype=self.model.dtype, device=reference.device)
        model = self.evaluation.whole if value.needs_all_positions else self.model
        assert isinstance(model, HookedTransformer)
        for part in slices(len(reference), self.at_once):
            self._run(reference[part], everything, nothing, add, model)
        means = [sums[i] / len(reference) for i in range(len(self.senders))]
        if value.needs_all_positions:  # one for all positions; the first keeps as many as the stream has
            means = [m.mean(0, keepdim=True).expand(-1 if i else len(m), -1) for i, m in enumerate(means)]
        return [m.to(self.model.dtype) for m in means]

    def _run(
        self, inputs: Tensor, kept: Tensor, constants: list[Tensor], record: Record | None, model: HookedTransformer
    ) -> Tensor:
        """Outputs ``[k, n, pos, out]``; ``record`` is given what each sender writes ``[k, n, pos, d_model]``."""
        stream = _Stream(constants, record)
        masks = self._masks(kept)
        stream.write(model.stream(inputs).unsqueeze(0))
        for i in range(model.config.n_layers):
            block, attn = model.block(i), model.block(i).attn
            shape = attn.W_Q.shape  # [head, d_model, d_head]
            n_pos = inputs.shape[1]
            readout = model.config.readout if i == model.config.n_layers - 1 else None
            first, n_queries = (0, n_pos) if readout is None else (readout % n_pos, 1)
            q, k, v = (
                torch.einsum("khnpd,hde->knphe", block.ln1(heard), getattr(attn, f"W_{x}"))
                + (getattr(attn, f"b_{x}") if attn.bias else 0.0)
                for x, heard in (
                    ("Q", stream.narrowed(first, n_queries).heard(masks[f"L{i} queries"])),
                    ("K", stream.heard(masks[f"L{i} keys"])),
                    ("V", stream.heard(masks[f"L{i} values"])),
                )
            )
            z = attn.read(q, k, v, first)
            stream = stream.narrowed(first, n_queries)
            for head in range(shape[0]):
                stream.write(z[..., head, :] @ attn.W_O[head])
            if attn.bias:
                stream.base = stream.base + attn.b_O
            if block.has_mlp:
                stream.write(block.mlp(block.ln2(stream.heard(masks[f"L{i} mlp"]).squeeze(1))))
        return model.unembed(model.ln_final(stream.heard(masks["logits"]).squeeze(1)))

    def _masks(self, kept: Tensor) -> dict[str, Tensor]:
        """Which senders each receiver reads, ``[k, receiver, sender]``."""
        ends = [0, *accumulate(n * hears for _, n, hears in self.blocks)]
        return {
            name: kept[:, start:stop].unflatten(1, (n, hears))
            for (name, n, hears), (start, stop) in zip(self.blocks, pairwise(ends), strict=True)
        }


class _Stream:
    """What has been written so far: the constants' sum, and every sender's deviation from its own."""

    def __init__(self, constants: list[Tensor], record: Record | None):
        self.constants, self.record = constants, record
        self.base: Tensor = torch.zeros((), dtype=constants[0].dtype, device=constants[0].device)
        self.deviations: list[Tensor] = []

    def write(self, written: Tensor) -> None:
        sender = len(self.deviations)
        if self.record is not None:
            self.record(sender, written)
        self.base = self.base + self.constants[sender]
        self.deviations.append(written - self.constants[sender])

    def heard(self, mask: Tensor) -> Tensor:
        """The stream as each receiver reads it ``[k, receiver, n, pos, d_model]``."""
        k = len(mask)
        stacked = torch.stack([d.expand(k, *d.shape[1:]) for d in self.deviations])
        return torch.einsum("krs,sknpd->krnpd", mask, stacked) + self.base

    def narrowed(self, first: int, n: int) -> _Stream:
        """The stream at some positions only."""
        if n == self.deviations[0].shape[-2]:
            return self
        new = _Stream(self.constants, self.record)
        new.deviations = [d.narrow(-2, first, n) for d in self.deviations]
        new.base = self.base.narrow(-2, first, n) if self.base.ndim > 1 else self.base
        return new
