"""Counterfactual ablation: every example takes its activation from another input, the corrupted one in the same row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from circuits.interventions.values import Resample, Settled, Value
from interp.errors import InterpError, kind_of
from interp.hooked.foreign.several import Inputs, as_inputs


@dataclass(frozen=True, eq=False, repr=False)
class Counterfactual(Value):
    """The activation of a corrupted input, example by example (interchange intervention, also called resample ablation).

    What is replaced keeps the distribution that the network knows, and what it says about the corrupted input; so only what
    differs between the two inputs is removed. It misleads where the two differ in more than what is asked about.

    Args:
        corrupted: inputs ``[n, ...]``, in the order of those that the experiment runs on; `interp.Inputs` (or a tuple or dict of
            tensors) for a module that takes several.

    Raises:
        InterpError: not a batch of inputs.

    Geiger et al. 2021, Causal Abstractions of Neural Networks, https://arxiv.org/abs/2106.02997; Chan et al. 2022, Causal
    Scrubbing, https://www.alignmentforum.org/posts/JvZhhzycHu2Yd57RN.
    """

    corrupted: Tensor | Inputs

    def __post_init__(self) -> None:
        object.__setattr__(self, "corrupted", as_inputs(self.corrupted))
        if not isinstance(self.corrupted, Tensor | Inputs) or self.corrupted.ndim == 0:
            raise InterpError(f"Counterfactual needs the corrupted inputs [n, ...], got {kind_of(self.corrupted)}")

    @property
    @override
    def inputs(self) -> Tensor | Inputs:
        return self.corrupted

    @override
    def settled(self, reference: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Value:
        return Settled(reference, repr(self))

    @override
    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        raise InterpError(f"{self} has no value yet: its inputs are run by `circuits.applied` and the experiments")

    @override
    def __repr__(self) -> str:
        given = self.corrupted
        return f"Counterfactual({f'inputs{list(given.shape)}' if isinstance(given, Tensor) else given!r})"


def paired(value: Value, inputs: Tensor | Inputs) -> Value:
    """A value that takes activations from other inputs, as those inputs: `Resample` as the permuted ones.

    Args:
        value: any.
        inputs: of the experiment ``[n, ...]``.

    Returns:
        `Counterfactual` for `Resample`; another value as it is.

    Raises:
        InterpError: corrupted inputs that are not as many as the inputs.
    """
    if isinstance(value, Resample):
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(value.seed))
        return Counterfactual(inputs[order.to(inputs.device)])
    if isinstance(value, Counterfactual) and len(value.corrupted) != len(inputs):
        raise InterpError(f"{value}: every one of the {len(inputs)} inputs needs a corrupted one in its row")
    return value
