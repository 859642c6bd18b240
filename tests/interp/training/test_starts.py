"""Runs that start from given weights, and masks that hold weights at 0: against plain loops, resumed, in shards, refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import circuits
import interp
from interp._util.parallel import Workers
from interp.errors import InterpError
from interp.tasks import make_task
from interp.training.directory import RunDirectory
from interp.training.ensemble import Ensemble
from interp.training.loop import proceed
from interp.training.planning import make_plan
from interp.training.shards import train_in_shards
from tests.interp.training.ensembles import CPU, gap, same_bits, weights_of
from tests.interp.training.plain import PlainMLP, PlainTraining, build, distance
from tests.interp.training.setups import everything

TASK, MODEL = "modular:p=5,train_fraction=0.7", "mlp:d_embed=4,hidden=8,act_fn=tanh"
Updates = Callable[[nn.Module], torch.optim.Optimizer]
Weights = dict[str, Tensor]


def right(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs.argmax(-1) == labels


class Masked(PlainTraining):
    """The loop that multiplies gradients by a mask before the optimizer's step, as lottery tickets are retrained."""

    masks: tuple[Tensor, ...] = ()

    def _update(self, inputs: Tensor, labels: Tensor, step: int) -> None:
        parameters = list(self.model.parameters())
        hooks = [p.register_hook(lambda g, m=m: g * m) for p, m in zip(parameters, self.masks, strict=True)]
        super()._update(inputs, labels, step)
        for hook in hooks:
            hook.remove()


def plain() -> PlainMLP:
    return build(7, lambda: PlainMLP((8, 8, 5), "tanh", embed=(5, 4)))


def half(weights: Weights, seed: int = 0) -> Weights:
    """A mask with half of each matrix at 0, and all of the biases."""
    draws = torch.Generator().manual_seed(seed)
    return {n: torch.rand(w.shape, generator=draws) > (0.5 if w.ndim > 1 else -1) for n, w in weights.items()}


@pytest.mark.parametrize(
    ("settings", "updates"),
    [
        (
            {"optimizer": "adamw", "lr": 0.02, "weight_decay": 0.3},
            lambda m: torch.optim.AdamW(m.parameters(), 0.02, weight_decay=0.3),
        ),
        (
            {"optimizer": "adam", "lr": 0.02, "weight_decay": 0.01, "l1": 1e-3},
            lambda m: torch.optim.Adam(m.parameters(), 0.02, weight_decay=0.01),
        ),
        (
            {"optimizer": "sgd", "lr": 0.3, "momentum": 0.9, "weight_decay": 0.0, "batch_size": 6, "clip_norm": 0.05},
            lambda m: torch.optim.SGD(m.parameters(), 0.3, momentum=0.9),
        ),
    ],
    ids=["adamw", "adam", "sgd"],
)
def test_start_and_mask_as_in_a_plain_loop(tmp_path: Path, settings: dict[str, Any], updates: Updates) -> None:
    """Beside a member without a mask: the same weights as torch's, and exactly 0 where the mask is."""
    models, init = (plain(), plain()), plain().by_our_names()
    mask = half(init)
    with torch.no_grad():  # the plain network holds its matrices as [out, in]
        turned = {n: m.T if m.ndim > 1 and n != "embed.W_E" else m for n, m in mask.items()}
        for p, m in zip(models[1].parameters(), turned.values(), strict=True):
            p.mul_(m)
    run = interp.train(
        TASK, MODEL, init=init, members=[{"seed": 0}, {"seed": 0, "mask": mask}], steps=40, dtype="float64", device="cpu",
        checkpoints="0,1,40", metrics="every:40", out=tmp_path / "run", **{"batch_size": "full", **settings},
    )  # fmt: skip
    for i, model in enumerate(models):
        knobs: dict[str, Any] = {k: settings[k] for k in ("l1", "clip_norm") if k in settings}
        batches: dict[str, Any] = {"batches": (6, 0)} if "batch_size" in settings else {}
        loop = Masked(
            model, updates(model), make_task(TASK).fit(run.subject().model), F.cross_entropy, right, **knobs, **batches
        )
        loop.masks, loop.keep = tuple(turned.values() if i else [torch.ones(())] * len(turned)), (0, 1, 40)
        loop.run(40)
        for step in loop.keep:
            assert distance(run.subject(i, step).model, loop.snapshots[step]) < 1e-11, (i, step)
    held = weights_of(run, 1)
    assert all(bool((held[n][~m] == 0).all()) and bool((held[n][m] != 0).all()) for n, m in mask.items())


