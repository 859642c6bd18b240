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
from circuits.modes import Table, project
from interp import HookedTransformer, Subject
from interp.measures import choose
from interp.snapshot import Snapshot
from interp.tracking import Tracking, track
from probes.complexity import kl_divergence, random_masks
from tests.benchmarks.test_speed import CONFIG

pytestmark = pytest.mark.bench
N = 200
PLAIN = 3  # checkpoints that the plain loop is timed on
KEYS = [7, 19, 28, 41, 55]
OPTIONS = {name: {"frequencies": KEYS} for name in
           ("restricted_loss", "excluded_loss", "frequency_loss", "mode_power", "embedding_power")}  # fmt: skip
PEAK = """
import resource, sys, interp
from interp.tracking import track
from tests.benchmarks.test_progress_speed import OPTIONS
track(interp.load(sys.argv[1]), options=OPTIONS, cache=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
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


def test_against_the_plain_loop(folder: Path, cache: Path) -> None:
    """All measures but t-SNE, the same numbers, at least five times faster; the second call takes about a second."""
    subject = interp.load(folder, device="cpu")
    start = time.perf_counter()
    found = track(subject, options=OPTIONS)
    ours = (time.perf_counter() - start) / N
    start = time.perf_counter()
    again = track(subject, options=OPTIONS)
    second = time.perf_counter() - start
    assert again.computed == 0
    assert again.frame.equals(found.frame)
    chosen = [round(i * (N - 1) / (PLAIN - 1)) for i in range(PLAIN)]
    start = time.perf_counter()
    plain = {step: plain_loop(folder / f"step_{step:04d}.safetensors", list(found.options)) for step in chosen}
    loop = (time.perf_counter() - start) / PLAIN
    for step, values in plain.items():
        compare(found, step, values)
    print(
        f"\n{N} checkpoints: {ours:.2f} s each, plain loop {loop:.1f} s each, {loop / ours:.1f} times; again {second:.2f} s"
    )
    assert loop / ours > 5
    assert second < 3


def compare(found: Tracking, step: int, values: dict[str, dict[str, float]]) -> None:
    rows = found.frame[found.frame["step"] == step]
    ours = {(r.measure, r.where): r.value for r in rows.itertuples()}
    for name, by_place in values.items():
        for where, value in by_place.items():
            assert ours[name, where] == pytest.approx(value, rel=1e-6, abs=1e-12), (name, where)


def test_memory_is_flat(folder: Path, tmp_path: Path) -> None:
    """The peak over 200 checkpoints is within 10% of that over 20."""
    few = tmp_path / "few"
    few.mkdir()
    for file in sorted(folder.iterdir())[:20]:
        (few / file.name).symlink_to(file)
    peaks = [peak(path) for path in (few, folder)]
    print(f"\npeak memory: {peaks[0] / 2**20:.2f} GiB over 20 checkpoints, {peaks[1] / 2**20:.2f} GiB over {N}")
    assert peaks[1] < 1.1 * peaks[0]


def peak(path: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    return int(done.stdout.split()[-1])


def plain_loop(file: Path, names: list[str]) -> dict[str, dict[str, float]]:
    """Measure by measure: the file is opened and the model run for each, as one would write it first."""
    known = choose(names)
    return {
        name: PLAIN_MEASURES.get(name, lambda s, n=name: known[n](Snapshot(s), **OPTIONS.get(n, {})))(opened(file))
        for name in names
    }


def opened(file: Path) -> Subject:
    subject = interp.load(file, device="cpu").cast(torch.float64)
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
    return {"all": float(subject.require_task().losses(subject.logits()).mean())}


def accuracy(subject: Subject) -> dict[str, float]:
    return {"all": float(subject.require_task().correct(subject.logits()).double().mean())}


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
    train, clean = task.inputs[task.train_indices], subject.logits()[task.train_indices]
    for name in ("blocks.0.mlp.W_in", "blocks.0.mlp.W_out", "unembed.W_U"):
        weight = subject.model.get_parameter(name)
        total = 0.0
        for mask in random_masks(weight.numel(), 0.1, 4, seed=0):
            changed = {name: weight * ~mask.view(weight.shape)}
            total += float(kl_divergence(clean, task.read(functional_call(subject.model, changed, (train,)))).sum())
        found[name] = total / 4
    return found


def projected(keep: bool) -> Callable[[Subject], dict[str, float]]:
    return lambda subject: {"all": project(Table(subject), KEYS, "nanda2d", keep=keep).all}


def frequency_loss(subject: Subject) -> dict[str, float]:
    table = Table(subject)
    return {f"without {k}": project(table, [k], "nanda2d", keep=False).all for k in KEYS} | {
        f"{k} alone": project(table, [k], "nanda2d", keep=True).all for k in KEYS
    }


PLAIN_MEASURES: dict[str, Callable[[Subject], dict[str, float]]] = {
    "loss": loss, "accuracy": accuracy, "activation_sparsity": sparsity, "active_units": active_units,
    "activation_dimension": dimension, "local_complexity": complexity, "restricted_loss": projected(True),
    "excluded_loss": projected(False), "frequency_loss": frequency_loss,
}  # fmt: skip
