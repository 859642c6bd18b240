"""Measures over 200 checkpoints of the p = 113 transformer: against the plain loop, in memory, and the second time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import interp
from circuits.fourier.table import Table
from interp import HookedTransformer, Subject
from interp.history.measure_history import MeasureHistory
from interp.history.progress import track
from interp.plugins.measure import choose
from interp.snapshot import Snapshot
from probes.complexity import kl_divergence, random_masks
from tests.benchmarks.test_speed import CONFIG
from tests.circuits.fourier.dense import dense

pytestmark = pytest.mark.bench
N = 200
PLAIN = 3  # checkpoints that the plain loop is timed on
KEYS = [7, 19, 28, 41, 55]
OPTIONS = {name: {"frequencies": KEYS} for name in
           ("restricted_loss", "excluded_loss", "frequency_loss", "mode_power", "embedding_power")}  # fmt: skip
FRESH = """
import resource, sys, time, interp
from interp.history.progress import track
from tests.benchmarks.test_progress_speed import OPTIONS
subject = interp.load(sys.argv[1], device="cpu")
start = time.perf_counter()
track(subject, options=OPTIONS)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints on the way from one random network to another, with waves in its embedding."""
    path = tmp_path_factory.mktemp("steps")
    task = interp.ModularArithmetic(113, "add", 0.3, 1)
    start, end = (HookedTransformer(CONFIG).init_weights(seed, scale=1.5).state_dict() for seed in (0, 1))
    for i in range(N):
        weights = {n: w + (end[n] - w) * i / N for n, w in start.items()}
        interp.save(
            HookedTransformer.from_weights(CONFIG, weights), path / f"step_{i:04d}.safetensors", task=task, step=i
        )
    return path


def test_measures_over_a_run(folder: Path, tmp_path: Path, cache: Path) -> None:
    """All measures but t-SNE: the plain loop's numbers at least five times faster, in flat memory; again in about a second."""
    few = tmp_path / "few"
    few.mkdir()
    for file in sorted(folder.iterdir())[: N // 10]:
        (few / file.name).symlink_to(file)
    _, little = fresh(few)
    seconds, peak = fresh(folder)  # takes the first tenth from the cache
    ours = seconds / (N - N // 10)
    start = time.perf_counter()
    found = track(interp.load(folder, device="cpu"), options=OPTIONS)
    second = time.perf_counter() - start
    assert found.computed == 0
    chosen = [round(i * (N - 1) / (PLAIN - 1)) for i in range(PLAIN)]
    names = [n for n in found.options if n not in found.skipped]
    start = time.perf_counter()
    plain = {step: plain_loop(folder / f"step_{step:04d}.safetensors", names) for step in chosen}
    loop = (time.perf_counter() - start) / PLAIN
    for step, values in plain.items():
        compare(found, step, values)
    print(
        f"\n{len(names)} measures, {N} checkpoints: {ours:.2f} s each, plain loop {loop:.1f} s each, {loop / ours:.1f} times; "
        f"again {second:.2f} s; peak {little / 2**20:.2f} GiB over {N // 10} checkpoints, {peak / 2**20:.2f} GiB over {N}"
    )
    assert loop / ours > 5
    assert second < 3
    assert peak < 1.1 * little


def fresh(path: Path) -> tuple[float, int]:
    """Seconds and peak memory (KiB) of one pass in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(path)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


def compare(found: MeasureHistory, step: int, values: dict[str, dict[str, float]]) -> None:
    rows = found.frame[found.frame["step"] == step]
    ours = {(r.measure, r.where): r.value for r in rows.itertuples()}
    for name, by_place in values.items():
        for where, value in by_place.items():
            assert ours[name, where] == pytest.approx(value, rel=1e-6, abs=1e-12), (name, where)


def plain_loop(file: Path, names: list[str]) -> dict[str, dict[str, float]]:
    """Measure by measure: the file is opened and, where it is needed, the model run for each, as one would write it first."""
    known = choose(names)
    return {
        name: PLAIN_MEASURES.get(name, lambda s, n=name: known[n](Snapshot(s), **OPTIONS.get(n, {})))(opened(file))
        for name in names
    }


def opened(file: Path) -> Subject:
    return interp.load(file, device="cpu").cast(torch.float64)


def run(subject: Subject) -> Subject:
    """With the outputs of one whole forward pass."""
    subject.keep_logits(outputs(subject.model, subject))
    return subject


@torch.no_grad()
def outputs(model: torch.nn.Module, subject: Subject) -> Tensor:
    """A whole forward pass over all inputs, at all positions, in batches."""
    task = subject.require_task()
    return torch.cat([task.read(model(part)) for part in task.inputs.split(4096)])


def hidden(subject: Subject) -> Tensor:
    task, site = subject.require_task(), "blocks.0.mlp.hook_post"
    parts = [subject.model.run_with_cache(p, names_filter=site)[1][site][:, -1] for p in task.inputs.split(4096)]
    return torch.cat(parts).detach()


def loss(subject: Subject) -> dict[str, float]:
    return {"all": float(subject.require_task().losses(run(subject).logits()).mean())}


def accuracy(subject: Subject) -> dict[str, float]:
    return {"all": float(subject.require_task().correct(run(subject).logits()).double().mean())}


def sparsity(subject: Subject) -> dict[str, float]:
    values = hidden(subject)[subject.require_task().train_indices]
    return {"blocks.0.mlp.hook_post": float((values.abs() < 0.01).double().mean())}


def active_units(subject: Subject) -> dict[str, float]:
    spread = hidden(subject).std(0, correction=0)
    return {"all": float((spread > 1e-6 * spread.max()).sum())}


def dimension(subject: Subject) -> dict[str, float]:
    values = hidden(subject)
    q = torch.linalg.svdvals(values - values.mean(0)) ** 2
    q = q / q.sum()
    return {"blocks.0.mlp.hook_post": float(torch.exp(torch.special.entr(q).sum()))}


@torch.no_grad()
def complexity(subject: Subject) -> dict[str, float]:
    task, found = subject.require_task(), {}
    train, clean = task.inputs[task.train_indices], run(subject).logits()[task.train_indices]
    for name in ("blocks.0.mlp.W_in", "blocks.0.mlp.W_out", "unembed.W_U"):
        weight = subject.model.get_parameter(name)
        total = 0.0
        for mask in random_masks(weight.numel(), 0.1, 4, seed=0):
            changed = {name: weight * ~mask.view(weight.shape)}
            total += float(kl_divergence(clean, task.read(functional_call(subject.model, changed, (train,)))).sum())
        found[name] = total / 4
    return found


def projected(keep: bool) -> Callable[[Subject], dict[str, float]]:
    return lambda subject: {"all": dense(Table(run(subject)), KEYS, keep=keep).all}


def frequency_loss(subject: Subject) -> dict[str, float]:
    table = Table(run(subject))
    return {f"without {k}": dense(table, [k], keep=False).all for k in KEYS} | {
        f"{k} alone": dense(table, [k], keep=True).all for k in KEYS
    }


PLAIN_MEASURES: dict[str, Callable[[Subject], dict[str, float]]] = {
    "loss": loss, "accuracy": accuracy, "activation_sparsity": sparsity, "active_units": active_units,
    "activation_dimension": dimension, "local_complexity": complexity, "restricted_loss": projected(True),
    "excluded_loss": projected(False), "frequency_loss": frequency_loss,
}  # fmt: skip