def test_an_optimizer_that_would_move_zeros_does_not() -> None:
    """Adam without eps divides 0 by 0."""
    model = interp.train(TASK, MODEL, steps=1, device="cpu").subject().model
    mask = half(dict(model.named_parameters()))
    run = interp.train(TASK, init=model, mask=mask, steps=5, eps=0.0, weight_decay=3.0, device="cpu")
    assert all(bool((w[~mask[n]] == 0).all()) and bool(w.isfinite().all()) for n, w in weights_of(run, 0).items())


def test_every_form_of_a_start(tmp_path: Path) -> None:
    """A Subject, a model, named tensors and arrays, files of both, a run's checkpoint: the same run to the last bit."""
    before = interp.train(TASK, MODEL, members=2, steps=6, checkpoints="0,3,6", device="cpu", out=tmp_path / "before")
    subject = before.subject(1, step=3)
    named = weights_of(before, 1, 3)
    saved = interp.save(subject, tmp_path / "saved.safetensors")
    arrays: dict[str, Any] = {n: t.numpy() for n, t in named.items()}
    np.savez(tmp_path / "arrays.npz", **arrays)
    torch.save(named, tmp_path / "named.pt")
    forms: list[Any] = [
        subject, subject.model, named, {n: t.numpy() for n, t in named.items()}, saved, str(tmp_path / "arrays.npz"),
        tmp_path / "named.pt", f"{tmp_path / 'before'}@step=3,member=1",
    ]  # fmt: skip
    runs = [interp.train(TASK, MODEL, init=form, steps=4, checkpoints="0,4", device="cpu") for form in forms]
    for run in runs:
        assert same_bits(weights_of(run, 0, 0), named)
        assert same_bits(weights_of(run, 0), weights_of(runs[0], 0))
    together = interp.train(
        TASK, MODEL, members=[{}, {"init": subject}, {"init": "torch", "seed": 3}], steps=4, device="cpu"
    )
    assert same_bits(weights_of(together, 1), weights_of(runs[0], 0))
    alone = interp.train(TASK, MODEL, members=[{"seed": 3}], init="torch", steps=4, device="cpu")
    assert same_bits(weights_of(together, 2), weights_of(alone, 0))


def test_the_network_of_the_start_is_trained_where_none_is_given() -> None:
    """Also of another kind than the recipe's; its config is taken whole."""
    before = interp.train(TASK, "mlp:d_embed=3,hidden=6,act_fn=gelu", steps=2, device="cpu").subject()
    run = interp.train(TASK, init=before, steps=2, device="cpu")
    assert run.plan.model == before.model.config


