"""Values: what replaces an ablated activation. Frozen, comparable, and the same on every device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from circuits.interventions.comparable import Comparable
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.foreign.several import Inputs, as_inputs
from interp.sites import find_axis

if TYPE_CHECKING:
    from interp.tasks import Task

REFERENCES = ("all", "train", "test")  # the sets of a task that a Mean may name


class Value(Comparable, ABC):
    """What replaces an activation. A subclass says in `of` how it is made."""

    needs_all_positions = False  # whether the result depends on positions other than the replaced one

    @abstractmethod
    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        """The replacement of an activation.

        Args:
            activation: of the whole site, or its coordinates along a basis.
            axes: the names of its axes.
            mask: True where the activation will be replaced; None: everywhere.

        Returns:
            a tensor that broadcasts over the activation.

        Raises:
            InterpError: the value does not fit the activation.
        """

    @property
    def inputs(self) -> Tensor | Inputs | None:
        """Inputs whose activations the value is made of; None: those of the pass that it acts in."""
        return None

    def bound(self, task: Task | None) -> Value:
        """The value with the sets of examples that it names taken from a task."""
        return self

    def settled(self, reference: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Value:
        """The value as a constant, made of ``reference``: the site's activation (or coordinates) over `inputs`."""
        return self


@dataclass(frozen=True, eq=False)
class Zero(Value):
    """Zero ablation. Misleads where 0 is far from what the next layer ever receives; `Mean` is then the milder ablation."""

    @override
    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        return torch.zeros((), dtype=activation.dtype, device=activation.device)


@dataclass(frozen=True, eq=False, repr=False)
class Mean(Value):
    """Mean ablation: the mean over named axes of the site, accumulated in float64.

    Only the part that the site selects is averaged: at ``pos=-1`` a mean over ``("batch", "pos")`` is that position's mean,
    so that ablating twice is ablating once.

    Args:
        over: names of axes; along the site's other axes each entry keeps its own mean.
        reference: inputs whose activations are averaged: a tensor ``[n, ...]`` (`interp.Inputs` for a module that takes
            several), or ``"train"``, ``"test"`` or ``"all"`` examples of the subject's task. None: the batch of the forward
            pass itself, so run the whole input table at once, as the experiments do.

    Raises:
        UnknownName: no reference set of that name.
        InterpError: an empty reference set, or one of another kind.
    """

    over: tuple[str, ...] | str = ("batch",)
    reference: Tensor | Inputs | str | None = None

    def __post_init__(self) -> None:
        given = self.over if isinstance(self.over, (str, Sequence)) else (self.over,)
        over = (given,) if isinstance(given, str) else tuple(given)
        object.__setattr__(self, "over", over)  # the one way into a frozen dataclass
        if not all(isinstance(axis, str) for axis in over):
            raise InterpError(f"Mean averages over named axes, such as 'batch' and 'pos', got over={self.over!r}")
        object.__setattr__(self, "reference", as_inputs(self.reference))
        if not isinstance(self.reference, (str, Tensor, Inputs, type(None))):
            raise InterpError(
                f"the reference set of a mean is a tensor of inputs [n, ...] or one of {', '.join(REFERENCES)}, got a "
                f"{type(self.reference).__name__}"
            )
        if isinstance(self.reference, str) and self.reference not in REFERENCES:
            raise UnknownName(unknown("reference set", self.reference, REFERENCES))
        if isinstance(self.reference, Tensor | Inputs) and len(self.reference) == 0:
            raise InterpError("the reference set of a mean is empty (its first axis has length 0)")

    @property
    @override
    def needs_all_positions(self) -> bool:  # type: ignore[override]
        return "pos" in self.over

    @property
    @override
    def inputs(self) -> Tensor | Inputs | None:
        if isinstance(self.reference, str):
            raise InterpError(
                f"the reference set {self.reference!r} is a task's: pass the Subject instead of its model, or the inputs "
                "themselves as a tensor"
            )
        return self.reference

    @override
    def bound(self, task: Task | None) -> Value:
        if not isinstance(self.reference, str) or task is None:
            return self
        if self.reference == "all":
            return replace(self, reference=task.inputs)
        indices = task.train_indices if self.reference == "train" else task.test_indices
        if len(indices) == 0:
            raise InterpError(f"the reference set {self.reference!r} of {task.name} is empty")
        return replace(self, reference=task.inputs[indices])

    @override
    def settled(self, reference: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Value:
        return Settled(self._average(reference, axes, mask), repr(self))

    @override
    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        if self.reference is not None:
            raise InterpError(
                f"{self} has no value yet: its reference set is run by `circuits.applied` and the experiments"
            )
        return self._average(activation, axes, mask)

    def _average(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None) -> Tensor:
        dims = [find_axis(axis, axes, "the site") for axis in self.over]
        values = activation.double()
        if mask is None:
            return values.mean(dims, keepdim=True).to(activation.dtype)
        weight = mask.expand_as(values)
        total = values.where(weight, torch.zeros_like(values)).sum(dims, keepdim=True)
        return (total / weight.sum(dims, keepdim=True).clamp_min(1)).to(activation.dtype)

    @override
    def __repr__(self) -> str:
        if self.reference is None:
            return f"Mean(over={self.over!r})"
        given = self.reference
        named = f"inputs{list(given.shape)}" if isinstance(given, Tensor) else repr(given)
        return f"Mean(over={self.over!r}, reference={named})"


@dataclass(frozen=True, eq=False)
class Resample(Value):
    """Resample ablation: activations permuted over the batch, which keeps their distribution and removes what they say.

    On average one input of the batch keeps its own activation.

    Args:
        seed: of the permutation.
    """

    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int):
            raise InterpError(f"the seed of Resample must be a whole number, got {self.seed!r}")

    @override
    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        dim = find_axis("batch", axes, "the site")
        order = torch.randperm(activation.shape[dim], generator=torch.Generator().manual_seed(self.seed))
        return activation.index_select(dim, order.to(activation.device))


