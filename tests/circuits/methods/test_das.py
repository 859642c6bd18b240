"""Distributed alignment search finds a subspace that was put there, and its interchange is that of `circuits.Patch`."""

from __future__ import annotations

import pytest
import torch

import circuits
from circuits import Patch, applied
from interp import HookedMLP, InterpError, MLPConfig, capture
from interp.sites import Site
from probes.basis import Basis
from tests.models import subject


def rotated() -> tuple[HookedMLP, torch.Tensor]:
    """A network that answers x0 + 2 x1 > 0 of each sign, whose hidden layer holds both in rotated directions; the rotation."""
    model = HookedMLP(MLPConfig((6,), 4, d_in=2)).double()
    turn = Basis.random(6, 6, seed=3).directions
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.layer(0).W[:] = torch.eye(2, dtype=torch.float64) @ turn[:2]
        model.layer(0).b[:] = 10  # every unit is open
        answers = torch.tensor([[-1.0, -1], [1, -1], [-1, 1], [1, 1]]).double()
        model.unembed.W_U[:] = 5 * turn[:2].T @ answers.T
        model.unembed.b_U[:] = -(10 * torch.ones(6).double()) @ model.unembed.W_U
    return model, turn


def pairs(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Base, source, and the answer with the first sign of the source and the second of the base."""
    signs = torch.randint(0, 2, (2, n, 2), generator=torch.Generator().manual_seed(1))
    base, source = (2.0 * signs - 1).double()
    return base, source, signs[1, :, 0] + 2 * signs[0, :, 1]


def test_the_direction_that_was_put_there_is_found() -> None:
    model, turn = rotated()
    base, source, answers = pairs(200)
    found = circuits.das(model, "layers.0.hook_post", base, source, answers, steps=150, lr=0.1)
    assert found.accuracy == 1
    assert abs(float(found.basis.directions[0] @ turn[0])) > 0.9
    assert abs(float(found.basis.directions[0] @ turn[1])) < 0.1
    assert found.summary["random"] < 0.9
    assert found.summary["whole site"] < 0.9
    assert found.losses[-1] < found.losses[0]
    site = Site("layers.0.hook_post", basis=found.basis)
    with applied(model, Patch(site, capture(model, source, site.name)[site.name])):
        assert torch.equal(model(base).argmax(-1), answers)
    assert len(found.figure().data) == 1
    assert set(found.table["component"]) == {"held out", "train", "whole site", "nothing", "random"}


def test_accuracies_are_those_of_patches() -> None:
    """On a transformer, at one position of a head; the same twice for a seed."""
    one = subject("two layers")
    task = one.require_task()
    order = torch.randperm(len(task.inputs), generator=torch.Generator().manual_seed(0))[:40]
    base, source, answers = task.inputs[order[:20]], task.inputs[order[20:]], task.labels[order[:20]]
    site = Site("blocks.0.attn.hook_z", pos=-1, head=1)
    found, again = (
        circuits.das(one, site, base, source, answers, dimensions=2, steps=5, n_random=2, held_out=1 / 2)
        for _ in range(2)
    )
    assert torch.equal(found.basis.directions, again.basis.directions)
    both = found.accuracies.query("interchange in ('held out', 'train')")["accuracy"].mean()
    where = Site(site.name, pos=-1, head=1, basis=found.basis)
    with applied(one.model, Patch(where, capture(one.model, source, site.name)[site.name])):
        patched = task.read(one.model(base)).argmax(-1)
    assert both == pytest.approx(float((patched == answers).double().mean()))


def test_refusals() -> None:
    model, _ = rotated()
    base, source, answers = pairs(10)
    with pytest.raises(InterpError, match="answers are indices"):
        circuits.das(model, "layers.0.hook_post", base, source, answers[:4])
    with pytest.raises(InterpError, match="dimensions"):
        circuits.das(model, "layers.0.hook_post", base, source, answers, dimensions=7)
    for rate in ("a", 0.0, -1.0):
        with pytest.raises(InterpError, match="lr must be a finite number above 0"):
            circuits.das(model, "layers.0.hook_post", base, source, answers, lr=rate)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="one hook point"):
        circuits.das(model, "layers.0.*", base, source, answers)
