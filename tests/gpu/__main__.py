"""``python -m tests.gpu``: what the suite does on the GPU of this machine, in one file; 0 passed, 1 failed, 3 no GPU."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import torch

from interp import __version__
from tests.gpu.sections import Section, checks, sweep, timings

NO_GPU = 3
BUDGETS = ((checks, 120.0), (timings, 60.0), (sweep, 90.0))  # seconds, under five minutes with the start


def main(words: list[str] | None = None) -> int:
    """Run all sections and write the file; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu shows that the script works")
    parser.add_argument("--small", action="store_true", help="few members and steps")
    parser.add_argument("--out", type=Path, default=Path("gpu.md"), help="the file of figures")
    given = parser.parse_args(words)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing was run (--device cpu --small tries the script)", file=sys.stderr)
        return NO_GPU
    found = []
    for section, budget in BUDGETS:
        start = time.monotonic()
        found.append(section(device, budget, given.small))
        found[-1].seconds = time.monotonic() - start
        print(f"{found[-1].title}: {verdict(found[-1])}, {found[-1].seconds:.0f} s", file=sys.stderr)
    given.out.write_text(page(device, found), encoding="utf-8")
    print(given.out)
    return int(any(section.passed is False for section in found))


def verdict(section: Section) -> str:
    return {True: "passed", False: "FAILED", None: "nothing checked"}[section.passed]


def page(device: torch.device, found: list[Section]) -> str:
    """The file: the machine, and a part for each section."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    lines = [
        "# The suite on a GPU",
        "",
        "| device | torch | CUDA | interp-suite | python |",
        "| --- | --- | --- | --- | --- |",
    ]
    versions = (torch.__version__, torch.version.cuda or "none", __version__, platform.python_version())
    lines.append(f"| {name} ({device}) | {' | '.join(versions)} |")
    for section in found:
        lines += ["", f"## {section.title}", "", f"{verdict(section)}, {section.seconds:.0f} s", "", *section.lines]
        lines += ["", *(f"Skipped: {what}" for what in section.skipped)] if section.skipped else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
