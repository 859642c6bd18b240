"""Values: what takes the place of an activation. Frozen, comparable, and the same on every device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from interp.errors import InterpError, UnknownName, unknown
from interp.sites import find_axis

if TYPE_CHECKING:
    from interp.tasks import Task

REFERENCES = ("all", "train", "test")  # the sets of a task that a Mean may name


class Comparable:
    """Equality by content for dataclasses that hold tensors."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            _same(getattr(self, f.name), getattr(other, f.name))
            for f in fields(self)  # type: ignore[arg-type]
        )

    def __hash__(self) -> int:
        return hash((type(self).__name__, str(getattr(self, "site", ""))))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a.cpu(), b.cpu())
    return bool(a == b)


class Value(Comparable, ABC):
    """What takes the place of an activation. `of` gives a tensor that broadcasts over it.

    ``mask`` is True where the activation will be replaced, None where all of it will.
    """

    needs_all_positions = False  # whether the result depends on positions other than the replaced one

    @abstractmethod
    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor: ...

    @property
    def inputs(self) -> Tensor | None:
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
    """Nothing. Misleads where 0 is far from what the next layer ever sees: then `Mean` is the milder cut."""

    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        return torch.zeros((), dtype=activation.dtype, device=activation.device)


@dataclass(frozen=True, eq=False, repr=False)
class Mean(Value):
    """The mean over named axes of the site, accumulated in float64.

    Over the part that the site selects: at ``pos=-1`` a mean over ``("batch", "pos")`` is that position's mean, so that
    ablating twice is ablating once.

    Attributes:
        over: names of axes; those of the site that are not named keep their own mean each.
        reference: inputs whose activations are averaged: a tensor ``[n, ...]``, or ``"train"``, ``"test"`` or ``"all"``
            examples of the subject's task. None: the batch of the forward pass itself, so give the whole input table at
            once, as the experiments do.
    """

    over: tuple[str, ...] | str = ("batch",)
    reference: Tensor | str | None = None

    def __post_init__(self) -> None:
        over = (self.over,) if isinstance(self.over, str) else tuple(self.over)
        object.__setattr__(self, "over", over)  # the one way into a frozen dataclass
        if isinstance(self.reference, str) and self.reference not in REFERENCES:
            raise UnknownName(unknown("reference set", self.reference, REFERENCES))
        if isinstance(self.reference, Tensor) and len(self.reference) == 0:
            raise InterpError("the reference set of a mean is empty (its first axis has length 0)")

    @property
    def needs_all_positions(self) -> bool:  # type: ignore[override]
        return "pos" in self.over

    @property
    def inputs(self) -> Tensor | None:
        if isinstance(self.reference, str):
            raise InterpError(
                f"the reference set {self.reference!r} is a task's: give the subject, or the examples themselves as a tensor"
            )
        return self.reference

    def bound(self, task: Task | None) -> Value:
        if not isinstance(self.reference, str) or task is None:
            return self
        if self.reference == "all":
            return replace(self, reference=task.inputs)
        indices = task.train_indices if self.reference == "train" else task.test_indices
        if len(indices) == 0:
            raise InterpError(f"the reference set {self.reference!r} of {task.name} is empty")
        return replace(self, reference=task.inputs[indices])

    def settled(self, reference: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Value:
        return Settled(self._average(reference, axes, mask), repr(self))

    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        if self.reference is not None:
            raise InterpError(f"{self} was not settled: `circuits.applied` and the experiments do that")
        return self._average(activation, axes, mask)

    def _average(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None) -> Tensor:
        dims = [find_axis(axis, axes, "the site") for axis in self.over]
        values = activation.double()
        if mask is None:
            return values.mean(dims, keepdim=True).to(activation.dtype)
        weight = mask.expand_as(values)
        total = values.where(weight, torch.zeros_like(values)).sum(dims, keepdim=True)
        return (total / weight.sum(dims, keepdim=True).clamp_min(1)).to(activation.dtype)

    def __repr__(self) -> str:
        if self.reference is None:
            return f"Mean(over={self.over!r})"
        named = repr(self.reference) if isinstance(self.reference, str) else f"inputs{list(self.reference.shape)}"
        return f"Mean(over={self.over!r}, reference={named})"


@dataclass(frozen=True, eq=False)
class Resample(Value):
    """Activations shuffled over the batch by a seeded permutation: the distribution stays, the content goes.

    On average one input of the batch keeps its own.
    """

    seed: int = 0

    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        dim = find_axis("batch", axes, "the site")
        order = torch.randperm(activation.shape[dim], generator=torch.Generator().manual_seed(self.seed))
        return activation.index_select(dim, order.to(activation.device))


@dataclass(frozen=True, eq=False, repr=False)
class Fixed(Value):
    """A given tensor, which must broadcast over the activation (over its coordinates, at a site with a basis)."""

    tensor: Tensor
    needs_all_positions = True

    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        given = self.tensor.to(activation)
        try:
            fits = torch.broadcast_shapes(given.shape, activation.shape) == activation.shape
        except RuntimeError:
            fits = False
        if not fits:
            raise InterpError(self._misfit(list(given.shape), list(activation.shape)))
        return given

    def _misfit(self, given: list[int], wanted: list[int]) -> str:
        return f"a fixed value of shape {given} does not broadcast over {wanted}"

    def __repr__(self) -> str:
        return f"Fixed(tensor{list(self.tensor.shape)}, mean {float(self.tensor.double().mean()):.4g})"


@dataclass(frozen=True, eq=False, repr=False)
class Settled(Fixed):
    """The mean of a reference set, computed.

    Attributes:
        origin: the value that it was made of, as text.
    """

    origin: str = ""

    def _misfit(self, given: list[int], wanted: list[int]) -> str:
        return (
            f"{self.origin}: the reference set is of another shape: its mean is {given}, the activation {wanted}; give "
            "reference inputs with as many positions, or average over 'pos' too"
        )

    def __repr__(self) -> str:
        return self.origin


ValueLike = Value | str | Tensor
NAMES: dict[str, type[Value]] = {"mean": Mean, "zero": Zero, "resample": Resample}
DEFAULT = Mean()  # what replaces a component where nothing else is given, in every experiment and intervention


def as_value(given: ValueLike) -> Value:
    """A value as it is, by its name, or a tensor as `Fixed`.

    Args:
        given: a `Value`, ``"mean"``, ``"zero"`` or ``"resample"``, or a tensor that broadcasts over the activation.

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
    if isinstance(given, Tensor):
        return Fixed(given)
    if isinstance(given, type) and issubclass(given, Value):
        raise InterpError(f"{given.__name__} is a class: give a value, {given.__name__}() with brackets")
    raise InterpError(
        f"a value is needed, circuits.Mean(), Zero(), Resample(), Fixed(tensor) or a name ({', '.join(NAMES)}), got a "
        f"{type(given).__name__}"
    )
