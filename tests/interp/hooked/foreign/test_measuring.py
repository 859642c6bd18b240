"""A wrapped module is measured in evaluation mode, and is afterwards as if nothing had run."""

from __future__ import annotations

import copy
import runpy
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import circuits
import interp
from interp import InterpError
from interp.activations.gradients import gradients
from interp.hooked.foreign.measuring import in_evaluation_mode
from tests.conftest import ROOT

CASES = ROOT.parent / "shared" / "cases"
X = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)


class Noisy(nn.Module):
    """Dropout that the mode does not switch off, a counter, and statistics that are written in every mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("level", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        out = self.layer(nn.functional.dropout(x, 0.5, training=True))
        self.level = 0.9 * self.level + 0.1 * out.detach().mean(0)
        return out * self.level


def net() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Linear(6, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(16, 8),
        nn.BatchNorm1d(8),
        nn.Linear(8, 3),
    )
    layers(X)
    layers[5].eval()  # frozen, inside a module in training mode
    return layers


def state(module: nn.Module) -> tuple[Any, ...]:
    """Everything that measuring may not touch, with the tensors' identities."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return (
        {n: m.training for n, m in module.named_modules()},
        {n: (id(t), t._version, t.requires_grad) for n, t in tensors.items()},
        {n: t.detach().clone() for n, t in tensors.items()},
        torch.get_rng_state().clone(),
    )


def same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return a[:2] == b[:2] and all(torch.equal(a[2][n], b[2][n]) for n in a[2]) and torch.equal(a[3], b[3])


def _patch(s: interp.Subject) -> Any:
    return circuits.patch(s, X[:8], X[8:16], "2.hook_out", metric=lambda out: out[:, 0]).effects["recovered"].tolist()


def _attribute(s: interp.Subject) -> Any:
    found = circuits.attribute(s, X[:8], X[8:16], "2.hook_out", metric=lambda out: out[:, 0])
    return found.effects["effect"].tolist()


def _intervene(s: interp.Subject) -> Any:
    with circuits.applied(s, circuits.Ablate("2.hook_out", circuits.Zero())):
        return s.model(X).tolist()


WAYS: dict[str, Callable[[interp.Subject], Any]] = {
    "ablate": lambda s: circuits.ablate(s, site="2.hook_out").loss_change.tolist(),
    "patch": _patch,
    "attribute": _attribute,
    "applied": _intervene,
    "capture": lambda s: interp.capture(s, X, "3.hook_out")["3.hook_out"].tolist(),
    "logits": lambda s: interp.Subject("again", s.model, s.task).logits().tolist(),
    "score": lambda s: interp.score(s.require_task(), s.logits()).loss,
    "gradients": lambda s: gradients(s, X, lambda out: out[:, 0], "2.hook_out")[1]["2.hook_out"].tolist(),
    "hooks": lambda s: s.model.run_with_hooks(X, fwd_hooks=[("3.hook_out", lambda act, hook: act * 2)]).tolist(),
    "cache": lambda s: s.model.run_with_cache(X)[1]["3.hook_out"].tolist(),
    "resume": lambda s: s.model.resume("2.hook_out", torch.ones(3, 16)).tolist(),
}


@pytest.mark.parametrize("way", WAYS)
def test_measured_in_evaluation_mode_and_put_back(way: str) -> None:
    """The numbers are those of a twin in evaluation mode, twice the same, and nothing of the module has changed."""
    module = net()
    twin = copy.deepcopy(module).eval()
    before = state(module)
    subject = interp.Subject("net", interp.wrap(module, X), interp.Examples(X, Y), precision=torch.float32)
    assert same(state(module), before)
    found = [WAYS[way](subject) for _ in range(2)]
    assert found[0] == found[1]
    assert same(state(module), before)
    expected = interp.Subject("twin", interp.wrap(twin, X), interp.Examples(X, Y), precision=torch.float32)
    assert found[0] == WAYS[way](expected)


