"""Whole runs against plain PyTorch loops: same seeds, same modules, same optimizers, in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import interp
from interp.tasks import make_task
from interp.training.ensemble import Ensemble
from interp.training.planning import make_plan
from tests.interp.training.plain import PlainMLP, PlainTraining, build, distance

STEPS = 60
KEEP = (0, 1, 30, 60)
Right = Callable[[Tensor, Tensor], Tensor]


def argmax(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs.argmax(-1) == labels


def hinge(outputs: Tensor, labels: Tensor) -> Tensor:
    return torch.clamp(1 - labels * outputs[:, 0], min=0).mean()


def sign(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs[:, 0].sign() == labels


def one_hot_mse(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.mse_loss(outputs, F.one_hot(labels, outputs.shape[-1]).double())


def to_vectors(n_answers: int) -> tuple[Callable[[Tensor, Tensor], Tensor], Right]:
    """Loss and correctness of fixed random targets, 30 numbers per answer, drawn with seed 0."""
    targets = torch.randn(n_answers, 30, generator=torch.Generator().manual_seed(0)).double()

    def right(outputs: Tensor, labels: Tensor) -> Tensor:
        return torch.cdist(outputs, targets).argmin(-1) == labels

    return lambda outputs, labels: F.mse_loss(outputs, targets[labels]), right


def check(run: interp.Run, plain: list[PlainTraining], tolerance: float = 1e-11) -> None:
    """Weights at four steps and every measured row agree with the loops'."""
    for i, loop in enumerate(plain):
        for step in KEEP:
            assert distance(run.subject(i, step=step).model, loop.snapshots[step]) < tolerance, (i, step)
        rows = run.metrics[run.metrics["member"] == i].set_index("step")
        assert sorted(rows.index) == sorted(loop.measured)
        for step, expected in loop.measured.items():
            names = ["train_loss", "train_accuracy", "test_loss", "test_accuracy", "weight_norm"]
            assert rows.loc[step, names].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12), (i, step)


def train(out: Path, task: str, model: str, members: list[dict[str, Any]], **settings: Any) -> interp.Run:
    keep = ",".join(map(str, KEEP))
    common = {"steps": STEPS, "dtype": "float64", "init": "torch", "device": "cpu", "checkpoints": keep}
    return interp.train(task, model, members=members, metrics="every:20", out=out / "run", **{**common, **settings})


def loops(members: list[dict[str, Any]], one: Callable[[dict[str, Any]], PlainTraining]) -> list[PlainTraining]:
    found = [one(m) for m in members]
    for loop in found:
        loop.keep, loop.measure_at = KEEP, range(0, STEPS + 1, 20)
        loop.run(STEPS)
    return found


def test_addition_with_rates_by_group(tmp_path: Path) -> None:
    """Toy addition, random target vectors, AdamW: embeddings, decoder and last layer at rates of their own."""
    members = [
        {"seed": 0, "embedding_lr": 0.02, "decoder_weight_decay": 0.5},
        {"seed": 1, "data_seed": 5, "embedding_scale": 0.5, "lr": 0.004, "last_lr": 0.0005, "weight_decay": 0.2},
        {"seed": 2, "data_seed": 2, "embedding_weight_decay": 1.5, "last_weight_decay": 0.1},
    ]
    run = train(tmp_path, "addition:p=5", "mlp:hidden=12x12,act_fn=tanh", members, lr=0.002, embedding_scale=1.0)
    loss, right = to_vectors(9)

    def one(own: dict[str, Any]) -> PlainTraining:
        model = build(own["seed"], lambda: PlainMLP((1, 12, 12, 30), "tanh", (5, 1), add=True))
        with torch.no_grad():
            model.embed.weight.mul_(own.get("embedding_scale", 1.0))
        lr, wd = own.get("lr", 0.002), own.get("weight_decay", 0.0)
        dlr, dwd = own.get("decoder_lr", lr), own.get("decoder_weight_decay", wd)
        groups = [
            {"params": model.embed.parameters(), "lr": own.get("embedding_lr", lr),
             "weight_decay": own.get("embedding_weight_decay", 0.0)},
            {"params": model.hidden.parameters(), "lr": dlr, "weight_decay": dwd},
            {"params": model.out.parameters(), "lr": own.get("last_lr", dlr),
             "weight_decay": own.get("last_weight_decay", dwd)},
        ]  # fmt: skip
        task = interp.ToyAddition(5, seed=own.get("data_seed", 0), equals_token=False)
        return PlainTraining(model, torch.optim.AdamW(groups), task, loss, right)

    check(run, loops(members, one))


