"""The edges of an MLP: its single weights."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.discovery.graph import EdgeGraph
from circuits.engine.budget import slices
from circuits.engine.evaluation import Evaluation
from circuits.interventions.counterfactual import Counterfactual
from circuits.interventions.values import Mean, Value
from interp.activations.capture import capture
from interp.hooked import HookedMLP


class MLPEdges(EdgeGraph):
    """Every weight carries its unit's activation to one unit of the next layer; an ablated one carries the unit's constant.

    That is its mean, zero, or its activation for the corrupted input of the same row.

    Attributes:
        sites: whose units the weights of each layer read, first to last; the units of a layer are one sender.
        corrupted: inputs that ablated weights carry activations of, if there are any.
    """

    def __init__(self, evaluation: Evaluation, model: HookedMLP, value: Value, reference: Tensor, max_bytes: int):
        self.evaluation, self.model, self.max_bytes = evaluation, model, max_bytes
        depth = len(model.config.hidden)
        self.sites = ["hook_input", *(f"layers.{i}.hook_post" for i in range(depth))]
        self.corrupted = reference if isinstance(value, Counterfactual) else None
        self._fixed = [torch.zeros((), dtype=model.dtype, device=model.device)] * len(self.sites)
        if isinstance(value, Mean):
            acts = capture(model, reference, self.sites, batch_size=4096)
            self._fixed = [acts[s].double().mean(0).to(model.dtype) for s in self.sites]
        senders = ["in", *(f"L{i}N" for i in range(depth))]
        receivers = [*(f"L{i}N" for i in range(depth)), "out"]
        shapes = [W.shape for W, _ in self.weights]
        self.sender_of = torch.tensor([i for i, (n_in, n_out) in enumerate(shapes) for _ in range(n_in * n_out)])
        self.stages = [[i] for i in range(len(shapes))]
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

    def constants(self, rows: slice) -> list[Tensor]:
        """What ablated weights of each layer carry, ``[in]``, or ``[n, in]`` of corrupted inputs."""
        if self.corrupted is None:
            return self._fixed
        acts = capture(self.model, self.corrupted[rows], self.sites)
        return [acts[s] for s in self.sites]

    @property
    def _masks(self) -> list[slice]:
        ends = [0, *accumulate(W.numel() for W, _ in self.weights)]
        return [slice(start, stop) for start, stop in pairwise(ends)]

    @override
    def outputs(self, kept: Float[Tensor, "k elements"], rows: slice) -> Tensor:
        return self._run(kept, self.evaluation.inputs[rows], self.constants(rows), {}, [], None)

    def _run(
        self,
        kept: Tensor,
        inputs: Tensor,
        constants: list[Tensor],
        moved: Mapping[int, Tensor],
        carried: list[Tensor],
        taken: list[Tensor] | None,
    ) -> Tensor:
        """The network with masked weights.

        Args:
            kept: ``[k, elements]``.
            inputs: of the network.
            constants: by layer, what its ablated weights carry.
            moved: by layer, what its weights carry instead, without the constant ``[k, n, in]``.
            carried: is given what each layer's weights carry, without the constant.
            taken: is given the sums that each layer's units take in.

        Returns:
            outputs ``[k, n, out]``.
        """
        x = capture(self.model, inputs, "hook_input")["hook_input"].expand(len(kept), -1, -1)
        for i, ((W, bias), part) in enumerate(zip(self.weights, self._masks, strict=True)):
            constant = constants[i] if constants[i].ndim else constants[i].expand(len(W))
            carried.append(moved.get(i, x - constant))
            x = carried[-1] @ (W * kept[:, part].unflatten(1, W.shape)) + constant @ W
            x = x if bias is None else x + bias
            if taken is not None:
                taken.append(x)
            if i < len(self.sites) - 1:
                x = self.model.layer(i).act(x)
        return x

    @override
    def slopes(
        self, kept: Float[Tensor, " elements"], shares: Mapping[int, float] | None = None
    ) -> Float[Tensor, " elements"]:
        metric, n = self.evaluation.metrics[-1], len(self.evaluation.inputs)
        mask, total = (
            kept.to(self.model.dtype).unsqueeze(0),
            torch.zeros(len(self), dtype=torch.float64, device=kept.device),
        )
        for rows in slices(n, n if metric.whole else min(n, self.at_once)):
            inputs, constants = self.evaluation.inputs[rows], self.constants(rows)
            whole: list[Tensor] = []
            with torch.no_grad():
                self._run(mask, inputs, constants, {}, whole, None)
            moved = {layer: share * whole[layer] for layer, share in (shares or {}).items()}
            with torch.enable_grad():
                taken: list[Tensor] = []
                outputs = self._run(mask, inputs, constants, moved, [], taken)
                value = metric.values(outputs, rows, self.evaluation.answers).sum() / n
                found = torch.autograd.grad(value, taken, allow_unused=True)
            for part, (W, _), own, slope in zip(self._masks, self.weights, whole, found, strict=True):
                if slope is not None:
                    total[part] += ((own[0].T @ slope[0]) * W.detach()).flatten().double()
        return total
