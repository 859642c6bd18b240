"""Subject: a network and all that is known about it. What every analysis takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from interp._util.devices import device_and_dtype, resolve_dtype
from interp.activations.batches import batches, placed
from interp.errors import InterpError, MissingCapability, kind_of
from interp.hooked import HookedCPPN, HookedModel, HookedTransformer, as_model
from interp.notebook import network
from interp.runs import RunLike, open_run
from interp.series import CheckpointSeries
from interp.tasks import GIVE_A_TASK, CyclicStructure, GroupStructure, Task, make_task

if TYPE_CHECKING:
    from interp.neat import NEATGenome
    from interp.picbreeder import Genome

Capability = Literal[
    "weights", "activations", "outputs", "gradients", "task", "answers", "input_table", "cyclic", "group", "image", "genome",
    "series", "members", "curves",
]  # fmt: skip
NEED_TASK = ("activations", "outputs", "gradients", "task", "answers", "input_table", "cyclic", "group")


@dataclass(frozen=True)
class Provenance:
    """Where a checkpoint came from, as it goes into every result."""

    path: str = ""
    sha256: str = ""
    size: int = 0
    format: str = "in memory"
    layout: str = ""
    key: str | None = None
    stored_dtypes: tuple[str, ...] = ()
    stored_devices: tuple[str, ...] = ()
    stripped_prefixes: tuple[str, ...] = ()
    extra_tensors: tuple[str, ...] = ()
    unknown_classes: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass
class Subject:
    """A model, the task it was trained on, the series of its checkpoints, and where they came from.

    Attributes:
        task: what the network was trained on, or its spec; None if it is not known: analyses that need one say so.
        step: the training step of ``model``; None if it is not known.
        curves: recorded curves, each a list of (step, value) points.
        warnings: what a reader must know before believing anything, such as NaN in the weights.
        precision: the dtype in which measures run the model, whatever it was loaded in.
        genome: the graph whose layered form the model is, where it was evolved.
        members: how many networks the run has trained, of which this is one.
        origin: the arguments of `load` that open it again, elsewhere too; empty for what was made in memory.
        trained_in: the run that it came from, or that run's folder; None for everything else. `run` opens it.
    """

    name: str
    model: HookedModel
    task: Task | None = None
    series: CheckpointSeries | None = None
    provenance: Provenance = field(default_factory=Provenance)
    step: int | None = None
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    precision: torch.dtype = torch.float64
    genome: Genome | NEATGenome | None = None
    members: int = 1
    origin: Mapping[str, Any] = field(default_factory=dict)
    trained_in: RunLike | Path | None = field(default=None, repr=False, compare=False)
    _logits: tuple[Any, Tensor] | None = field(default=None, init=False, repr=False, compare=False)

    CAPABILITIES: ClassVar[dict[Capability, str]] = {
        "weights": "the model's parameters",
        "activations": "inputs to run the model on",
        "outputs": "inputs to run the model on, or a picture that it draws",
        "gradients": "a task whose loss can be differentiated",
        "task": "what the network was trained to do",
        "answers": "a task whose answers are right or wrong",
        "input_table": "all possible inputs, a finite table",
        "cyclic": "a task that is addition modulo n, perhaps in disguise",
        "group": "a task that is composition in a finite group, perhaps in disguise",
        "image": "a network that draws an image",
        "genome": "a network that was evolved as a graph",
        "series": "more than one checkpoint of the run",
        "members": "a run of several networks",
        "curves": "recorded training curves",
    }

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InterpError(
                f"a Subject's name is a text, got {kind_of(self.name)}: interp.Subject(name, model, task)"
            )
        if not isinstance(self.model, HookedModel):
            raise InterpError(
                f"{self.name}: {kind_of(self.model)} has no hook points; interp.wrap(module, example) gives a module some, "
                "interp.load(path) reads a model"
            )
        self.task = None if self.task is None else make_task(self.task)
        if self.series is not None and not isinstance(self.series, CheckpointSeries):
            raise InterpError(
                f"{self.name}: series must be a CheckpointSeries (interp.load makes one), got {kind_of(self.series)}"
            )
        if self.step is not None and (not isinstance(self.step, int) or isinstance(self.step, bool)):
            raise InterpError(f"{self.name}: step must be a whole number, got {self.step!r}")
        self.precision = resolve_dtype(self.precision) or torch.float64

    @property
    def run(self) -> RunLike | None:
        """The run that it came from, opened when it is first asked for.

        Returns:
            None where it did not come from a run.

        Raises:
            InterpError: the folder is gone, or not a run of this version.
        """
        if isinstance(self.trained_in, Path):
            self.trained_in = open_run(self.trained_in)
        return self.trained_in

    def lacks(self, needs: Iterable[Capability]) -> list[str]:
        """Why the subject cannot serve an analysis with these needs.

        Args:
            needs: names of `CAPABILITIES`.

        Returns:
            a reason per missing capability: what is needed and how to supply it; empty where nothing is missing.

        Raises:
            MissingCapability: a need that is not a capability at all.
        """
        return [reason for need in needs if (reason := self._lacks(need)) is not None]

    def _lacks(self, need: Capability) -> str | None:
        if need not in self.CAPABILITIES:
            raise MissingCapability(f"{need!r} is not a capability; known are {', '.join(self.CAPABILITIES)}")
        if not self.model.runs and need not in self.model.serves:
            return self.model.unserved
        if need == "outputs" and isinstance(self.model, HookedCPPN):
            return None
        if need in NEED_TASK and self.task is None:
            return f"needs a task, and none is known: give one, {GIVE_A_TASK}"
        if need == "input_table" and self.task is not None and not self.task.complete:
            return f"needs a finite input table; the inputs of the task {self.task.name} are examples only"
        if need == "answers" and self.task is not None and not self.task.answerable:
            return f"needs answers that are right or wrong one by one; the loss {self.task.loss} does not judge them so"
        if need in ("cyclic", "group") and isinstance(reason := getattr(self.task, need)(), str):
            return reason
        if need == "series" and (self.series is None or len(self.series) < 2):
            return "needs several checkpoints of a run; this is a single one"
        if need == "members" and (self.members < 2 or not self.origin):
            return "needs a run of several networks (train with --seeds or --grid)"
        if need == "curves" and not any(len(points) > 1 for points in self.curves.values()):
            return "needs recorded training curves; none came with this checkpoint"
        if need == "image" and not isinstance(self.model, HookedCPPN):
            return "needs an image network (HookedCPPN)"
        if need == "genome" and self.genome is None:
            return "needs a genome; this network was not read from one"
        return None

    def require_task(self) -> Task:
        """The task, or an error that says how to give one."""
        if self.task is None:
            raise MissingCapability(f"{self.name}: {self._lacks('task')}")
        return self.task

    def require_cyclic(self) -> CyclicStructure:
        """The task as addition modulo n, or an error that says why it is not."""
        if isinstance(structure := self.require_task().cyclic(), str):
            raise MissingCapability(f"{self.name}: {structure}")
        return structure

    def require_group(self) -> GroupStructure:
        """The task as composition in a finite group, or an error that says why it is not."""
        if isinstance(structure := self.require_task().group(), str):
            raise MissingCapability(f"{self.name}: {structure}")
        return structure

    def logits(self, batch_size: int = 4096) -> Tensor:
        """The answers' logits for all examples, in ``precision``, computed once and kept.

        A transformer's last block is computed only at the position that is read.

        Args:
            batch_size: examples per forward pass.

        Returns:
            ``[n, width]``: what the task reads of the outputs, in the order of its examples.

        Raises:
            MissingCapability: no task is known.
            InterpError: hooks are installed. These are the logits of the untouched model; under hooks, run the model itself.
        """
        task = self.require_task()
        self.refuse_hooks()
        if self._logits is None or self._logits[0] != self._state(task):
            self.keep_logits(table_logits(self.model.cast(self.precision), task, batch_size))
        assert self._logits is not None
        return self._logits[1]

    def refuse_hooks(self) -> None:
        """Refuse a model with hooks on it: what is measured and kept is of the untouched model.

        Raises:
            InterpError: hooks of any kind are installed; the message says where.
        """
        if places := self.model.watched_sites():
            named = ", ".join(places[:5]) + (f" and {len(places) - 5} more" if len(places) > 5 else "")
            raise InterpError(
                f"{self.name}: hooks are installed on the model, at {named}; remove them, or run the model itself"
            )

    def keep_logits(self, logits: Tensor | None) -> None:
        """Keep logits of the untouched model that a forward pass over all examples has given, for `logits`; None drops them."""
        self._logits = None if logits is None else (self._state(self.require_task()), logits)

    def _state(self, task: Task) -> tuple[Any, ...]:
        weights = (*self.model.parameters(), *self.model.buffers())
        versions = tuple(t._version for t in weights)  # torch counts edits in place
        return id(self.model), id(task), self.precision, self.model.device, versions

    def cast(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Subject:
        """The same subject with its model, and every measure of it, in a dtype (its precision by default) and on a device."""
        dtype = dtype or self.precision
        model = self.model.cast(dtype, device)
        return self if model is self.model and dtype == self.precision else replace(self, model=model, precision=dtype)

    def to(self, *where: Any, device: Any = None, dtype: torch.dtype | None = None) -> Subject:
        """As `torch.Tensor.to`: the same subject on a device, in a dtype (its measures too), or both, in any order."""
        device, dtype = device_and_dtype(where, device, dtype)
        model, dtype = self.model.cast(dtype, device), dtype or self.precision
        return self if model is self.model and dtype == self.precision else replace(self, model=model, precision=dtype)

    def rows(self) -> list[tuple[str, str]]:
        """What is known about it, as label and text."""
        config = ", ".join(f"{k}={v}" for k, v in self.model.config.to_dict().items() if v is not None)
        rows = [
            ("model", self.model.summary()),
            ("config", config),
            ("task", str(self.task) if self.task else "not known"),
            ("step", "unknown" if self.step is None else f"{self.step:,}"),
        ]
        if self.series is not None and len(self.series) > 1:
            rows.append(
                ("series", f"{len(self.series)} checkpoints, {self.series.steps[0]:,} to {self.series.steps[-1]:,}")
            )
        if (origin := self.provenance).path:
            rows.append(("source", f"{origin.path} ({origin.format}, layout {origin.layout})"))
        rows += [("extra tensors", ", ".join(self.provenance.extra_tensors))] if self.provenance.extra_tensors else []
        rows += [("note", note) for note in (*self.provenance.notes, *getattr(self.model, "notes", ()))]
        return rows + [("WARNING", warning) for warning in self.warnings]

    def __repr__(self) -> str:
        return f"Subject {self.name}\n" + "\n".join(f"  {label:<14}{text}" for label, text in self.rows())

    def _repr_html_(self) -> str:
        return network.subject(self.name, self.model, self.rows())


def as_subject(given: Subject | HookedModel) -> Subject:
    """A Subject as it is, or a hooked model as a Subject without a task.

    Returns:
        the Subject.

    Raises:
        InterpError: anything else; the message says how to get a Subject from it.
    """
    if isinstance(given, Subject):
        return given
    return Subject(type(given).__name__, as_model(given, "a Subject"))


def at_readout(model: HookedModel, task: Task) -> HookedModel:
    """The model that computes its last block only at the position where the answer is read (weights are shared)."""
    if not isinstance(model, HookedTransformer) or task.readout is None:
        return model
    n_ctx, own = model.config.n_ctx, model.config.readout
    return model if own is not None and own % n_ctx == task.readout % n_ctx else model.read_at(task.readout)


@torch.no_grad()
def table_logits(model: HookedModel, task: Task, batch_size: int = 4096) -> Tensor:
    """What a task reads of a model's outputs, ``[n, width]`` over all its examples."""
    run = at_readout(model, task).for_all(task.inputs, coarse=True)
    return torch.cat([task.read(run(placed(part, model))) for part in batches(task.inputs, batch_size)])
