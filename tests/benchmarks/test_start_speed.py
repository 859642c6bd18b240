"""What a start costs, and where the time of a report goes: CPU seconds of one thread, and ratios within one run."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import interp
from interp.plugins.analysis import analyses
from tests.conftest import DEMO, ROOT

pytestmark = pytest.mark.bench
GROKKED = "grokking/wd_10-1_mod_addition_loss_curve.pth"
MIB = 1 << 20
INTERP = "from interp.cli import main; main()"


def cpu_seconds(*argv: str, repeats: int = 3, **environment: str) -> float:
    """CPU seconds of a program, the fewest of several runs."""
    found = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, cwd=ROOT, env=os.environ | environment, check=True, capture_output=True, timeout=600)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Other processes that compute without end."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.real_data
def test_start(data: Path) -> None:
    """Beside importing torch, which nobody can avoid who opens a checkpoint."""
    torch_alone = cpu_seconds(sys.executable, "-c", "import torch")
    whole = cpu_seconds(sys.executable, "-c", "import torch, transformer_lens")
    inspect = cpu_seconds(sys.executable, "-c", INTERP, "inspect", str(data / GROKKED))
    usage = cpu_seconds(sys.executable, "-c", INTERP, "--help")
    print(
        f"\nCPU seconds: torch {torch_alone:.2f}, with transformer_lens {whole:.2f}; interp inspect {inspect:.2f}, "
        f"interp --help {usage:.2f}"
    )
    assert inspect < whole
    assert usage < torch_alone / 2


ABLATE = (
    "import sys, time, {first}\nfrom tests.benchmarks.test_speed import network\nimport circuits, torch\n"
    "subject = network(torch.float32)\ncircuits.ablate(subject, 'heads')\nstart = time.process_time(), time.perf_counter()\n"
    "circuits.ablate(subject, 'neurons')\nprint(time.process_time() - start[0], time.perf_counter() - start[1])"
)


def ablation(first: str, **environment: str) -> tuple[float, float]:
    """CPU and wall seconds of an ablation of 512 neurons in a process that imports something first."""
    unset = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "MKL_"))}
    argv = [sys.executable, "-c", ABLATE.format(first=first)]
    done = subprocess.run(argv, cwd=ROOT, env=unset | environment, check=True, capture_output=True, text=True)
    cpu, wall = done.stdout.split()
    return float(cpu), float(wall)


def test_ablation_beside_a_busy_process() -> None:
    """With a process for every core beside it: by default, in a notebook that has imported torch, and with one thread."""
    with busy(os.cpu_count() or 1):
        rows = {
            "one thread": ablation("torch", OMP_NUM_THREADS="1"),
            "by default": ablation("interp"),
            "torch imported first": ablation("torch"),
            "two threads that spin": ablation("torch", OMP_NUM_THREADS="2"),
        }
    for name, (cpu, wall) in rows.items():
        print(f"\n{name}: {cpu:.2f} s of CPU, {wall:.2f} s of wall time")
    one = rows["one thread"][0]
    assert rows["by default"][0] < 2 * one
    assert rows["torch imported first"][0] < 2 * one


@pytest.mark.parametrize("source", ["p = 113", pytest.param("demo")])
@pytest.mark.real_data
def test_where_the_time_of_a_report_goes(source: str, data: Path) -> None:
    """CPU seconds of every analysis, of one thread, beside that of a forward pass over the whole table."""
    torch.set_num_threads(1)
    subject = interp.load(DEMO if source == "demo" else data / GROKKED, device="cpu").cast(torch.float64)
    table = subject.require_task().inputs
    with torch.no_grad():
        subject.model(table)
        start = time.process_time()
        subject.model(table)
        one_pass = time.process_time() - start
    seconds = {}
    for name, one in analyses()[0].items():
        if not subject.lacks(one.needs):
            start = time.process_time()
            interp.analyze(subject, [name])
            seconds[name] = time.process_time() - start
    print(f"\n{source}: {sum(seconds.values()):.1f} s in all; a forward pass {one_pass:.3f} s")
    for name, taken in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {name:<16}{taken:8.2f} s {taken / one_pass:8.0f} passes")
    assert max(seconds, key=lambda name: seconds[name]) == "circuit"


def test_loss_sweep_within_its_budget() -> None:
    """50 directions of the p = 113 transformer; all changed networks at once took 7 GB."""
    code = (
        "import resource, torch, circuits\nfrom tests.benchmarks.test_speed import network\n"
        "subject = network(torch.float64)\ndrawn = circuits.random_directions(subject.model, n=50)\n"
        "circuits.loss_sweep(subject, drawn[:1], max_bytes=1 << 26)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\ncircuits.loss_sweep(subject, drawn)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    grown = int(done.stdout) << 10
    print(f"\nloss_sweep of 50 directions grows by {grown / MIB:.0f} MiB of 512")
    assert grown < 512 * MIB
