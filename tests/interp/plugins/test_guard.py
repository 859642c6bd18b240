"""What an analysis changes in place is put back, and the analysis fails by name; the others see what was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from interp import Subject, analyze
from interp.plugins.analysis import Result, analysis
from interp.plugins.guard import left_alone
from tests.models import subject


@pytest.fixture
def settings() -> Iterator[None]:
    """Torch's own, whatever comes of the test."""
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)


def zeroed(tensor: Tensor) -> None:
    tensor.data.zero_()


MEDDLING: dict[str, Callable[[Subject], object]] = {
    "hook_embed|W_E": lambda one: zeroed(next(iter(one.model.parameters()))),
    "inputs of the task": lambda one: one.task is not None and zeroed(one.task.inputs),
    "labels of the task": lambda one: one.task is not None and one.task.labels.add_(1),
    "the mode": lambda one: one.model.train(not one.model.training),
    "hooks": lambda one: next(iter(one.model.modules())).register_forward_hook(lambda *_: None),
}


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("named", MEDDLING)
def test_what_an_analysis_changes_is_put_back(named: str) -> None:
    """By itself, and before another, which gets the numbers that it has alone."""

    @analysis("meddler", needs=("weights",), summary="for the tests")
    def meddler(given: Subject) -> Result:
        MEDDLING[named](given)
        return Result({"one": 1})

    alone = analyze(subject("plain"), "performance")["performance"].metrics
    given = subject("plain")
    outcome = analyze(given, [meddler])["meddler"]
    assert outcome.status == "failed"
    assert outcome.error.startswith("it changed ")
    assert any(part in outcome.error for part in named.split("|"))
    assert analyze(given, "performance")["performance"].metrics == alone
    assert not any(module._forward_hooks for module in given.model.modules())


@pytest.mark.usefixtures("settings")
def test_settings_of_torch_are_put_back() -> None:
    """Without a failure: the network is as it was."""

    @analysis("setter", needs=("weights",), summary="for the tests")
    def setter(given: Subject) -> Result:
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return Result({"one": 1})

    assert analyze(subject("plain"), [setter])["setter"].status == "ok"
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_of_several_networks_each_is_compared() -> None:
    """Their weights have the same names."""
    pair = [subject("plain", 0), subject("plain", 1)]
    before = [next(iter(one.model.parameters())).clone() for one in pair]
    with left_alone(pair) as changed:
        zeroed(next(iter(pair[0].model.parameters())))
    assert len(changed) == 1
    assert changed[0].endswith(" of plain")
    assert all(torch.equal(next(iter(one.model.parameters())), was) for one, was in zip(pair, before, strict=True))
