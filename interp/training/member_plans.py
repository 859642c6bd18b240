"""The plan of a single member, and the division of a run's members into cohorts, which can be trained in one block.

Within a cohort members differ lane by lane: in seeds, scales, rates, penalties, and in the data of their task. What changes
the shape of a network or its step (every other field) is the cohort's, so a setting that is new here needs no word of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from interp._util.schema import fits, kinds, require_fields
from interp.errors import InterpError, TaskMismatch
from interp.hooked import MODELS, Config, model_class
from interp.tasks import Task
from interp.training.members import OPTIMIZER_FIELDS, OWN, SEEDS, SHARED, WIDTHS, read_widths
from interp.training.plan import Plan, require_whole
from interp.training.recipes import make_model
from interp.training.updates.optimizers import RATES, Optimizer

OF_DATA = ("seed", "data_seed")  # beside the options of the task


@dataclass(frozen=True)
class CohortPlan:
    """Members that train in lockstep, as a plan of their own.

    Attributes:
        ids: the members of the run, in its order.
        plan: their network, optimizer and settings; its members have what differs lane by lane.
        tasks: of each member; empty where they have not been built yet.
    """

    ids: tuple[int, ...]
    plan: Plan
    tasks: tuple[Task, ...] = ()

    def part(self, ids: Sequence[int]) -> CohortPlan:
        """Some of the members, by their numbers in the run."""
        places = [self.ids.index(i) for i in ids]
        plan = replace(self.plan, members=tuple(self.plan.members[p] for p in places))
        return CohortPlan(tuple(ids), plan, tuple(self.tasks[p] for p in places))


def division(plan: Plan) -> list[CohortPlan]:
    """The cohorts of a run, in the order of their first members. A run whose members share all that matters is one, as it is.

    Args:
        plan: of the run.

    Returns:
        the cohorts.

    Raises:
        InterpError: a member that cannot be built; the message has its number and its settings.
    """
    found: dict[str, list[tuple[int, Plan, Task]]] = {}
    varies = any(_options(plan, own) for own in plan.members)
    options, tasks = set(plan.task.option_names()), dict[str, Task]()  # members of the same data share their task
    known: dict[str, tuple[Plan, str]] = {}  # most members of a large run differ in seeds and rates alone
    for index, own in enumerate(plan.members):
        try:
            data = repr([(n, v) for n, v in own.items() if n in OF_DATA or n in options])
            if data not in tasks:
                tasks[data] = plan.task.of_member(own)
            task = tasks[data]
            shared = repr([(n, v) for n, v in own.items() if n not in OWN])
            if shared not in known:
                single = member_plan(plan, index, task)
                known[shared] = single, _key(single)
            single, key = known[shared]
            # smoothed labels take another way to the gradient, which rounds otherwise
            smoothed = str(plan.setting(index, "label_smoothing") > 0)
            key = "\n".join([key, smoothed, *_shape(single, task, varies)])
        except InterpError as error:
            raise type(error)(f"member {index} {dict(own)}: {error}") from None
        found.setdefault(key, []).append((index, single, task))
    return [_cohort(plan, members, len(found) == 1) for members in found.values()]


def _cohort(plan: Plan, members: Sequence[tuple[int, Plan, Task]], alone: bool) -> CohortPlan:
    ids, tasks = tuple(i for i, *_ in members), tuple(task for *_, task in members)
    first = members[0][1]
    if alone and replace(first, members=plan.members) == plan:
        return CohortPlan(ids, plan, tasks)
    lanes = [{n: v for n, v in plan.members[i].items() if _is_lane(plan, n)} for i in ids]
    return CohortPlan(ids, replace(first, members=tuple(lanes)), tasks)


def member_plan(plan: Plan, index: int, task: Task) -> Plan:
    """The run's plan with everything of one member that its whole block must share.

    Args:
        plan: of the run.
        index: of the member.
        task: the member's own.

    Returns:
        a plan of that member alone; the task, rates, scales and penalties in it are still the run's.

    Raises:
        InterpError: settings that do not fit.
    """
    own = plan.members[index]
    changed = {
        n: v for n, v in own.items() if not _is_lane(plan, n) and n in _names(Plan) and n not in ("model", "optimizer")
    }
    if changed.get("batch_size") == "full":
        changed["batch_size"] = None
    require_fields(Plan, changed)
    optimizer = {n: v for n, v in own.items() if n in OPTIMIZER_FIELDS and n not in task.option_names()}
    if "optimizer" in own:
        optimizer["name"] = own["optimizer"]
    require_fields(Optimizer, optimizer)
    return replace(
        plan,
        members=(own,),
        model=member_model(plan, own, task),
        optimizer=replace(plan.optimizer, **optimizer),
        **changed,
    )


def member_model(plan: Plan, own: Mapping[str, Any], task: Task) -> Config:
    """The network of a member: the run's, or that of the recipe for a spec of its own, with its own fields.

    Fields that the task determines follow the member's task, unless the run's network has been given others.

    Args:
        plan: of the run.
        own: the member's settings.
        task: the member's.

    Returns:
        its config.

    Raises:
        InterpError: fields that do not fit.
    """
    config = plan.model
    if "model" in own:
        config = make_model(task, own["model"])
    elif _options(plan, own):
        config = _following(plan, task)
    names = [f.name for f in fields(config) if f.name not in _names(Plan) and f.name not in task.option_names()]
    given = {n: v for n, v in own.items() if n in names}
    if "hidden" in given:
        given["hidden"] = read_widths(given["hidden"])
    if any(n in own for n in WIDTHS):
        if "hidden" in given:
            raise InterpError("width and depth are short for hidden: give these, or hidden")
        given["hidden"] = _hidden(config, own)
    require_fields(type(config), given)
    try:
        return replace(config, **given) if given else config
    except TypeError as error:
        raise InterpError(f"no {config.kind} can be made with {given}: {error}") from None


def _hidden(config: Any, own: Mapping[str, Any]) -> tuple[int, ...]:
    """An MLP's hidden widths from their number and the width of each."""
    hidden = tuple(config.hidden)
    for name in (n for n in WIDTHS if n in own):
        require_whole(name, own[name])
    depth = own.get("depth", len(hidden))
    if "width" not in own and len(set(hidden)) != 1:
        raise InterpError(
            f"depth needs hidden layers of one width, and the network's are {hidden}: give width too, or hidden"
        )
    return (own.get("width", hidden[0] if hidden else None),) * depth


