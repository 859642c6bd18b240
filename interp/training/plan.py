"""A plan: everything that determines a run, as plain values that go into ``run.json`` and come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import torch

from interp._util.schema import require_fields
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked import Config, config_from_dict
from interp.tasks import Task, task_from_dict, task_to_dict
from interp.training.members import PENALTIES, SCALES, as_members, check_member, require_number
from interp.training.schedule import Schedule, every, parse_schedule
from interp.training.starts import Starts, check_names
from interp.training.thresholds import SIDES
from interp.training.updates.fixed_norm import as_form
from interp.training.updates.frozen import as_patterns
from interp.training.updates.lr_schedule import LRSchedule
from interp.training.updates.optimizers import RATES, Optimizer

CONSTANTS = ("sparsity_tau", "sparsity_width", "complexity_share")
ONE_LAYER, NETWORK = "layer", "network"  # what the weights that local complexity sets to 0 are taken from
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
        init: ``"normal"``, ``"truncated"`` or ``"torch"``, see `HookedModel.init_weights`; or a name of ``starts``.
        mask: the name of ``starts`` whose entries that are 0 are weights that stay 0; None: all train.
        starts: the given weights; with a run they are in its folder.
        init_scale: multiplies every initial parameter.
        embedding_scale: also multiplies the embeddings' initial parameters.
        warmup: the learning rates rise linearly from 0 over this many steps.
        l1: adds ``l1 * sum |theta|`` to the loss.
        norm_penalty: subtracts ``norm_penalty * sum theta^2`` from the loss, so that the norm grows.
        clip_norm: the gradient of each member is clipped to this Euclidean norm; None: it is not.
        normalise: the gradient of each member is divided by its norm.
        entropy_penalty: adds ``entropy_penalty * H(W)`` to the loss, H the absolute weight entropy.
        sparsity_penalty: adds this times the soft share of hidden activations that are on.
        sparsity_tau: an activation below it counts as off.
        sparsity_width: of the step from off to on.
        complexity_penalty: adds this times the local complexity.
        complexity_share: of the weights that are set to 0 in it.
        complexity_scope: ``"layer"`` takes them from one weight matrix, drawn anew each time, ``"network"`` from all.
        label_smoothing: share of each label that is spread over all answers, in the loss that is minimised.
        softmax_dtype: precision of the probabilities in the loss that is minimised, ``"float64"`` or ``"float32"``.
        lr_schedule: as `LRSchedule.parse` reads it.
        frozen: parameters that do not move, as `frozen_names` reads them.
        fixed_norm: after every update ``"network"`` or each ``"parameter"`` is brought back to its initial norm; None: not.
        lr_times_steps: a member stops after ``lr_times_steps / lr`` updates, where that is less than ``steps``; None: none does.
        late_weight_decay: what the weight decay of everything that decays becomes later; None: it stays.
        late_at: the step of that change; ``"memorised"``: for each member when its train accuracy exceeds 0.999, as in
            Fuangkawinsombut 2024.
        retire: members whose train and test accuracy have both reached this stop there; None: all run to the end.
        retire_side: ``">="``, it is reached at this accuracy; ``">"``, above it.
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
    entropy_penalty: float = 0.0
    sparsity_penalty: float = 0.0
    sparsity_tau: float = 0.01
    sparsity_width: float = 0.1
    complexity_penalty: float = 0.0
    complexity_share: float = 0.1
    complexity_scope: str = ONE_LAYER
    label_smoothing: float = 0.0
    softmax_dtype: str = "float64"
    lr_schedule: str = "constant"
    frozen: tuple[str, ...] = ()
    fixed_norm: str | bool | None = None
    lr_times_steps: float | None = None
    late_weight_decay: float | None = None
    late_at: int | str = MEMORISED
    retire: float | None = None
    retire_side: str = ">="
    readout: bool = True
    metrics: Schedule = field(default_factory=lambda: every(100))
    checkpoints: Schedule = field(default_factory=lambda: every(1000))
    dtype: str = "float32"
    name: str = ""
    mask: str | None = None
    starts: Starts = field(default_factory=Starts)

    def __post_init__(self) -> None:
        self._check_updates()
        self._check_numbers()
        self._check_choices()
        object.__setattr__(self, "frozen", as_patterns(self.frozen))
        object.__setattr__(self, "fixed_norm", as_form(self.fixed_norm))
        object.__setattr__(self, "members", self._checked_members())
        for own in ({"init": self.init, "mask": self.mask}, *self.members):
            check_names(own, self.starts)

    def _check_updates(self) -> None:
        """How many updates, of how many examples, at which rates."""
        require_whole("steps", self.steps)
        require_whole("warmup", self.warmup, 0)
        if self.batch_size is not None:
            require_whole("batch_size", self.batch_size)
        if self.late_at != MEMORISED:
            require_whole("late_at", self.late_at, 0)
        if LRSchedule.parse(self.lr_schedule).spans and self.lr_times_steps is not None:
            raise InterpError(
                f"lr_times_steps stops members at steps of their own, and {self.lr_schedule} has one end for all"
            )

    def _check_numbers(self) -> None:
        """Finite numbers of at least 0, and shares."""
        optional = ("label_smoothing", "lr_times_steps", "clip_norm", "retire", "late_weight_decay")
        for name in (*SCALES, *PENALTIES, *CONSTANTS, *optional):
            if (value := getattr(self, name)) is not None:
                require_number(name, value)
        for name in ("clip_norm", "sparsity_width"):
            if getattr(self, name) == 0:
                raise InterpError(f"{name} must be above 0, got 0")
        for name in ("retire", "label_smoothing", "complexity_share"):
            if (value := getattr(self, name)) is not None:
                require_range(name, value, 0, 1)

    def _check_choices(self) -> None:
        """Names of which there are a few."""
        known = {
            "retire_side": SIDES, "complexity_scope": (ONE_LAYER, NETWORK), "softmax_dtype": tuple(DTYPES),
            "dtype": tuple(DTYPES),
        }  # fmt: skip
        for name, names in known.items():
            if getattr(self, name) not in names:
                raise UnknownName(unknown(name, str(getattr(self, name)), names))

    def _checked_members(self) -> tuple[dict[str, Any], ...]:
        if not self.members:
            raise InterpError("a run needs at least one member")
        names = tuple(f.name for f in fields(self))
        checked = []
        for index, own in enumerate(as_members(self.members)):
            try:
                checked.append(check_member(own, self.task, names, self.model))
            except InterpError as error:
                raise type(error)(f"member {index}: {error}") from None
        return tuple(checked)

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

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The number of updates of each member."""
        if self.lr_times_steps is None:
            return (self.steps,) * len(self.members)
        own = own_steps(self.lr_times_steps, self.members, self.optimizer.lr)
        return tuple(min(self.steps, steps) for steps in own)

    def setting(self, index: int, name: str) -> Any:
        """A member's own value (``init``, ``mask``, scales, penalties, ``label_smoothing``), or the run's."""
        return self.members[index].get(name, getattr(self, name))

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
            "starts": self.starts.to_dict(),
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
            values["starts"] = Starts.from_dict(values.get("starts", {}))
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise InterpError(f"the plan does not fit this version: {type(error).__name__}: {error}") from None


def own_steps(product: float, members: Sequence[Mapping[str, Any]], lr: float) -> list[int]:
    """The updates at which ``lr * updates`` comes to a product, for every member.

    Args:
        product: of rate and updates.
        members: their own settings; ``lr`` among them counts.
        lr: the learning rate of the others.

    Returns:
        the nearest whole numbers, at least 1.

    Raises:
        InterpError: a rate of 0, or numbers that are none.

    >>> own_steps(10, [{"lr": 1e-2}, {}], lr=1e-3)
    [1000, 10000]
    """
    require_number("lr_times_steps", product)
    rates = [member.get("lr", lr) for member in members]
    for rate in rates:
        require_number("lr", rate)
        if rate == 0:
            raise InterpError("lr_times_steps needs learning rates above 0")
    return [max(1, round(product / rate)) for rate in rates]


def require_whole(name: str, value: Any, low: int = 1) -> None:
    """Refuse what is not a whole number of at least ``low``.

    Raises:
        InterpError: anything else; the message has the name.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise InterpError(f"{name} must be a whole number, got {value!r}")
    require_range(name, value, low)