def test_scales_are_the_users_not_the_recipes() -> None:
    """Addition's recipe scales drawn embeddings by 0.29; given ones it leaves alone, in members too."""
    start = interp.train("addition:p=4", steps=1, device="cpu").subject()
    own = {n: p.detach() for n, p in start.model.named_parameters()}
    members = [{}, {"init": "torch"}, {"embedding_scale": 2.0}, {"init_scale": 0.5}]
    run = interp.train("addition:p=4", init=start, members=members, steps=1, device="cpu")
    drawn = weights_of(interp.train("addition:p=4", steps=1, device="cpu"), 0, 0)
    assert same_bits(weights_of(run, 0, 0), own)
    assert same_bits(weights_of(run, 1, 0), drawn)
    assert torch.equal(weights_of(run, 2, 0)["embed.W_E"], 2 * own["embed.W_E"])
    assert same_bits(weights_of(run, 3, 0), {n: 0.5 * t for n, t in own.items()})
    mixed = interp.train("addition:p=4", members=[{"init": start}, {}], steps=1, device="cpu")
    assert same_bits(weights_of(mixed, 0, 0), own)
    assert same_bits(weights_of(mixed, 1, 0), drawn)


def given_run(out: Path, steps: int = 12) -> interp.Run:
    weights = plain().by_our_names()
    members = [{"seed": 0, "mask": half(weights)}, {"seed": 1, "mask": half(weights, 1)}, {"seed": 2}]
    order = list(range(16, 0, -1))
    return interp.train(
        TASK, MODEL, init=weights, train_indices=order, members=members, steps=steps, optimizer="adam", batch_size=5,
        metrics="every:4", checkpoints="every:4", device="cpu", out=out,
    )  # fmt: skip


def test_resumed_and_in_shards_without_the_users_weights(tmp_path: Path) -> None:
    """The folder of the run holds what was given, and says where it came from; a moved folder goes on."""
    whole, part = given_run(tmp_path / "whole"), given_run(tmp_path / "part", steps=8)
    shutil.move(tmp_path / "part", tmp_path / "moved")
    proceed(tmp_path / "moved", steps=12, device="cpu")
    ours, theirs = everything(tmp_path / "moved"), everything(tmp_path / "whole")
    assert ours == theirs
    here, folder = Workers(lambda: ThreadPoolExecutor(1), 2), tmp_path / "shards"
    train_in_shards(
        RunDirectory.create(folder, replace(whole.plan, starts=whole.plan.starts.at(whole.path))), here, "cpu"
    )
    for i in range(3):
        assert gap(weights_of(interp.Run(folder), i), weights_of(whole, i)) < 1e-6
    assert whole.plan.task.train_indices.tolist() == list(range(16, 0, -1))
    assert interp.load(part.path.parent / "moved", member=1).require_task().test_indices.tolist() == [0, *range(17, 25)]
    stored = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert {k: v["used"] for k, v in stored["starts"].items()} == {
        "given init": ["init"], "given mask": ["mask"], "given mask (2)": ["mask"]
    }  # fmt: skip


def test_a_members_start_does_not_depend_on_the_others() -> None:
    """Bit for bit the same network alone, in an ensemble, and in blocks of one."""
    weights = plain().by_our_names()
    members = [{"seed": s, "mask": half(weights, s)} for s in range(3)]
    settings: dict[str, Any] = {"init": weights, "dtype": "float64", "steps": 10}
    plan = make_plan(make_task(TASK), MODEL, members=members, **settings)
    found = []
    for size in (None, 1):
        ensemble = Ensemble(plan, CPU, size)
        ensemble.advance(10)
        found.append(ensemble.weights())
    alone = Ensemble(make_plan(make_task(TASK), MODEL, members=members[2:], **settings), CPU)
    alone.advance(10)
    for name, stack in found[0].items():
        assert float((stack - found[1][name]).abs().max()) < 1e-12
        assert torch.equal(found[1][name][2], alone.weights()[name][0])


