"""From what a user sets to the plan of a run: the recipe of the task, with the user's settings instead of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interp._util.specs import format_spec
from interp.errors import InterpError
from interp.hooked import Config
from interp.tasks import Task, require_registered
from interp.training.epochs import steps_per_epoch
from interp.training.idle_settings import refuse_idle
from interp.training.members import as_members
from interp.training.plan import Plan, own_steps, require_whole
from interp.training.recipes import Recipe, make_model, recipe_for
from interp.training.schedule import parse_schedule
from interp.training.settings import OPTIMIZER_SETTINGS, PLAN_SETTINGS, SETTINGS, refuse_unknown
from interp.training.sources import begin, settle_scales
from interp.training.updates.optimizers import Optimizer

CHECKPOINTS = "log:40"


def make_plan(task: Task, model: str | Config | None = None, epochs: int | None = None, **settings: Any) -> Plan:
    """The recipe of a task, with a user's settings instead of its own.

    Args:
        task: what is trained on.
        model: a config, or a spec over the recipe's; the recipe's by default.
        epochs: number of steps, in passes over the train set.
        **settings: fields of `Plan`, of `Optimizer`, or ``optimizer`` for a whole one; None keeps the recipe's.

    Returns:
        a complete plan.

    Raises:
        UnknownName: a setting that does not exist.
        InterpError: values out of range, or that do not fit together.
    """
    require_registered(task)
    refuse_unknown([name for name in settings if name not in SETTINGS], task)
    settings = {k: v for k, v in settings.items() if v is not None}
    if "members" in settings:
        settings["members"] = as_members(settings["members"])
    begun = begin(task.located(), settings)
    task, settings = begun.task, begun.settings
    config = begun.config if model is None and begun.config is not None else make_model(task, model)
    recipe = recipe_for(task, config.kind)
    chosen = {**recipe.plan, **{k: v for k, v in settings.items() if k in PLAN_SETTINGS}}
    own = {k: v for k, v in settings.items() if k in OPTIMIZER_SETTINGS}
    optimizer = _optimizer(recipe, chosen.pop("optimizer", None), own)
    if chosen.get("batch_size") == "full":
        chosen["batch_size"] = None
    batch = chosen.get("batch_size")
    if batch is not None:
        require_whole("batch_size", batch)
    if "members" in chosen:
        chosen["members"] = as_members(chosen["members"])
    if "lr_times_steps" in chosen:
        if epochs is not None or "steps" in settings:
            raise InterpError("give lr_times_steps, or steps or epochs, not both")
        chosen["steps"] = max(own_steps(chosen["lr_times_steps"], chosen.get("members", ({},)), optimizer.lr))
    per_epoch = steps_per_epoch(task, batch, chosen.get("members", ()), asked="batch_size" in settings)
    if epochs is None and "steps" not in chosen:
        epochs = recipe.epochs or 100
    if epochs is not None:
        require_whole("epochs", epochs)
        if "steps" in settings:
            raise InterpError("give steps or epochs, not both")
        chosen["steps"] = epochs * per_epoch
    require_whole("steps", chosen["steps"])
    for name, usual in (("metrics", _metrics(chosen["steps"])), ("checkpoints", CHECKPOINTS)):
        text = chosen.get(name, usual)
        chosen[name] = parse_schedule(f"every:{per_epoch}" if text == "epoch" else text, chosen["steps"])
    settle_scales(chosen, recipe.plan, settings, begun.starts)
    name = _title(task, chosen.get("members", ()))
    plan = Plan(task, config, optimizer, **{"name": name, **chosen}, starts=begun.starts)
    refuse_idle(plan, settings)
    return plan


def _title(task: Task, members: Sequence[Any]) -> str:
    """The task's title, without the options in which members differ from it."""
    options = task.spec_options()
    differ = {n for m in members if isinstance(m, Mapping) for n, v in m.items() if n in options and v != options[n]}
    if not differ - {"seed"}:
        return task.title()
    own = {n: v for n, v in options.items() if n != "seed" and n not in differ and v != task.default(n)}
    return format_spec(task.name, own)


def _optimizer(recipe: Recipe, given: str | Optimizer | None, settings: Mapping[str, Any]) -> Optimizer:
    if isinstance(given, Optimizer):
        return Optimizer(**{**given.to_dict(), **settings})
    base = dict(recipe.optimizer)
    if given is not None and given != base["name"]:
        base = {k: v for k, v in base.items() if k in ("lr", "weight_decay", "embedding_weight_decay")}
        base["name"] = given
    return Optimizer(**{**base, **settings})


def _metrics(steps: int) -> str:
    return f"every:{max(1, steps // 200)}"
