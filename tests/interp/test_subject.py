"""The subject's own logits: of the untouched model, never stale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from circuits import Ablate, Zero, applied
from interp import InterpError, ModularArithmetic, Subject
from interp.scores import score
from tests.models import make, subject


@pytest.mark.parametrize("name", ["plain", "deep"])
def test_logits_are_kept_until_a_weight_moves(name: str) -> None:
    """Asked twice they are the same tensor; after an edit in place they are computed anew."""
    one = subject(name)
    first = one.logits()
    assert one.logits() is first
    with torch.no_grad():
        one.model.W_U.mul_(2)
    assert not torch.equal(one.logits(), first)


def test_a_copy_with_another_model_or_task_shares_nothing() -> None:
    """`dataclasses.replace` gives a subject of its own."""
    one = subject("deep")
    one.logits()
    other = replace(one, model=make("deep", seed=1))
    assert loss_of(other) == loss_of(subject_of(other))


def loss_of(one: Subject) -> float:
    return score(one.require_task(), one.logits()).loss


def subject_of(other: Subject) -> Subject:
    return Subject("fresh", other.model, other.task)


@pytest.mark.parametrize("name", ["plain", "deep"])
def test_logits_under_hooks_are_refused(name: str) -> None:
    """They would be those of the untouched model for a transformer, and of the touched one for an MLP."""
    one = subject(name)
    site = "blocks.0.mlp.hook_post" if name == "plain" else "layers.0.hook_post"
    with (
        applied(one.model, Ablate(site, Zero()), strict=False),
        pytest.raises(InterpError, match="hooks are installed"),
    ):
        one.logits()
    assert loss_of(one) == loss_of(subject(name))


def test_measures_are_float64_whatever_was_loaded() -> None:
    """The precision of measures is not that of the file."""
    one = subject("plain")
    narrow = Subject("narrow", one.model.cast(torch.float32), one.task)
    assert narrow.logits().dtype == torch.float64
    assert narrow.cast(torch.bfloat16).logits().dtype == torch.bfloat16


# a field of another kind: what is given, and what the message says
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "the model first": (
        {"name": make("deep")},
        r"name is a text, got a HookedMLP: interp\.Subject\(name, model, task\)",
    ),
    "a module": ({"model": nn.Linear(2, 3)}, r"x: a Linear has no hook points; interp\.wrap\(module, example\)"),
    "a class": ({"model": nn.Linear}, "x: the class Linear has no hook points"),
    "a path": ({"model": "a.pt"}, r"x: a str has no hook points; .*interp\.load\(path\)"),
    "a task's class": ({"task": ModularArithmetic}, r"make one, ModularArithmetic\(\.\.\.\)"),
    "an unknown task": ({"task": "modul:p=7"}, "unknown task 'modul'; did you mean 'modular'"),
    "a list of models": ({"series": [make("deep")]}, "x: series must be a CheckpointSeries .*, got a list"),
    "a step that is a text": ({"step": "5"}, "x: step must be a whole number, got '5'"),
    "an integer precision": ({"precision": torch.int64}, "unknown dtype 'torch.int64'"),
}


@pytest.mark.parametrize("row", KINDS)
def test_fields_of_another_kind(row: str) -> None:
    """None passes in silence, to fail in the middle of an analysis."""
    changes, message = KINDS[row]
    with pytest.raises(InterpError, match=message):
        Subject(**{"name": "x", "model": make("deep"), **changes})


def test_a_task_and_a_precision_by_name() -> None:
    """A spec is the task that it names, a dtype's name the dtype."""
    one = Subject("x", make("deep"), "modular:p=7", precision="float32")  # type: ignore[arg-type]
    assert one.task == ModularArithmetic(7)
    assert one.precision is torch.float32