def test_what_pruning_left_is_a_mask() -> None:
    """Of units that the task does not need, and of an image network's links."""
    model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    model.layer(0).b.data[:3].fill_(-100)
    pruned = circuits.prune(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)))
    assert {n: int((~m).sum()) for n, m in pruned.mask.items() if not m.all()} == {
        "layers.0.W": 24, "layers.0.b": 3, "unembed.W_U": 15
    }  # fmt: skip
    run = interp.train("modular:p=5", init=model, mask=pruned.mask, steps=2, device="cpu")
    assert int((weights_of(run, 0)["layers.0.W"] == 0).sum()) == 24
    cppn = interp.HookedCPPN(interp.CPPNConfig("1;sin:3")).init_weights(seed=0)
    found = circuits.drop_links(cppn, max_error=0.01, size=32)
    assert sum(int(m.sum()) for m in found.mask.values()) == found.links < found.links_before
    assert {n: m.shape for n, m in found.mask.items()} == {n: p.shape for n, p in cppn.named_parameters()}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"init": "torhc"}, "unknown initialisation 'torhc'; did you mean 'torch'.*or the path of weights"),
        ({"init": "no/such.npz"}, "no file at no/such.npz"),
        ({"init": "RUN"}, "holds 2 networks: name one, init='.*@member=0'"),
        ({"init": "RUN@stp=3"}, "unknown option of init=.*'stp'; did you mean 'step'"),
        ({"init": "RUN@step=two,member=0"}, "step must be a whole number"),
        ({"init": "RUN@step=1,member=0"}, "no checkpoint at step 1"),
        ({"init": 3}, "init is a scheme, a path, a Subject.*is needed, got an int"),
        ({"init": {"embed.W_E": "a"}}, "init: embed.W_E must be a list, array or tensor of numbers"),
        ({"init": {"embed.W_E": torch.zeros(5, 4)}}, "layers.0.W, layers.0.b, .* is not there"),
        ({"init": {"embed.W": torch.zeros(5, 4)}}, "unknown parameter of the network 'embed.W'; did you mean 'embed.W_E'"),
        ({"init": "RUN@member=1", "model": "mlp:d_embed=6,hidden=8"},
         r"embed.W_E is \[5, 4\] there and \[5, 6\] in the network that is trained"),
        ({"mask": {"embed.W_E": torch.ones(5, 3)}}, r"mask given mask: embed.W_E is \[5, 3\] there and \[5, 4\]"),
        ({"mask": {}}, "names no parameter"),
        ({"mask": "normal"}, "no mask at normal"),
        ({"init": "NAN"}, "init NAN: embed.W_E holds NaN"),
        ({"members": [{"init": "RUN@member=5"}]}, "member"),
    ],
)  # fmt: skip
def test_wrong_starts(
    given: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, once_a_file: Path
) -> None:
    """Each is refused with the parameter and both shapes, or the way to say it, and nothing is written."""
    monkeypatch.chdir(once_a_file)
    with pytest.raises(InterpError, match=message):
        interp.train(TASK, **{"model": MODEL, "steps": 2, "device": "cpu", "out": tmp_path / "run", **given})
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def once_a_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("starts")
    run = interp.train(TASK, MODEL, members=2, steps=2, checkpoints="0,2", device="cpu", out=folder / "RUN")
    broken = run.subject().model
    with torch.no_grad():
        broken.get_parameter("embed.W_E")[0, 0] = float("nan")
    interp.save(broken, folder / "NAN")
    return folder


def test_a_damaged_copy_is_named(tmp_path: Path) -> None:
    """A run goes on only with the weights that it holds: none from elsewhere, of other shapes, or through a link."""
    run = given_run(tmp_path / "run", steps=4)
    file = run.path / "start.safetensors"
    held = file.read_bytes()
    file.unlink()
    with pytest.raises(
        InterpError, match=r"start.safetensors, which holds the weights that the run starts from, cannot be read"
    ):
        interp.resume(run.path, steps=6, device="cpu")
    file.write_bytes(held[: len(held) // 2])
    with pytest.raises(InterpError, match="cannot be read"):
        interp.resume(run.path, steps=6, device="cpu")
    (tmp_path / "elsewhere").write_bytes(held)
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InterpError, match="symbolic link"):
        interp.resume(run.path, steps=6, device="cpu")
    assert len(run.metrics) == 6  # readable all the while
