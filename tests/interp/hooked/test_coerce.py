"""A hooked model from whatever holds one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from interp import HookedMLP, InterpError, capture
from interp.activations.gradients import gradients
from interp.hooked import as_model
from tests.models import P, make, subject

POST, TOKENS = "blocks.0.mlp.hook_post", torch.tensor([[1, 2, P], [3, 4, P]])


def test_a_model_and_what_holds_one() -> None:
    """The model itself, not a copy."""
    one = subject("plain")
    assert as_model(one) is as_model(one.model) is one.model


def test_capture_and_gradients_take_a_subject() -> None:
    """And give what they give of its model."""
    one = subject("plain")
    assert torch.equal(capture(one, TOKENS, POST)[POST], capture(one.model, TOKENS, POST)[POST])
    found, wanted = (gradients(m, TOKENS, lambda out: out, POST)[1][POST] for m in (one, one.model))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (nn.Linear(2, 3), r"got a Linear: give it hook points with interp.wrap\(module, example\)"),
        (nn.ModuleDict({"model": nn.Linear(2, 3)}), "got a ModuleDict: give it hook points with interp.wrap"),
        (HookedMLP, "got the class HookedMLP: make an instance"),
        ("model.pth", r"got a str: load it first, interp.load\('model.pth'\)"),
        (make("plain").state_dict(), "got an OrderedDict: load weights into their module, then interp.wrap"),
    ],
)
def test_other_kinds_are_refused_with_a_way(given: object, message: str) -> None:
    """By `as_model` and by what uses it."""
    with pytest.raises(InterpError, match=message):
        as_model(given)
    with pytest.raises(InterpError, match=message):
        capture(given, TOKENS, POST)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match=message):
        gradients(given, TOKENS, lambda out: out, POST)  # type: ignore[arg-type]