def test_the_module_itself_does_what_it_did() -> None:
    """Called by its owner it trains: batch statistics, dropout, running statistics."""
    module = net()
    twin = copy.deepcopy(module)
    interp.wrap(module, X)
    torch.manual_seed(1)
    mine = module(X)
    torch.manual_seed(1)
    assert torch.equal(mine, twin(X))
    assert torch.equal(module[1].running_mean, twin[1].running_mean)


def test_put_back_after_an_exception_and_a_keyboard_interrupt() -> None:
    """Modes and buffers, wherever the forward pass stopped."""
    for error in (ValueError, KeyboardInterrupt):
        for module, site in ((net(), "2.hook_out"), (Noisy(), "layer.hook_out")):
            model, before = interp.wrap(module, X), state(module)

            def stop(act: Tensor, hook: Any, error: type[BaseException] = error) -> None:
                raise error

            with pytest.raises(error):
                model.run_with_hooks(X, fwd_hooks=[(site, stop)])
            assert same(state(module), before)


def test_random_in_every_mode_and_buffers_that_are_always_written() -> None:
    """Two calls agree, buffers and random state stay, gradients pass, and the notes say so."""
    module = Noisy()
    before = state(module)
    model = interp.wrap(module, X)
    assert any("draws random numbers in evaluation mode too" in note for note in model.notes)
    assert torch.equal(model(X), model(X))
    model(X).square().sum().backward()
    assert module.layer.weight.grad is not None
    assert same(state(module), before)


def test_as_is_measures_the_module_in_its_own_mode() -> None:
    """With the batch statistics and dropout of its random state, which stays, as do running statistics."""
    module = net()
    twin, before = copy.deepcopy(module), state(module)
    model = interp.wrap(module, X, mode="as_is")
    found = model(X)
    assert same(state(module), before)
    assert torch.equal(found, twin(X))
    assert "measured in training mode, as asked: BatchNorm1d, Dropout" in model.notes[0]
    with pytest.raises(interp.UnknownName, match="mode"):
        interp.wrap(module, X, mode="train")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="mode must be one of eval, as_is"):
        interp.wrap(module, X, mode=True)  # type: ignore[arg-type]


def test_the_mode_is_said() -> None:
    """In the model's notes, the subject and what an experiment returns; not of a module in evaluation mode."""
    module = net()
    subject = interp.Subject("net", interp.wrap(module, X), interp.Examples(X, Y))
    said = "measured in evaluation mode, though the module is in training mode (BatchNorm1d, Dropout) and stays so"
    assert said in circuits.ablate(subject, site="2.hook_out").attrs["notes"][0]
    assert said in repr(subject)
    module.eval()
    assert "notes" not in circuits.ablate(subject, site="2.hook_out").attrs


def test_blocks_nested_and_in_threads() -> None:
    """The last to leave puts the modes back, whoever entered first."""
    module = net()
    before = state(module)[0]
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with in_evaluation_mode(module[:3]):
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=other)
    with in_evaluation_mode(module):
        thread.start()
        assert inside.wait(20)
        with in_evaluation_mode(module):
            assert not any(m.training for m in module.modules())
    assert not module[1].training
    assert module.training
    assert module[3].training
    leave.set()
    thread.join()
    assert state(module)[0] == before


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}")
def test_the_case_of_silent_noise(capsys: pytest.CaptureFixture[str]) -> None:
    """Two calls of ablate agree on a net with dropout that nobody put into evaluation mode."""
    found = runpy.run_path(str(CASES / "training_mode_silent_noise" / "run.py"))
    assert "two calls agree: True" in capsys.readouterr().out
    net = found["net"]
    assert net.training
    expected = circuits.ablate(
        interp.Subject(
            "m", interp.wrap(copy.deepcopy(net).eval(), found["x"]), interp.Examples(found["x"], found["y"])
        ),
        site="1.hook_out",
    )
    assert torch.equal(torch.tensor(found["a"].tolist()), torch.tensor(expected.loss_change.tolist()))