def test_parity_in_batches_with_late_decay(tmp_path: Path) -> None:
    """Sparse parity, hinge, SGD in batches that do not divide the set; the weight decay changes at a step."""
    members = [
        {"seed": 0, "data_seed": 0, "label_noise": 0.0, "lr": 0.1},
        {"seed": 1, "data_seed": 0, "label_noise": 0.1, "lr": 0.05},
        {"seed": 1, "data_seed": 3, "label_noise": 0.1, "lr": 0.1, "weight_decay": 0.0},
    ]
    run = train(
        tmp_path, "parity:n=10,k=2,n_train=50,n_test=30", "mlp:hidden=16", members, batch_size=16, weight_decay=0.01,
        momentum=0.5, late_weight_decay=0.2, late_at=25,
    )  # fmt: skip

    def one(own: dict[str, Any]) -> PlainTraining:
        model = build(own["seed"], lambda: PlainMLP((10, 16, 1), "relu", last_bias=False))
        wd = own.get("weight_decay", 0.01)
        optimizer = torch.optim.SGD(model.parameters(), own["lr"], 0.5, weight_decay=wd)
        task = interp.SparseParity(10, 2, 50, 30, own["label_noise"], own["data_seed"])
        return PlainTraining(model, optimizer, task, hinge, sign, batches=(16, own["seed"]), late=(25, 0.2))

    check(run, loops(members, one))


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"batch_size": 10},
        {"warmup": 15},
        {"clip_norm": 0.05},
        {"normalise": True},
        {"clip_norm": 0.05, "l1": 0.003, "norm_penalty": 0.002},
    ],
    ids=lambda extra: "-".join(extra) or "nothing",
)
def test_modular_addition(tmp_path: Path, extra: dict[str, Any]) -> None:
    """Addition mod 7, cross-entropy, Adam with L2, GELU on a shared embedding; and what is done to gradients."""
    members = [{"seed": s, "data_seed": s, "weight_decay": wd} for s, wd in ((0, 0.0), (1, 0.01), (2, 0.01))]
    batch = extra.get("batch_size", "full")
    task = "modular:p=7,train_fraction=0.6"
    run = train(
        tmp_path, task, "mlp:hidden=10,d_embed=4,act_fn=gelu", members, lr=0.01, **{"batch_size": batch, **extra}
    )

    def one(own: dict[str, Any]) -> PlainTraining:
        model = build(own["seed"], lambda: PlainMLP((8, 10, 7), "gelu", (7, 4)))
        optimizer = torch.optim.Adam(model.parameters(), 0.01, weight_decay=own["weight_decay"])
        task = interp.ModularArithmetic(7, train_fraction=0.6, seed=own["data_seed"], equals_token=False)
        knobs = {k: v for k, v in extra.items() if k != "batch_size"}
        batches = (extra["batch_size"], own["seed"]) if "batch_size" in extra else None
        return PlainTraining(model, optimizer, task, nn.functional.cross_entropy, argmax, batches, **knobs)

    check(run, loops(members, one))


def test_digits_from_large_weights(tmp_path: Path) -> None:
    """Digits, mean squared error to one-hot, every initial parameter times the member's own scale, AdamW."""
    members = [{"seed": 0, "init_scale": 8.0}, {"seed": 1, "init_scale": 1.0}, {"seed": 2, "init_scale": 3.0}]
    run = train(tmp_path, "digits:n_train=60,n_test=40", "mlp:hidden=20x20", members, batch_size=25)

    def one(own: dict[str, Any]) -> PlainTraining:
        model = build(own["seed"], lambda: PlainMLP((64, 20, 20, 10), "relu"), own["init_scale"])
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
        task = make_task("digits:n_train=60,n_test=40")
        return PlainTraining(model, optimizer, task, one_hot_mse, argmax, batches=(25, own["seed"]))

    check(run, loops(members, one), tolerance=1e-9)


def test_decay_upon_memorisation(tmp_path: Path) -> None:
    """Each member gets its late weight decay at the measurement that first sees it memorised, and not before."""
    members = [{"init_seed": 0, "lr": 0.02}, {"init_seed": 1, "lr": 0.05}, {"init_seed": 2, "lr": 1e-5}]
    run = train(
        tmp_path, "modular:p=5,train_fraction=0.6", "mlp:hidden=24,d_embed=8", members, batch_size="full", weight_decay=1e-3,
        late_weight_decay=2.0, optimizer="adamw",
    )  # fmt: skip

    def one(own: dict[str, Any]) -> PlainTraining:
        model = build(own["init_seed"], lambda: PlainMLP((16, 24, 5), "gelu", (5, 8)))
        optimizer = torch.optim.AdamW(model.parameters(), own["lr"], weight_decay=1e-3)
        task = interp.ModularArithmetic(5, train_fraction=0.6, equals_token=False)
        return PlainTraining(model, optimizer, task, nn.functional.cross_entropy, argmax, late_memorised=2.0)

    found = loops(members, one)
    assert [loop.late_memorised for loop in found] == [None, None, 2.0]  # two memorise, and one does not
    check(run, found)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_transformer(dtype: str) -> None:
    """Against torch.optim on the hooked model itself: autograd hands out strided gradients for attention's weights."""
    plan = make_plan(
        make_task("modular:p=11,train_fraction=0.4"), "transformer:d_model=16,n_heads=2,d_head=8,d_mlp=32",
        dtype=dtype, warmup=5, weight_decay=1.5,
    )  # fmt: skip
    ensemble = Ensemble(plan, torch.device("cpu"))
    model = interp.HookedTransformer(plan.model).to(getattr(torch, dtype)).init_weights(0)
    task = plan.task.fit(model)
    inputs, labels = task.inputs[task.train_indices], task.labels[task.train_indices]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=1.5, betas=(0.9, 0.98))
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 5, 1))
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs)[:, -1].double(), labels).backward()
        optimizer.step()
        warmup.step()
    ensemble.advance(30)
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ensemble.weights()[name][0], parameter.detach(), rtol=0, atol=tolerance)
