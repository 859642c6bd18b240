"""All pairs of CKA over 200 checkpoints of the p = 113 transformer: against the plain way, and in memory."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

import interp
import probes
from interp import HookedTransformer
from interp.subject import at_readout
from tests.benchmarks.timing import ROWS, Row
from tests.conftest import ROOT

pytestmark = pytest.mark.bench
N, PAIRS, SITE = 200, 4, "blocks.0.mlp.hook_post"
BOUND = 0.9 * 20
FILE = ROOT.parent / "shared/data/grokking/wd_10-1_mod_addition_loss_curve.pth"
FRESH = """
import pathlib, sys, interp, probes
found = probes.similarity_over_training(interp.load(sys.argv[1], device="cpu"), null=None, max_bytes=64 << 20,
                                        every=int(sys.argv[2]))
status = pathlib.Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory before the start
print(len(found.steps), status.split("VmHWM:")[1].split()[0])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published network, which is a single step, with small seeded perturbations in place of other checkpoints."""
    path = tmp_path_factory.mktemp("steps")
    if FILE.is_file():
        model, task = interp.load(FILE, device="cpu").model, interp.ModularArithmetic(113, "add", 0.3, 1)
    else:
        from tests.benchmarks.test_speed import CONFIG

        model, task = HookedTransformer(CONFIG).init_weights(0), interp.ModularArithmetic(113, "add", 0.3, 1)
    weights = model.state_dict()
    for i in range(N):
        g = torch.Generator().manual_seed(i)
        moved = {
            n: w + 0.05 * w.std() * torch.randn(w.shape, generator=g) if w.ndim > 1 else w for n, w in weights.items()
        }
        made = HookedTransformer.from_weights(model.config, moved)
        interp.save(made, path / f"step_{i:04d}.safetensors", task=task, step=i)
    return path


def plain_cka(x: Tensor, y: Tensor) -> float:
    """Linear CKA from products of features, as the papers' code has it."""
    x, y = x - x.mean(0), y - y.mean(0)
    return float((x.T @ y).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm()))


def test_all_pairs_over_200_checkpoints(folder: Path) -> None:
    """20 times the plain way, which runs both networks of a pair and multiplies their features.

    The plain way is timed on four pairs and scaled to 19,900; `torch_cka` has the same plan, batch by batch, with n x n kernels.
    Ours is everything: files read, networks run, all pairs.
    """
    subject = interp.load(folder, device="cpu")
    series = subject.series
    assert series is not None
    start = time.perf_counter()
    found = probes.similarity_over_training(subject, null=None)
    ours = time.perf_counter() - start
    index = torch.randperm(113**2, generator=torch.Generator().manual_seed(0))[:2048].sort().values
    inputs = subject.require_task().inputs[index]
    models = [at_readout(series[i], subject.require_task()) for i in range(PAIRS + 1)]

    def activations(model: torch.nn.Module) -> Tensor:
        with torch.no_grad():
            return model.run_with_cache(inputs, names_filter=SITE)[1][SITE][:, -1]  # type: ignore[operator]

    best, alone = float("inf"), float("inf")
    for i in range(PAIRS):
        start = time.perf_counter()
        x, y = activations(models[i]), activations(models[i + 1])
        middle = time.perf_counter()
        value = plain_cka(x, y)
        best = min(best, time.perf_counter() - start)
        alone = min(alone, time.perf_counter() - middle)
        assert value == pytest.approx(found.values[SITE].iloc[i, i + 1], abs=0.02)  # this one is biased
    pairs = N * (N - 1) / 2
    ROWS.append(Row("CKA of a pair, 200 checkpoints, networks run", best * 1e3, ours / pairs * 1e3))
    ROWS.append(Row("the same, features of the plain way in memory", alone * 1e3, ours / pairs * 1e3))
    assert best * pairs / ours > BOUND


def test_memory_is_flat(folder: Path) -> None:
    """200 checkpoints, whose activations are 840 MB, in little more memory than 50."""
    peaks = {}
    for every in (4, 1):
        words = [sys.executable, "-c", FRESH, str(folder), str(every)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
        count, peak = map(int, done.stdout.split())
        peaks[count] = peak / 1024
    print(f"peak memory, MiB, by checkpoints: {peaks}")
    assert peaks[200] < peaks[50] + 100
