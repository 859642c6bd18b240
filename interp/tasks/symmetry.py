"""The symmetry of a task: a finite group that acts on its examples and on its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError
from interp.tasks.orbits import Orbits, components

TOLERANCE = 1e-6  # by which real labels may differ from their images


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A finite group by its generators, each a permutation of the examples and one of the outputs, perhaps with signs.

    Generator g takes example x to example ``inputs[g, x]`` and output c to output ``outputs[g, c]``. A function f of the
    examples is equivariant if ``f(g x)[g c] = sign_g(c) f(x)[c]`` for all g.

    >>> turn = torch.tensor([[1, 2, 0]])
    >>> Symmetry("Z_3", turn, turn).average(torch.eye(3)).tolist()  # equivariant already
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

    Attributes:
        name: what the group is, in words.
        inputs: which example each example goes to, by generator.
        outputs: which output each output goes to, by generator.
        signs: by which each output is multiplied as well, -1 or 1; None for none.
        examples: what the group acts on ``[n, ...]``, if these are not the task's own inputs.

    Raises:
        InterpError: rows that are not permutations, signs that are not -1 or 1, or shapes that do not agree.
    """

    name: str
    inputs: Int[Tensor, "generator n"]
    outputs: Int[Tensor, "generator width"]
    signs: Tensor | None = None
    examples: Tensor | None = None

    def __post_init__(self) -> None:
        for what in ("inputs", "outputs"):
            rows = getattr(self, what)
            if not isinstance(rows, Tensor) or rows.ndim != 2 or rows.is_floating_point():
                raise InterpError(f"symmetry {self.name}: {what} must be whole numbers [generator, n]")
            expected = torch.arange(rows.shape[1], device=rows.device).expand_as(rows)
            if not torch.equal(rows.sort(1).values, expected):
                raise InterpError(
                    f"symmetry {self.name}: a row of {what} is not a permutation of 0..{rows.shape[1] - 1}"
                )
        if len(self.inputs) != len(self.outputs):
            raise InterpError(
                f"symmetry {self.name}: {len(self.inputs)} generators act on the inputs, {len(self.outputs)} on the outputs"
            )
        if self.signs is not None and (
            self.signs.shape != self.outputs.shape or not torch.equal(self.signs.abs(), torch.ones_like(self.signs))
        ):
            raise InterpError(f"symmetry {self.name}: signs must be -1 or 1 and have the shape of outputs")
        if self.examples is not None and len(self.examples) != self.n_examples:
            raise InterpError(f"symmetry {self.name}: acts on {self.n_examples} examples, got {len(self.examples)}")

    @property
    def n_examples(self) -> int:
        """Number of examples that the group acts on."""
        return self.inputs.shape[1]

    @property
    def width(self) -> int:
        """Number of outputs that the group acts on."""
        return self.outputs.shape[1]

    @cached_property
    def orbits(self) -> Orbits:
        """Orbits of the pairs of an example and an output."""
        return Orbits.of(self.inputs, self.outputs, self.signs)

    @cached_property
    def n_input_orbits(self) -> int:
        """Orbits of the examples; 1 where the group moves every example to every other."""
        return int(components(self.inputs.numpy()).max()) + 1

    def average(self, values: Float[Tensor, "*more n width"]) -> Float[Tensor, "*more n width"]:
        """The part of a function of the examples that is equivariant: its mean over the group.

        Args:
            values: at every example and output.

        Returns:
            mean over g of ``sign_g(c) values(g x)[g c]``, a projection.

        Raises:
            InterpError: another number of examples or outputs.
        """
        self._check(values)
        sums = self.orbits.sums(values)
        return self.orbits.spread(sums / self.orbits.sizes.to(sums)).unflatten(-1, values.shape[-2:])

    def share(self, values: Float[Tensor, "*more n width"]) -> Float[Tensor, "*more"]:
        """Equivariant share: squared size of `average` over that of the values.

        Args:
            values: at every example and output.

        Returns:
            from 0 to 1, in float64; 1 where every element of the group does the same to the values; NaN where they are 0.

        Raises:
            InterpError: another number of examples or outputs.
        """
        self._check(values)
        kept = self.orbits.sums(values).double().square() / self.orbits.sizes.to(values.device)
        total = torch.linalg.vector_norm(values, dim=(-2, -1), dtype=torch.float64).square()
        return kept.sum(-1) / total.where(total > 0, torch.nan)

    def expected_share(self, *, centred: bool = False) -> float:
        """The equivariant share of values without structure: dimension of the equivariant functions over that of all.

        Args:
            centred: of values whose mean over the outputs is 0 at every example.

        Returns:
            a share.

        >>> turn = torch.tensor([[1, 2, 0]])
        >>> Symmetry("Z_3", turn, turn).expected_share(), Symmetry("Z_3", turn, turn).expected_share(centred=True)
        (0.3333333333333333, 0.3333333333333333)
        """
        kept, every = self.orbits.n_free, self.n_examples * self.width
        if centred:
            kept, every = kept - self.n_input_orbits, every - self.n_examples
        return kept / every if every else float("nan")

    def breach(self, labels: Tensor, tolerance: float = TOLERANCE) -> str | None:
        """Where labels do not follow the group, or None where they do.

        Args:
            labels: answers ``[n]`` that number the outputs, -1 and 1 where outputs change sign, or targets ``[n, width]``.
            tolerance: by which targets may differ from their images.

        Returns:
            a sentence that names the first example.
        """
        for g, there in enumerate(self.inputs):
            if labels.is_floating_point() and labels.ndim == 2:
                signs = 1.0 if self.signs is None else self.signs[g].to(labels)
                off = (labels[there][:, self.outputs[g]] - signs * labels).abs().amax(1) > tolerance
            elif self.signs is not None:
                off = labels[there] != self.signs[g, 0].to(labels) * labels
            else:
                off = labels[there] != self.outputs[g][labels]
            if off.any():
                x = int(off.nonzero()[0])
                return f"symmetry {self.name}: generator {g} takes example {x} to {int(there[x])}, but not its label"
        return None

    def _check(self, values: Tensor) -> None:
        if values.shape[-2:] != (self.n_examples, self.width):
            raise InterpError(
                f"symmetry {self.name}: acts on values [..., {self.n_examples}, {self.width}], got {list(values.shape)}"
            )
