"""Penalties on what a network computes: soft sparsity of its activations, and local complexity. Their gradients by autograd."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from typing_extensions import override

from interp.errors import InterpError
from interp.hooked import HookedModel
from interp.hooked.dropout import uniform
from interp.sites import hidden_sites
from interp.snapshot import activation_at_readout, is_matrix
from interp.tasks import Task
from interp.tasks.probabilities import precise
from interp.training.data import Examples
from interp.training.plan import NETWORK


class OutputPenalty(ABC):
    """A penalty on what members compute for the examples of a step, without dropout.

    Args:
        model: the network; only its form matters.
        task: decides which outputs are read.
        strength: per member ``[member]``.
    """

    def __init__(self, model: HookedModel, task: Task, strength: Tensor):
        # a copy of its own, so that blocks may be trained side by side: hooks and functional_call change a module for a while
        self.model, self.task, self.strength = copy.deepcopy(model), task, strength

    def add(
        self, gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor], found: Examples, step: int
    ) -> None:
        """Add the gradient of ``strength * penalty`` on the examples of a step."""
        values = found.mean(self.values(parameters, found.inputs, None if found.shared else 0, step))
        total = (values * self.strength).sum()
        slopes = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        for gradient, slope in zip((gradients[n] for n in parameters), slopes, strict=True):
            if slope is not None:
                gradient.add_(slope)

    @abstractmethod
    def values(self, parameters: Mapping[str, Tensor], inputs: Tensor, axis: int | None, step: int) -> Tensor:
        """The penalty of every member on every example ``[member, n]``; ``axis`` is the members' axis of the inputs."""


class SoftSparsity(OutputPenalty):
    """``sigmoid((|a| - tau) / width)``, mean over the units of a hidden layer, the layers and the examples.

    A smooth form of the share of activations that are on, which is 1 - S(tau) of the activation sparsity: Golechha 2024,
    Progress Measures for Grokking on Real-world Tasks, https://arxiv.org/abs/2405.12755. As in the measure, activations are
    read where the answer is. Activations far above tau + width have hardly any gradient.

    Args:
        model: the network.
        task: of the run.
        strength: per member ``[member]``.
        tau: below it an activation counts as off.
        width: of the step from off to on.

    Raises:
        InterpError: a network without hidden layers.
    """

    def __init__(self, model: HookedModel, task: Task, strength: Tensor, tau: float, width: float):
        super().__init__(model, task, strength)
        self.tau, self.width, self.sites = tau, width, hidden_sites(model)
        if not self.sites:
            raise InterpError(
                f"sparsity_penalty: a {model.config.kind} has no hidden units with an activation function"
            )

    @override
    def values(self, parameters: Mapping[str, Tensor], inputs: Tensor, axis: int | None, step: int) -> Tensor:
        return torch.vmap(self._one, in_dims=(0, axis))(dict(parameters), inputs)

    def _one(self, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        layers: list[Tensor] = []

        def keep(activation: Tensor, hook: torch.nn.Module) -> None:
            layers.append(activation_at_readout(activation, self.model.axes_of(str(hook.name)), self.task))

        with self.model.hooks([(site, keep) for site in self.sites]):
            functional_call(self.model, parameters, (inputs,))
        on = [((a.abs() - self.tau) / self.width).sigmoid().flatten(1).mean(1) for a in layers]
        return torch.stack(on).mean(0)


class LocalComplexity(OutputPenalty):
    """``KL(p(y|x; W) || p(y|x; W'))``, W' being W with a random share of weights set to 0; mean over the examples.

    Golechha 2024, Progress Measures for Grokking on Real-world Tasks, https://arxiv.org/abs/2405.12755. Every update and every
    member draws anew, from the member's seed and the step alone: one weight matrix and a share of its entries, or a share of
    the entries of all matrices. A single score z counts as the logits (0, z). Misleads where logits are small: a network
    that knows nothing has no complexity either.

    Args:
        model: the network.
        task: of the run.
        strength: per member ``[member]``.
        keys: per member, as `interp.training.randomness.keys` makes them.
        share: of the weights.
        scope: ``"layer"`` or ``"network"``.

    Raises:
        InterpError: outputs that are not scores of answers.
    """

    def __init__(self, model: HookedModel, task: Task, strength: Tensor, keys: Tensor, share: float, scope: str):
        super().__init__(model, task, strength)
        self.keys, self.share, self.scope = keys, share, scope
        if not (task.criterion.logits or task.width == 1):
            raise InterpError(f"complexity_penalty: the loss {task.loss} gives no probabilities of answers")
        self.shapes = {n: p.shape for n, p in model.named_parameters() if is_matrix(n, p)}

    @override
    def values(self, parameters: Mapping[str, Tensor], inputs: Tensor, axis: int | None, step: int) -> Tensor:
        gone = self.gone(self.keys + step)
        changed = {n: p.masked_fill(gone[n], 0) if n in gone else p for n, p in parameters.items()}
        clean, other = (torch.vmap(self._one, in_dims=(0, axis))(p, inputs) for p in (dict(parameters), changed))
        log_p, log_q = (_log_probabilities(z) for z in (clean, other))
        return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)

    def _one(self, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return self.task.read(functional_call(self.model, parameters, (inputs,)))

    def gone(self, keys: Tensor) -> dict[str, Tensor]:
        """The entries that each key sets to 0, by weight matrix: exactly ``round(share * n)`` of the n that it draws from.

        Args:
            keys: per member ``[member]``.

        Returns:
            ``[member, *shape]`` for every matrix.
        """
        sizes = [shape.numel() for shape in self.shapes.values()]
        if self.scope == NETWORK:
            flat = _subsets(keys, sum(sizes), self.share, 0).split(sizes, 1)
        else:
            chosen = (uniform(keys, (1,), 0) * len(sizes)).long()[:, 0]
            flat = [torch.zeros(len(keys), n, dtype=torch.bool, device=keys.device) for n in sizes]
            for i, mask in enumerate(flat):  # only the members that drew this matrix draw from it
                if len(own := (chosen == i).nonzero()[:, 0]):
                    mask[own] = _subsets(keys[own], sizes[i], self.share, 1 + i)
        return {name: part.unflatten(1, shape) for (name, shape), part in zip(self.shapes.items(), flat, strict=True)}


def _subsets(keys: Tensor, n: int, share: float, salt: int) -> Tensor:
    """Per key ``round(share * n)`` of n entries: the ranks of that many draws among all, equal ones in their order."""
    every = uniform(keys, (n,), salt)
    some = every[:, : round(share * n)].sort(1).values
    # numpy sorts floats with vector instructions: on a CPU a fifth of torch's time
    ordered = every.sort(1).values if every.is_cuda else torch.from_numpy(np.sort(every.numpy(), 1))
    tied = torch.arange(some.shape[1], device=keys.device) - torch.searchsorted(some, some)
    ranks = torch.searchsorted(ordered, some) + tied
    return torch.zeros_like(every, dtype=torch.bool).scatter_(1, ranks, value=True)


def _log_probabilities(outputs: Tensor) -> Tensor:
    outputs = torch.cat([torch.zeros_like(outputs), outputs], -1) if outputs.shape[-1] == 1 else outputs
    return precise(outputs).log_softmax(-1)
