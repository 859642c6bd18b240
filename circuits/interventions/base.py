"""What an intervention is, and the two kinds that others are made of: replacing by a value, and along a basis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING

from torch import Tensor
from typing_extensions import override

from circuits.interventions.comparable import Comparable
from circuits.interventions.directions import basis_of, check_dim, units_last
from circuits.interventions.values import Value, ValueLike, as_value
from interp.errors import InterpError, kind_of
from interp.sites import Site
from probes.basis import Basis, as_basis

if TYPE_CHECKING:
    from interp.tasks import Task


class Intervention(Comparable, ABC):
    """A change of one site. `transform` maps the activation to what the rest of the network sees."""

    site: str | Site

    @abstractmethod
    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        """The activation with the intervention in place.

        Args:
            activation: of the whole hook point; it is not written to.
            axes: the names of its axes.
            site: the intervention's site with the exact name of the hook point.

        Returns:
            a new tensor of the same shape.

        Raises:
            InterpError: a value, basis, run or selection that does not fit the activation.
        """

    @property
    def idle(self) -> bool:
        """Whether the intervention may change nothing; otherwise `applied` treats that as a mistake."""
        return False


class Replacing(Intervention):
    """An intervention that replaces something by a value, which may be given by its name."""

    value: ValueLike

    def __post_init__(self) -> None:
        """Replace the name of a value by the value."""
        object.__setattr__(self, "value", as_value(self.value))  # the one way into a frozen dataclass

    @property
    def replacement(self) -> Value:
        """The value, as a `Value`."""
        assert isinstance(self.value, Value)
        return self.value

    def bound(self, task: Task | None) -> Replacing:
        """The intervention with the reference sets that its value names taken from a task."""
        value = self.replacement.bound(task)
        return self if value is self.value else replace(self, value=value)  # pyright: ignore[reportArgumentType]

    def settled(self, reference: Tensor, axes: Sequence[str], site: Site) -> Replacing:
        """The intervention with its value made of ``reference``, the hook point's activation over the value's inputs."""
        mask = site.mask(reference.shape, axes, reference.device)
        return replace(self, value=self._settle(reference, axes, mask, site))  # pyright: ignore[reportArgumentType]

    def _settle(self, reference: Tensor, axes: Sequence[str], mask: Tensor | None, site: Site) -> Value:
        basis = self._directions(site)
        if basis is None:
            return self.replacement.settled(reference, axes, mask)
        check_dim(basis, reference, axes, site)
        of = units_last(axes)
        coordinates = basis.coordinates(of.last(reference))
        return self.replacement.settled(coordinates, of.flat_axes, None if mask is None else of.last(mask))

    def _directions(self, site: Site) -> Basis | None:
        """The directions whose coordinates the value replaces; None: the activation itself."""
        return basis_of(site)


class Projecting(Replacing):
    """An intervention along a basis of its own, which may be given as a PCA, an SVD or orthonormal rows."""

    basis: Basis

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "basis", as_basis(self.basis))


def require_tensor(given: object, what: str, hint: str) -> None:
    """Refuse what is not a tensor, naming the argument and how to get one."""
    if not isinstance(given, Tensor):
        raise InterpError(f"{what} must be a tensor, got {kind_of(given)}: {hint}")


def require_number(given: object, what: str) -> None:
    """Refuse what is not a number (or a tensor of numbers), naming the argument."""
    if isinstance(given, bool) or not isinstance(given, (Real, Tensor)):
        raise InterpError(f"{what} must be a number, got {given!r}")
