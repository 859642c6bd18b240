"""The arguments of `interp.train` are the settings of a run: none more, none less, of the same types, all passed on."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Any, Never

import pytest

import interp
from interp.cli.train.settings import SETTINGS as OPTIONS
from interp.errors import InterpError, UnknownName
from interp.training import launch
from interp.training.members import OWN
from interp.training.plan import Plan
from interp.training.settings import OPTIMIZER_SETTINGS, PLAN_SETTINGS, SETTINGS, SYNONYMS
from interp.training.updates.optimizers import Optimizer

RUNNING = {"out", "device", "executor", "progress", "shards_done", "told"}  # how it is trained, not what
WIDER = {
    "frozen",
    "optimizer",
    "members",
    "metrics",
    "checkpoints",
    "batch_size",
    "late_at",
    "init",
    "mask",
}  # in other forms too
DATA = {"train_indices", "test_indices", "targets"}  # given to the task
PARAMETERS = inspect.signature(interp.train).parameters


def keywords() -> set[str]:
    return {name for name, p in PARAMETERS.items() if p.kind is p.KEYWORD_ONLY}


def test_the_arguments_are_the_fields_of_plan_and_optimizer() -> None:
    """What a plan or an optimizer has, a user can set by name; nothing else is offered."""
    fields = {f for cls in (Plan, Optimizer) for f in inspect.signature(cls).parameters} - {"task", "model", "starts"}
    assert keywords() - RUNNING - {"epochs"} - DATA == fields | {"name"}
    assert set(SETTINGS) == keywords() - RUNNING
    assert set(SYNONYMS.values()) <= set(SETTINGS)
    assert not set(SYNONYMS) & set(SETTINGS)


def test_their_types_are_those_of_the_fields() -> None:
    """And None, which is the default of each."""
    hints = typing.get_type_hints(interp.train)
    owners = dict.fromkeys(PLAN_SETTINGS, Plan) | dict.fromkeys(OPTIMIZER_SETTINGS, Optimizer)
    for name, owner in owners.items():
        field, own = typing.get_type_hints(owner)[name], typing.get_args(hints[name])
        assert types.NoneType in own, name
        assert PARAMETERS[name].default is None, name
        if name not in WIDER:
            allowed = set(typing.get_args(field)) if isinstance(field, types.UnionType) else {field}
            assert set(own) == allowed | {types.NoneType}, name


def test_every_argument_is_documented() -> None:
    for function in (interp.train, interp.resume):
        args = inspect.getdoc(function).split("Args:")[1].split("Returns:")[0]  # type: ignore[union-attr]
        named = re.findall(r"^ {4}(\*{0,2}\w+): ", args, re.MULTILINE)
        expected = [
            f"**{n}" if p.kind is p.VAR_KEYWORD else n for n, p in inspect.signature(function).parameters.items()
        ]
        assert named == expected


def test_the_command_line_has_the_same() -> None:
    """Every setting is an option of ``interp train``, and the other way round."""
    typed = {o.name for o in OPTIONS}
    assert typed == set(SETTINGS) - {"members", "readout"} | {"model"}  # these have options of their own
    listed = {o.name for o in OPTIONS if o.name in OWN}
    assert all(o.type is str for o in OPTIONS if o.name in listed)  # several values


def test_every_setting_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is lost between the call and the plan."""
    passed: dict[str, Any] = {}

    class Stop(Exception):
        pass

    def make_plan(*_: Any, **settings: Any) -> Plan:
        passed.update(settings)
        raise Stop

    monkeypatch.setattr(launch, "make_plan", make_plan)
    given = {name: object() for name in SETTINGS}
    with pytest.raises(Stop):
        interp.train("addition:p=4", **given)  # type: ignore[arg-type]
    assert passed == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rate": 1e-3}, "unknown setting 'learning_rate'; did you mean 'lr'"),
        ({"weight_decy": 1}, "did you mean 'weight_decay'"),
        ({"learning_rate": None}, "did you mean 'lr'"),
        ({"seed": 3}, r"'seed' is not a setting of the run; give it per network, members=interp\.seeds\(n\)"),
        (
            {"train_fraction": 0.5},
            r"members=\[\{'train_fraction': \.\.\.\}.*or in the task's spec, addition:train_frac",
        ),
    ],
)
def test_other_settings_are_refused(given: dict[str, Any], message: str) -> None:
    """With the one that was probably meant, or where else it belongs; before anything is trained."""
    with pytest.raises(UnknownName, match=message):
        interp.train("addition:p=4", steps=2, **given)
    assert typing.get_type_hints(interp.train)["unknown_settings"] is Never  # a type checker refuses them too


