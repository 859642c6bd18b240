"""Members of an ensemble train as if each were alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from tests.interp.training.ensembles import (
    ADDITION,
    PARITY,
    ensemble,
    gap,
    same_bits,
    trained,
    weights_of,
)

SEEDS = [{"seed": s, "data_seed": s} for s in range(4)]
CASES: dict[str, tuple[str, str, list[dict[str, Any]], dict[str, Any]]] = {
    "addition": (ADDITION, "mlp:hidden=12", [{**m, "lr": 0.001 * (m["seed"] + 1)} for m in SEEDS], {}),
    "batches": (PARITY, "mlp:hidden=12", SEEDS, {"batch_size": 16}),
    "noise": (PARITY, "mlp:hidden=12", [{"seed": 1, "label_noise": n} for n in (0.0, 0.1, 0.3)], {"batch_size": 7}),
    "dropout": (PARITY, "mlp:hidden=12,dropout=0.3", SEEDS, {"batch_size": 16}),
    "fractions": (
        "addition:p=6", "mlp:hidden=12", [{"seed": 1, "train_fraction": f} for f in (0.3, 0.5, 0.8)], {},
    ),
    "transformer": (
        "modular:p=5,train_fraction=0.6", "transformer:d_model=8,n_heads=2,d_head=4,d_mlp=16", SEEDS[:3],
        {"lr": 0.01, "steps": 15},
    ),
    "penalties": (ADDITION, "mlp:hidden=8", [{"l1": 0.01}, {"norm_penalty": 0.01}, {}], {"clip_norm": 0.1}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_together_as_alone(case: str) -> None:
    """A member of an ensemble has the weights that it has when it is trained alone; and they differ from each other."""
    task, model, members, settings = CASES[case]
    together = trained(task, model, members, **settings)
    for member, found in zip(members, together, strict=True):
        assert gap(found, trained(task, model, [member], **settings)[0]) < 1e-11
    assert min(gap(together[0], other) for other in together[1:]) > 1e-4


@pytest.mark.parametrize("case", ["addition", "batches", "dropout", "fractions"])
def test_block_size_changes_nothing(case: str) -> None:
    """One block, several, or one per member: the same weights."""
    task, model, members, settings = CASES[case]
    whole = trained(task, model, members, size=len(members), **settings)
    for size in (1, 2, 3):
        parts = trained(task, model, members, size=size, **settings)
        assert max(map(gap, whole, parts)) < 1e-11


@pytest.mark.parametrize(
    "change", [{"lr": 0.5}, {"weight_decay": 0.3}, {"label_noise": 0.4}, {"data_seed": 77}, {"seed": 77}, {"l1": 0.1}]
)
def test_members_do_not_see_each_other(change: dict[str, Any]) -> None:
    """Changing one member leaves every bit of the others as it was, and does change that member."""
    members = [{"seed": s, "data_seed": s, "label_noise": 0.05, "lr": 0.1, "l1": 0.0} for s in range(4)]
    before = trained(PARITY, "mlp:hidden=12", members, size=4, dtype="float32")
    members[2] = {**members[2], **change}
    after = trained(PARITY, "mlp:hidden=12", members, size=4, dtype="float32")
    assert [same_bits(a, b) for a, b in zip(before, after, strict=True)] == [True, True, False, True]


def test_seed_and_data_seed_are_apart() -> None:
    """The data seed decides the data alone: of one seed, the initial weights are equal whatever the data are."""
    members = [{"seed": 0, "data_seed": 0}, {"seed": 0, "data_seed": 1}, {"seed": 1, "data_seed": 1}]
    start, end = (trained(PARITY, "mlp:hidden=12", members, steps=n, batch_size=48) for n in (1, 30))
    at_zero = ensemble(PARITY, "mlp:hidden=12", members).weights()
    assert torch.equal(at_zero["layers.0.W"][0], at_zero["layers.0.W"][1])
    assert not torch.equal(at_zero["layers.0.W"][1], at_zero["layers.0.W"][2])
    assert all(gap(found[0], found[1]) > 1e-6 for found in (start, end))


def test_advancing_in_pieces() -> None:
    """Where `advance` and `measure` cut the steps changes no bit: batches and dropout follow from the step alone."""
    task, model, members, settings = CASES["dropout"]
    pieces = ensemble(task, model, members, steps=40, **settings)
    for stop in (1, 2, 13, 25, 40):
        pieces.advance(stop)
        pieces.measure()
    whole = trained(task, model, members, **settings)
    assert all(same_bits({n: s[i] for n, s in pieces.weights().items()}, one) for i, one in enumerate(whole))


def test_what_measure_says() -> None:
    """Loss, accuracy and norm of each member, by its task's own definitions on its own examples, without dropout."""
    members = [{"seed": 1, "label_noise": n, "data_seed": s} for n, s in ((0.0, 1), (0.25, 1), (0.25, 2))]
    found = ensemble(PARITY, "mlp:hidden=12,dropout=0.5", members, steps=20)
    found.advance(20)
    for i, row in enumerate(found.measure()):
        task = found.plan.member_task(i)
        model = interp.HookedMLP.from_weights(found.plan.model, {n: s[i] for n, s in found.weights().items()})
        outputs = model(task.inputs.double())
        for part, index in (("train", task.train_indices), ("test", task.test_indices)):
            losses = task.losses(outputs[index], task.labels[index])
            assert row[f"{part}_loss"] == pytest.approx(losses.mean().item(), rel=1e-12)
            right = task.correct(outputs[index], task.labels[index]).double().mean().item()
            assert row[f"{part}_accuracy"] == pytest.approx(right)
        norm = torch.cat([p.flatten() for p in model.parameters()]).norm().item()
        assert (row["step"], row["member"], row["weight_norm"]) == (20, i, pytest.approx(norm, rel=1e-12))


