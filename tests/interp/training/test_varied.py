"""What the sources vary, against plain PyTorch written out: one network, one loop, the papers' formulas term by term."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

import interp
from interp.hooked.dropout import uniform
from interp.training.randomness import keys
from interp.training.updates.criterion import training_loss
from interp.training.updates.lr_schedule import lr_factors
from tests.interp.training.plain import PlainMLP, PlainTraining, build, distance
from tests.interp.training.test_plain_pytorch import STEPS, argmax, check, loops, train

TASK, MODEL = "modular:p=7,train_fraction=0.6", "mlp:hidden=10x9,d_embed=4,act_fn=gelu"
NAMES = ("embed.W_E", "layers.0.W", "layers.1.W", "unembed.W_U")  # the weight matrices, in the order of our model


def matrices(model: PlainMLP) -> list[Tensor]:
    """In the order and the orientation of `NAMES`."""
    assert model.embed is not None
    return [model.embed.weight, *(layer.weight.T for layer in (*model.hidden, model.out))]


def hidden(model: PlainMLP, inputs: Tensor) -> list[Tensor]:
    assert model.embed is not None
    found, x = [], model.embed(inputs).flatten(1)
    for layer in model.hidden:
        x = model.act(layer(x))
        found.append(x)
    return found


def entropy(own: dict[str, Any], model: PlainMLP, inputs: Tensor, step: int) -> Tensor:
    return own["entropy_penalty"] * sum(torch.special.entr(w.abs()).sum() for w in matrices(model))


def sparsity(own: dict[str, Any], model: PlainMLP, inputs: Tensor, step: int) -> Tensor:
    layers = [torch.sigmoid((a.abs() - 0.02) / 0.3).mean() for a in hidden(model, inputs)]
    return own["sparsity_penalty"] * sum(layers) / len(layers)


def complexity(own: dict[str, Any], model: PlainMLP, inputs: Tensor, step: int, of: str = "layer") -> Tensor:
    """Outputs with and without a tenth of the weights of one matrix, or of all; their KL divergence term by term."""
    key = keys([own["seed"]], "complexity", torch.device("cpu"))[0] + step
    whole = matrices(model)
    sizes = [w.numel() for w in whole]
    if of == "network":
        gone = (uniform(key, (sum(sizes),), 0).argsort(stable=True) < round(sum(sizes) / 10)).split(sizes)
    else:
        chosen = int(uniform(key, (1,), 0) * len(whole))
        gone = [
            uniform(key, (n,), 1 + i).argsort(stable=True) < (round(n / 10) if i == chosen else 0)
            for i, n in enumerate(sizes)
        ]
    assert sum(int(g.sum()) for g in gone) in (round(sum(sizes) / 10), *(round(n / 10) for n in sizes))
    embed, *layers = [w * ~g.view(w.shape) for w, g in zip(whole, gone, strict=True)]
    x = F.embedding(inputs, embed).flatten(1)
    for weight, layer in zip(layers, model.hidden, strict=False):
        x = model.act(x @ weight + layer.bias)
    p, q = model(inputs).softmax(-1), (x @ layers[-1] + model.out.bias).softmax(-1)
    return own["complexity_penalty"] * (p * (p.log() - q.log())).sum(-1).mean()


def grokfast(alpha: float, lamb: float) -> Callable[[PlainMLP, int], None]:
    """The EMA filter as the paper's code has it: h starts as the first gradient."""
    slow: dict[int, Tensor] = {}

    def change(model: PlainMLP, step: int) -> None:
        for i, p in enumerate(model.parameters()):
            assert p.grad is not None
            slow[i] = slow.get(i, p.grad.clone()) * alpha + p.grad * (1 - alpha)
            p.grad = p.grad + slow[i] * lamb

    return change


def perpendicular(model: PlainMLP, step: int) -> None:
    for p in model.parameters():
        assert p.grad is not None
        w, g = p.detach().flatten(), p.grad.flatten()
        across = g - (w @ g) / (w @ w) * w
        p.grad = (across * g.norm() / across.norm()).view_as(p)


