"""What a network was asked to do: examples, a split, a loss, and when an answer is right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from interp._util.specs import format_spec
from interp.errors import InterpError, TaskMismatch
from interp.hooked.base import HookedModel
from interp.tasks.losses import Loss, make_loss


@dataclass(frozen=True)
class CyclicStructure:
    """How a task is addition modulo ``order`` in disguise.

    Operand a has exponent ``left[a]``, operand b ``right[b]``, answer c ``out[c]`` (-1: outside the structure), and
    the answer's exponent is the sum of the operands' modulo ``order``. For addition modulo p all three are the
    identity; for multiplication they are discrete logarithms.
    """

    order: int
    left: Tensor
    right: Tensor
    out: Tensor


class Task(ABC):
    """Examples with labels, split into train and test. Subclasses are frozen dataclasses; a task is its fields.

    Attributes:
        name: as in a spec and on the command line.
        summary: one line for ``--help``.
        LOSSES: the losses that make sense for it, the default first.
        complete: whether `inputs` are all inputs that there are, a finite table.
        paths: fields that hold paths of files; a run stores them absolute.
        HELP: a line for each field, for ``--help``.
        storable: whether it can be written as a spec, and kept with a run.
        seed: of everything random in the data: the split, drawn inputs, flipped labels.
        loss: one of `LOSSES`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    LOSSES: ClassVar[tuple[str, ...]]
    complete: ClassVar[bool] = False
    storable: ClassVar[bool] = True
    paths: ClassVar[tuple[str, ...]] = ()
    HELP: ClassVar[dict[str, str]] = {
        "seed": "seed of everything random in the data",
        "loss": "what the training minimises",
    }

    seed: int
    loss: str

    # one position is read where a model has positions; None: its output is ``[batch, width]``
    readout: int | None = None

    @cached_property
    def inputs(self) -> Tensor:
        """All examples ``[n, ...]``: tokens (int64) or vectors (float)."""
        return self._make_inputs()

    @cached_property
    def labels(self) -> Tensor:
        """What the network is asked to answer, per example: ``[n]``, or targets ``[n, width]`` for a regression."""
        return self._make_labels()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the data that a user should hear of."""
        return ()

    @property
    def train_indices(self) -> Tensor:
        """Which examples are trained on."""
        return self._split[0]

    @property
    def test_indices(self) -> Tensor:
        return self._split[1]

    @cached_property
    def _split(self) -> tuple[Tensor, Tensor]:
        return self._make_split()

    @abstractmethod
    def _make_inputs(self) -> Tensor: ...

    @abstractmethod
    def _make_labels(self) -> Tensor: ...

    @abstractmethod
    def _make_split(self) -> tuple[Tensor, Tensor]:
        """Indices to train on and to test on."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Number of possible answers."""

    @abstractmethod
    def fit(self, model: HookedModel) -> Self:
        """The task in the form that ``model`` takes.

        Raises:
            TaskMismatch: the model's inputs or outputs are not the task's.
        """

    def cyclic(self) -> CyclicStructure | str:
        """The task as addition modulo n, or the reason why it is none."""
        return f"{self.name} is not addition in disguise: no Fourier basis"

    @cached_property
    def criterion(self) -> Loss:
        return make_loss(self.loss, self.n_outputs)

    @property
    def answerable(self) -> bool:
        """Whether every answer is right or wrong, and judged on its own: what ablations and measures of accuracy need."""
        return self.criterion.answers and self.criterion.separable

    @property
    def width(self) -> int:
        """Number of outputs that its loss reads."""
        return self.criterion.width(self.n_outputs)

    def read(self, output: Tensor) -> Tensor:
        """What the loss reads ``[batch, width]`` from a model's output ``[batch, (pos,) d_out]``."""
        if self.readout is not None:
            output = output[:, self.readout]
        return output[..., : self.width]

    def losses(self, outputs: Tensor, labels: Tensor | None = None) -> Tensor:
        """The loss of every example ``[..., n]``, in float64.

        Args:
            outputs: ``[..., n, width]``; leading axes are other runs on the same inputs.
            labels: ``[n]``; the labels of all examples by default.
        """
        return self.criterion(outputs.double(), self._labels(outputs, labels))

    def correct(self, outputs: Tensor, labels: Tensor | None = None) -> Tensor:
        """Whether every example is answered rightly (boolean, shapes as in `losses`).

        Raises:
            InterpError: the task is a regression.
        """
        right = self.criterion.correct(outputs, self._labels(outputs, labels))
        if right is None:
            raise InterpError(f"{self.name}: a regression has no right and wrong answers")
        return right

    def _labels(self, outputs: Tensor, labels: Tensor | None) -> Tensor:
        return (self.labels if labels is None else labels).to(outputs.device)

    def spec(self) -> str:
        """The text that builds this task again: ``interp analyze --task SPEC``."""
        return format_spec(self.name, self.spec_options())

    def spec_options(self) -> dict[str, Any]:
        """What `spec` says: the fields that a user would type."""
        return {name: getattr(self, name) for name in self.option_names()}

    def stored(self) -> dict[str, Any]:
        """Every field as plain values: what `task_to_dict` writes."""
        return {name: getattr(self, name) for name in self.field_names()}

    def title(self) -> str:
        """The spec without what is as usual, and without the seed: a name for a run.

        >>> from interp import ModularArithmetic
        >>> ModularArithmetic(53, train_fraction=0.4, seed=3).title()
        'modular:p=53,train_fraction=0.4'
        """
        own = {n: v for n, v in self.spec_options().items() if n != "seed" and v != self.default(n)}
        return format_spec(self.name, own)

    @classmethod
    def field_names(cls) -> list[str]:
        return [f.name for f in fields(cls)]  # pyright: ignore[reportArgumentType]  every subclass is a dataclass

    @classmethod
    def default(cls, name: str) -> Any:
        """The value of a field that a user leaves out."""
        return next(f.default for f in fields(cls) if f.name == name)  # pyright: ignore[reportArgumentType]

    @classmethod
    def option_names(cls) -> list[str]:
        """Fields that a user sets."""
        return cls.field_names()

    @classmethod
    def required_names(cls) -> list[str]:
        """Options without a default."""
        bare = {f.name for f in fields(cls) if f.default is MISSING}  # pyright: ignore[reportArgumentType]  as above
        return [name for name in cls.option_names() if name in bare]

    def __str__(self) -> str:
        return self.spec()

    def located(self) -> Self:
        """The same task with absolute paths: what a run stores must be found from anywhere."""
        paths = {name: str(Path(getattr(self, name)).resolve()) for name in self.paths if getattr(self, name)}
        return replace(self, **paths) if paths else self  # pyright: ignore[reportArgumentType]

    def of_member(self, own: Mapping[str, Any]) -> Self:
        """The task of one network of a run: this one with the network's own options (``data_seed`` is the seed).

        Names that are no options of the task are left alone.
        """
        options = {k: v for k, v in own.items() if k in self.option_names() and k != "seed"}
        if "data_seed" in own:
            options["seed"] = own["data_seed"]
        return replace(self, **options) if options else self  # pyright: ignore[reportArgumentType]

    def _fit_vectors(self, model: HookedModel, d_in: int) -> None:
        """Refuse a model that does not take vectors of ``d_in`` to as many outputs as the loss reads."""
        config, problems = model.config, []
        takes, gives = getattr(config, "d_in", None), getattr(config, "d_out", None)
        if takes is None:
            problems.append(f"a model of kind {config.kind!r} takes tokens, the task gives vectors of {d_in}")
        elif takes != d_in:
            problems.append(f"the model takes vectors of {takes}, the task gives vectors of {d_in}")
        if gives != self.width:
            problems.append(
                f"the model has {gives or 'no plain'} outputs, the task's loss {self.loss} reads {self.width}"
            )
        self._mismatch(problems)

    def _mismatch(self, problems: list[str]) -> None:
        if problems:
            raise TaskMismatch(
                f"task {self} does not fit the model: " + "; ".join(problems) + "; give the task that it was trained on"
            )


def ranges(n_train: int, n_test: int) -> tuple[Tensor, Tensor]:
    """Train and test indices of examples that are stored in this order."""
    return torch.arange(n_train), torch.arange(n_train, n_train + n_test)
