"""The edges of an MLP: its single weights."""

from __future__ import annotations

from itertools import accumulate, pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.discovery.graph import Graph
from circuits.engine.evaluation import Evaluation
from circuits.interventions.values import Mean, Value
from interp.activations.capture import capture
from interp.hooked import HookedMLP


class MLPEdges(Graph):
    """Every weight carries its unit's activation to one unit of the next layer; an ablated one carries the unit's constant.

    Attributes:
        sites: whose units the weights of each layer read, first to last.
        constants: of those units ``[in]``.
    """

    def __init__(self, evaluation: Evaluation, model: HookedMLP, value: Value, reference: Tensor, max_bytes: int):
        self.evaluation, self.model, self.max_bytes = evaluation, model, max_bytes
        depth = len(model.config.hidden)
        self.sites = ["hook_input", *(f"layers.{i}.hook_post" for i in range(depth))]
        self.constants = [torch.zeros((), dtype=model.dtype, device=model.device)] * len(self.sites)
        if isinstance(value, Mean):
            acts = capture(model, reference, self.sites, batch_size=4096)
            self.constants = [acts[s].double().mean(0).to(model.dtype) for s in self.sites]
        senders = ["in", *(f"L{i}N" for i in range(depth))]
        receivers = [*(f"L{i}N" for i in range(depth)), "out"]
        shapes = [W.shape for W, _ in self.weights]
        self.labels = [
            f"{sender}{a} > {receiver}{b}"
            for sender, receiver, (n_in, n_out) in zip(senders, receivers, shapes, strict=True)
            for a in range(n_in) for b in range(n_out)
        ]  # fmt: skip
        self.places = [
            f"{a} > {b}" for a, b, (i, o) in zip(senders, receivers, shapes, strict=True) for _ in range(i * o)
        ]

    @property
    def weights(self) -> list[tuple[Tensor, Tensor | None]]:
        """Weights ``[in, out]`` and bias of every layer, the unembedding last."""
        layers = [self.model.layer(i) for i in range(len(self.model.config.hidden))]
        last = self.model.unembed
        return [*((x.W, x.b if x.bias else None) for x in layers), (last.W_U, last.b_U if last.bias else None)]

    @override
    def outputs(self, kept: Float[Tensor, "k elements"], rows: slice) -> Tensor:
        weights = self.weights
        ends = [0, *accumulate(W.numel() for W, _ in weights)]
        x = capture(self.model, self.evaluation.inputs[rows], "hook_input")["hook_input"].expand(len(kept), -1, -1)
        for i, ((W, bias), (start, stop)) in enumerate(zip(weights, pairwise(ends), strict=True)):
            constant = self.constants[i].expand(len(W))
            masked = W * kept[:, start:stop].unflatten(1, W.shape)  # [k, in, out]
            x = (x - constant) @ masked + constant @ W
            x = x if bias is None else x + bias
            if i < len(weights) - 1:
                x = self.model.layer(i).act(x)
        return x
