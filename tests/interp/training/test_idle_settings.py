"""Settings whose penalty, schedule or optimizer is off, and batches that no train set fills: refused, not dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import interp
from interp.cli.commands.app import app
from interp.errors import InterpError

TASK, MODEL = "modular:p=5,train_fraction=0.4", "mlp:hidden=4"  # 10 examples train


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sparsity_tau": 0.1}, "sparsity_tau changes nothing without sparsity_penalty, which is off"),
        ({"sparsity_width": 0.1, "sparsity_penalty": 0.0}, "sparsity_width changes nothing"),
        ({"complexity_share": 0.2}, "without complexity_penalty"),
        ({"complexity_scope": "network"}, "without complexity_penalty"),
        ({"late_at": 3}, "without late_weight_decay"),
        ({"retire_side": ">"}, "without retire"),
        ({"momentum": 0.9}, "without the optimizer sgd"),
        ({"betas": (0.9, 0.99), "optimizer": "sgd"}, "without the optimizer adam or adamw"),
        ({"members": interp.grid({"sparsity_tau": [0.1, 0.2]})}, r"member 0 {'sparsity_tau': 0.1}: sparsity_tau"),
        ({"members": [{}, {"retire_side": ">"}]}, r"member 1 .*without retire"),
        ({"members": interp.grid({"sparsity_penalty": [0.0], "sparsity_tau": [0.1]})}, "member 0 .*sparsity_tau"),
        ({"batch_size": 11}, "batch_size 11 is more than the 10 examples of the train set: give at most 10, or 'full'"),
        ({"members": interp.grid({"batch_size": [5, 20]})}, r"member 1 {'batch_size': 20}: .*more than the 10 examples"),
        ({"batch_size": 11, "members": [{"train_fraction": 0.8}, {"train_fraction": 0.4}]}, "member 1 .*the 10 examples"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    """Before anything is written; the message says what is needed."""
    with pytest.raises(InterpError, match=message):
        interp.train(TASK, MODEL, steps=2, device="cpu", out=tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "given",
    [
        {"sparsity_tau": 0.1, "members": [{}, {"sparsity_penalty": 1.0}]},
        {"members": interp.grid({"sparsity_penalty": [0.0, 1.0], "sparsity_tau": [0.1]})},
        {"members": interp.grid({"optimizer": ["sgd", "adam"], "momentum": [0.9]})},
        {"momentum": 0.0},
        {"batch_size": 10},
        {"batch_size": 20, "members": [{"train_fraction": 0.8}, {"batch_size": "full"}]},
    ],
)
def test_accepted(given: dict[str, Any]) -> None:
    """A cell with a penalty of 0 beside others; what fits just so."""
    interp.train(TASK, MODEL, steps=1, device="cpu", **given)


def test_in_the_shell(tmp_path: Path) -> None:
    """The flags are named; a recipe's batch of 128 is the full batch, and a note says so; options before the task are refused."""

    def run(*argv: str) -> tuple[int, str]:
        out = "a" if "--seeds" in argv else "b"
        ran = CliRunner().invoke(app, [*argv, "--out", str(tmp_path / out)], env={"COLUMNS": "400"})
        return ran.exit_code, ran.stderr + str(ran.exception)

    common = ("modular", "--p", "5", "--model", MODEL, "--device", "cpu")
    assert (
        "--sparsity-tau changes nothing without --sparsity-penalty" in run("train", *common, "--sparsity-tau", "1")[1]
    )
    code, said = run("train", *common, "--steps", "1", "--seeds", "2")
    assert code == 0
    assert "note: 2 of 2 members have 7 train examples, fewer than a batch of 128: every update takes them all" in said
    assert "write it after the task: interp train modular --steps" in run("train", "--steps", "5", *common)[1]
    assert not (tmp_path / "b").exists()


def test_an_initialisation_that_the_network_has_not(tmp_path: Path) -> None:
    """A member whose network torch's modules do not draw: the message says with what the scheme is chosen."""
    message = r"member 1 .*'transformer'.*use 'normal' or 'truncated', with init= \(--init\)"
    with pytest.raises(InterpError, match=message):
        interp.train("modular:p=5", MODEL, members=[{}, {"model": "transformer"}], steps=1, init="torch", device="cpu")
