"""Every kind of training step on a pretended GPU: the CPU's numbers, one device, and no step that waits for the host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import interp
from interp.training.updates import penalties
from tests.interp.training.setups import settings
from tests.pretend_gpu import PretendedGpu

# so small a split cannot be learnt, and the run says so
pytestmark = pytest.mark.filterwarnings("ignore:.*cannot get above a test accuracy:UserWarning")
ADDITION, PARITY, MODULAR = "addition:p=4,train_fraction=0.7", "parity:n=6,k=2,n_train=20,n_test=8", "modular:p=5"
MLP = "mlp:hidden=6"
STEPS = 8
SAVING = ("interp/training/ensemble.py", "interp/training/state.py")  # what 30 seconds of training call for
RATES = [
    {"seed": s, "lr": 0.01 * (s + 1)} for s in range(6)
]  # more runs of equal rates than the fused kernels are given
CASES: dict[str, dict[str, Any]] = {
    "summed embeddings": {"task": ADDITION},
    "products of embeddings": {"task": "group:table=S_3"},
    "a member": {"task": ADDITION, "members": 1},
    "cross-entropy": {"task": MODULAR, "model": "mlp:d_embed=4,hidden=6", "batch_size": "full"},
    "mean squares": {"task": f"{MODULAR},loss=mse", "model": "mlp:d_embed=4,hidden=6"},
    "hinge": {"task": PARITY, "model": MLP, "batch_size": "full"},
    "effective loss": {"task": "digits:n_train=12,n_test=4,loss=effective", "model": MLP},
    "batches": {"task": PARITY, "model": MLP, "batch_size": 6},
    "batches of shared data": {"task": MODULAR, "model": MLP, "batch_size": 4, "members": [{"seed": 0}, {"seed": 1}]},
    "unequal train sets": {"task": ADDITION, "members": [{"train_fraction": f} for f in (0.5, 0.8)]},
    "dropout": {"task": PARITY, "model": f"{MLP},dropout=0.2", "batch_size": 6},
    "penalties": {"task": PARITY, "model": MLP, "l1": 1e-3, "norm_penalty": 1e-4},
    "clipped": {"task": PARITY, "model": MLP, "clip_norm": 0.05},
    "normalised": {"task": PARITY, "model": MLP, "normalise": True},
    "warm-up": {"task": ADDITION, "warmup": 5},
    "late weight decay": {"task": ADDITION, "weight_decay": 0.1, "late_weight_decay": 1.0, "late_at": 1},
    "sgd": {"task": ADDITION, "optimizer": "sgd"},
    "momentum": {"task": ADDITION, "optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    "adam": {"task": ADDITION, "optimizer": "adam", "weight_decay": 0.1},
    "broadcast sgd": {"task": PARITY, "model": MLP, "members": RATES, "optimizer": "sgd", "momentum": 0.9},
    "broadcast adam": {"task": PARITY, "model": MLP, "members": RATES, "optimizer": "adam"},
    "broadcast adamw": {"task": PARITY, "model": MLP, "members": RATES, "optimizer": "adamw", "weight_decay": 0.1},
    "rnn": {"task": MODULAR, "model": "rnn:d_embed=4,d_hidden=5"},
    "gru": {"task": MODULAR, "model": "rnn:d_embed=4,d_hidden=5,cell=gru"},
    "transformer": {"task": MODULAR, "model": "transformer:d_model=8,n_heads=2,d_head=4,d_mlp=12"},
    "a transformer": {
        "task": MODULAR, "model": "transformer:d_model=8,n_heads=2,d_head=4,d_mlp=12", "members": 1,
    },
    "a gru": {"task": MODULAR, "model": "rnn:d_embed=4,d_hidden=5,cell=gru", "members": 1},
    "transformer at all positions": {
        "task": MODULAR, "model": "transformer:d_model=8,n_heads=2,d_head=4,d_mlp=12", "readout": False,
    },
    "layer norm": {
        "task": MODULAR, "model": "transformer:d_model=8,n_heads=2,d_head=4,d_mlp=12,normalization=LN",
    },
    "lstm": {"setup": "lstm plain"},
    "lstm with dropout": {"setup": "lstm dropout"},
    "cppn": {"setup": "cppn normalised"},
}  # fmt: skip


SLOW = ("effective loss", "layer norm", "a gru", "transformer at all positions", "lstm with dropout", "broadcast sgd")


def arguments(name: str, folder: Path) -> dict[str, Any]:
    own = dict(CASES[name])
    found = settings(own.pop("setup"), folder) if "setup" in own else own
    found = {"members": 2, "lr": 0.01, **found, "dtype": "float64", "metrics": "0", "checkpoints": "0"}
    return {k: v for k, v in found.items() if k not in ("device", "steps")}


def on_gpu(**given: Any) -> tuple[interp.Run, list[str]]:
    """The run on a pretended GPU, and what the host waited for between its first step and its last."""
    seen: list[tuple[int, int]] = []
    with PretendedGpu() as gpu:
        run = interp.train(
            **given, steps=STEPS, device="cuda", progress=lambda now: seen.append((now.step, len(gpu.waits)))
        )
        first, last = (next(n for step, n in order if 1 <= step < STEPS) for order in (seen, seen[::-1]))
        assert len(gpu.waits) > last > 0  # the weights went there, and came back
        return run, [line for line in gpu.waits[first:last] if not line.startswith(SAVING)]


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in CASES])
def test_a_step(name: str, tmp_path: Path) -> None:
    """The same losses as on the CPU; no tensor of the wrong device; and no step that waits."""
    given = arguments(name, tmp_path)
    there, waits = on_gpu(**given)
    assert waits == []
    here = interp.train(**given, steps=STEPS, device="cpu")
    columns = ["train_loss", "weight_norm"]
    assert there.metrics[columns].to_numpy() == pytest.approx(here.metrics[columns].to_numpy(), rel=1e-9)


def test_a_planted_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that asks for a number of the GPU is found, with its line."""
    clip = penalties.clip

    def asks(gradients: Mapping[str, Tensor], limit: float) -> None:
        clip(gradients, min(limit, penalties.norms(gradients).max().item()))

    monkeypatch.setattr(penalties, "clip", asks)
    _, waits = on_gpu(task=ADDITION, clip_norm=1.0)
    assert sum("_local_scalar_dense" in line and ".max().item()" in line for line in waits) >= 4


def test_a_planted_tensor_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that multiplies by a tensor of the host fails as on a GPU."""

    def scales(gradients: Mapping[str, Tensor], limit: float) -> None:
        for gradient in gradients.values():
            gradient.mul_(torch.ones(gradient.shape[-1]))

    monkeypatch.setattr(penalties, "clip", scales)
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device, found cuda:0 and cpu"):
        on_gpu(task=ADDITION, clip_norm=1.0)
