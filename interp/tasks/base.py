"""The contract of a task: examples, a split into train and test, a loss, and when an answer is correct."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from interp._util.schema import require_fields
from interp._util.specs import format_spec
from interp.errors import InterpError, TaskMismatch
from interp.hooked import HookedModel
from interp.tasks.given import TakesGivenData, refuse_own_split
from interp.tasks.loss import Loss
from interp.tasks.losses import make_loss
from interp.tasks.shapes import KINDS, position_read, shapes_of, vector_problems
from interp.tasks.splits import unseen
from interp.tasks.structured import Structured


class Task(TakesGivenData, Structured):
    """Examples with labels, split into train and test. Subclasses are frozen dataclasses; a task is its fields.

    A subclass gives ``name``, ``summary``, ``LOSSES``, the fields ``seed`` and ``loss``, and the methods `make_inputs`,
    `make_labels`, `make_split` and `n_outputs`. It is registered as an entry point in the group ``interp.tasks``, or with
    `register_task` for one process; see ``examples/plugin``.

    Attributes:
        name: as in a spec and on the command line.
        summary: one line for ``--help``.
        LOSSES: the losses that make sense for it, the default first.
        complete: whether `inputs` are all possible inputs, a finite table.
        paths: fields that hold paths of files; a run stores them absolute.
        HELP: a line for each field, for ``--help``.
        recipes: by kind of model, the settings that a training run starts from: ``model``, ``optimizer`` and ``plan``, each
            a dict of fields; the first kind is the default.
        storable: whether it can be written as a spec, and stored with a run.
        seed: of everything random in the data: the split, drawn inputs, flipped labels.
        loss: one of `LOSSES`.
        given: a listed split and targets in place of its own; None: none; see `given_to`.
        readout: the position that is read if a model has positions; None: its output is ``[batch, width]``.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    LOSSES: ClassVar[tuple[str, ...]]
    complete: ClassVar[bool] = False
    storable: ClassVar[bool] = True
    paths: ClassVar[tuple[str, ...]] = ()
    HELP: ClassVar[dict[str, str]] = {
        "seed": "seed of everything random in the data",
        "loss": "what training minimises",
    }
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    seed: int
    loss: str
    readout: int | None = None

    @cached_property
    def inputs(self) -> Tensor:
        """All examples ``[n, ...]``: tokens (int64) or vectors (float)."""
        return self.make_inputs()

    @cached_property
    def labels(self) -> Tensor:
        """The correct answer of every example ``[n]``; for a regression its targets ``[n, width]``."""
        return self.make_labels()

    @property
    def notes(self) -> tuple[str, ...]:
        """Changes made to the data that a user should know of."""
        return ()

    @property
    def train_indices(self) -> Tensor:
        """Indices of the examples that are trained on."""
        return self._split[0]

    @property
    def test_indices(self) -> Tensor:
        """Indices of the examples that are tested on."""
        return self._split[1]

    @cached_property
    def unseen_indices(self) -> Tensor:
        """Indices of test examples that cannot be learnt: no train example has their answer; see `Loss.independent`."""
        return unseen(self.labels, *self._split) if self.criterion.independent else self.test_indices[:0]

    @cached_property
    def _split(self) -> tuple[Tensor, Tensor]:
        return (self.given and self.given.split(len(self.labels), self.name)) or self.make_split()

    @abstractmethod
    def make_inputs(self) -> Tensor:
        """The examples, computed once for `inputs`: tokens ``[n, ...]`` (int64) or vectors ``[n, d_in]`` (float)."""

    @abstractmethod
    def make_labels(self) -> Tensor:
        """The correct answers, computed once for `labels`: ``[n]`` (int64), or targets ``[n, width]`` for a regression."""

    @abstractmethod
    def make_split(self) -> tuple[Tensor, Tensor]:
        """Indices to train on and to test on, computed once; see `splits`."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Number of possible answers; of targets for a regression."""

    @property
    def n_tokens(self) -> int:
        """Number of tokens that a model must embed, if the inputs are tokens."""
        return int(self.inputs.max()) + 1

    def shape(self, kind: str) -> dict[str, Any]:
        """What the task determines of a network's config: the fields for its inputs and outputs.

        Args:
            kind: of network, such as ``"mlp"``.

        Returns:
            Fields of the kind's config.

        Raises:
            TaskMismatch: a network of that kind does not take the task's inputs.
        """
        if kind not in (shapes := self._shapes()):
            others = ", ".join(shapes) or "none of ours"
            raise TaskMismatch(f"a {kind} cannot take the inputs of the task {self.name}; kinds that can: {others}")
        return shapes[kind]

    def _shapes(self) -> dict[str, dict[str, Any]]:
        """`shape` by kind, of the kinds of ours that take the inputs."""
        return shapes_of(self.inputs, self.width, lambda: self.n_tokens, self.readout is not None)

    def fit(self, model: HookedModel) -> Self:
        """The task in the form that ``model`` takes: as it is, if the model's config agrees with `shape`.

        Args:
            model: any; one of a kind that is not ours is not checked.

        Returns:
            The task.

        Raises:
            TaskMismatch: the model's inputs or outputs are not the task's.
        """
        config = model.config
        if config.kind in KINDS:
            needed = self.shape(config.kind)
            self._mismatch([
                f"the model's {name} is {getattr(config, name)}, the task needs {value}"
                for name, value in needed.items()
                if getattr(config, name) != value
            ])  # fmt: skip
        return self

    @cached_property
    def criterion(self) -> Loss:
        """The loss, for the task's number of answers, with the targets that were given."""
        return make_loss(self.loss, self.n_outputs, None if self.given is None else self.given.targets)

    @property
    def answerable(self) -> bool:
        """Whether every answer is correct or wrong and judged on its own, as ablations and measures of accuracy need."""
        return self.criterion.answers and self.criterion.separable

    @property
    def width(self) -> int:
        """Number of outputs that its loss reads."""
        return self.criterion.width(self.n_outputs)

    def read(self, output: Tensor) -> Tensor:
        """The outputs that the loss reads ``[batch, width]``, of a model's output ``[batch, (pos,) d_out]``."""
        if self.readout is not None and output.ndim > 2:  # a wrapped module may answer without positions
            output = output[:, position_read(self.readout, output.shape[1])]
        return output[..., : self.width]

    def losses(self, outputs: Tensor, labels: Tensor | None = None) -> Tensor:
        """The loss of every example ``[..., n]``, in float64.

        Args:
            outputs: ``[..., n, width]``; leading axes are other runs on the same inputs.
            labels: ``[n]``; the labels of all examples by default.

        Returns:
            One loss per example; for classes in nats if the loss is cross-entropy.
        """
        return self.criterion(outputs.double(), self._labels(outputs, labels))

    def correct(self, outputs: Tensor, labels: Tensor | None = None) -> Tensor:
        """Whether every example is answered correctly.

        Args:
            outputs: as in `losses`.
            labels: as in `losses`.

        Returns:
            A boolean per example ``[..., n]``.

        Raises:
            InterpError: the task is a regression.
        """
        right = self.criterion.correct(outputs, self._labels(outputs, labels))
        if right is None:
            raise InterpError(f"{self.name}: a regression has no correct and wrong answers")
        return right

    def _labels(self, outputs: Tensor, labels: Tensor | None) -> Tensor:
        return (self.labels if labels is None else labels).to(outputs.device)

    def spec(self) -> str:
        """The text that builds this task again: ``interp analyze --task SPEC``."""
        return format_spec(self.name, self.spec_options())

    def spec_options(self) -> dict[str, Any]:
        """The fields in `spec`: those that a user would type."""
        return {name: getattr(self, name) for name in self.option_names()}

    def stored(self) -> dict[str, Any]:
        """Every field as plain values, as `task_to_dict` writes them."""
        return {name: getattr(self, name) for name in self.field_names()}

    def title(self) -> str:
        """The spec without defaults and without the seed: a name for a run.

        Returns:
            A spec that is read back as the task with the default seed.

        >>> from interp import ModularArithmetic
        >>> ModularArithmetic(53, train_fraction=0.4, seed=3).title()
        'modular:p=53,train_fraction=0.4'
        """
        own = {n: v for n, v in self.spec_options().items() if n != "seed" and v != self.default(n)}
        return format_spec(self.name, own)

    @property
    def purpose(self) -> str:
        """What a network that has learnt it does, as a verb and its object: ``computes (a + b) mod 53``."""
        return f"solves {self.title()}"

    @classmethod
    def field_names(cls) -> list[str]:
        """Names of all fields, without `given`, which is not typed."""
        return [f.name for f in fields(cls) if f.name != "given"]  # pyright: ignore[reportArgumentType]  every subclass is a dataclass

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
        return self.spec() if self.given is None else f"{self.spec()} ({self.given})"

    def located(self) -> Self:
        """The same task with absolute paths, so that the files of a stored run are found from any folder."""
        paths = {name: str(Path(getattr(self, name)).resolve()) for name in self.paths if getattr(self, name)}
        return replace(self, **paths) if paths else self  # pyright: ignore[reportArgumentType]

    def of_member(self, own: Mapping[str, Any]) -> Self:
        """The task of one network of a run: with the network's own options, its ``data_seed`` or its ``seed`` for the seed.

        Args:
            own: the network's own settings; those that are not options of the task are ignored.

        Returns:
            The task with these options.
        """
        options = {k: own[k] for k in own if k in self.option_names()}
        options["seed"] = own.get("data_seed", own.get("seed", self.seed))
        require_fields(type(self), options)
        refuse_own_split(self.given, options)
        changed = {name: value for name, value in options.items() if value != getattr(self, name)}
        return replace(self, **changed) if changed else self  # pyright: ignore[reportArgumentType]

    def _fit_vectors(self, model: HookedModel, d_in: int) -> None:
        """Refuse a model that does not take vectors of ``d_in`` to as many outputs as the loss reads."""
        self._mismatch(vector_problems(model.config, d_in, self.width, self.loss))

    def _mismatch(self, problems: list[str]) -> None:
        if problems:
            said = "; ".join([*problems, "give the task that it was trained on"])
            raise TaskMismatch(f"task {self} does not fit the model: {said}")
