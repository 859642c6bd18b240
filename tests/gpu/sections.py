"""The sections of the script: checks, timings against plain loops, and a sweep; each ends within its seconds."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

import interp
from interp import make_task
from interp.hooked import build
from interp.training import Progress, seeds
from interp.training.ensemble import Ensemble
from interp.training.planning import make_plan
from tests.conftest import ROOT

ROUNDS = 3


@dataclass
class Section:
    """What a section found.

    Attributes:
        title: of its part of the file.
        passed: None where nothing could be checked.
        lines: Markdown.
        skipped: what the time did not suffice for, and what does not apply.
        seconds: that it took.
    """

    title: str
    passed: bool | None = None
    lines: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0


def checks(device: torch.device, budget: float, small: bool) -> Section:
    """The tests that are marked ``cuda``, in a process of their own; on a CPU each is skipped."""
    found = Section("Checks")
    files = ["tests/circuits/test_cuda.py", "tests/probes/test_fourier.py"]
    words = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", "--tb=short", "-rN", *files]
    try:
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=budget)
    except subprocess.TimeoutExpired:
        found.skipped.append(f"checks that were not done after {budget:.0f} s")
        return found
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", ran.stdout[-300:])}
    found.lines.append(", ".join(f"{n} {word}" for word, n in counts.items() if word != "skipped"))
    if counts.get("skipped"):
        found.skipped.append(f"{counts['skipped']} checks (no CUDA device)")
    if ran.returncode:
        found.lines.append("```\n" + ran.stdout[-3000:] + "\n```")
    found.passed = ran.returncode == 0 if counts.get("passed") or ran.returncode else None
    return found


def timings(device: torch.device, budget: float, small: bool) -> Section:
    """Milliseconds per network and step: a plain loop of one network, and many at once; the best of several rounds in turns."""
    found, began = Section("Timings, ms per network and step"), time.monotonic()
    found.lines = ["| work | plain | ours | ratio |", "| --- | --- | --- | --- |"]
    members, steps = (4, 3) if small else (100, 50)
    for name, task, make in (
        (f"{members} toy additions", "addition:p=10", _toy),
        (f"{members} parities in batches", "parity:n=10,k=2,n_train=64" if small else "parity", _parity),
        ("a p = 113 transformer" if not small else "a p = 7 transformer", f"modular:p={7 if small else 113}", None),
    ):
        if time.monotonic() - began > budget:
            found.skipped.append(name)
            continue
        own = members if make is not None else 1
        plan = make_plan(make_task(task), steps=10**6, members=seeds(own), metrics="0", checkpoints="0")
        ensemble = Ensemble(plan, device)
        ours = best(lambda n, e=ensemble: e.advance(e.step + n), steps, device) / own
        if make is None:
            found.lines.append(f"| {name} | | {ours:.3f} | |")
            continue
        plain = best(make(ensemble, device), steps, device)
        found.lines.append(f"| {name} | {plain:.3f} | {ours:.3f} | {plain / ours:.1f} |")
    found.passed = len(found.lines) > 2
    return found


def best(run: Callable[[int], object], steps: int, device: torch.device) -> float:
    """Milliseconds per step."""
    run(2)
    times = []
    for _ in range(ROUNDS):
        wait(device)
        start = time.perf_counter()
        run(steps)
        wait(device)
        times.append((time.perf_counter() - start) / steps * 1e3)
    return min(times)


def wait(device: torch.device) -> None:
    """Until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _loop(optimizer: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]) -> Callable[[int], None]:
    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

    return run


def _toy(ensemble: Ensemble, device: torch.device) -> Callable[[int], None]:
    """One toy network as one would write it: an embedding, summed, and a decoder of tanh layers."""
    task = ensemble.plan.member_task(0).fit(build(ensemble.plan.model))
    inputs, labels = (t[task.train_indices].to(device) for t in (task.inputs, task.labels))
    width = task.width
    embed = nn.Embedding(10, 1, device=device)
    decoder = nn.Sequential(
        nn.Linear(1, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, width)
    ).to(device)  # fmt: skip
    targets = torch.randn(len(labels), width, device=device)
    optimizer = torch.optim.AdamW([*embed.parameters(), *decoder.parameters()], 1e-3, fused=True)
    return _loop(optimizer, lambda: F.mse_loss(decoder(embed(inputs).sum(1)), targets))


def _parity(ensemble: Ensemble, device: torch.device) -> Callable[[int], None]:
    """One parity network with the hinge loss, on batches of 32."""
    task = ensemble.plan.member_task(0).fit(build(ensemble.plan.model))
    inputs, labels = task.inputs[task.train_indices].float().to(device), task.labels[task.train_indices].to(device)
    network = nn.Sequential(nn.Linear(inputs.shape[1], 500), nn.ReLU(), nn.Linear(500, 1, bias=False)).to(device)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, weight_decay=0.01)

    def loss() -> torch.Tensor:
        index = torch.randint(len(labels), (32,), device=device)
        return F.relu(1 - labels[index] * network(inputs[index])[:, 0]).mean()

    return _loop(optimizer, loss)


class TimeIsUp(Exception):
    """The sweep has used its seconds."""


def sweep(device: torch.device, budget: float, small: bool) -> Section:
    """Train 1,000 members through the front door until the end or the end of the time; then the same steps on a CPU for a few."""
    members, steps = (20, 30) if small else (1_000, 2_000)
    found, seen, began = Section(f"A sweep of {members:,} members"), [0], time.monotonic()

    def watch(now: Progress) -> None:
        seen.append(now.step)
        if time.monotonic() - began > budget:
            raise TimeIsUp

    try:
        run = interp.train(
            "addition:p=10", members=members, steps=steps, metrics=f"0,{steps}", checkpoints="0",
            device=str(device), progress=watch,
        )  # fmt: skip
    except TimeIsUp:
        found.skipped.append(f"steps {seen[-1]:,} to {steps:,} of the sweep")
    else:
        start, end = (
            float(run.metrics.query(f"step == {step}")["train_loss"].to_numpy().mean()) for step in (0, steps)
        )
        found.passed = end < start
        found.lines.append(f"mean training loss {start:.4f} at the start, {end:.4f} at the end")
    took = time.monotonic() - began
    done = seen[-1]
    found.lines.append(f"{done:,} steps in {took:.1f} s: {members * done / took:,.0f} member-steps a second")
    return found
