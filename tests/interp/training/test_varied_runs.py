"""Whole runs of what the sources vary: members together and alone, stopped and resumed, retired and packed anew, in shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from interp.errors import InterpError
from tests.interp.training.ensembles import PARITY, ensemble, gap, same_bits, trained, weights_of
from tests.interp.training.setups import MODULAR, everything
from tests.interp.training.test_same_bits import press_at

MLP, TRANSFORMER = "mlp:d_embed=6,hidden=10", "transformer:d_model=8,n_heads=2,d_head=4,d_mlp=12"
STRENGTHS = ("entropy_penalty", "sparsity_penalty", "complexity_penalty", "label_smoothing")
MEMBERS = [{"seed": s, "data_seed": s, **dict.fromkeys(STRENGTHS, 0.001 * 10**s)} for s in range(3)]
FILTERS = {"grokfast": (0.9, 2.0), "perp_grad": True, "lr_schedule": "cosine:0.1", "warmup": 4, "clip_norm": 0.5}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp": (MLP, {**FILTERS, "fixed_norm": "network", "frozen": "embedding"}),
    "batches": (MLP, {"batch_size": 8, "optimizer": "sgd", "lr": 0.05, "grokfast": (0.9, 2.0), "complexity_scope": "network"}),
    "dropout": (f"{MLP},dropout=0.2", {"fixed_norm": "parameter", "lr_schedule": "step:5:0.7", "softmax_dtype": "float32"}),
    "transformer": (TRANSFORMER, {**FILTERS, "fixed_norm": "network", "frozen": "blocks.*.attn"}),
}  # fmt: skip


QUICK = [pytest.param(n, marks=[pytest.mark.slow] if n in ("transformer", "batches") else []) for n in CASES]


@pytest.mark.parametrize("case", CASES)
def test_together_as_alone(case: str) -> None:
    """A member has the weights that it has alone, and they differ from another's; blocks of two are as good."""
    model, settings = CASES[case]
    given = {"steps": 10, "batch_size": "full", "lr": 0.01, **settings}
    together = trained(MODULAR, model, MEMBERS, **given)
    tolerance = 1e-5 if "softmax_dtype" in settings else 1e-9
    for member, found in zip(MEMBERS, together, strict=True):
        assert gap(found, trained(MODULAR, model, [member], **given)[0]) < tolerance
    if case == "mlp":
        parts = trained(MODULAR, model, MEMBERS, size=2, **given)
        assert max(map(gap, together, parts)) < tolerance
    assert gap(together[0], together[1]) > 1e-3