def sphere(model: PlainMLP, each: bool) -> Callable[[PlainMLP], None]:
    """Brings a model back to the norms that it has now, as a whole or parameter by parameter."""

    def sizes(of: PlainMLP) -> list[Tensor]:
        alone = [p.detach().norm() for p in of.parameters()]
        return alone if each else [torch.stack(alone).norm()] * len(alone)

    kept = sizes(model)

    def after(of: PlainMLP) -> None:
        for p, now, then in zip(of.parameters(), sizes(of), kept, strict=True):
            p.data *= then / now

    return after


def frozen(model: PlainMLP) -> None:
    assert model.embed is not None
    for p in (*model.embed.parameters(), *model.hidden[1].parameters()):
        p.requires_grad_(False)


Plain = Callable[[dict[str, Any], PlainMLP], dict[str, Any]]
# what members have for their own, what all share, and what a plain loop does with it
CASES: dict[str, tuple[dict[str, list[float]], dict[str, Any], Plain]] = {
    "frozen": ({}, {"frozen": "embedding,layers.1", "clip_norm": 0.05}, lambda own, m: frozen(m) or {"clip_norm": 0.05}),
    "fixed norm": ({}, {"fixed_norm": True}, lambda own, m: {"after": sphere(m, each=False)}),
    "norm of each": ({}, {"fixed_norm": "parameter"}, lambda own, m: {"after": sphere(m, each=True)}),
    "entropy": ({"entropy_penalty": [1e-4, 0.0, 3e-4]}, {}, lambda own, m: {"penalty": part(entropy, own)}),
    "sparsity": (
        {"sparsity_penalty": [0.5, 0.0, 2.0]}, {"sparsity_tau": 0.02, "sparsity_width": 0.3, "batch_size": 10},
        lambda own, m: {"penalty": part(sparsity, own), "batches": (10, own["seed"])},
    ),
    "complexity": ({"complexity_penalty": [0.5, 0.0, 2.0]}, {}, lambda own, m: {"penalty": part(complexity, own)}),
    "complexity of the network": (
        {"complexity_penalty": [0.5, 1.0, 2.0]}, {"complexity_scope": "network"},
        lambda own, m: {"penalty": part(complexity, own, of="network")},
    ),
    "smoothing": (
        {"label_smoothing": [0.1, 0.0, 0.5]}, {},
        lambda own, m: {"minimised": nn.CrossEntropyLoss(label_smoothing=own["label_smoothing"])},
    ),
    "grokfast": ({}, {"grokfast": (0.9, 3.0)}, lambda own, m: {"on_gradients": grokfast(0.9, 3.0)}),
    "perp_grad": ({}, {"perp_grad": True}, lambda own, m: {"on_gradients": perpendicular}),
}  # fmt: skip


def part(
    function: Callable[..., Tensor], own: dict[str, Any], **options: Any
) -> Callable[[PlainMLP, Tensor, int], Tensor]:
    return lambda model, inputs, step: function(own, model, inputs, step, **options)


def plain(own: dict[str, Any], changed: Plain, loss: Any = F.cross_entropy, optimizer: Any = None) -> PlainTraining:
    model = build(own["seed"], lambda: PlainMLP((8, 10, 9, 7), "gelu", (7, 4)))
    task = interp.ModularArithmetic(7, train_fraction=0.6, seed=own["data_seed"], equals_token=False)
    made = torch.optim.AdamW(model.parameters(), 0.01, weight_decay=0.1) if optimizer is None else optimizer(model)
    return PlainTraining(model, made, task, loss, argmax, **changed(own, model))


@pytest.mark.parametrize("case", CASES)
def test_a_setting(tmp_path: Path, case: str) -> None:
    """Three members with their own strengths, and each alone in plain PyTorch; the setting moves the weights."""
    values, settings, changed = CASES[case]
    members = [{"seed": s, "data_seed": s, **{n: v[s] for n, v in values.items()}} for s in range(3)]
    given = {"batch_size": "full", "lr": 0.01, "weight_decay": 0.1, "optimizer": "adamw", **settings}
    run = train(tmp_path, TASK, MODEL, members, **given)
    own = loops(members, lambda m: plain(m, changed))
    check(run, own, tolerance=1e-9 if case == "perp_grad" else 1e-10)
    untouched = plain(members[2], lambda _, m: {"batches": own[2].batches})
    untouched.keep = (STEPS,)
    moved = untouched.run(STEPS).snapshots[STEPS]
    assert max((moved[n] - w).abs().max() for n, w in own[2].snapshots[STEPS].items()) > 1e-3