def test_a_member_that_diverges(tmp_path: Path) -> None:
    """Its losses are null in the metrics; the others have the bits that they have beside a tame member."""

    def run(name: str, lr: float) -> interp.Run:
        members = [{"seed": s, "lr": lr if s == 1 else 0.05} for s in range(3)]
        return interp.train(
            ADDITION, "mlp:hidden=12,act_fn=relu", members=members, optimizer="sgd", steps=60, metrics="every:20",
            device="cpu", out=tmp_path / name,
        )  # fmt: skip

    wild, tame = run("wild", 1e6), run("tame", 0.04)
    rows = [json.loads(line) for line in (tmp_path / "wild" / "metrics.jsonl").read_text().splitlines()]
    last = {row["member"]: row for row in rows if row["step"] == 60}
    assert last[1]["train_loss"] is None
    assert last[1]["weight_norm"] is None
    assert last[1]["train_accuracy"] == 0.0
    assert all(isinstance(last[i]["train_loss"], float) for i in (0, 2))
    assert all(same_bits(weights_of(wild, i), weights_of(tame, i)) for i in (0, 2))
    assert wild.metrics["train_loss"].isna().any()
    assert repr(wild.members)


def test_a_block_has_batches_of_one_size() -> None:
    """Members with different numbers of train examples cannot share a block of batches; a run has a block for each."""
    with pytest.raises(interp.InterpError, match=r"members have 7 to 12 training examples; in one block"):
        ensemble("modular:p=5", "mlp:hidden=8", [{"train_fraction": f} for f in (0.3, 0.5)], batch_size=4)


def test_a_batch_that_holds_all_is_the_full_batch() -> None:
    """Members of different sizes train with the recipe's batch of 128, which none of them fills, as they do on the full batch."""
    members = [{"train_fraction": f} for f in (0.3, 0.5)]
    found = trained("modular:p=5", "mlp:hidden=8", members)
    alone = [trained("modular:p=5", "mlp:hidden=8", [m], batch_size="full")[0] for m in members]
    assert max(map(gap, found, alone)) < 1e-11


def test_order_and_company() -> None:
    """A member's weights do not depend on which other seeds stand in the run, nor on their order."""
    one = trained(PARITY, "mlp:hidden=8", [{"seed": 3}, {"seed": 9}, {"seed": 4}])
    two = trained(PARITY, "mlp:hidden=8", [{"seed": 4}, {"seed": 3}])
    assert gap(one[0], two[1]) < 1e-11
    assert gap(one[2], two[0]) < 1e-11