@dataclass(frozen=True, eq=False, repr=False)
class Fixed(Value):
    """A given value, which must broadcast over the activation (over its coordinates, at a site with a basis).

    A vector ``[unit]`` is laid along the units wherever their axis stands: of the maps of a convolution it has a number per
    channel.

    Args:
        tensor: the value.

    Raises:
        InterpError: not a tensor.
    """

    tensor: Tensor
    needs_all_positions = True

    def __post_init__(self) -> None:
        if not isinstance(self.tensor, Tensor):
            raise InterpError(f"Fixed needs a tensor, such as torch.as_tensor(1.0), got {self.tensor!r}")

    @override
    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        given = self._along_units(self.tensor.to(activation), axes)
        try:
            fits = np.broadcast_shapes(given.shape, activation.shape) == activation.shape  # torch's imports sympy
        except ValueError:
            fits = False
        if not fits:
            raise InterpError(self._misfit(list(self.tensor.shape), list(activation.shape)))
        return given

    def _along_units(self, given: Tensor, axes: Sequence[str]) -> Tensor:
        """A vector of units as it stands beside the axes behind them; broadcasting would lay it along the last of those."""
        if given.ndim != 1 or "unit" not in axes:
            return given
        return given.reshape(-1, *[1] * (len(axes) - 1 - list(axes).index("unit")))

    def _misfit(self, given: list[int], wanted: list[int]) -> str:
        return f"a fixed value of shape {given} does not broadcast over {wanted}"

    @override
    def __repr__(self) -> str:
        return f"Fixed(tensor{list(self.tensor.shape)}, mean {float(self.tensor.double().mean()):.4g})"


@dataclass(frozen=True, eq=False, repr=False)
class Settled(Fixed):
    """The mean of a reference set, computed.

    Args:
        tensor: the mean.
        origin: the value that it was made of, as text.
    """

    origin: str = ""

    @override
    def _misfit(self, given: list[int], wanted: list[int]) -> str:
        return (
            f"{self.origin}: the reference set is of another shape: its mean is {given}, the activation {wanted}; use "
            "reference inputs with as many positions, or average over 'pos' too"
        )

    @override
    def __repr__(self) -> str:
        return self.origin


ValueLike = Value | str | Tensor | float
NAMES: dict[str, type[Value]] = {"mean": Mean, "zero": Zero, "resample": Resample}
DEFAULT = Mean()  # what replaces a component where nothing else is given, in every experiment and intervention


def as_value(given: ValueLike) -> Value:
    """A value as it is, by its name, or a tensor or number as `Fixed`.

    Args:
        given: a `Value`, ``"mean"``, ``"zero"`` or ``"resample"``, or a tensor (or number) that broadcasts over the activation.

    Returns:
        the value.

    Raises:
        UnknownName: no value of that name; the nearest are named.
        InterpError: anything else, such as the class `Zero` instead of ``Zero()``.

    >>> as_value("zero")
    Zero()
    """
    if isinstance(given, Value):
        return given
    if isinstance(given, str):
        if given not in NAMES:
            raise UnknownName(unknown("value", given, NAMES))
        return NAMES[given]()
    if isinstance(given, (Tensor, Real, np.ndarray)) and not isinstance(given, bool):
        return Fixed(torch.as_tensor(given))
    if isinstance(given, type) and issubclass(given, Value):
        raise InterpError(f"{given.__name__} is a class: give a value, {given.__name__}() with brackets")
    raise InterpError(
        f"a value is needed, circuits.Mean(), Zero(), Resample(), Fixed(tensor) or a name ({', '.join(NAMES)}), got a "
        f"{type(given).__name__}"
    )