@pytest.mark.parametrize("case", QUICK)
def test_stopped_and_resumed(tmp_path: Path, case: str) -> None:
    """Every byte of metrics, checkpoints and state is that of the run that nobody stopped."""
    model, settings = CASES[case]
    given = {
        "members": MEMBERS,
        "steps": 24,
        "metrics": "every:6",
        "checkpoints": "every:8",
        "device": "cpu",
        **settings,
    }
    interp.train(MODULAR, model, **given, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        interp.train(MODULAR, model, **given, out=tmp_path / "run", progress=press_at(3))
    interp.resume(tmp_path / "run", device="cpu")
    expected, found = everything(tmp_path / "whole"), everything(tmp_path / "run")
    assert [file for file in expected if found.get(file) != expected[file]] == []


def test_beside_members_that_retire(tmp_path: Path) -> None:
    """Averages of Grokfast and norms move with their members when others retire and blocks are packed anew."""
    members = [{"seed": s, "data_seed": s, "lr": 0.5 if s % 2 else 0.001} for s in range(4)]
    given = {
        "steps": 60, "batch_size": 16, "grokfast": (0.9, 2.0), "fixed_norm": True, "optimizer": "sgd", "dtype": "float64",
        "device": "cpu", "metrics": "every:5",
    }  # fmt: skip
    run = interp.train(PARITY, "mlp:hidden=24", members=members, retire=0.6, **given, out=tmp_path / "run")
    ended = run.metrics.groupby("member")["step"].max()
    assert ended.min() < 60 == ended.max()
    for i in ended[ended == 60].index:
        alone = interp.train(PARITY, "mlp:hidden=24", members=[members[i]], **given)
        assert gap(weights_of(run, i), weights_of(alone, 0)) < 1e-9


def test_what_is_frozen_stays() -> None:
    """Bit for bit, whatever else pulls at it; what is not frozen moves."""
    found = ensemble(
        MODULAR, TRANSFORMER, MEMBERS, steps=10, weight_decay=1.0, frozen=["blocks.*.attn", "embed.W_E"], l1=0.1,
        late_weight_decay=2.0, late_at=0,
    )  # fmt: skip
    before = found.weights()
    found.raise_weight_decay()
    found.advance(10)
    after = found.weights()
    still = {n for n in after if torch.equal(before[n], after[n])}
    assert still == {n for n in after if ".attn." in n or n == "embed.W_E"}


@pytest.mark.parametrize("form", ["network", "parameter"])
def test_the_norm_is_kept(form: str) -> None:
    """Each member keeps its own norm, at init_scale times what it would be, to the last digits."""
    members = [{"seed": s, "init_scale": 1.0 + s} for s in range(3)]
    found = ensemble(MODULAR, MLP, members, steps=30, lr=0.05, fixed_norm=form, weight_decay=1.0, init="torch")
    before = found.weights()
    found.advance(30)
    after = found.weights()
    for i in range(3):
        pairs = [(before[n][i].norm(), after[n][i].norm()) for n in before]
        whole = torch.tensor(pairs).square().sum(0).sqrt()
        torch.testing.assert_close(whole[0], whole[1], rtol=1e-12, atol=0)
        drift = max(abs(float(b / a) - 1) for a, b in pairs)
        assert drift < 1e-12 if form == "parameter" else drift > 0.01
    assert not same_bits(*({n: w[0] for n, w in side.items()} for side in (before, after)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"frozen": "layer.0"}, r"matches 'layer\.0'; nearest: layers\.0"),
        ({"frozen": "blocks.*.attn"}, r"matches 'blocks\.\*\.attn'.*parameters: embed\.W_E, layers\.0\.W"),
        ({"frozen": "embedding,decoder"}, "nothing is left to train"),
        ({"fixed_norm": "layer"}, "unknown form of fixed_norm 'layer'"),
        ({"lr_schedule": "cosin"}, "did you mean 'cosine'"),
        ({"lr_times_steps": 1.0}, "not both"),
        ({"schedule": "cosine"}, "did you mean 'lr_schedule'"),
    ],
)
def test_wrong_settings(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(InterpError, match=message):
        interp.train(MODULAR, MLP, steps=2, **setting)


def test_rate_times_steps(tmp_path: Path) -> None:
    """Each member stops after its own number of updates, is measured there, and has the weights of a run of that length."""
    members = [{"lr": lr, "seed": 1} for lr in (0.01, 0.004, 0.02)]
    given = {
        "metrics": "every:20",
        "checkpoints": "every:25",
        "device": "cpu",
        "dtype": "float64",
        "late_weight_decay": 1.0,
    }
    run = interp.train(MODULAR, MLP, members=members, lr_times_steps=0.2, **given, out=tmp_path / "run")
    assert run.plan.steps == 50
    steps = [run.metrics.query(f"member == {i}")["step"].tolist() for i in range(3)]
    assert steps == [[0, 20], [0, 20, 40, 50], [0, 10]]
    for i, n in enumerate((20, 50, 10)):
        alone = interp.train(MODULAR, MLP, members=[members[i]], steps=n, **given)
        assert gap(weights_of(run, i), weights_of(alone, 0)) < 1e-11
    with pytest.raises(KeyboardInterrupt):
        interp.train(
            MODULAR, MLP, members=members, lr_times_steps=0.2, **given, out=tmp_path / "two", progress=press_at(15)
        )
    interp.resume(tmp_path / "two", device="cpu")
    one, two = everything(tmp_path / "run"), everything(tmp_path / "two")
    assert [file for file in one if one[file] != two.get(file)] == []
    with pytest.raises(InterpError, match="lr_times_steps decides its steps"):
        interp.resume(run, steps=100)


@pytest.mark.slow
def test_in_shards(tmp_path: Path) -> None:
    """Workers train the same, up to rounding, and the merged run has the averages to go on from."""
    given = {
        "members": MEMBERS,
        "steps": 12,
        "device": "cpu",
        "dtype": "float64",
        **CASES["mlp"][1],
        "lr_schedule": "constant",
    }
    whole = interp.train(MODULAR, MLP, **given)
    parts = interp.train(MODULAR, MLP, **given, executor="process:2", out=tmp_path / "run")
    assert max(gap(weights_of(whole, i), weights_of(parts, i)) for i in range(3)) < 1e-9
    assert max(gap(*(weights_of(interp.resume(r, steps=20), i) for r in (whole, parts))) for i in range(3)) < 1e-9
