"""A plan: everything that determines a run, as plain values that go into ``run.json`` and come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch

from interp._util.schema import require_fields
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked import Config, config_from_dict
from interp.hooked.initial import SCHEMES
from interp.tasks import Task, task_from_dict, task_to_dict
from interp.training.members import as_members, check_member, require_number
from interp.training.optimizers import RATES, Optimizer
from interp.training.schedule import Schedule, every, parse_schedule

DTYPES = {"float32": torch.float32, "float64": torch.float64}
MEMORISED = "memorised"


@dataclass(frozen=True)
class Plan:
    """What is trained, how, and what is kept.

    Attributes:
        task: of all members, before their own settings.
        model: config of every network.
        optimizer: of all members, before their own settings.
        members: per member, the settings that are its own; see `interp.training.members`.
        steps: number of updates.
        batch_size: None trains on the full batch; otherwise every epoch is a shuffle cut into batches, the last of which
            may be smaller.
        init: ``"normal"``, ``"truncated"`` or ``"torch"``, see `HookedModel.init_weights`.
        init_scale: multiplies every initial parameter.
        embedding_scale: also multiplies the embeddings' initial parameters.
        warmup: the learning rates rise linearly from 0 over this many steps.
        l1: adds ``l1 * sum |theta|`` to the loss.
        norm_penalty: subtracts ``norm_penalty * sum theta^2`` from the loss, so that the norm grows.
        clip_norm: the gradient of each member is clipped to this Euclidean norm; None: it is not.
        normalise: the gradient of each member is divided by its norm.
        late_weight_decay: what the weight decay of everything that decays becomes later; None: it stays.
        late_at: the step of that change; ``"memorised"``: for each member when its train accuracy exceeds 0.999, as in
            Fuangkawinsombut 2024.
        retire: members whose train and test accuracy have both reached this stop there; None: all run to the end.
        readout: compute a transformer's last block only at the position that is read: same losses, less work.
        metrics: when to measure.
        checkpoints: when to save the weights.
        dtype: of the weights.
        name: what the run calls itself.
    """

    task: Task
    model: Config
    optimizer: Optimizer = field(default_factory=Optimizer)
    members: tuple[Mapping[str, Any], ...] = ({},)
    steps: int = 1000
    batch_size: int | None = None
    init: str = "normal"
    init_scale: float = 1.0
    embedding_scale: float = 1.0
    warmup: int = 0
    l1: float = 0.0
    norm_penalty: float = 0.0
    clip_norm: float | None = None
    normalise: bool = False
    late_weight_decay: float | None = None
    late_at: int | str = MEMORISED
    retire: float | None = None
    readout: bool = True
    metrics: Schedule = field(default_factory=lambda: every(100))
    checkpoints: Schedule = field(default_factory=lambda: every(1000))
    dtype: str = "float32"
    name: str = ""

    def __post_init__(self) -> None:
        require_whole("steps", self.steps)
        require_whole("warmup", self.warmup, 0)
        if self.batch_size is not None:
            require_whole("batch_size", self.batch_size)
        for name in ("init_scale", "embedding_scale", "l1", "norm_penalty", "clip_norm", "retire", "late_weight_decay"):
            if (value := getattr(self, name)) is not None:
                require_number(name, value)
        if self.clip_norm == 0:
            raise InterpError(f"clip_norm must be above 0, got {self.clip_norm}")
        if self.retire is not None:
            require_range("retire", self.retire, 0, 1)
        if self.late_at != MEMORISED:
            require_whole("late_at", self.late_at, 0)
        if self.init not in SCHEMES:
            raise UnknownName(unknown("initialisation", self.init, SCHEMES))
        if self.dtype not in DTYPES:
            raise UnknownName(unknown("dtype", self.dtype, DTYPES))
        if not self.members:
            raise InterpError("a run needs at least one member")
        names = tuple(f.name for f in fields(self))
        checked = []
        for index, own in enumerate(as_members(self.members)):
            try:
                checked.append(check_member(own, self.task, names, self.model))
            except InterpError as error:
                raise type(error)(f"member {index}: {error}") from None
        object.__setattr__(self, "members", tuple(checked))

    def member_task(self, index: int) -> Task:
        """The run's task with one member's own options.

        Args:
            index: of the member.

        Returns:
            the task.

        Raises:
            InterpError: options that do not fit; the message has the member.
        """
        own = self.members[index]
        try:
            return self.task.of_member(own)
        except InterpError as error:
            raise type(error)(f"member {index} {dict(own)}: {error}") from None

    def member_optimizer(self, index: int) -> Optimizer:
        """The run's optimizer with one member's own rates."""
        return replace(self.optimizer, **{k: v for k, v in self.members[index].items() if k in RATES})

    def setting(self, index: int, name: str) -> Any:
        """A member's own value (``seed``, ``init_scale``, ``embedding_scale``, ``l1``, ``norm_penalty``), or the run's."""
        return self.members[index].get(name, getattr(self, name, 0))

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            **values,
            "task": task_to_dict(self.task),
            "model": self.model.to_dict(),
            "optimizer": self.optimizer.to_dict(),
            "members": [dict(m) for m in self.members],
            "metrics": self.metrics.spec(),
            "checkpoints": self.checkpoints.spec(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Plan:
        """The plan that `to_dict` wrote.

        Args:
            stored: its values; keys that are not the plan's are ignored.

        Returns:
            the plan.

        Raises:
            InterpError: values that do not fit.
        """
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in stored.items() if k in known}
        require_fields(cls, values)
        try:
            require_fields(Optimizer, values["optimizer"])
            values["task"] = task_from_dict(values["task"])
            values["model"] = config_from_dict(values["model"])
            values["optimizer"] = Optimizer(**values["optimizer"])
            values["metrics"] = parse_schedule(values["metrics"], values["steps"])
            values["checkpoints"] = parse_schedule(values["checkpoints"], values["steps"])
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise InterpError(f"the plan does not fit this version: {type(error).__name__}: {error}") from None


def require_whole(name: str, value: Any, low: int = 1) -> None:
    """Refuse what is not a whole number of at least ``low``.

    Raises:
        InterpError: anything else; the message has the name.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise InterpError(f"{name} must be a whole number, got {value!r}")
    require_range(name, value, low)