def test_resume_changes_the_number_of_steps_only(tmp_path: Any) -> None:
    run = interp.train("addition:p=4", "mlp:hidden=4", steps=2, device="cpu", out=tmp_path / "run")
    with pytest.raises(UnknownName, match="unknown argument of resume 'lr'.*only steps can be raised"):
        interp.resume(run.path, lr=1)  # type: ignore[arg-type]


def test_a_run_is_resumed_as_well_as_its_folder(tmp_path: Any) -> None:
    run = interp.train("addition:p=4", "mlp:hidden=4", steps=2, device="cpu", out=tmp_path / "run")
    assert interp.resume(run, steps=4, device="cpu").metrics["step"].max() == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: interp.every("5"), "whole number of at least 1 step, got '5'"),  # type: ignore[arg-type]
        (lambda: interp.every(0), "at least 1 step, got 0"),
        (lambda: interp.log_spaced(60, 2e4), "two whole numbers"),  # type: ignore[arg-type]
        (lambda: interp.log_spaced(5, -10), "the last step of log_spaced must be at least 1, got -10"),
        (lambda: interp.grid([1]), r"grid takes a mapping, such as .* got a list"),  # type: ignore[arg-type]
        (lambda: interp.seeds([0, 1]), r"seeds\(5\), got \[0, 1\]"),  # type: ignore[arg-type]
        (lambda: interp.grid({"lr": 0.1}), r"lr needs a list of values, such as \[0\.1, 0\.01\], got 0\.1"),  # type: ignore[arg-type]
    ],
)
def test_helpers_refuse_wrong_kinds(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InterpError, match=message):
        make()


@pytest.mark.parametrize("total", [1, 7, 1000])
@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_log_spaced_steps_go_from_0_to_the_last(n: int, total: int) -> None:
    """Two of them are these two."""
    steps = interp.log_spaced(n, total).steps
    assert (steps[0], steps[-1]) == (0, total)
    assert len(steps) <= n
    assert list(steps) == sorted(set(steps))


def test_a_number_of_members() -> None:
    """Is that many seeds."""
    run = interp.train("addition:p=4", "mlp:hidden=4", steps=2, device="cpu", members=3)
    assert [dict(m) for m in run.plan.members] == interp.seeds(3)
    with pytest.raises(InterpError, match="at least one member"):
        interp.train("addition:p=4", steps=2, members=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": interp.MLPConfig}, "config or by a spec.*got the class MLPConfig"),
        ({"model": {"hidden": 4}}, "config or by a spec.*got a dict"),
        ({"members": {"seed": [0, 1]}}, r"members are a list of mappings.*interp\.grid"),
        ({"members": "5"}, "members are a list of mappings"),
        ({"members": [3]}, "a member must be a mapping"),
        ({"metrics": 100}, r"every\(100\)"),
        ({"checkpoints": [0, 10]}, "'0,10'"),
        ({"optimizer": Optimizer}, "unknown optimizer"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"epochs": 1.5, "steps": None}, "epochs must be a whole number"),
        ({"lr": "fast"}, "lr must be a number"),
        ({"init_scale": "8"}, "init_scale must be a number"),
        ({"clip_norm": "5"}, "clip_norm must be a number"),
        ({"betas": 0.9}, "betas must be two numbers"),
        ({"momentum": "much"}, "momentum must be a number"),
    ],
    ids=str,
)
def test_wrong_kinds(arguments: dict[str, Any], message: str) -> None:
    """Each is refused with the kind that is wanted."""
    with pytest.raises(InterpError, match=message):
        interp.train("addition:p=4", **{"steps": 2, **arguments})


def test_a_model_is_not_trained_on() -> None:
    """Its weights would be thrown away without a word; its config is what is wanted."""
    run = interp.train("addition:p=4", "mlp:hidden=4", steps=2, device="cpu")
    with pytest.raises(InterpError, match=r"training draws new weights: give its config, model\.config"):
        interp.train("addition:p=4", run.subject().model)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match=r"opened by its folder, interp\.Run\(path\); got a Run"):
        interp.Run(run)  # type: ignore[arg-type]