def test_stablemax(tmp_path: Path) -> None:
    """The loss of the task is what is minimised and what is measured."""

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        s = torch.where(outputs < 0, 1 / (1 - outputs.clamp(max=0)), outputs + 1)
        return -(s.gather(1, labels[:, None])[:, 0] / s.sum(1)).log().mean()

    members = [{"seed": s, "data_seed": s} for s in range(2)]
    run = train(
        tmp_path,
        f"{TASK},loss=stablemax",
        MODEL,
        members,
        batch_size="full",
        lr=0.01,
        weight_decay=0.1,
        optimizer="adamw",
    )
    check(run, loops(members, lambda m: plain(m, lambda own, m: {}, loss)), tolerance=1e-10)


def test_softmax_in_float32(tmp_path: Path) -> None:
    """As plain PyTorch with float32 logits; a label that leads by 20 has no loss and no gradient left there."""
    members = [{"seed": s, "data_seed": s} for s in range(2)]
    given = {"batch_size": "full", "lr": 0.01, "weight_decay": 0.1, "optimizer": "adamw"}
    run = train(tmp_path, TASK, MODEL, members, softmax_dtype="float32", **given)
    single = {"minimised": lambda outputs, labels: F.cross_entropy(outputs.float(), labels)}
    own = loops(members, lambda m: plain(m, lambda own, m: single))
    for i, loop in enumerate(own):
        assert 0 < distance(run.subject(i).model, loop.snapshots[STEPS]) < 1e-5
    found = {}
    for dtype in ("float32", "float64"):
        outputs = torch.tensor([[[20.0, 0.0]]], dtype=torch.float64, requires_grad=True)
        loss = training_loss(interp.make_task("modular:p=2,train_fraction=0.5"), None, dtype)(
            outputs, torch.tensor([0])
        )
        found[dtype] = loss.item(), torch.autograd.grad(loss.sum(), outputs)[0][0, 0, 0].item()
    assert found["float32"] == (0, 0)
    assert found["float64"] == pytest.approx((math.exp(-20), -math.exp(-20)), rel=1e-6)


SCHEDULES: dict[str, Callable[[torch.optim.Optimizer, int], lr_scheduler.LRScheduler]] = {
    "constant": lambda o, n: lr_scheduler.ConstantLR(o, 1.0),
    "linear:0.2": lambda o, n: lr_scheduler.LinearLR(o, 1.0, 0.2, n),
    "cosine:0.1": lambda o, n: lr_scheduler.CosineAnnealingLR(o, n, 0.1),
    "cosine": lambda o, n: lr_scheduler.CosineAnnealingLR(o, n),
    "exponential:0.05": lambda o, n: lr_scheduler.ExponentialLR(o, math.exp(math.log(0.05) / n)),
    "step:7:0.5": lambda o, n: lr_scheduler.StepLR(o, 7, 0.5),
}


@pytest.mark.parametrize("warmup", [0, 5])
@pytest.mark.parametrize("text", SCHEDULES)
def test_schedules_are_torchs(text: str, warmup: int) -> None:
    """The factors of 40 updates; behind a warm-up the schedule begins where that ends."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    scheduler = SCHEDULES[text](optimizer, 40 - warmup)
    expected = [step / warmup for step in range(warmup)]
    for _ in range(40 - warmup):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    factor = lr_factors(text, warmup, 40)
    assert [factor(step) for step in range(40)] == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_a_schedule_trains(tmp_path: Path) -> None:
    members = [{"seed": s, "data_seed": s} for s in range(2)]
    given = {"batch_size": "full", "lr": 0.01, "weight_decay": 0.1, "optimizer": "adamw"}
    run = train(tmp_path, TASK, MODEL, members, lr_schedule="cosine:0.1", **given)

    def one(own: dict[str, Any]) -> PlainTraining:
        found = plain(own, lambda own, m: {})
        found.scheduler = lr_scheduler.CosineAnnealingLR(found.optimizer, STEPS, 0.001)
        return found

    check(run, loops(members, one), tolerance=1e-10)
    with pytest.raises(interp.InterpError, match=r"has fallen towards step 60 \(cosine:0.1\)"):
        interp.resume(run, steps=100)
