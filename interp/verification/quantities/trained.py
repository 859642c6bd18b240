"""Quantities of a run that is trained again from a published start."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from interp.errors import InterpError, UnknownName, unknown
from interp.history.progress import progress
from interp.training.launch import train
from interp.training.run import Run
from interp.verification.folder import spec_inside
from interp.verification.material import Material
from interp.verification.quantities.curves import first_step
from interp.verification.quantity import quantity

MOST_STEPS = 1_000_000
# what a claim may not set: places outside the folder, and what is measured
OURS = (
    "task", "model", "members", "init", "mask", "train_indices", "test_indices", "targets", "metrics", "checkpoints",
    "name", "out", "device", "executor", "progress", "shards_done", "told", "unknown_settings",
)  # fmt: skip
Settings = Mapping[str, Any] | None


@quantity("trained.at", summary="a curve of a run that starts from the file, at a step", order=110, reads="file")
def at(
    material: Material, *, trains_on: str, settings: Settings, every: int = 10, curve: str = "train_loss",
    at_step: int,
) -> float:  # fmt: skip
    """Train from the file's weights, and say what a curve is after that many updates.

    Args:
        material: weights to start from, with their data.
        trains_on: spec of the task.
        settings: of `interp.train`: steps, rates, decay and so on.
        every: how often curves are measured, in updates.
        curve: such as ``train_loss`` or ``test_accuracy``.
        at_step: number of updates before it is measured.

    Returns:
        the value.

    Raises:
        InterpError: nothing is measured after so many updates.
    """
    found = _metrics(material, trains_on, settings, every, curve)
    if at_step not in found:
        raise InterpError(
            f"nothing is measured after {at_step:,} updates; a multiple of every = {every}, below steps, is"
        )
    return found[at_step]


@quantity("trained.first", summary="the step at which a curve of such a run passes a value", order=111, reads="file")
def first(
    material: Material, *, trains_on: str, settings: Settings, every: int = 10, curve: str = "test_accuracy",
    above: float | None = None, at_least: float | None = None, below: float | None = None,
) -> int:  # fmt: skip
    """The first multiple s of ``every`` such that the curve passes the value after update s, counted from 0.

    That is how training loops log: step s is measured behind its update, so after s + 1 updates.

    Args:
        material: weights to start from, with their data.
        trains_on: spec of the task.
        settings: of `interp.train`.
        every: how often curves are measured, in updates.
        curve: such as ``test_accuracy``.
        above: the value to pass.
        at_least: the value to reach.
        below: the value to fall below.

    Returns:
        the step.
    """
    found = _metrics(material, trains_on, settings, every, curve)
    points = [(step - 1, value) for step, value in found.items() if step % every == 1 % every]
    return first_step(points, curve, above, at_least, below)


@quantity(
    "trained.first_measure", summary="the step at which a measure of such a run passes a value", order=112, reads="file"
)
def first_measure(
    material: Material, *, trains_on: str, settings: Settings, every: int = 10, measure: str,
    measured_with: Settings = None, above: float | None = None, at_least: float | None = None, below: float | None = None,
) -> int:  # fmt: skip
    """As `trained.first`, of a measure of the suite, with its options ``measured_with``."""
    run = _run(material, trains_on, settings, every)
    found = progress(run, [measure], options={measure: dict(measured_with or {})}, device="cpu")
    points = [(int(step) - 1, float(value)) for step, value in zip(found["step"], found["value"], strict=True) if step]
    return first_step(points, measure, above, at_least, below)


def _metrics(material: Material, trains_on: str, settings: Settings, every: int, curve: str) -> dict[int, float]:
    """A curve of the run: values by the number of updates before them."""
    table = _run(material, trains_on, settings, every).metrics
    if curve not in table:
        raise UnknownName(unknown("curve", curve, map(str, table.columns)))
    return {int(step): float(value) for step, value in zip(table["step"], table[curve], strict=True)}


def _run(material: Material, trains_on: str, settings: Settings, every: int) -> Run:
    """The run, trained once for all claims with the same settings; its temporary folder goes with it."""
    given = dict(settings or {})
    known = [name for name in inspect.signature(train).parameters if name not in OURS]
    for name in given:
        if name not in known:
            raise UnknownName(unknown("setting of a run", name, known))
    steps = given.get("steps")
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 < steps <= MOST_STEPS or not 0 < every <= steps:
        raise InterpError(f"settings.steps must be a whole number of at most {MOST_STEPS:,}, and every at most as many")
    spec = spec_inside(material.root, trains_on, "trains_on")
    before = range(0, steps + 1, every)
    behind = [step + 1 for step in before if step < steps]
    both = sorted({*before, *behind})

    def make() -> Run:
        try:
            return train(
                spec, init=str(material.path), metrics=_listed(both), checkpoints=_listed(behind), device="cpu",
                progress=lambda seen: None, **given,
            )  # fmt: skip
        except KeyboardInterrupt:  # of train it says how to resume a run; here that answers nothing
            raise KeyboardInterrupt from None

    return material.share(("run", spec, repr(given), every), make)


def _listed(steps: list[int]) -> str:
    return ",".join(map(str, steps))
