"""What a task may know of its own structure: addition modulo n in disguise, its symmetry, its factors."""

from __future__ import annotations

from abc import ABC
from functools import cached_property
from typing import ClassVar

from interp.tasks.cyclic import CyclicStructure, GroupStructure
from interp.tasks.factors import Factors
from interp.tasks.symmetry import Symmetry


class Structured(ABC):
    """A task's own structure. Each question has an answer, or a reason in words why there is none.

    Attributes:
        name: of the task.
    """

    name: ClassVar[str]

    def cyclic(self) -> CyclicStructure | str:
        """The task as addition modulo n, or the reason why it is not."""
        return f"{self.name} is not addition modulo n, so it has no Fourier basis"

    def group(self) -> GroupStructure | str:
        """The task as composition in a finite group, or the reason why it is not; by default Z_n, if it is `cyclic`."""
        structure = self.cyclic()
        return structure if isinstance(structure, str) else structure.group()

    def symmetry(self) -> Symmetry | str:
        """The group that its examples and outputs follow, or the reason why none is known; `make_symmetry` makes it."""
        return self._symmetry

    @cached_property
    def _symmetry(self) -> Symmetry | str:
        return self.make_symmetry()

    def factors(self) -> Factors | str:
        """The invariant parts of functions on its input table, or the reason why none are known; see `make_factors`."""
        return self._factors

    @cached_property
    def _factors(self) -> Factors | str:
        return self.make_factors()

    def make_symmetry(self) -> Symmetry | str:
        """A finite group that acts on the examples and on the outputs, computed once for `symmetry`.

        Returns:
            permutations of the examples and of the outputs by generator, under which the labels are equivariant; or the
            reason why none is known.
        """
        return f"no symmetry of the task {self.name} is known"

    def make_factors(self) -> Factors | str:
        """Orthogonal parts of functions on the examples and on the outputs, computed once for `factors`.

        Returns:
            the factors, which the symmetry leaves in place; or the reason why none are known.
        """
        return f"no factors of the task {self.name} are known"