def _following(plan: Plan, task: Task) -> Config:
    """The run's network for another task: what it takes from the run's task it takes from this one."""
    try:
        before, after = plan.task.shape(plan.model.kind), task.shape(plan.model.kind)
    except TaskMismatch:  # of a network that is not ours the task knows nothing
        return plan.model
    kept = {n for n, v in before.items() if getattr(plan.model, n) != v}
    defaults = {f.name: f.default for f in fields(plan.model)}
    dropped = {n: defaults[n] for n in before if n not in after}
    return replace(plan.model, **{n: v for n, v in {**dropped, **after}.items() if n not in kept})


def is_whole(name: str, task: Task | type[Task], kind: str) -> bool:
    """Whether the values of a setting are whole numbers.

    Args:
        name: of anything in which members may differ.
        task: what is trained on.
        kind: of the network.

    Returns:
        True for ``batch_size``, ``width`` or ``n_train``, False for rates, texts, and names that are not known.
    """
    if name in (*WIDTHS, "hidden", *SEEDS):
        return True
    network = model_class(kind).config_class if kind in MODELS else Plan
    owners = [task if isinstance(task, type) else type(task), Plan, Optimizer, network]
    annotation = next((kinds(owner)[name] for owner in owners if name in kinds(owner)), None)
    return annotation is not None and fits(1, annotation) and not fits(0.5, annotation)


def _is_lane(plan: Plan, name: str) -> bool:
    """Whether members of one block may differ in a setting."""
    return name in OWN or name in plan.task.option_names()


def _options(plan: Plan, own: Mapping[str, Any]) -> dict[str, Any]:
    """A member's options of the task, beside its seed, that are not the run's."""
    names = [n for n in plan.task.option_names() if n != "seed"]
    return {n: v for n, v in own.items() if n in names and v != getattr(plan.task, n)}


def _names(of: type) -> set[str]:
    return {f.name for f in fields(of)}


def _key(single: Plan) -> str:
    """A text that is equal for members that can share a block, as far as their tasks allow it."""
    optimizer = replace(single.optimizer, **{n: getattr(Optimizer, n) for n in RATES})
    lanes = {n: getattr(Plan, n) for n in OWN if n in _names(Plan)}
    plan = replace(single, members=({},), optimizer=optimizer, **lanes)
    return "\n".join(repr(getattr(plan, n)) for n in sorted(_names(Plan)) if n not in SHARED)


def _shape(single: Plan, task: Task, varies: bool) -> Iterator[str]:
    """What the tasks of a block must share: form and loss where tasks vary, the train set's size where that matters."""
    if varies:
        form = f"{tuple(task.inputs.shape[1:])} {task.inputs.dtype} {tuple(task.labels.shape[1:])}"
        yield f"{form} {type(task.criterion).__name__} {vars(task.criterion)}"
    if single.batch_size is not None or task.loss == "effective":
        n = len(task.train_indices)
        yield str(n) if task.loss == "effective" or single.batch_size is None or single.batch_size < n else "full"
